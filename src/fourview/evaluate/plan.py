"""How many readers and cases a reader study needs: power of the Obuchowski-Rockette test for two treatments.

Method: Hillis, Obuchowski and Berbaum 2011. The F statistic with random readers and random cases is taken as
noncentral; errors shrink with the number of cases (their share of positives kept), the variance of treatment x reader
does not. What it needs comes from a pilot study, or from a study of others with the error variance of Hanley and
McNeil 1982.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from fourview.evaluate.mrmc import TwoTreatments
from fourview.exam import SetupError

ALPHA = 0.05
MOST_CASES = 1_000_000


@dataclass(frozen=True)
class VarianceComponents:
    """What the test's power depends on, besides the numbers of readers and cases.

    variance_tr  of treatment x reader, without errors
    variance     of the errors of one area on `cases` cases, with `positives` among them
    cov1, cov2, cov3  of errors: same reader, other treatment; other reader, same treatment; both differ
    source       where the numbers are from, in words
    """

    variance_tr: float
    variance: float
    cov1: float
    cov2: float
    cov3: float
    cases: int
    positives: int
    source: str

    def __post_init__(self) -> None:
        if not (self.variance_tr >= 0 and self.variance > 0 and max(self.cov1, self.cov2, self.cov3) < self.variance):
            raise SetupError(
                f"variance components: found {self.variance_tr:g} (treatment x reader), {self.variance:g} (errors) and "
                f"covariances {self.cov1:g}, {self.cov2:g}, {self.cov3:g}; need covariances below the errors' variance"
            )
        check_cases(self.cases, self.positives)


@dataclass(frozen=True)
class Assumed:
    """Correlations of errors (r1 same reader, r2 same treatment, r3 neither) and the variance of treatment x reader."""

    variance_tr: float
    r1: float
    r2: float
    r3: float
    source: str


# Published Obuchowski-Rockette estimates, trapezoidal areas, jackknife.
Known = Literal["van-dyke", "fed"]
KNOWN: dict[Known, Assumed] = {
    "van-dyke": Assumed(
        0.000200, 0.432, 0.429, 0.298, "Van Dyke 1993: spin-echo or cine MRI, aortic dissection, 5 readers, 114 cases"
    ),
    "fed": Assumed(
        0.0, 0.374, 0.296, 0.269, "Zanca 2009: five ways to process mammograms, 4 readers, 200 cases"
    ),
}  # fmt: skip


def check_cases(cases: int, positives: int) -> None:
    """Raises SetupError unless there are at least two positives and two negatives."""
    if not 2 <= positives <= cases - 2:
        raise SetupError(f"found {positives} positives among {cases} cases; need at least 2 positives and 2 negatives")


def assume_components(
    auc: float, *, cases: int, positives: int, like: Assumed, reader_sd: float | None = None
) -> VarianceComponents:
    """Components without a pilot: the variance of an area by Hanley and McNeil, correlations as in another study.

    auc        expected of the first treatment
    reader_sd  standard deviation over readers of their true difference between the treatments; None: as in `like`

    Raises SetupError if the area is not between 0.5 and 1, or the sd is negative.
    """
    check_cases(cases, positives)
    if not 0.5 <= auc < 1:
        raise SetupError(f"AUC: found {auc:g}; need the area that is expected of the first treatment, 0.5 to below 1")
    if reader_sd is not None and reader_sd < 0:
        raise SetupError(f"sd of the difference over readers: found {reader_sd:g}; need 0 or more")
    variance = hanley_mcneil(auc, positives=positives, negatives=cases - positives)
    # The difference of two treatments has twice the variance of treatment x reader.
    variance_tr = like.variance_tr if reader_sd is None else reader_sd**2 / 2
    return VarianceComponents(
        variance_tr,
        variance,
        like.r1 * variance,
        like.r2 * variance,
        like.r3 * variance,
        cases,
        positives,
        f"error variance of Hanley and McNeil 1982 at an AUC of {auc:g}; correlations {like.r1:g}, {like.r2:g}, "
        f"{like.r3:g} as in {like.source}",
    )


def pilot_components(pilot: TwoTreatments, *, cases: int, positives: int, source: str) -> VarianceComponents:
    """Components of a pilot study that compared the same treatments."""
    return VarianceComponents(
        pilot.variance_tr, pilot.variance, pilot.cov1, pilot.cov2, pilot.cov3, cases, positives, source
    )


def hanley_mcneil(auc: float, *, positives: int, negatives: int) -> float:
    """The variance of one area, if scores were exponential (Hanley and McNeil 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return (auc * (1 - auc) + spread) / (positives * negatives)


def find_power(components: VarianceComponents, *, readers: int, cases: float, effect: float) -> float:
    """The probability that the test shows a true difference `effect` at the two-sided 5 % level.

    cases  with the components' share of positives. Raises SetupError for fewer than 2 readers or an effect of 0.
    """
    if readers < 2:
        raise SetupError(f"readers: found {readers}; need at least 2")
    if not 0 < abs(effect) < 0.5:
        raise SetupError(f"effect: found {effect:g}; need a difference of AUC, above 0 and below 0.5")
    c, shrink = components, components.cases / cases
    between = max(c.cov2 - c.cov3, 0.0)
    ms_tr = c.variance_tr + shrink * (c.variance - c.cov1 - between)  # expected
    error = ms_tr + shrink * readers * between
    noncentrality = readers * effect**2 / 2 / error
    df = error**2 / (ms_tr**2 / (readers - 1))
    return float(stats.ncf.sf(stats.f.ppf(1 - ALPHA, 1, df), 1, df, noncentrality))


def find_cases(components: VarianceComponents, *, readers: int, effect: float, power: float) -> int | None:
    """The smallest number of cases with at least this power; None where these readers cannot reach it with any."""
    low, high = 4, MOST_CASES
    if find_power(components, readers=readers, cases=high, effect=effect) < power:
        return None
    while low < high:
        middle = (low + high) // 2
        if find_power(components, readers=readers, cases=middle, effect=effect) < power:
            low = middle + 1
        else:
            high = middle
    return low


def count_positives(components: VarianceComponents, cases: int) -> int:
    """How many positives a study of this many cases has at the components' share, rounded up."""
    return math.ceil(cases * components.positives / components.cases)
