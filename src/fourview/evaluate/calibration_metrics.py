"""How well scores are probabilities: Brier score, log loss, calibration line, calibration error, reliability bins.

Every number is for the table as it is, or for another prevalence: then positives weigh `prevalence` and negatives the
rest, which is right if the table's positives and negatives are like the population's. Standard errors of means are
linearised (each unit's influence on the number, summed within clusters), those of lines are in evaluate.logistic; for
the calibration error clusters are resampled.

Methods. Brier 1950; calibration slope and intercept Cox 1958, named as by Van Calster et al. 2019. The calibration
error averages |observed - predicted| over bins (Naeini et al. 2015): it depends on the number of bins, and noise makes
it larger, never smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.calibration import CLIP, logit
from fourview.evaluate.estimate import Z_95, Estimate, logit_interval
from fourview.evaluate.logistic import deviations, fit_logistic, logistic_errors, weights_at
from fourview.evaluate.proportion import proportion
from fourview.evaluate.resample import cluster_bootstrap, clustered_se
from fourview.evaluate.table import check_scores, check_truth, few_units, number_clusters
from fourview.exam import SetupError

Floats = NDArray[np.float64]
Clusters = Sequence[Any] | NDArray[Any] | None
BinsBy = Literal["count", "width"]


@dataclass(frozen=True)
class ReliabilityBin:
    """The units of one range of scores. observed  their share of positives; predicted  their mean score."""

    lowest: float
    highest: float
    predicted: float
    observed: Estimate


@dataclass(frozen=True)
class ReliabilityBins:
    """Bins in ascending order of score. by  "count": about as many units in each, ties together; "width": equal ranges.

    prevalence  that predicted and observed are weighted to; None: as in the table
    """

    bins: tuple[ReliabilityBin, ...]
    by: BinsBy
    prevalence: float | None


def brier(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> Estimate:
    """The mean squared distance of scores from the truth, with its 95 % interval on the logit scale; 0 is best.

    truth       (units,) 0 or 1;  scores  (units,) probabilities
    cluster     (units,) labels of the exam or patient of each unit; None: units are independent
    prevalence  of positives that the number is for; None: as in this table

    Raises SetupError if a score is outside 0 to 1, and as RocCurves.measure does. The same holds for all below.
    """
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    value, se = t.mean((t.p - t.yes) ** 2)
    low, high = logit_interval(value, se)
    return t.estimate("Brier score", value, (low, high), se=se, how="linearised, logit")


def log_loss(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> Estimate:
    """The mean negative log-likelihood (nats per unit), with its 95 % interval on the log scale; 0 is best."""
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    value, se = t.mean(-np.log(np.where(t.yes, t.clipped, 1 - t.clipped)))
    factor = math.exp(Z_95 * se / value)
    ends = value / factor, value * factor
    return t.estimate("log loss", value, ends, se=se, how="linearised, log scale", more=t.clip_warnings)


def calibration_line(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> tuple[Estimate, Estimate]:
    """Slope and intercept of the truth's logit on the scores' logit: 1 and 0 if the scores are calibrated.

    Slope below 1: scores are too extreme. Both are fitted together; for the intercept at a slope of 1 see
    calibration_in_the_large. NaN with a warning if no finite line is the best.
    """
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    design = np.stack([logit(t.p), np.ones(len(t.yes))], axis=1)
    slope, intercept = t.coefficients(design, ("calibration slope", "calibration intercept"))
    return slope, intercept


def calibration_in_the_large(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> Estimate:
    """What must be added to the scores' logits for as many positives as there are; 0 is best, above 0: too low."""
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    (only,) = t.coefficients(np.ones((len(t.yes), 1)), ("calibration in the large",), offset=logit(t.p))
    return only


def expected_calibration_error(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
    bins: int = 10,
    by: BinsBy = "count",
    seed: int = 0,
) -> Estimate:
    """The mean over units of |observed - predicted| in their bin, with a 95 % bootstrap interval.

    Noise makes the error larger, in the table and again in resamples of it: the basic interval (2 value - percentiles)
    takes that back. It begins at 0 if perfectly calibrated scores would show as much in 2.5 % of such tables. In
    simulations it held the truth in 97 % where scores were calibrated, and in 87 to 92 % where they were not. Bins stay
    where the table put them.
    """
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    places = _places(t.p, weights_at(t.yes, prevalence), bins=bins, by=by)
    gaps = _bin_gaps(t, places, np.ones(len(t.yes)))
    value = float(np.abs(gaps).sum())
    name = f"calibration error, {bins} bins of equal {by}"
    if t.clusters < 2:
        return t.estimate(name, value, (math.nan, math.nan), se=math.nan, how="one cluster")
    resampled = cluster_bootstrap(t.yes, t.numbers, lambda times: _bin_gaps(t, places, times), seed=seed)
    drawn = np.abs(resampled).sum(axis=1)
    by_chance = float(np.percentile(np.abs(resampled - gaps).sum(axis=1), 97.5))
    least, most = (float(p) for p in np.percentile(drawn, (2.5, 97.5)))
    ends = 0.0 if value <= by_chance else max(0.0, 2 * value - most), max(0.0, 2 * value - least)
    se = float(np.std(drawn, ddof=1))
    return t.estimate(name, value, ends, se=se, how=f"basic bootstrap of {len(drawn)}")


def reliability(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    bins: int = 10,
    by: BinsBy = "count",
    cluster: Clusters = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> ReliabilityBins:
    """Predicted and observed shares per bin of scores; observed with clustered Wilson intervals.

    At another prevalence, observed shares and their intervals are moved by the same factor of odds.
    """
    t = _Table.check(truth, scores, cluster=cluster, prevalence=prevalence, unit=unit)
    weights = weights_at(t.yes, prevalence)
    places = _places(t.p, weights, bins=bins, by=by)
    found = []
    for place in range(int(places.max()) + 1):
        own = places == place
        observed = proportion(
            t.yes[own], cluster=None if cluster is None else t.numbers[own], unit=unit, name="observed share"
        )
        found.append(
            ReliabilityBin(
                float(t.p[own].min()),
                float(t.p[own].max()),
                float(np.average(t.p[own], weights=weights[own])),
                observed if prevalence is None else _at(observed, t.yes, prevalence),
            )
        )
    return ReliabilityBins(tuple(found), by, prevalence)


@dataclass(frozen=True, eq=False)
class _Table:
    """Checked columns, and what every metric does with them."""

    yes: NDArray[np.bool_]
    p: Floats
    numbers: NDArray[np.int64]
    prevalence: float | None
    unit: str
    clustered: bool

    @classmethod
    def check(
        cls, truth: ArrayLike, scores: ArrayLike, *, cluster: Clusters, prevalence: float | None, unit: str
    ) -> _Table:
        yes = check_truth(truth)
        p = check_scores(scores, len(yes))[0]
        if p.min() < 0 or p.max() > 1:
            raise SetupError(f"found scores from {p.min():g} to {p.max():g}; need probabilities, 0 to 1")
        weights_at(yes, prevalence)  # refuses a prevalence that is none
        numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
        return cls(yes, p, numbers, prevalence, unit, cluster is not None)

    @property
    def clusters(self) -> int:
        return int(self.numbers.max()) + 1

    @property
    def clipped(self) -> Floats:
        return np.clip(self.p, CLIP, 1 - CLIP)

    @property
    def clip_warnings(self) -> tuple[str, ...]:
        beyond = int((self.p != self.clipped).sum())
        return (f"{beyond} scores nearer to 0 or 1 than {CLIP:g}: taken as that far",) if beyond else ()

    def mean(self, values: Floats) -> tuple[float, float]:
        """The weighted mean and its standard error."""
        value = float(weights_at(self.yes, self.prevalence) @ values)
        return value, clustered_se(deviations(values, self.yes, self.prevalence), self.numbers)

    def coefficients(self, design: Floats, names: Sequence[str], offset: Floats | float = 0.0) -> list[Estimate]:
        weights = weights_at(self.yes, self.prevalence)
        try:
            found = fit_logistic(design, self.yes, weights=weights, offset=offset)
        except SetupError as error:
            nothing = (math.nan, math.nan)
            return [
                self.estimate(name, math.nan, nothing, se=math.nan, how="none", more=(str(error),)) for name in names
            ]
        errors = logistic_errors(
            design, self.yes, found, numbers=self.numbers, prevalence=self.prevalence, offset=offset
        )
        return [
            self.estimate(
                name, b, (b - Z_95 * se, b + Z_95 * se), se=se, how="sandwich (CR3), Wald", more=self.clip_warnings
            )
            for name, b, se in zip(names, found.tolist(), errors.tolist(), strict=True)
        ]

    def estimate(
        self,
        name: str,
        value: float,
        interval: tuple[float, float],
        *,
        se: float,
        how: str,
        more: tuple[str, ...] = (),
    ) -> Estimate:
        kind = "clustered" if self.clustered else "independent units"
        mix = "as in this table" if self.prevalence is None else f"at a prevalence of {self.prevalence:g}"
        counts = len(self.yes), int(self.yes.sum()), self.clusters
        warnings = few_units(self.yes, self.numbers) + more
        return Estimate(name, value, *interval, se, *counts, self.unit, f"{how}, {kind}; {mix}", warnings)


def _places(p: Floats, weights: Floats, *, bins: int, by: BinsBy) -> NDArray[np.int64]:
    """(units,) the number of each unit's bin, from 0, empty bins left out."""
    if bins < 1:
        raise SetupError(f"found {bins} bins; need at least one")
    if by == "width":
        raw = np.minimum((p * bins).astype(np.int64), bins - 1)
    else:
        place = np.unique(p, return_inverse=True)[1]
        mass = np.bincount(place, weights)
        middle = np.cumsum(mass) - mass / 2  # a tie goes to the bin that its middle falls into
        raw = np.minimum((middle * bins).astype(np.int64), bins - 1)[place]
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


def _bin_gaps(t: _Table, places: NDArray[np.int64], times: Floats) -> Floats:
    """Per bin, observed - predicted times the share of units in it, with units counted `times` times."""
    if t.prevalence is None:
        weights = times / times.sum()
    else:
        share = np.where(t.yes, t.prevalence / times[t.yes].sum(), (1 - t.prevalence) / times[~t.yes].sum())
        weights = times * share
    return np.asarray(np.bincount(places, weights * (t.yes - t.p)), np.float64)


def _at(observed: Estimate, yes: NDArray[np.bool_], prevalence: float) -> Estimate:
    """The share with its interval where positives weigh `prevalence`: the odds times one factor."""
    factor = prevalence / (1 - prevalence) * float((~yes).sum() / yes.sum())

    def move(share: float) -> float:
        return share * factor / (share * factor + (1 - share))

    o = observed
    value = move(o.value)
    se = o.se * factor / (o.value * factor + 1 - o.value) ** 2
    method = f"{o.method}; at a prevalence of {prevalence:g}"
    return Estimate(o.name, value, move(o.low), move(o.high), se, o.n, o.positives, o.clusters, o.unit, method)
