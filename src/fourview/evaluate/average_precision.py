"""Average precision with its interval, as found and at another prevalence; the trapezoid PR area, named apart.

Average precision is the mean, over positives, of the precision at their score (ties together): the paper's "PR AUC" of
its readers, and scikit-learn's average_precision_score. As found, its variance is the infinitesimal jackknife (Efron
1981): the derivative of the metric by each unit's weight, summed within clusters. At another, small prevalence few
negatives decide, the derivative says half the truth (checked against resampling), and clusters are resampled instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.estimate import Estimate, logit_interval
from fourview.evaluate.resample import NO_VARIANCE, cluster_bootstrap, percentile_intervals
from fourview.evaluate.table import check_scores, check_truth, few_units, number_clusters
from fourview.exam import SetupError

Floats = NDArray[np.float64]


def average_precision(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    prevalence: float | None = None,
    unit: str = "breast",
    name: str = "average precision",
) -> Estimate:
    """The average precision of one score with its 95 % interval on the logit scale.

    truth       (units,) 0 or 1;  scores  (units,), larger is more suspicious
    cluster     (units,) labels of the exam or patient of each unit; None: units are independent
    prevalence  of positives where the score would be used; None: as in this table. Precision depends on it: an
                enriched table flatters

    Raises SetupError as RocCurves.measure does, or if the prevalence is not between 0 and 1.
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    if prevalence is not None and not 0 < prevalence < 1:
        raise SetupError(f"prevalence: found {prevalence:g}; need a share between 0 and 1")
    curve = _Curve.draw(yes, score)
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    clusters = int(numbers.max()) + 1
    kind = "independent units" if cluster is None else "clustered"
    if prevalence is None:
        value, influence = _measure(curve)
        sums = np.bincount(numbers, influence)
        se = math.sqrt(clusters / (clusters - 1) * float(sums @ sums)) if clusters > 1 else math.nan
        low, high = logit_interval(value, se) if se > 0 else (math.nan, math.nan)
        method = f"infinitesimal jackknife, {kind}, logit; as in this table"
    else:
        value = _weighted(curve, np.ones(len(yes)), prevalence)
        resampled = cluster_bootstrap(yes, numbers, lambda times: _weighted(curve, times, prevalence))[:, 0]
        low, high, se = (float(part[0]) for part in percentile_intervals(resampled[:, None]))
        method = f"bootstrap of {len(resampled)}, {kind}, percentiles; at a prevalence of {prevalence:g}"
    positives = int(yes.sum())
    warnings = few_units(yes, numbers) + ((NO_VARIANCE,) if math.isnan(low) else ())
    return Estimate(name, value, low, high, se, len(yes), positives, clusters, unit, method, warnings)


def weighted_average_precision(yes: NDArray[np.bool_], scores: Floats) -> Callable[[Floats], float]:
    """The average precision as a function of how often each unit counts, for resampling; sorts once."""
    curve = _Curve.draw(yes, scores)
    return lambda times: _weighted(curve, times, None)


def trapezoid_pr_area(truth: ArrayLike, scores: ArrayLike) -> float:
    """The area under straight lines between the points of the precision-recall curve: too large, but often reported."""
    curve = _Curve.draw(check_truth(truth), check_scores(scores, len(np.asarray(truth)))[0])
    last = np.flatnonzero(np.diff(curve.score, append=-np.inf))  # one point per distinct score
    recall = np.concatenate([[0.0], curve.sensitivity[last]])
    precision = curve.positives[last] / curve.all[last]
    return float(np.trapezoid(np.concatenate([[1.0], precision]), recall))


@dataclass(frozen=True, eq=False)
class _Curve:
    """Per unit in descending order of score: how many (positives) have its score or a larger one."""

    order: NDArray[np.int64]
    score: Floats
    yes: NDArray[np.bool_]
    positives: Floats
    all: Floats

    @classmethod
    def draw(cls, yes: NDArray[np.bool_], scores: Floats) -> _Curve:
        order = np.argsort(-scores, kind="stable")
        score = scores[order]
        last = np.searchsorted(-score, -score, side="right")  # ties share the count at their end
        so_far = np.concatenate([[0.0], np.cumsum(yes[order], dtype=np.float64)])
        return cls(order, score, yes[order], so_far[last], last.astype(np.float64))

    @property
    def sensitivity(self) -> Floats:
        return np.asarray(self.positives / self.yes.sum())

    def at_or_below(self, values: Floats) -> Floats:
        """Per unit, the sum of `values` over the positives with its score or a smaller one."""
        before = np.concatenate([[0.0], np.cumsum(values * self.yes)])
        first = np.searchsorted(-self.score, -self.score, side="left")
        return np.asarray(before[-1] - before[first])


def _measure(c: _Curve) -> tuple[float, Floats]:
    """The average precision, and its derivative by the weight of each unit (0 in sum)."""
    precision = c.positives / c.all
    value = float(precision[c.yes].mean())
    moved = c.yes * (precision - value + c.at_or_below(1 / c.all)) - c.at_or_below(precision / c.all)
    influence = np.empty(len(c.yes))
    influence[c.order] = moved / c.yes.sum()
    return value, influence


def _weighted(c: _Curve, weights: Floats, prevalence: float | None) -> float:
    """The average precision with units counted `weights` times (in the table's order), classes mixed anew."""
    ordered = weights[c.order]
    yes, no = ordered * c.yes, ordered * ~c.yes
    last = c.all.astype(np.int64) - 1
    share = float(yes.sum() / ordered.sum()) if prevalence is None else prevalence
    a = share * np.cumsum(yes)[last] / yes.sum()
    b = (1 - share) * np.cumsum(no)[last] / no.sum()
    precision = a[c.yes] / np.maximum(a[c.yes] + b[c.yes], np.finfo(np.float64).tiny)
    return float(precision @ yes[c.yes] / yes.sum())
