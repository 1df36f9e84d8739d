"""Two scores on the same units: areas, average precision, and what their thresholds do.

Methods. AUC: paired, Obuchowski 1997 or DeLong 1988 (see roc). Average precision: bootstrap of clusters, the p value
from the bootstrap's standard error. Shares: the difference of paired shares with its variance summed within clusters
(Obuchowski 1998, the clustered McNemar test); with one unit per cluster the exact McNemar test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from fourview.evaluate.average_precision import average_precision, weighted_average_precision
from fourview.evaluate.estimate import Z_95, Estimate
from fourview.evaluate.resample import NO_VARIANCE, cluster_bootstrap, clustered_se, percentile_intervals
from fourview.evaluate.table import check_scores, check_truth, few_units, number_clusters
from fourview.exam import SetupError

Clusters = Sequence[Any] | NDArray[Any] | None


def average_precision_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    cluster: Clusters = None,
    unit: str = "breast",
    name: str = "average precision difference",
) -> Estimate:
    """first minus second on the same units, as in this table, with its 95 % interval and p value."""
    yes = check_truth(truth)
    pair = [check_scores(scores, len(yes))[0] for scores in (first, second)]
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    measures = [weighted_average_precision(yes, scores) for scores in pair]
    draws = cluster_bootstrap(yes, numbers, lambda times: measures[0](times) - measures[1](times))[:, 0]
    value = average_precision(yes, pair[0]).value - average_precision(yes, pair[1]).value
    low, high, se = (float(part[0]) for part in percentile_intervals(draws[:, None]))
    p = math.erfc(abs(value) / se / math.sqrt(2)) if se > 0 else math.nan
    warnings = few_units(yes, numbers) + (() if se > 0 else (NO_VARIANCE,))
    kind = "independent units" if cluster is None else "clustered"
    method = f"paired, bootstrap of {len(draws)}, {kind}, percentiles"
    positives, clusters = int(yes.sum()), int(numbers.max()) + 1
    return Estimate(name, value, low, high, se, len(yes), positives, clusters, unit, method, warnings, p)


def share_difference(
    first: ArrayLike, second: ArrayLike, *, cluster: Clusters = None, unit: str = "breast", name: str = "difference"
) -> Estimate:
    """The share of hits of `first` minus that of `second` on the same units, with interval and McNemar p value.

    first, second  (units,) 0 or 1. For sensitivities give the positives only, for specificities the negatives.
    Raises SetupError if lengths differ or there are no units.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0 or not np.isin([*a, *b], (0, 1)).all():
        raise SetupError(f"{name}: found shapes {a.shape} and {b.shape}; need one 0 or 1 per unit in both")
    difference = a - b
    value, n = float(difference.mean()), len(a)
    numbers = np.arange(n) if cluster is None else number_clusters(cluster, n)
    clusters = int(numbers.max()) + 1
    se = clustered_se((difference - value) / n, numbers)
    if clusters == n:
        better, worse = int((difference > 0).sum()), int((difference < 0).sum())
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
        method = "paired, Wald; exact McNemar"
    else:
        # Under no difference the clusters' sums scatter around 0.
        sums = np.bincount(numbers, difference, clusters)
        z = float(sums.sum() / math.sqrt(sums @ sums)) if sums.any() else 0.0
        p = math.erfc(abs(z) / math.sqrt(2))
        method = "paired, Wald clustered; clustered McNemar (Obuchowski 1998)"
    low, high = value - Z_95 * se, value + Z_95 * se
    return Estimate(name, value, low, high, se, n, int(a.sum()), clusters, unit, method, (), p)
