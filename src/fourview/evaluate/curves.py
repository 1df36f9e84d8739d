"""The ROC and precision-recall curves of one score with their bands, and what is read off them.

Sensitivity at a specificity is that of the best threshold that exists (no interpolation between thresholds): a number
read off this table, not the performance of a threshold chosen beforehand (see operating). The partial area is the
one left of a false-positive share, made to run from 0.5 (chance) to 1 (McClish 1989). Intervals and bands: bootstrap of
clusters, percentiles; bands hold point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.resample import NO_VARIANCE, cluster_bootstrap, percentile_intervals
from fourview.evaluate.table import check_scores, check_truth, few_units, number_clusters

Floats = NDArray[np.float64]
SPECIFICITIES, SENSITIVITIES, PARTIAL = (0.80, 0.90, 0.95), (0.80, 0.90), 0.1
GRID = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Band:
    """One curve on a grid from 0 to 1 with its pointwise 95 % band; all (points,)."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves and what is read off them.

    roc    sensitivity by 1 - specificity
    pr     precision by sensitivity, at the table's `prevalence`; pr_at  at the one asked for
    """

    roc: Band
    pr: Band
    pr_at: Band | None
    prevalence: float
    read_off: tuple[Estimate, ...]


def draw_curves(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> Curves:
    """The curves of one score.

    truth, scores, cluster  (units,) as for auc;  prevalence  of a second precision-recall curve; None: without one
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    ordered = _Ordered(yes, score)

    def measure(times: Floats) -> Floats:
        x, y = ordered.shares(times)
        shares = [float(times[yes].sum() / times.sum()), *([] if prevalence is None else [prevalence])]
        read = [_partial_area(x, y), *(_best(x, y, 1 - s) for s in SPECIFICITIES)]
        read += [1 - _least(x, y, s) for s in SENSITIVITIES]
        return np.concatenate([read, np.interp(GRID, x, y), *(_precision(x, y, share) for share in shares)])

    values = measure(np.ones(len(yes)))
    draws = cluster_bootstrap(yes, numbers, measure)
    low, high, ses = percentile_intervals(draws)
    kind = "independent units" if cluster is None else "clustered"
    names = [f"partial AUC (specificity {1 - PARTIAL:.2f} to 1, McClish)"]
    names += [f"sensitivity at specificity {s:.2f}" for s in SPECIFICITIES]
    names += [f"specificity at sensitivity {s:.2f}" for s in SENSITIVITIES]
    n, positives, clusters = len(yes), int(yes.sum()), int(numbers.max()) + 1
    method = f"bootstrap of {len(draws)}, {kind}, percentiles; read off this table's curve"
    few = few_units(yes, numbers)
    read_off = tuple(
        Estimate(
            name,
            float(v),
            float(a),
            float(b),
            float(se),
            n,
            positives,
            clusters,
            unit,
            method,
            few if a < b else (*few, NO_VARIANCE),
        )
        for name, v, a, b, se in zip(names, values, low, high, ses, strict=False)
    )
    bands = [
        Band(GRID, values[k:][: len(GRID)], low[k:][: len(GRID)], high[k:][: len(GRID)])
        for k in range(len(names), len(values), len(GRID))
    ]
    return Curves(bands[0], bands[1], bands[2] if len(bands) > 2 else None, float(yes.mean()), read_off)


class _Ordered:
    """The units in descending order of score, for curves of many weightings."""

    def __init__(self, yes: NDArray[np.bool_], score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.yes = yes[self.order]
        self.ends = np.flatnonzero(np.diff(score[self.order], append=-np.inf))  # one point per distinct score

    def shares(self, times: Floats) -> tuple[Floats, Floats]:
        """(1 - specificity, sensitivity) of every threshold from above all scores to below, units counted `times`."""
        ordered = times[self.order]
        up, down = np.cumsum(ordered * self.yes)[self.ends], np.cumsum(ordered * ~self.yes)[self.ends]
        return np.concatenate([[0.0], down / down[-1]]), np.concatenate([[0.0], up / up[-1]])


def _partial_area(x: Floats, y: Floats) -> float:
    """The area left of PARTIAL, on McClish's scale."""
    inside = x <= PARTIAL
    left = np.append(x[inside], PARTIAL)
    area = float(np.trapezoid(np.append(y[inside], np.interp(PARTIAL, x, y)), left))
    chance = PARTIAL**2 / 2
    return (1 + (area - chance) / (PARTIAL - chance)) / 2


def _best(x: Floats, y: Floats, most: float) -> float:
    """The largest sensitivity of a threshold with at most this share of false positives."""
    return float(y[np.searchsorted(x, most + 1e-12, side="right") - 1])


def _least(x: Floats, y: Floats, sensitivity: float) -> float:
    """The smallest share of false positives of a threshold with at least this sensitivity."""
    return float(x[np.searchsorted(y, sensitivity - 1e-12, side="left")])


def _precision(x: Floats, y: Floats, prevalence: float) -> Floats:
    """Precision at every sensitivity of the grid: of the first threshold that reaches it."""
    at = np.maximum(np.searchsorted(y, GRID - 1e-12, side="left"), 1)
    a, b = prevalence * y[at], (1 - prevalence) * x[at]
    return np.asarray(a / np.maximum(a + b, np.finfo(np.float64).tiny))
