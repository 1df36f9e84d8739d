"""What is drawn: lines and points, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Line:
    """Points joined in their order. low and high, if given, are its band or error bars."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"line {self.label}: found one of low and high, need both or none")
        lengths = [len(v) for v in (self.x, self.y, self.low, self.high) if v is not None]
        if len(set(lengths)) != 1:
            raise ValueError(f"line {self.label}: found {lengths} numbers for x, y (low, high); need as many of each")


@dataclass(frozen=True)
class Points:
    """Single points. names  one per point, written beside it; none: points without names"""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or len(self.names) not in (0, len(self.x)):
            raise ValueError(f"points {self.label}: x, y and names differ in length")


def finite(values: ArrayLike, *, above: float | None = None) -> NDArray[np.float64]:
    """The numbers as an array, NaN (not drawn) for those that are not finite, or not larger than `above`."""
    array = np.asarray(values, np.float64)
    shown = np.isfinite(array)
    if above is not None:
        shown &= np.where(shown, array, above) > above
    return np.where(shown, array, np.nan)
