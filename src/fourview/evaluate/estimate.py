"""A number that can be trusted: with its interval, what was counted, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

Z_95 = 1.959963984540054  # the normal distribution's 97.5th percentile
_DEGREES = re.compile(r"with (\d+)(?: to (\d+))? degrees of freedom")


@dataclass(frozen=True)
class Estimate:
    """One metric on one table.

    value, low, high  the estimate and its 95 % interval; low and high are NaN where none can be given
    se         standard error on the metric's own scale; NaN where there is none
    n          units counted
    positives  among them (for a proportion: those that have the property); None: nothing is positive, as of a mean
    clusters   exams or patients that the units belong to
    unit       "breast", "image", "exam", "patient"
    method     of the interval
    warnings   why the interval may not hold
    p          of a difference: the two-sided p value of none; NaN where it has no variance. None: not a difference
    """

    name: str
    value: float
    low: float
    high: float
    se: float
    n: int
    positives: int | None
    clusters: int
    unit: str
    method: str
    warnings: tuple[str, ...] = ()
    p: float | None = None

    def __str__(self) -> str:
        value, low, high = (f"{round(x, 3) + 0.0:.3f}" for x in (self.value, self.low, self.high))  # never -0.000
        interval = "no interval" if math.isnan(self.low) else f"95 % {low} to {high}"
        positive = "" if self.positives is None else f" {self.positives} positive,"
        counted = f"{self.n} {self.unit}s,{positive} {self.clusters} clusters"
        return f"{self.name} {value} ({interval}; {counted}; {self.method})"


def share_method(estimates: Iterable[Estimate]) -> str | None:
    """The method of all, "" of none; None: they differ.

    Where they differ in degrees of freedom alone, it has the range of these: "t with 26 to 80 degrees of freedom".
    """
    methods = [estimate.method for estimate in estimates]
    kinds = {_DEGREES.sub("", method) for method in methods}
    if len(kinds) != 1:
        return None if kinds else ""
    numbers = [int(n) for method in methods for found in _DEGREES.findall(method) for n in found if n]
    if not numbers:
        return methods[0]
    span = str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"
    return _DEGREES.sub(f"with {span} degrees of freedom", methods[0])


def logit_interval(value: float, se: float, *, quantile: float = Z_95) -> tuple[float, float]:
    """A 95 % interval of a share, symmetric on the logit scale, so that it stays within 0 and 1.

    quantile  the 97.5th percentile to go by: the normal distribution's, or Student's t where few units gave the se

    NaN where the value is 0 or 1, or where the standard error is unknown: there is no variance to go by.
    """
    if not 0 < value < 1 or not math.isfinite(se):
        return math.nan, math.nan
    centre, half = math.log(value / (1 - value)), quantile * se / (value * (1 - value))
    return 1 / (1 + math.exp(-(centre - half))), 1 / (1 + math.exp(-(centre + half)))
