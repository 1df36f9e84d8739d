"""A metric of several scores on the same breasts, with the covariance of its errors: what reader studies are made of.

Areas have Obuchowski's (1997) clustered covariance or DeLong's; areas and average precisions both have the jackknife
and the bootstrap, in which whole clusters are left out or drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.resample import SEED, cluster_bootstrap
from fourview.evaluate.roc import RocCurves
from fourview.evaluate.table import FEW, check_scores, check_truth, count_rarer, few_units, number_clusters

Floats = NDArray[np.float64]
Metric = Literal["AUC", "average precision"]
Covariance = Literal["clustered", "delong", "jackknife", "bootstrap"]
_AT_ONCE = 4_000_000  # weights in memory


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of several scores.

    values      (scores,);  covariance  (scores, scores) of their errors; NaN where there are too few clusters for one
    n, positives, clusters  what was counted;  rarer  clusters that hold the rarer class
    method      of the covariance, in words
    """

    metric: Metric
    values: Floats
    covariance: Floats
    n: int
    positives: int
    clusters: int
    rarer: int
    method: str
    warnings: tuple[str, ...] = ()

    def combine(self, matrix: ArrayLike) -> Measured:
        """Linear combinations of the scores' values. matrix  (combinations, scores), e.g. rows of 1 and -1."""
        rows = np.asarray(matrix, np.float64)
        return replace(self, values=rows @ self.values, covariance=rows @ self.covariance @ rows.T)

    @staticmethod
    def mean_of_halves(first: Measured, second: Measured) -> Measured:
        """The mean of the same metrics on two sets of cases that share no cluster."""
        return Measured(
            first.metric,
            (first.values + second.values) / 2,
            (first.covariance + second.covariance) / 4,
            first.n + second.n,
            first.positives + second.positives,
            first.clusters + second.clusters,
            first.rarer + second.rarer,
            f"{first.method}, in each half of the cases and averaged",
            first.warnings if first.rarer + second.rarer < FEW else (),
        )


def measure(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    metric: Metric = "AUC",
    covariance: Covariance = "clustered",
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    seed: int = SEED,
) -> Measured:
    """The metric of each score and the covariance of their errors.

    truth       (units,) 0 or 1;  scores  (scores, units), larger is more suspicious
    covariance  "clustered" (Obuchowski) and "delong" are for areas; an average precision gets the jackknife for both.
                "delong" takes units as independent, whatever `cluster` says
    cluster     (units,) labels of the exam or patient of each unit; None: units are independent
    seed        of the bootstrap

    Raises SetupError as RocCurves.measure does.
    """
    yes = check_truth(truth)
    matrix = check_scores(scores, len(yes))
    if covariance == "delong":
        cluster = None
    if metric == "AUC" and covariance in ("clustered", "delong"):
        curves = RocCurves.measure(yes, matrix, cluster=cluster)
        method = "DeLong, breasts as independent" if cluster is None else "Obuchowski 1997, clustered"
        return Measured(
            metric,
            curves.areas,
            curves.covariance,
            curves.n,
            curves.positives,
            curves.clusters,
            curves.rarer,
            method,
            curves.warnings,
        )
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    clusters = int(numbers.max()) + 1
    what = "breasts as independent" if cluster is None else "clustered"
    rarer, _ = count_rarer(yes, numbers)
    if rarer < 2:
        found, method = np.full((len(matrix), len(matrix)), np.nan), f"none possible, {what}"
    elif covariance == "bootstrap":
        groups = [_group_ties(score) for score in matrix]

        def statistic(times: Floats) -> Floats:
            return np.concatenate([_weigh(yes[order], times[None, order], starts, metric) for order, starts in groups])

        draws = cluster_bootstrap(yes, numbers, statistic, seed=seed)
        found = np.atleast_2d(np.cov(draws.T))
        method = f"bootstrap of {len(draws)}, {what}"
    else:
        left_out = _values(yes, matrix, metric, _leave_out(numbers, clusters))
        found = np.atleast_2d(np.cov(left_out.T)) * (clusters - 1) ** 2 / clusters
        method = f"jackknife, {what}"
    values = metric_values(yes, matrix, metric=metric)
    return Measured(metric, values, found, len(yes), int(yes.sum()), clusters, rarer, method, few_units(yes, numbers))


def metric_values(truth: ArrayLike, scores: ArrayLike, *, metric: Metric) -> Floats:
    """(scores,) the metric of each score, without its errors."""
    yes = check_truth(truth)
    one: Floats = _values(yes, check_scores(scores, len(yes)), metric, iter([np.ones((1, len(yes)))]))[0]
    return one


def _leave_out(numbers: NDArray[np.int64], clusters: int) -> Iterator[Floats]:
    """Weights of the units with one cluster left out at a time, in blocks of (resamples, units)."""
    for start, stop in _blocks(clusters, len(numbers)):
        yield (np.arange(start, stop)[:, None] != numbers).astype(np.float64)


def _blocks(resamples: int, units: int) -> Iterator[tuple[int, int]]:
    step = max(1, _AT_ONCE // units)
    for start in range(0, resamples, step):
        yield start, min(start + step, resamples)


def _values(yes: NDArray[np.bool_], matrix: Floats, metric: Metric, blocks: Iterator[Floats]) -> Floats:
    """(resamples, scores) the metric with units counted as often as their weights say."""
    groups = [_group_ties(score) for score in matrix]
    return np.concatenate(
        [
            np.stack([_weigh(yes[order], weights[:, order], starts, metric) for order, starts in groups], axis=1)
            for weights in blocks
        ]
    )


def _group_ties(score: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of descending scores, and where in it each distinct score starts."""
    order = np.argsort(-score, kind="stable")
    return order, np.flatnonzero(np.diff(score[order], prepend=np.inf))


def _weigh(yes: NDArray[np.bool_], weights: Floats, starts: NDArray[np.int64], metric: Metric) -> Floats:
    """(resamples,) the metric of one score. yes, weights  in descending order of score"""
    positives = np.add.reduceat(weights * yes, starts, axis=1)  # (resamples, distinct scores)
    negatives = np.add.reduceat(weights * ~yes, starts, axis=1)
    total = positives.sum(axis=1)
    if metric == "AUC":
        below = negatives.sum(axis=1, keepdims=True) - np.cumsum(negatives, axis=1) + negatives / 2
        return np.asarray((positives * below).sum(axis=1) / (total * negatives.sum(axis=1)))
    found = np.cumsum(positives, axis=1)
    called = found + np.cumsum(negatives, axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return np.asarray((positives * precision).sum(axis=1) / total)
