"""p values of areas, and of many tests. Method of the second: Benjamini and Hochberg 1995."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fourview.evaluate import Estimate, RocCurves, auc_difference


def adjust_bh(p: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: the smallest false discovery rate at which each is a discovery.

    NaN, which counts as no test, stays.
    """
    found = list(p)
    order = sorted((k for k in range(len(p)) if not math.isnan(p[k])), key=lambda k: p[k])
    smallest = 1.0
    for rank in range(len(order), 0, -1):
        place = order[rank - 1]
        smallest = min(smallest, p[place] * len(order) / rank)
        found[place] = smallest
    return found


def known_p(estimate: Estimate) -> float:
    """Its p value; NaN where it has none."""
    return math.nan if estimate.p is None else estimate.p


def p_of_area(area: float, se: float, *, clusters: int, rarer: int) -> float:
    """The two-sided p value of an AUC of one half, as its interval has it: Student's t (evaluate.roc).

    clusters, rarer  of RocCurves. Without a standard error an area of 0 or 1 has the share of all ways to name `rarer`
                     of the clusters that part them as well; any other area has none (NaN)
    """
    if not np.isfinite(area):
        return math.nan
    if se > 0:
        return 2 * float(stdtr(max(1, rarer - 1), -abs(area - 0.5) / se))
    return min(1.0, 2 / math.comb(clusters, rarer)) if area in (0.0, 1.0) else math.nan


def tested_auc(
    truth: NDArray[Any], scores: NDArray[np.float64], *, cluster: NDArray[Any], unit: str, name: str
) -> Estimate:
    """`evaluate.auc` with the p value of one half."""
    return tested_aucs(truth, scores, cluster=cluster, unit=unit, name=name)[0]


def difference_by_t(
    truth: NDArray[Any],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    cluster: NDArray[Any],
    unit: str,
    name: str,
) -> Estimate:
    """`evaluate.auc_difference` with interval and p value of Student's t, degrees of freedom as of an AUC."""
    found = auc_difference(truth, first, second, cluster=cluster, unit=unit, name=name)
    if not found.se > 0:
        return found
    degrees = max(1, RocCurves.measure(truth, first, cluster=cluster).rarer - 1)
    reach = float(stdtrit(degrees, 0.975)) * found.se
    return replace(
        found,
        low=found.value - reach,
        high=found.value + reach,
        p=2 * float(stdtr(degrees, -abs(found.value) / found.se)),
        method=f"{found.method}, t with {degrees} degrees of freedom",
    )


def tested_aucs(
    truth: NDArray[Any], scores: NDArray[np.float64], *, cluster: NDArray[Any], unit: str, name: str
) -> tuple[Estimate, ...]:
    """The same of each of several scores, (scores, units)."""
    curves = RocCurves.measure(truth, scores, cluster=cluster)
    return tuple(
        replace(found, p=p_of_area(found.value, found.se, clusters=curves.clusters, rarer=curves.rarer))
        for found in curves.estimates(unit=unit, name=name)
    )
