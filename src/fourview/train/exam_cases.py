"""Rows of a manifest -> exams to train on: images per view, labels per breast, and which exams make an epoch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import FINDINGS, SetupError
from fourview.networks.birads import SIDES
from fourview.networks.exam import BOTH_SIDES, READS_SINGLE_VIEWS, VIEW_NAMES, Head, Wiring
from fourview.store.labels import UNIT_KEYS, label_at
from fourview.train.recipe import Stage
from fourview.train.recipe_parts import ExamSampling
from fourview.train.stage import UNKNOWN, Key, open_stream

EPOCH = 21  # what the random stream of an epoch is for, see stage.open_stream
Part = Literal["train", "validation", "test"]
Truth = bool | None


@dataclass(frozen=True)
class ExamCase:
    """One exam of a part.

    images  view -> its images, in the manifest's order; the views that are read, and that there are
    labels  (side, finding) -> truth; None: unknown
    birads  side -> class 0, 1, 2; None: unknown
    """

    exam: str
    patient: str | None
    part: str
    images: Mapping[str, tuple[str, ...]]
    labels: Mapping[tuple[str, str], Truth]
    birads: Mapping[str, int | None]

    @property
    def is_positive(self) -> bool:
        """With a finding in one of the breasts that are shown."""
        return bool((self.finding_targets == 1).any())

    def shows(self, side: str) -> bool:
        """Whether there is an image of this side."""
        return any(view[0] == side for view in self.images)

    def targets(self, stage: Stage) -> NDArray[np.int64]:
        """What the stage exam or birads learns of it."""
        return self.birads_targets if stage == "birads" else self.finding_targets

    @property
    def finding_targets(self) -> NDArray[np.int64]:
        """(4,) in the order of BOTH_SIDES: 0, 1, UNKNOWN."""
        labels = (self.labels.get(key) if self.shows(key[0]) else None for key in BOTH_SIDES)
        return np.array([UNKNOWN if label is None else int(label) for label in labels], np.int64)

    @property
    def birads_targets(self) -> NDArray[np.int64]:
        """(2,) left, right: 0, 1, 2, UNKNOWN."""
        classes = (self.birads.get(side) if self.shows(side) else None for side in SIDES)
        return np.array([UNKNOWN if c is None else c for c in classes], np.int64)


@dataclass(frozen=True)
class ExamCases:
    """The exams of some parts. left_out: reason -> how many exams, of those that cannot be used."""

    cases: tuple[ExamCase, ...]
    left_out: Mapping[str, int]

    def of(self, part: Part) -> tuple[int, ...]:
        """The places in `cases` of a part's exams."""
        return tuple(place for place, case in enumerate(self.cases) if case.part == part)


def list_cases(
    table: pl.DataFrame,
    *,
    wiring: Wiring,
    heads: Sequence[Head],
    unbiopsied: Literal["negative", "unknown"],
    parts: Sequence[Part] = ("train", "validation"),
) -> ExamCases:
    """The exams of a prepared manifest with a column `part`, in its order, that a network with these heads can read.

    Networks that read single views take what is there; the others need every view of theirs.
    unbiopsied  see recipe_parts.ExamSampling

    A label of a breast is true where one of its images has it; a label of a whole exam says where there is nothing.
    """
    needed = tuple(view for view in VIEW_NAMES if any(view in head.views for head in heads))
    rows = table.filter(pl.col("part").is_in(list(parts)) & pl.col("view").is_not_null())
    labels, classes = _label_breasts(rows, unbiopsied), _class_breasts(rows)
    images: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    part_of: dict[tuple[str, str], str] = {}
    patients: dict[tuple[str, str], str | None] = {}
    columns = ["dataset", "exam", "patient", "part", "view", "image"]
    for dataset, exam, patient, part, view, image in rows.select(columns).iter_rows():
        patients[dataset, exam] = patient
        if part_of.setdefault((dataset, exam), part) != part:
            raise SetupError(f"exam {exam}: found its images in {part_of[dataset, exam]} and {part}, need one part")
        images[dataset, exam][view].append(image)
    cases = []
    left_out: Counter[str] = Counter()
    for key, found in images.items():
        missing = [view for view in needed if view not in found]
        if missing and (wiring not in READS_SINGLE_VIEWS or len(missing) == len(needed)):
            left_out[f"without {', '.join(missing)}"] += 1
            continue
        cases.append(
            ExamCase(
                key[1],
                patients[key],
                part_of[key],
                {view: tuple(found[view]) for view in needed if view in found},
                {(side, finding): labels.get((*key, side), {}).get(finding) for side, finding in BOTH_SIDES},
                {side: classes.get((*key, side)) for side in SIDES},
            )
        )
    return ExamCases(tuple(cases), left_out)


def keep_known(found: ExamCases, *, stage: Stage) -> ExamCases:
    """Without the exams of which the stage knows nothing, which are counted."""
    known = [case for case in found.cases if (case.targets(stage) != UNKNOWN).any()]
    unknown = len(found.cases) - len(known)
    what = "without a BI-RADS class" if stage == "birads" else "without a known label"
    return ExamCases(tuple(known), {**found.left_out, **({what: unknown} if unknown else {})})


def draw_exam_epoch(found: ExamCases, sampling: ExamSampling, *, seed: int, epoch: int) -> tuple[Key, ...]:
    """All training exams with a finding and newly drawn others, shuffled. Method: Wu et al. 2019.

    Others are drawn without replacement; where more are wanted than there are, each comes once before any comes again.
    """
    rng = open_stream(seed, EPOCH, epoch)
    places = found.of("train")
    positives = [place for place in places if found.cases[place].is_positive]
    others = [place for place in places if not found.cases[place].is_positive]
    drawn = _draw_rounds(others, round(sampling.others_per_positive * len(positives)), rng)
    return _shuffled([*positives, *drawn], epoch, rng)


def draw_birads_epoch(found: ExamCases, sampling: ExamSampling, *, seed: int, epoch: int) -> tuple[Key, ...]:
    """Newly drawn training exams, as many as the recipe says; all of them where it does not. Shuffled."""
    rng = open_stream(seed, EPOCH, epoch)
    places = found.of("train")
    return _shuffled(_draw_rounds(places, sampling.per_epoch or len(places), rng), epoch, rng)


def _draw_rounds(places: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    if not places:
        return []
    whole, rest = divmod(count, len(places))
    return [*places] * whole + [int(place) for place in rng.choice(places, rest, replace=False)]


def _shuffled(places: Sequence[int], epoch: int, rng: np.random.Generator) -> tuple[Key, ...]:
    order = rng.permutation(len(places))
    return tuple(Key(epoch, place, places[chosen]) for place, chosen in enumerate(order.tolist()))


def _label_breasts(rows: pl.DataFrame, unbiopsied: str) -> dict[tuple[str, str, str], dict[str, Truth]]:
    """(dataset, exam, side) -> finding -> truth.

    Nobody biopsied a breast of which no row says anything at all: neither a label, whatever it is of, nor a word of a
    pathology report, nor a lesion of unknown pathology (but one that was biopsied at another exam was not at this one).
    """
    keys = UNIT_KEYS["breast"]
    words = pl.col("more").str.json_path_match("$.pathology").is_not_null()
    elsewhere = pl.element().struct.field("descriptors").str.json_path_match("$.biopsied") == "at another exam"
    unproven = (pl.element().struct.field("pathology") == "unknown") & ~elsewhere.fill_null(value=False)
    labelled = pl.any_horizontal(pl.col(list(FINDINGS)).is_not_null())
    said = labelled | words | pl.col("lesions").list.eval(unproven).list.any()
    breasts = rows.group_by(keys, maintain_order=True).agg(
        *(label_at(finding, "breast").any(ignore_nulls=False) for finding in FINDINGS), said=said.any()
    )
    if unbiopsied == "negative":
        breasts = breasts.with_columns(
            pl.when(pl.col("said")).then(pl.col(finding)).otherwise(pl.lit(value=False)).alias(finding)
            for finding in FINDINGS
        )
    found = breasts.select(*keys, *FINDINGS).iter_rows()
    return {(row[0], row[1], row[2]): dict(zip(FINDINGS, row[3:], strict=True)) for row in found}


def _class_breasts(rows: pl.DataFrame) -> dict[tuple[str, str, str], int | None]:
    """(dataset, exam, side) -> BI-RADS class; of images that differ the one that needs most to be done: 0, 2, 1."""
    keys = UNIT_KEYS["breast"]
    urgent = pl.col("birads_class").replace_strict({0: 0, 2: 1, 1: 2}, return_dtype=pl.Int8).min()
    found = rows.group_by(keys, maintain_order=True).agg(
        birads=urgent.replace_strict({0: 0, 1: 2, 2: 1}, return_dtype=pl.Int8)
    )
    return {(row[0], row[1], row[2]): row[3] for row in found.select(*keys, "birads").iter_rows()}
