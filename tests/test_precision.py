"""What a precision costs: pairs of readings, their changes, and who crosses an operating point."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from fourview.calibration import OperatingPoint
from fourview.engine.torch_engine import TorchEngine
from fourview.exam import SetupError
from fourview.precision import Pair, PrecisionComparison, count_crossings, write_pairs
from fourview.screen import Screener
from fourview.weights.folder import Weights, load_weights
from fourview.weights.untrained import write_untrained
from tests.test_screen import SCALE, draw_exam

CPU = torch.device("cpu")


def point(threshold: float, unit: str = "breast") -> OperatingPoint:
    return OperatingPoint(name="recall", finding="malignant", threshold=threshold, unit=unit, population="nobody")


def test_units_and_exams_that_change_sides_are_counted_per_operating_point() -> None:
    pairs = [
        Pair("a", "breast", "L", "malignant", 0.49, 0.51),  # crosses 0.5
        Pair("a", "breast", "R", "malignant", 0.80, 0.79),
        Pair("b", "breast", "L", "malignant", 0.50, 0.499),  # crosses: at the threshold is positive
        Pair("b", "breast", "R", "malignant", 0.51, 0.495),  # crosses, in the same exam
        Pair("c", "breast", "L", "malignant", 0.20, 0.21),
        Pair("c", "breast", "L", "benign", 0.49, 0.51),  # another question
        Pair("c", "image", "L-CC x.png", "malignant", 0.49, 0.51),  # another unit
    ]
    breasts = count_crossings(pairs, point(0.5))
    assert (breasts.units, breasts.crossed, breasts.exams, breasts.exams_crossed) == (5, 3, 3, 2)
    images = count_crossings(pairs, point(0.5, "image"))
    assert (images.units, images.crossed) == (1, 1)
    exams = count_crossings(pairs, point(0.5, "exam"))  # exam a stays positive by its right breast
    assert (exams.units, exams.crossed, exams.exams, exams.exams_crossed) == (3, 1, 3, 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "w"
    write_untrained(out, wiring="view-wise", heatmaps=True, scale=SCALE)
    return out


def test_exams_are_read_both_ways_and_the_full_precision_is_what_counts(weights: Path, tmp_path: Path) -> None:
    loaded = load_weights(weights)
    exam = draw_exam()
    alone = Screener([loaded], engine=TorchEngine(CPU), jitter=2).read(exam)
    threshold = (alone.left.malignant + alone.right.malignant) / 2
    card = loaded.card.model_copy(update={"operating_points": (point(threshold), point(0.999))})
    held = Weights(card, loaded.exam, loaded.patch)
    comparison = PrecisionComparison(
        Screener([held], engine=TorchEngine(CPU), jitter=2), Screener([held], engine=TorchEngine(CPU, "bf16"), jitter=2)
    )
    reading = comparison.read(exam, comparison.prepare(exam))
    assert reading.precision == "fp32"
    assert (reading.left, reading.right) == (alone.left, alone.right)
    assert [(p.name, p.finding) for p in comparison.pairs] == [(s, f) for s in "LR" for f in ("benign", "malignant")]
    assert comparison.pairs[1].fp32 == alone.left.malignant
    mean, p95, largest = comparison.changes("malignant")
    assert 1e-7 < mean <= p95 <= largest < 0.05
    crossings = comparison.crossings()
    assert [c.point.threshold for c in crossings] == [threshold, 0.999]
    assert crossings[1].crossed == 0
    write_pairs(tmp_path / "precision.csv", comparison.pairs)
    table = pl.read_csv(tmp_path / "precision.csv")
    assert table["change"].to_list() == pytest.approx([p.bf16 - p.fp32 for p in comparison.pairs])


def test_two_readers_of_one_precision_compare_nothing(weights: Path) -> None:
    one = Screener.load(weights, engine=TorchEngine(CPU))
    with pytest.raises(SetupError, match="same weights at two precisions"):
        PrecisionComparison(one, one)
