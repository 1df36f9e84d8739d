"""Spearman's rank correlation, also with a third variable held fixed, with an interval that keeps patients together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.resample import NO_VARIANCE, RESAMPLES, percentile_intervals
from fourview.evaluate.table import number_clusters
from fourview.exam import SetupError

Floats = NDArray[np.float64]


def rank_correlation(first: ArrayLike, second: ArrayLike, *, fixed: ArrayLike | None = None) -> float:
    """Spearman's correlation of two columns, -1 to 1, ties at their mean rank; 0 where one does not vary.

    fixed  a third column: then the partial correlation of the ranks, what is left when both are freed of it
    """
    columns = [np.asarray(first, np.float64), np.asarray(second, np.float64)]
    if fixed is not None:
        columns.append(np.asarray(fixed, np.float64))
    if any(column.ndim != 1 or len(column) != len(columns[0]) for column in columns):
        raise SetupError(f"rank correlation: found columns of shapes {[c.shape for c in columns]}; need one length")
    ranks = [rankdata(column) for column in columns]
    own = _correlate(ranks[0], ranks[1])
    if fixed is None:
        return own
    with_first, with_second = _correlate(ranks[0], ranks[2]), _correlate(ranks[1], ranks[2])
    rest = math.sqrt(max(0.0, (1 - with_first**2) * (1 - with_second**2)))
    return (own - with_first * with_second) / rest if rest > 1e-9 else 0.0


def spearman(
    first: ArrayLike,
    second: ArrayLike,
    *,
    fixed: ArrayLike | None = None,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    unit: str = "lesion",
    name: str = "rank correlation",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The correlation with its 95 % interval, percentiles of a bootstrap of clusters, and the p value of none.

    cluster  (units,) of labels: the patient of each unit; None: units are independent
    The p value is that of the bootstrap's standard error on Fisher's z scale. Raises SetupError for fewer than 4 units.
    """
    columns = [np.asarray(first, np.float64), np.asarray(second, np.float64)]
    held = None if fixed is None else np.asarray(fixed, np.float64)
    n = len(columns[0])
    if n < 4:
        raise SetupError(f"{name}: found {n} {unit}s; need 4 or more")
    value = rank_correlation(*columns, fixed=held)
    numbers = np.arange(n) if cluster is None else number_clusters(cluster, n)
    clusters = int(numbers.max()) + 1
    members = [np.flatnonzero(numbers == number) for number in range(clusters)]
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for place in range(resamples):
        rows = np.concatenate([members[number] for number in rng.integers(0, clusters, clusters)])
        draws[place] = rank_correlation(columns[0][rows], columns[1][rows], fixed=None if held is None else held[rows])
    low, high, se = (float(part[0]) for part in percentile_intervals(draws[:, None]))
    spread = float(np.std(np.arctanh(np.clip(draws, -0.999999, 0.999999)), ddof=1))
    known = se > 0 and spread > 0
    p = math.erfc(abs(math.atanh(min(max(value, -0.999999), 0.999999))) / spread / math.sqrt(2)) if known else math.nan
    kind = "independent units" if cluster is None else "clustered"
    method = f"{'partial ' if fixed is not None else ''}Spearman, bootstrap of {resamples}, {kind}, percentiles"
    warnings = () if known else (NO_VARIANCE,)
    return Estimate(name, value, low, high, se, n, None, clusters, unit, method, warnings, p)


def _correlate(first: Floats, second: Floats) -> float:
    a, b = first - first.mean(), second - second.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0
