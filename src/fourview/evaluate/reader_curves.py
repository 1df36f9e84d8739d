"""The points of a score's ROC and precision-recall curves, and a reader's own point at a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.proportion import proportion
from fourview.evaluate.table import check_scores, check_truth

Floats = NDArray[np.float64]
GRID = np.linspace(0, 1, 201)


def roc_points(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """(1 - specificity, sensitivity) at every threshold, (0, 0) to (1, 1); the area under straight lines is the AUC."""
    positives, negatives = _called(truth, scores)
    return negatives / negatives[-1], positives / positives[-1]


def precision_recall_points(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """(recall, precision) as steps; the area under them is the average precision."""
    positives, negatives = _called(truth, scores)
    recall = positives / positives[-1]
    precision = positives[1:] / (positives + negatives)[1:]
    return np.stack([recall[:-1], recall[1:]], axis=1).ravel(), np.repeat(precision, 2)


@dataclass(frozen=True, eq=False)
class CurvesOfReaders:
    """Per point of GRID the mean of all readers' curves, the lowest and the highest of them."""

    mean: Floats
    low: Floats
    high: Floats


def average_roc(truth: ArrayLike, readers: Floats) -> CurvesOfReaders:
    """Sensitivity at the same 1 - specificity; the mean curve's area is the readers' mean AUC. readers (readers, "
    "units)"""
    curves = []
    for scores in readers:
        x, y = roc_points(truth, scores)
        last = np.append(np.diff(x) > 0, True)  # of points above each other the highest
        curves.append(np.interp(GRID, x[last], y[last]))
    return _summarise(curves)


def average_precision_recall(truth: ArrayLike, readers: Floats) -> CurvesOfReaders:
    """Precision at the same recall, of the first threshold that reaches it; recall 0 has the first threshold's."""
    curves = []
    for scores in readers:
        positives, negatives = _called(truth, scores)
        at = np.searchsorted(positives / positives[-1], np.maximum(GRID, GRID[1] / 1000) - 1e-12)
        curves.append(positives[at] / (positives[at] + negatives[at]))
    return _summarise(curves)


def _summarise(curves: Sequence[Floats]) -> CurvesOfReaders:
    stacked = np.stack(curves)
    return CurvesOfReaders(stacked.mean(axis=0), stacked.min(axis=0), stacked.max(axis=0))


@dataclass(frozen=True)
class OperatingPoint:
    """What calling every breast with a probability of at least `threshold` malignant does."""

    threshold: float
    sensitivity: Estimate
    specificity: Estimate


def operating_point(
    truth: ArrayLike, scores: ArrayLike, *, threshold: float, cluster: Sequence[Any] | NDArray[Any] | None = None
) -> OperatingPoint:
    """Sensitivity and specificity of score >= threshold. cluster  as for auc"""
    yes = check_truth(truth)
    called = check_scores(scores, len(yes))[0] >= threshold
    labels = np.arange(len(yes)) if cluster is None else np.asarray(cluster)
    shares = [
        proportion(hits[part], cluster=None if cluster is None else labels[part], name=name)
        for part, hits, name in ((yes, called, "sensitivity"), (~yes, ~called, "specificity"))
    ]
    return OperatingPoint(threshold, *shares)


def _called(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """How many positives and negatives are called at every threshold, from none to all; ties together."""
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    so_far = np.cumsum(yes[order])[last]
    return np.r_[0.0, so_far], np.r_[0.0, last + 1 - so_far]
