"""AUC within subgroups, and whether it differs between them.

Interaction: a Wald test that the AUCs of all groups of one column are equal, on the logit scale; their covariance comes
from the influence of each cluster, since both breasts of a woman may be in different groups (DeLong's components,
Obuchowski 1997). Several columns are several tests: their p values are also shown after Holm's correction (1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.roc import auc
from fourview.evaluate.table import number_clusters
from fourview.exam import SetupError

Floats = NDArray[np.float64]
MISSING = "(not given)"
MOST = 30  # groups of one column


@dataclass(frozen=True)
class Subgroups:
    """The groups of one column.

    groups  (value, AUC, or how many units and positives where there is no AUC)
    p       of the interaction, NaN with fewer than two AUCs that have an interval; p_holm  corrected for all columns
    """

    column: str
    groups: tuple[tuple[str, Estimate], ...]
    p: float
    degrees: int
    p_holm: float = math.nan


def compare_subgroups(
    columns: Mapping[str, Sequence[str | int | float | None]],
    truth: NDArray[np.bool_],
    scores: Floats,
    *,
    cluster: Sequence[Any] | NDArray[Any],
    unit: str = "breast",
) -> tuple[Subgroups, ...]:
    """The AUC of every value of every column, with the interaction tests.

    columns  name -> (units,) values; None or "" is a group of its own, not part of the test

    Raises SetupError if a column has more than 30 values: bands are needed, not numbers.
    """
    found = [_compare(name, values, truth, scores, cluster=cluster, unit=unit) for name, values in columns.items()]
    tested = sorted((s.p, k) for k, s in enumerate(found) if not math.isnan(s.p))
    corrected = {}
    largest = 0.0
    for place, (p, k) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - place) * p))
        corrected[k] = largest
    return tuple(Subgroups(s.column, s.groups, s.p, s.degrees, corrected.get(k, math.nan)) for k, s in enumerate(found))


def _compare(
    name: str,
    values: Sequence[str | int | float | None],
    truth: NDArray[np.bool_],
    scores: Floats,
    *,
    cluster: Sequence[Any] | NDArray[Any],
    unit: str,
) -> Subgroups:
    labels = np.array([MISSING if value is None or value == "" else str(value) for value in values])
    names = sorted(set(labels.tolist()), key=lambda v: (v == MISSING, _number(v), v))
    if len(names) > MOST:
        raise SetupError(f"column {name}: found {len(names)} values; need at most {MOST} (make bands of numbers)")
    clusters = np.asarray(cluster)
    groups: list[tuple[str, Estimate]] = []
    influences: list[Floats] = []
    tested: list[Estimate] = []
    numbers = number_clusters(clusters, len(truth))
    for value in names:
        own = labels == value
        estimate = _auc_of(truth[own], scores[own], clusters[own], unit, f"{name} {value}")
        groups.append((value, estimate))
        if value != MISSING and not math.isnan(estimate.low):
            tested.append(estimate)
            influence = auc_influence(truth[own], scores[own])
            influences.append(np.bincount(numbers[own], influence, int(numbers.max()) + 1).astype(np.float64))
    if len(tested) < 2:
        return Subgroups(name, tuple(groups), math.nan, 0)
    a = np.array([e.value for e in tested])
    slopes = np.array([e.se for e in tested]) / (a * (1 - a))  # standard errors on the logit scale
    matrix = np.stack(influences)
    correlation = np.corrcoef(matrix)
    contrasts = np.eye(len(a))[1:] - np.eye(len(a))[0]
    z = contrasts @ np.log(a / (1 - a))
    covariance = contrasts @ (correlation * np.outer(slopes, slopes)) @ contrasts.T
    if np.linalg.matrix_rank(covariance) < len(z):  # groups whose AUCs never differ, as both sides of exam-level scores
        return Subgroups(name, tuple(groups), math.nan, 0)
    statistic = float(z @ np.linalg.solve(covariance, z))
    return Subgroups(name, tuple(groups), float(chi2.sf(statistic, len(z))), len(z))


def auc_influence(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    """(units,) the influence of each unit on the AUC, 0 in sum within each class."""
    m, n = int(truth.sum()), int((~truth).sum())
    ranks = rankdata(scores)
    up = (ranks[truth] - rankdata(scores[truth])) / n  # share of negatives below each positive
    down = 1 - (ranks[~truth] - rankdata(scores[~truth])) / m  # share of positives above each negative
    found = np.empty(len(truth))
    found[truth], found[~truth] = (up - up.mean()) / m, (down - down.mean()) / n
    return found


def _auc_of(truth: NDArray[np.bool_], scores: Floats, cluster: NDArray[Any], unit: str, name: str) -> Estimate:
    if truth.all() or not truth.any():
        clusters, nothing = len(np.unique(cluster)), (math.nan,) * 4
        return Estimate(
            name, *nothing, len(truth), int(truth.sum()), clusters, unit, "none", ("one class only: no AUC",)
        )
    return auc(truth, scores, cluster=cluster, unit=unit, name=name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
