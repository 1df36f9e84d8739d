"""Two classifiers on the same folds: is the difference more than the choice of folds and patients?

The test is the corrected t test of repeated cross-validation (Nadeau and Bengio 2003; Bouckaert and Frank 2004): folds
share training images, so the variance of their mean is not theirs divided by their number. With few patients it finds
differences too often (of equals in 0.12 of sets of 30 patients with p < 0.05, 0.07 of 60): so the clustered paired
difference of the areas (Obuchowski 1997), averaged over repeats, with as many degrees of freedom as the rarer class
has patients, less one, is asked as well, and the less sure of the two is what is said. p values of several pairs are
Holm's (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fourview.evaluate import Estimate, RocCurves
from fourview.evaluate.covariance import measure
from fourview.evaluate.table import count_rarer
from fourview.exam import SetupError
from fourview.studies.transfer.nested import UnitScores

Places = NDArray[np.int64]
MOST_FOR_ALL_PAIRS = 6


def choose_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """All pairs of a few; of more, each with the first, which was named first and not chosen by its number."""
    if len(names) <= MOST_FOR_ALL_PAIRS:
        return tuple(combinations(range(len(names)), 2))
    return tuple((0, other) for other in range(1, len(names)))


def fold_areas(y: Places, repeats: Sequence[UnitScores]) -> NDArray[np.float64]:
    """(repeats x folds,) the AUC of each outer fold. y (units,)"""
    return np.array(
        [
            RocCurves.measure(y[r.fold == fold], r.score[r.fold == fold]).areas[0]
            for r in repeats
            for fold in range(int(r.fold.max()) + 1)
        ]
    )


def compare_areas(
    y: Places, clusters: Places, first: Sequence[UnitScores], second: Sequence[UnitScores], *, name: str, unit: str
) -> Estimate:
    """The mean over folds of the first's AUC minus the second's, with interval and p value.

    Both are those of the larger standard error in units of its t quantile: of folds (Nadeau and Bengio) or of
    patients. Tables pool all folds of a repeat, so that the difference of theirs is a little another number.

    y, clusters (units,). Raises SetupError if the two have other folds.
    """
    if len(first) != len(second) or any((a.fold != b.fold).any() for a, b in zip(first, second, strict=True)):
        raise SetupError(f"{name}: found other folds in the two; need the same")
    difference = fold_areas(y, first) - fold_areas(y, second)
    folds = len(difference) // len(first)
    value, variance = float(difference.mean()), float(difference.var(ddof=1))
    se = math.sqrt((1 / len(difference) + 1 / (folds - 1)) * variance)  # test rows / training rows = 1 / (folds - 1)
    degrees = len(difference) - 1
    method = f"corrected t test of {len(first)} x {folds} folds, {degrees} degrees of freedom"
    over_patients, rarer = (
        _error_over_patients(y, clusters, first, second),
        count_rarer(y.astype(bool), clusters)[0] - 1,
    )
    if rarer > 0 and stdtrit(rarer, 0.975) * over_patients > stdtrit(degrees, 0.975) * se:
        se, degrees = over_patients, rarer
        method = f"paired, clustered by patient, mean of {len(first)} repeats, t with {degrees} degrees of freedom"
    known = se > 1e-12
    half = float(stdtrit(degrees, 0.975)) * se if known else math.nan
    p = 2 * float(stdtr(degrees, -abs(value) / se)) if known else math.nan
    warnings = () if known else ("the two rank alike in every fold: no interval can be given",)
    counts = len(y), int(y.sum()), len(np.unique(clusters))
    return Estimate(name, value, value - half, value + half, se, *counts, unit, method, warnings, p)


def _error_over_patients(
    y: Places, clusters: Places, first: Sequence[UnitScores], second: Sequence[UnitScores]
) -> float:
    """The standard error of the difference of pooled areas, the mean over repeats, which share their patients."""
    found = [
        measure(y, np.stack([a.score, b.score]), cluster=clusters).combine([[1, -1]]).covariance[0, 0]
        for a, b in zip(first, second, strict=True)
    ]
    return float(np.mean(np.sqrt(np.maximum(found, 0.0))))


def adjust_holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; NaN, which counts as no test, stays."""
    found = list(p)
    order = sorted((k for k in range(len(p)) if not math.isnan(p[k])), key=lambda k: p[k])
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[place]))
        found[place] = largest
    return found
