"""What a precision costs: the same exams read in fp32 and in bf16, the readings compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from fourview.calibration import OperatingPoint
from fourview.evaluate.proportion import wilson
from fourview.exam import FINDINGS, Exam, Finding, PixelMode, Precision, Reading, Score, SetupError
from fourview.prepare import PreparedExam
from fourview.screen import Screener
from fourview.whole_files import write_whole


@dataclass(frozen=True)
class Pair:
    """One probability of one breast or image, read both ways.

    unit  what it is about; name  "L" or "R", or the image's view and name
    """

    exam: str
    unit: Literal["breast", "image"]
    name: str
    finding: Finding
    fp32: float
    bf16: float

    @property
    def change(self) -> float:
        return self.bf16 - self.fp32


@dataclass(frozen=True)
class Crossing:
    """How many units lie on the other side of an operating point in bf16; exams with at least one such unit.

    An ensemble is judged by the operating points of its members, though it is another model.
    """

    point: OperatingPoint
    units: int
    crossed: int
    exams: int
    exams_crossed: int

    @property
    def interval_95(self) -> tuple[float, float]:
        """Of the share of exams: Wilson's score interval, one row per exam."""
        return wilson(self.exams_crossed / self.exams if self.exams else 0.0, self.exams)


@dataclass
class PrecisionComparison:
    """Reads every exam in fp32, as the Screener `full` alone would, and once more with `reduced`.

    A batch writes the fp32 readings; `pairs` grows with every exam. Both must hold the same weights and options.
    """

    full: Screener
    reduced: Screener
    pairs: list[Pair] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.full.weights_hash != self.reduced.weights_hash or self.full.precision == self.reduced.precision:
            raise SetupError("a comparison of precisions needs the same weights at two precisions")

    @property
    def name(self) -> str:
        return self.full.name

    @property
    def weights_hash(self) -> str:
        return self.full.weights_hash

    @property
    def pixel_mode(self) -> PixelMode:
        return self.full.pixel_mode

    @property
    def engine(self) -> str:
        return self.full.engine

    @property
    def precision(self) -> Precision:
        return self.full.precision

    @property
    def marks(self) -> tuple[str, ...]:
        return self.full.marks

    @property
    def unit(self) -> Literal["breast", "image"]:
        return self.full.unit

    def prepare(self, exam: Exam) -> PreparedExam:
        return self.full.prepare(exam)

    def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
        prepared = prepared or self.prepare(exam)
        reading = self.full.read(exam, prepared)
        self.pairs += _pairs(reading, self.reduced.read(exam, prepared))
        return reading

    def changes(self, finding: Finding) -> tuple[float, float, float]:
        """The absolute change of a finding's probabilities: mean, 95th percentile, largest. Needs an exam."""
        found = np.abs([pair.change for pair in self.shown if pair.finding == finding])
        return float(found.mean()), float(np.percentile(found, 95)), float(found.max())

    @property
    def shown(self) -> list[Pair]:
        """The pairs of the model's own unit: breasts, or images for single-image models."""
        return [pair for pair in self.pairs if pair.unit == self.unit]

    def crossings(self) -> list[Crossing]:
        """Per operating point of the members' cards."""
        points = dict.fromkeys(point for m in self.full.members for point in m.card.operating_points)
        counted = [count_crossings(self.pairs, point) for point in points]
        return [crossing for crossing in counted if crossing.units]  # a model may have no such units


def count_crossings(pairs: Sequence[Pair], point: OperatingPoint) -> Crossing:
    """How many of the units that the point is meant for change sides between the two precisions."""
    unit = "image" if point.unit == "image" else "breast"  # an exam's p is the larger one of its breasts
    chosen = [pair for pair in pairs if pair.finding == point.finding and pair.unit == unit]
    exams: dict[str, list[Pair]] = {}
    for pair in chosen:
        exams.setdefault(pair.exam, []).append(pair)
    units = [[pair] for pair in chosen] if point.unit != "exam" else list(exams.values())
    crossed_exams = sum(any(_crosses([p], point) for p in own) for own in exams.values())
    if point.unit == "exam":
        crossed_exams = sum(_crosses(own, point) for own in exams.values())
    return Crossing(point, len(units), sum(_crosses(u, point) for u in units), len(exams), crossed_exams)


def _crosses(pairs: Sequence[Pair], point: OperatingPoint) -> bool:
    return (max(p.fp32 for p in pairs) >= point.threshold) != (max(p.bf16 for p in pairs) >= point.threshold)


def _pairs(full: Reading, reduced: Reading) -> Iterator[Pair]:
    for (unit, name, a), (_, _, b) in zip(_scores(full), _scores(reduced), strict=True):
        for finding in FINDINGS:
            yield Pair(full.exam_id, unit, name, finding, getattr(a, finding), getattr(b, finding))


def _scores(reading: Reading) -> Iterator[tuple[Literal["breast", "image"], str, Score]]:
    yield from (("breast", side.value, score) for side, score in reading.breasts.items())
    yield from (("image", f"{i.view} {i.name}", i.score) for i in reading.images if i.score is not None)


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """precision.csv: one row per probability. Raises OSError."""
    rows = [(p.exam, p.unit, p.name, p.finding, p.fp32, p.bf16, p.change) for p in pairs]
    names = dict.fromkeys(("exam", "unit", "name", "finding"), pl.String)
    numbers = {"p_fp32": pl.Float64, "p_bf16": pl.Float64, "change": pl.Float64}
    write_whole(path, pl.DataFrame(rows, schema={**names, **numbers}, orient="row").write_csv())
