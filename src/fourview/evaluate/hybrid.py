"""Computed averages of a reader's probability and a model's: what Wu et al. 2019 call a hybrid.

Nobody read with the model's help here: a reader who sees a model's output may follow it too much or not at all. The
weight of the reader is fixed beforehand, or chosen on one half of the cases and measured on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from fourview.evaluate.covariance import Covariance, Measured, Metric, measure, metric_values
from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError

Floats = NDArray[np.float64]
Average = Literal["raw", "logit", "rank"]
CLIP = 1e-3  # before a logit: readers say 0 and 1 often; a tenth of a percent is finer than any of them rates
WEIGHTS = tuple(round(0.05 * k, 2) for k in range(21))
SEED = 0


def average_scores(readers: Floats, model: Floats, *, weight: float, average: Average = "raw") -> Floats:
    """weight * reader + (1 - weight) * model, in the shape of `readers`.

    readers  (breasts,) or (readers, breasts) probabilities;  model  (breasts,) probabilities
    average  of "raw" probabilities, of "logit"s (probabilities kept within CLIP and 1 - CLIP; the result is a
             probability again), or of "rank"s among these breasts (0 to 1; it exists only for a whole table)

    Raises SetupError if the weight is not in [0, 1].
    """
    if not 0 <= weight <= 1:
        raise SetupError(f"weight of the reader: found {weight:g}; need a number in [0, 1]")
    if average == "raw":
        return weight * readers + (1 - weight) * model
    if average == "rank":
        n = model.shape[-1]
        return np.asarray((weight * rankdata(readers, axis=-1) + (1 - weight) * rankdata(model)) / n)
    reader, other = (logit(np.clip(p, CLIP, 1 - CLIP)) for p in (readers, model))
    return np.asarray(expit(weight * reader + (1 - weight) * other))


def break_ties(readers: Floats, model: Floats) -> Floats:
    """Scores that order breasts as each reader does, and by the model only where a reader sees no difference.

    What the smallest weight of a model does. Shapes as for average_scores; the numbers are ranks of a kind.
    """
    within = rankdata(model) / (model.shape[-1] + 1)  # below 1
    return np.asarray(rankdata(readers, method="dense", axis=-1) + within)


@dataclass(frozen=True, eq=False)
class Sweep:
    """A metric of every reader averaged with a model, by the reader's weight. values  (weights, readers)"""

    metric: Metric
    weights: tuple[float, ...]
    values: Floats

    def best(self) -> float:
        """The weight with the largest mean over readers; among equals the one nearest to one half."""
        means = self.values.mean(axis=1)
        equal = np.flatnonzero(means >= means.max() - 1e-12)
        return self.weights[min(equal, key=lambda k: abs(self.weights[k] - 0.5))]


def sweep_weights(
    study: ReaderStudy,
    model: str,
    *,
    metric: Metric = "AUC",
    average: Average = "raw",
    weights: Sequence[float] = WEIGHTS,
    half: NDArray[np.bool_] | None = None,
) -> Sweep:
    """The metric at every weight, on all breasts or on a `half` (breasts,) of them.

    On all breasts it only describes: the largest number of a sweep flatters. Averages are taken before the half is.
    """
    part = np.ones(study.n, bool) if half is None else half
    values = [
        metric_values(
            study.truth[part],
            average_scores(study.readers, study.model(model), weight=weight, average=average)[:, part],
            metric=metric,
        )
        for weight in weights
    ]
    return Sweep(metric, tuple(weights), np.stack(values))


def split_in_halves(study: ReaderStudy, *, seed: int = SEED) -> NDArray[np.bool_]:
    """(breasts,) True for one half: exams (or patients) stay whole, and those with a positive are halved by themselves.

    Raises SetupError if fewer than four exams have a positive, or fewer than four have none.
    """
    groups, numbers = np.unique(study.groups, return_inverse=True)
    positive = np.bincount(numbers, study.truth) > 0
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(groups), bool)
    for kind, name in ((True, "with a malignant breast"), (False, "without one")):
        members = rng.permutation(np.flatnonzero(positive == kind))
        if len(members) < 4:
            raise SetupError(
                f"found {len(members)} exams {name}; need at least 4 to choose the weight on one half and "
                "measure it on the other; give a fixed weight instead"
            )
        chosen[members[: len(members) // 2]] = True
    return chosen[numbers]


@dataclass(frozen=True, eq=False)
class Hybrid:
    """Every reader averaged with one model.

    weights   of the reader: one that was fixed, or two, each chosen on one half and used in the other
    measured  by metric, of 2 J + 1 scores: readers alone, the same readers averaged, the model
    """

    model: str
    average: Average
    weights: tuple[float, ...]
    measured: dict[Metric, Measured]


def measure_hybrid(
    study: ReaderStudy,
    model: str,
    *,
    weight: float | None = 0.5,
    average: Average = "raw",
    covariance: Covariance = "clustered",
    seed: int = SEED,
) -> Hybrid:
    """The computed average of every reader with a model, at a fixed weight or (None) at one chosen on other cases.

    A chosen weight has the largest mean AUC over readers in its half. All metrics are then measured within halves and
    averaged, those of readers and model too, so that differences compare the same cases. The intervals take the
    chosen weights as given.
    """
    scores = study.model(model)

    def on(part: NDArray[np.bool_], used: float, metric: Metric) -> Measured:
        hybrids = average_scores(study.readers, scores, weight=used, average=average)
        return measure(
            study.truth[part],
            np.vstack([study.readers, hybrids, scores])[:, part],
            metric=metric,
            covariance=covariance,
            cluster=None if study.cluster is None else study.cluster[part],
            seed=seed,
        )

    metrics: tuple[Metric, ...] = ("AUC", "average precision")
    if weight is not None:
        every = np.ones(study.n, bool)
        return Hybrid(model, average, (weight,), {metric: on(every, weight, metric) for metric in metrics})
    half = split_in_halves(study, seed=seed)
    chosen = [sweep_weights(study, model, average=average, half=other).best() for other in (~half, half)]
    return Hybrid(
        model,
        average,
        tuple(chosen),
        {
            metric: Measured.mean_of_halves(on(half, chosen[0], metric), on(~half, chosen[1], metric))
            for metric in metrics
        },
    )
