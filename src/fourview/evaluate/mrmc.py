"""Means over readers, and differences of such means, that hold for other readers and other cases (MRMC).

Method: Obuchowski and Rockette 1995 with the degrees of freedom of Hillis 2007, random readers and random cases unless
said otherwise. One statistic serves all comparisons, that of a single treatment: readers' values d_j, the mean square
between them and the covariance of their errors. d_j is a reader's area, a model's area minus a reader's (Hillis 2014,
Chakraborty 2017), or a reader's area with an aid minus without: with two treatments MS(R) of the differences is
2 MS(TR), their covariance 2 (Cov2 - Cov3), and t squared the F of Obuchowski and Rockette.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fourview.evaluate.covariance import Measured
from fourview.evaluate.estimate import Estimate
from fourview.exam import SetupError

Floats = NDArray[np.float64]
Factor = Literal["random", "fixed"]


@dataclass(frozen=True)
class ReaderMean:
    """The mean of one value per reader.

    value, se, df  the mean, its standard error and degrees of freedom (inf: normal distribution)
    low, high, p   95 % interval; two-sided p value of a mean of zero, NaN without a standard error
    ms_readers     mean square between readers
    variance, covariance  of the readers' errors: their mean, and the mean over pairs of readers
    """

    value: float
    se: float
    df: float
    low: float
    high: float
    p: float
    readers: int
    ms_readers: float
    variance: float
    covariance: float
    readers_are: Factor
    cases_are: Factor

    def estimate(self, name: str, counted: Measured, *, is_difference: bool, unit: str = "breast") -> Estimate:
        """The same as an Estimate. A mean that is no difference has no p value, and its interval ends at 0 and 1."""
        method = (
            f"Obuchowski-Rockette, Hillis df; {self.readers_are} readers, {self.cases_are} cases; "
            f"covariance: {counted.method}"
        )
        low, high = self.low, self.high
        if not is_difference and not math.isnan(low):
            low, high = max(0.0, low), min(1.0, high)
        return Estimate(
            name,
            self.value,
            low,
            high,
            self.se,
            counted.n,
            counted.positives,
            counted.clusters,
            unit,
            method,
            counted.warnings,
            self.p if is_difference else None,
        )


def average_over_readers(
    values: ArrayLike, covariance: ArrayLike, *, readers_are: Factor = "random", cases_are: Factor = "random"
) -> ReaderMean:
    """The mean over readers with its interval.

    values      (readers,) an area, or a difference of areas, per reader
    covariance  (readers, readers) of their errors over cases; not used where cases are fixed
    readers_are, cases_are  "fixed": the result holds for these readers, or these cases, only

    Raises SetupError for fewer than two readers, or if both are fixed: then nothing is uncertain.
    """
    d, c = np.asarray(values, np.float64), np.asarray(covariance, np.float64)
    j = len(d)
    if j < 2 or c.shape != (j, j):
        raise SetupError(f"found {j} readers and a covariance of shape {c.shape}; need at least 2, and a row for each")
    if readers_are == cases_are == "fixed":
        raise SetupError("found fixed readers and fixed cases; need one of them random, or there is no interval")
    value, ms = float(d.mean()), float(d.var(ddof=1))
    variance = float(np.trace(c)) / j
    between = float(c.sum() - np.trace(c)) / (j * (j - 1))
    kept = max(between, 0.0) if math.isfinite(between) else between
    if readers_are == "fixed":
        square, df = (variance + (j - 1) * kept) / j, math.inf
    elif cases_are == "fixed":
        square, df = ms / j, j - 1.0
    else:
        square = (ms + j * kept) / j
        df = (ms + j * kept) ** 2 / (ms**2 / (j - 1)) if ms > 0 else math.inf
    se = math.sqrt(square) if square > 0 else math.nan
    if math.isnan(se):
        half = p = math.nan
    else:
        half = float(stats.t.ppf(0.975, df)) * se
        p = float(2 * stats.t.sf(abs(value) / se, df))
    return ReaderMean(value, se, df, value - half, value + half, p, j, ms, variance, between, readers_are, cases_are)


@dataclass(frozen=True)
class TwoTreatments:
    """Two treatments (second minus first) that the same readers had on the same cases.

    means       of first and second over readers;  difference  with its interval and p value
    ms_t, ms_tr mean squares of treatment and of treatment x reader
    variance    of errors; cov1 same reader, other treatment; cov2 other reader, same treatment; cov3 both differ
    """

    means: tuple[float, float]
    difference: ReaderMean
    ms_t: float
    ms_tr: float
    variance: float
    cov1: float
    cov2: float
    cov3: float

    @property
    def f(self) -> float:
        """MS(T) over its error, on 1 and difference.df degrees of freedom: the square of difference / se."""
        return (self.difference.value / self.difference.se) ** 2

    @property
    def variance_tr(self) -> float:
        """The variance of treatment x reader that is left without errors, at least 0 (Hillis 2011, equation 9)."""
        return max(0.0, self.ms_tr - self.variance + self.cov1 + max(self.cov2 - self.cov3, 0.0))


def compare_treatments(
    measured: Measured, *, readers_are: Factor = "random", cases_are: Factor = "random"
) -> TwoTreatments:
    """The second treatment against the first.

    measured  of 2 J scores: readers 1..J with the first treatment, then the same readers with the second

    Raises SetupError if that is no even number of at least four, and as average_over_readers does.
    """
    if len(measured.values) < 4 or len(measured.values) % 2:
        raise SetupError(f"found {len(measured.values)} scores; need both treatments of two or more readers")
    j = len(measured.values) // 2
    first, second = measured.values[:j], measured.values[j:]
    c = measured.covariance
    difference = measured.combine(np.hstack([-np.eye(j), np.eye(j)]))
    other = ~np.eye(j, dtype=bool)
    return TwoTreatments(
        means=(float(first.mean()), float(second.mean())),
        difference=average_over_readers(
            difference.values, difference.covariance, readers_are=readers_are, cases_are=cases_are
        ),
        ms_t=j * float(second.mean() - first.mean()) ** 2 / 2,
        ms_tr=float(difference.values.var(ddof=1)) / 2,
        variance=float(np.trace(c)) / (2 * j),
        cov1=float(np.trace(c[:j, j:])) / j,
        cov2=float((c[:j, :j][other].mean() + c[j:, j:][other].mean()) / 2),
        cov3=float(c[:j, j:][other].mean()),
    )
