"""Means, differences of paired means and ratios of means, with intervals that know which units belong to one woman.

Methods. The variance of a mean is summed within clusters (the infinitesimal jackknife, Efron 1981); the interval uses
Student's t with clusters minus 1 degrees of freedom. A ratio's is taken on the logarithm's scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.resample import NO_VARIANCE, clustered_se
from fourview.evaluate.table import number_clusters
from fourview.exam import SetupError

Clusters = Sequence[Any] | NDArray[Any] | None


def clustered_mean(
    values: ArrayLike, *, cluster: Clusters = None, unit: str = "lesion image", name: str = "mean"
) -> Estimate:
    """The mean of values with its 95 % interval.

    cluster  (units,) of labels: the patient of each unit; None: units are independent

    Raises SetupError if there are no values, or if one is no number.
    """
    own, numbers = _check(values, cluster, name)
    mean = float(own.mean())
    return _estimate(
        name, mean, clustered_se((own - mean) / len(own), numbers), numbers, unit=unit, cluster=cluster, p=None
    )


def paired_mean_difference(
    first: ArrayLike, second: ArrayLike, *, cluster: Clusters = None, unit: str = "lesion image", name: str
) -> Estimate:
    """The mean of first minus second on the same units, with its 95 % interval and the p value of no difference."""
    a, numbers = _check(first, cluster, name)
    b, _ = _check(second, cluster, name)
    if len(a) != len(b):
        raise SetupError(f"{name}: found {len(a)} and {len(b)} values; need one of each per unit")
    own = a - b
    mean = float(own.mean())
    se = clustered_se((own - mean) / len(own), numbers)
    p = math.nan
    if se > 0:
        p = 2 * float(stdtr(max(1, int(numbers.max())), -abs(mean) / se))
    return _estimate(name, mean, se, numbers, unit=unit, cluster=cluster, p=p)


def mean_ratio(
    top: ArrayLike, bottom: ArrayLike, *, cluster: Clusters = None, unit: str = "lesion image", name: str
) -> Estimate:
    """The mean of `top` over the mean of `bottom` on the same units, both 0 or more, with its 95 % interval.

    Raises SetupError if the mean of `bottom` is 0.
    """
    a, numbers = _check(top, cluster, name)
    b, _ = _check(bottom, cluster, name)
    if len(a) != len(b) or not b.mean() > 0:
        raise SetupError(
            f"{name}: found {len(a)} and {len(b)} values, the mean of the second {b.mean():g}; need above 0"
        )
    ratio = float(a.mean() / b.mean())
    influence = (a - ratio * b) / (b.mean() * len(a))
    se = clustered_se(influence, numbers)
    degrees = max(1, int(numbers.max()))
    known = se > 0 and ratio > 0
    half = float(stdtrit(degrees, 0.975)) * se / ratio if known else math.nan
    low, high = (ratio * math.exp(-half), ratio * math.exp(half)) if known else (math.nan, math.nan)
    method = f"ratio of means, log scale, t with {degrees} degrees of freedom, {_kind(cluster)}"
    warnings = () if known else (NO_VARIANCE,)
    return Estimate(name, ratio, low, high, se, len(a), None, degrees + 1, unit, method, warnings)


def _estimate(
    name: str,
    value: float,
    se: float,
    numbers: NDArray[np.int64],
    *,
    unit: str,
    cluster: Clusters,
    p: float | None,
) -> Estimate:
    clusters = int(numbers.max()) + 1
    degrees = max(1, clusters - 1)
    known = se > 0
    half = float(stdtrit(degrees, 0.975)) * se if known else math.nan
    paired = "" if p is None else "paired, "
    method = f"{paired}t with {degrees} degrees of freedom, {_kind(cluster)}"
    warnings = () if known else (NO_VARIANCE,)
    n = len(numbers)
    return Estimate(name, value, value - half, value + half, se, n, None, clusters, unit, method, warnings, p)


def _check(values: ArrayLike, cluster: Clusters, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    own = np.asarray(values, np.float64)
    if own.ndim != 1 or not len(own) or not np.isfinite(own).all():
        raise SetupError(f"{name}: found shape {own.shape}; need one number per unit, and at least one unit")
    return own, np.arange(len(own)) if cluster is None else number_clusters(cluster, len(own))


def _kind(cluster: Clusters) -> str:
    return "independent units" if cluster is None else "clustered"
