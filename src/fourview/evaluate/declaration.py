"""What is decided about a reader study before any of its results is seen."""

from __future__ import annotations

from dataclasses import dataclass

from fourview.evaluate.covariance import Covariance, Measured, Metric, measure
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.hybrid import SEED, Average
from fourview.evaluate.mrmc import Factor, ReaderMean, average_over_readers
from fourview.evaluate.reader_study import Floats, ReaderStudy
from fourview.exam import SetupError


@dataclass(frozen=True)
class Declaration:
    """How a reader study is analysed.

    margin     of non-inferiority, in AUC: a model may be this much below the readers' mean
    weight     of the reader in a computed average; None: chosen on one half of the cases, measured on the other
    threshold  at which readers get a point (probability >= threshold); None: curves only
    covariance, readers_are, cases_are  of all comparisons over readers (see mrmc)
    """

    margin: float = 0.05
    weight: float | None = 0.5
    average: Average = "raw"
    covariance: Covariance = "clustered"
    readers_are: Factor = "random"
    cases_are: Factor = "random"
    threshold: float | None = None
    seed: int = SEED

    def __post_init__(self) -> None:
        if not 0 < self.margin < 0.5:
            raise SetupError(f"margin: found {self.margin:g}; need a difference of AUC between 0 and 0.5")
        if self.weight is not None and not 0 <= self.weight <= 1:
            raise SetupError(f"weight of the reader: found {self.weight:g}; need a number in [0, 1]")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SetupError(f"threshold: found {self.threshold:g}; need a probability in [0, 1]")
        if self.readers_are == self.cases_are == "fixed":
            raise SetupError("found fixed readers and fixed cases; need one of them random, or there is no interval")

    def measure(self, study: ReaderStudy, scores: Floats, metric: Metric) -> Measured:
        """The metric of scores (scores, breasts) of a study, with the declared covariance."""
        return measure(
            study.truth,
            scores,
            metric=metric,
            covariance=self.covariance,
            cluster=study.cluster,
            seed=self.seed,
        )

    def mean_over_readers(self, measured: Measured) -> ReaderMean:
        """The mean over readers of one measured value per reader."""
        return average_over_readers(
            measured.values, measured.covariance, readers_are=self.readers_are, cases_are=self.cases_are
        )

    def estimate_mean(self, name: str, measured: Measured, *, is_difference: bool) -> Estimate:
        """The same as an Estimate."""
        return self.mean_over_readers(measured).estimate(name, measured, is_difference=is_difference)


DEFAULT = Declaration()
METRICS: tuple[Metric, ...] = ("AUC", "average precision")
