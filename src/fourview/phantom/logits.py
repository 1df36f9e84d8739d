"""Logits and probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def find_probability(logits: Floats) -> Floats:
    """The probabilities of logits."""
    return np.asarray(1 / (1 + np.exp(-logits)))


def solve_rising(rising: Callable[[float], float], wanted: float) -> float:
    """Where a rising function takes this value, within -40 to 40 (the nearer end if it takes it nowhere), to 1e-9."""
    low, high = -40.0, 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
