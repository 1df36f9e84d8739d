"""Shares (sensitivity, specificity, predictive values) with intervals, also where units come in clusters.

Methods. Wilson 1927; for clusters, Wilson's interval at the effective sample size n / design effect, the design effect
being the ratio-estimator variance of Rao and Scott 1992 over the binomial one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.estimate import Z_95, Estimate
from fourview.evaluate.table import number_clusters
from fourview.exam import SetupError


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % score interval of a share seen in n independent units; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z2 = Z_95 * Z_95
    centre, half = share + z2 / (2 * n), Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z2 / n)), min(1.0, (centre + half) / (1 + z2 / n))


def proportion(
    hits: ArrayLike, *, cluster: Sequence[Any] | NDArray[Any] | None = None, unit: str = "breast", name: str = "share"
) -> Estimate:
    """The share of units that have a property, with its 95 % interval.

    hits     (units,) 0 or 1
    cluster  (units,) labels of the exam or patient of each unit; None: units are independent

    The design effect is never taken below 1: few clusters may look more alike than chance allows. Raises SetupError
    if there are no units, or if something other than 0 and 1 is found.
    """
    values = np.asarray(hits)
    if values.ndim != 1 or len(values) == 0 or not np.isin(values, (0, 1)).all():
        raise SetupError(f"{name}: found shape {values.shape}; need one 0 or 1 per unit, and at least one unit")
    k, n = int(values.sum()), len(values)
    share = k / n
    if cluster is None:
        low, high = wilson(share, n)
        se = math.sqrt(share * (1 - share) / n)
        return Estimate(name, share, low, high, se, n, k, n, unit, "Wilson, assumes that units are independent")
    numbers = number_clusters(cluster, n)
    clusters = int(numbers.max()) + 1
    if clusters > 1 and 0 < share < 1:
        deviations = np.bincount(numbers, values - share, clusters)
        variance = clusters / (clusters - 1) * float(deviations @ deviations) / n**2
        design = max(1.0, variance * n / (share * (1 - share)))
    else:  # without a variance to go by: as if all units of a cluster were one
        design = n / clusters
    low, high = wilson(share, n / design)
    se = math.sqrt(share * (1 - share) * design / n)
    method = "Wilson at the effective sample size, clustered"
    return Estimate(name, share, low, high, se, n, k, clusters, unit, method)
