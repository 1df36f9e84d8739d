"""p values of many tests. Method: Benjamini and Hochberg 1995."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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


def p_of_area(area: float, se: float) -> float:
    """The two-sided p value of an AUC of one half, from its standard error; NaN where that is unknown or 0."""
    if not se > 0 or not np.isfinite(area):
        return math.nan
    return math.erfc(abs(area - 0.5) / se / math.sqrt(2))
