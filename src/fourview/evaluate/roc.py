"""The area under the ROC curve and its variance: clustered (several breasts of one woman) or of independent units.

Methods. DeLong, DeLong and Clarke-Pearson 1988, computed from midranks (Sun and Xu 2014); Obuchowski 1997 for
clustered data: sums of DeLong's components within clusters, and their covariance between positives and negatives of
one cluster. With one unit per cluster the two are the same. The interval of one area uses Student's t with clusters
minus 1 degrees of freedom (as Cameron and Miller 2015 for regression), counting those that hold the rarer class, since
the variance is only as well known as they are many. docs/statistics.md has what this covers, and what without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from fourview.evaluate.estimate import Z_95, Estimate, logit_interval
from fourview.evaluate.table import check_scores, check_truth, count_rarer, few_units, number_clusters
from fourview.exam import SetupError

Method = Literal["clustered", "delong"]


@dataclass(frozen=True, eq=False)
class RocCurves:
    """The areas of one or several scores on the same units, and the covariance of their errors.

    areas       (scores,)
    covariance  (scores, scores)
    n, positives, clusters  what was counted
    rarer       clusters (or independent units) that hold the rarer class
    warnings    where intervals are known to fail
    """

    areas: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n: int
    positives: int
    clusters: int
    rarer: int
    method: Method
    warnings: tuple[str, ...] = ()

    @classmethod
    def measure(
        cls, truth: ArrayLike, scores: ArrayLike, *, cluster: Sequence[Any] | NDArray[Any] | None = None
    ) -> RocCurves:
        """Areas and covariances.

        truth    (units,) 0 or 1, or False or True
        scores   (units,) or (scores, units): larger means more suspicious; ties count one half
        cluster  (units,) of labels: the exam or patient of each unit; None: units are independent (DeLong)

        Raises SetupError if lengths differ, a truth is not 0 or 1, a score is no number, or a class is missing.
        """
        yes = check_truth(truth)
        matrix = check_scores(scores, len(yes))
        of_positives, of_negatives = (
            np.stack(parts) for parts in zip(*(_components(yes, s) for s in matrix), strict=True)
        )
        areas = of_positives.mean(axis=1)
        if cluster is None:
            m, n = of_positives.shape[1], of_negatives.shape[1]
            covariance = _covariance(of_positives) / m + _covariance(of_negatives) / n
            return cls(areas, covariance, len(yes), m, len(yes), min(m, n), "delong", few_units(yes))
        numbers = number_clusters(cluster, len(yes))
        covariance, clusters = _clustered_covariance(yes, of_positives, of_negatives, areas, numbers)
        rarer, _ = count_rarer(yes, numbers)
        warnings = few_units(yes, numbers)
        return cls(areas, covariance, len(yes), int(yes.sum()), clusters, rarer, "clustered", warnings)

    def estimates(self, *, unit: str = "breast", name: str = "AUC") -> tuple[Estimate, ...]:
        """Each area with its 95 % interval, Student's t on the logit scale."""
        degrees = max(1, self.rarer - 1)
        quantile = float(stdtrit(degrees, 0.975))
        found = []
        for value, variance in zip(self.areas.tolist(), np.diag(self.covariance).tolist(), strict=True):
            se = math.sqrt(max(0.0, variance))
            low, high = logit_interval(value, se, quantile=quantile) if se > 0 else (math.nan, math.nan)
            warnings = self.warnings
            if math.isnan(low):
                why = "there is no variance to go by" if 0 < value < 1 else "the classes are separated without an error"
                warnings += (f"{why}: no interval can be given",)
            method = _describe(self, f"logit, t with {degrees} degrees of freedom")
            counted = self.n, self.positives, self.clusters
            found.append(Estimate(name, value, low, high, se, *counted, unit, method, warnings))
        return tuple(found)


def auc(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    unit: str = "breast",
    name: str = "AUC",
) -> Estimate:
    """The area under the ROC curve of one score with its 95 % interval, Student's t on the logit scale.

    See RocCurves.measure. Without `cluster`, every unit counts as a woman of her own, and the method says so.
    """
    curves = RocCurves.measure(truth, scores, cluster=cluster)
    if len(curves.areas) != 1:
        raise SetupError(f"found {len(curves.areas)} scores; need one (compare several with auc_difference)")
    return curves.estimates(unit=unit, name=name)[0]


def delong_auc(truth: ArrayLike, scores: ArrayLike, *, unit: str = "breast", name: str = "AUC (DeLong)") -> Estimate:
    """The area with DeLong's interval as it is usually reported: Wald, cut at 0 and 1, every unit a woman of her own.

    For comparison with other reports: it covers less than it says (docs/statistics.md). See RocCurves.measure.
    """
    curves = RocCurves.measure(truth, scores)
    if len(curves.areas) != 1:
        raise SetupError(f"found {len(curves.areas)} scores; need one")
    value, se = float(curves.areas[0]), math.sqrt(max(0.0, float(curves.covariance[0, 0])))
    low, high = max(0.0, value - Z_95 * se), min(1.0, value + Z_95 * se)
    if not se > 0:
        low = high = math.nan
    n, positives = curves.n, curves.positives
    return Estimate(name, value, low, high, se, n, positives, n, unit, _describe(curves, "Wald"), curves.warnings)


def auc_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    unit: str = "breast",
    name: str = "AUC difference",
) -> Estimate:
    """first minus second on the same units, with its 95 % interval and the two-sided p value of no difference.

    The p value is NaN where the two scores rank all units alike, so that the difference has no variance.
    """
    curves = RocCurves.measure(truth, [np.asarray(first, np.float64), np.asarray(second, np.float64)], cluster=cluster)
    difference = float(curves.areas[0] - curves.areas[1])
    c = curves.covariance
    variance = float(c[0, 0] + c[1, 1] - 2 * c[0, 1])
    known = variance > 1e-15  # less is rounding: both rank all units alike
    se = math.sqrt(variance) if known else math.nan
    p = math.erfc(abs(difference) / se / math.sqrt(2)) if known else math.nan
    return Estimate(
        name,
        difference,
        difference - Z_95 * se,
        difference + Z_95 * se,
        se,
        curves.n,
        curves.positives,
        curves.clusters,
        unit,
        f"paired, {_describe(curves, 'Wald')}",
        curves.warnings if known else (*curves.warnings, "there is no variance to go by: no interval can be given"),
        p,
    )


def _describe(curves: RocCurves, scale: str) -> str:
    if curves.method == "clustered":
        return f"Obuchowski 1997, clustered, {scale}"
    return f"DeLong 1988, {scale}, assumes that units are independent"


def _components(yes: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each positive the share of negatives below it, for each negative the share of positives above it."""
    positives, negatives = scores[yes], scores[~yes]
    return _share_below(positives, negatives), 1 - _share_below(negatives, positives)


def _share_below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of others that are smaller, ties counting one half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    return (below + upto) / (2 * len(others))


def _covariance(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """(scores, scores) sample covariance; NaN for a single unit."""
    if components.shape[1] < 2:
        return np.full((len(components), len(components)), np.nan)
    return np.atleast_2d(np.cov(components))


def _clustered_covariance(
    yes: NDArray[np.bool_],
    of_positives: NDArray[np.float64],
    of_negatives: NDArray[np.float64],
    areas: NDArray[np.float64],
    numbers: NDArray[np.int64],
) -> tuple[NDArray[np.float64], int]:
    """Obuchowski's covariance of the areas, and how many clusters there are."""
    clusters = int(numbers.max()) + 1
    m, n = of_positives.shape[1], of_negatives.shape[1]
    # Per cluster and score: the sum of its components' deviations from the area.
    up = np.stack([np.bincount(numbers[yes], v - a, clusters) for v, a in zip(of_positives, areas, strict=True)])
    down = np.stack([np.bincount(numbers[~yes], v - a, clusters) for v, a in zip(of_negatives, areas, strict=True)])
    with_positives = len(np.unique(numbers[yes]))
    with_negatives = len(np.unique(numbers[~yes]))
    if min(with_positives, with_negatives) < 2:
        return np.full((len(areas), len(areas)), np.nan), clusters
    s10 = with_positives / ((with_positives - 1) * m) * (up @ up.T)
    s01 = with_negatives / ((with_negatives - 1) * n) * (down @ down.T)
    s11 = clusters / (clusters - 1) * (up @ down.T)
    return s10 / m + s01 / n + (s11 + s11.T) / (m * n), clusters
