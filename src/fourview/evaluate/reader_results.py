"""What a reader study shows of readers and of models, and of models against readers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.average_precision import average_precision, trapezoid_pr_area
from fourview.evaluate.covariance import Metric
from fourview.evaluate.declaration import DEFAULT, METRICS, Declaration
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.mrmc import ReaderMean, TwoTreatments, compare_treatments
from fourview.evaluate.reader_curves import OperatingPoint, operating_point
from fourview.evaluate.reader_study import ReaderStudy
from fourview.evaluate.roc import auc, delong_auc
from fourview.exam import SetupError


@dataclass(frozen=True)
class ScoreAlone:
    """One reader, or one model, or the average of all readers. pr_area is the trapezoid's, not average precision."""

    name: str
    auc: Estimate
    auc_delong: Estimate
    average_precision: Estimate
    pr_area: float
    point: OperatingPoint | None = None


@dataclass(frozen=True)
class ReadersAlone:
    """readers: each;  mean_*: over them;  together: one score, the average of all readers' probabilities."""

    readers: tuple[ScoreAlone, ...]
    mean_auc: Estimate
    mean_average_precision: Estimate
    together: ScoreAlone


@dataclass(frozen=True)
class ModelAgainstReaders:
    """model minus the readers' mean; verdict by the declared margin, on AUC."""

    name: str
    auc: Estimate
    average_precision: Estimate
    detail: ReaderMean
    verdict: str


def describe_readers(study: ReaderStudy, *, declared: Declaration = DEFAULT) -> ReadersAlone:
    """Each reader, their mean and spread, and the average of all of them taken as one score."""
    means = []
    for metric in METRICS:
        measured = declared.measure(study, study.readers, metric)
        means.append(declared.estimate_mean(f"mean {metric} of readers", measured, is_difference=False))
    readers = (
        describe_score(study, name, scores, threshold=declared.threshold)
        for name, scores in zip(study.reader_names, study.readers, strict=True)
    )
    together = describe_score(study, "average of all readers", study.readers.mean(axis=0))
    return ReadersAlone(tuple(readers), means[0], means[1], together)


def describe_score(
    study: ReaderStudy, name: str, scores: NDArray[np.float64], *, threshold: float | None = None
) -> ScoreAlone:
    """One score on the study's breasts. threshold  None: no operating point"""
    return ScoreAlone(
        name,
        auc(study.truth, scores, cluster=study.cluster, name=f"AUC of {name}"),
        delong_auc(study.truth, scores, name=f"AUC of {name} (DeLong)"),
        average_precision(study.truth, scores, cluster=study.cluster, name=f"average precision of {name}"),
        trapezoid_pr_area(study.truth, scores),
        None if threshold is None else operating_point(study.truth, scores, threshold=threshold, cluster=study.cluster),
    )


def compare_with_readers(study: ReaderStudy, model: str, *, declared: Declaration = DEFAULT) -> ModelAgainstReaders:
    """A model minus the mean of its readers. Raises SetupError if there is no model of this name."""
    found = []
    scores = np.vstack([study.readers, study.model(model)])
    j = len(study.readers)
    minus_readers = np.hstack([-np.eye(j), np.ones((j, 1))])
    for metric in METRICS:
        difference = declared.measure(study, scores, metric).combine(minus_readers)
        found.append((declared.mean_over_readers(difference), difference))
    estimates = [
        mean.estimate(f"{model} minus readers, {metric}", difference, is_difference=True)
        for metric, (mean, difference) in zip(METRICS, found, strict=True)
    ]
    return ModelAgainstReaders(
        model, estimates[0], estimates[1], found[0][0], judge_margin(estimates[0], margin=declared.margin)
    )


def judge_margin(difference: Estimate, *, margin: float) -> str:
    """What the 95 % interval of a difference says: "superior", "non-inferior", "inferior" or "not shown"."""
    if difference.low > 0:
        return "superior"
    if difference.low > -margin:
        return "non-inferior"
    return "inferior" if difference.high < -margin else "not shown"


def compare_modalities(
    study: ReaderStudy, second: NDArray[np.float64], *, declared: Declaration = DEFAULT, metric: Metric = "AUC"
) -> TwoTreatments:
    """The same readers with another treatment (an aid, another image) minus the study's own readings.

    second  (readers, breasts) scores in the study's order of readers and breasts. Raises SetupError if shapes differ.
    """
    if second.shape != study.readers.shape:
        raise SetupError(f"second treatment: found shape {second.shape}; need {study.readers.shape} (readers, breasts)")
    measured = declared.measure(study, np.vstack([study.readers, second]), metric)
    return compare_treatments(measured, readers_are=declared.readers_are, cases_are=declared.cases_are)
