"""What a learning curve says of each size: how well on whom was tested, and how much it depends on whom one trained.

Scores of different classifiers are never ranked against each other: the AUC is the share of pairs (positive, negative)
of the same test part in the right order. Its interval resamples patients under test. The spread is that of single
training sets: of a test part's AUCs around their mean over draws, so that the test part's own luck is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from fourview.evaluate import Estimate, proportion
from fourview.evaluate.estimate import logit_interval
from fourview.evaluate.table import count_rarer, few_units
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.curve_rounds import Round
from fourview.studies.transfer.measures import CHANCE

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
RESAMPLES = 400
_MOST_PRODUCTS = 2e8  # pairs x resamples of one classifier beyond which fewer resamples are drawn
_FEWEST = 100


@dataclass(frozen=True)
class Spread:
    """Of single training sets: sd, 5th and 95th percentile, and the share below chance."""

    sd: float
    low: float
    high: float
    below: Estimate


@dataclass(frozen=True)
class SizePoint:
    """One size of the curve.

    patients, rounds, classifiers  trained on how many patients, how often
    auc, balanced_accuracy  with intervals over patients under test;  auc_error  standard error of the mean over rounds
    auc_spread, balanced_spread  of single training sets; None where all patients are taken
    untuned  share of classifiers with too few positives for inner folds
    """

    patients: int
    rounds: int
    classifiers: int
    auc: Estimate
    balanced_accuracy: Estimate
    auc_error: float
    auc_spread: Spread | None
    balanced_spread: Spread | None
    untuned: float


@dataclass(frozen=True, eq=False)
class Curve:
    """points by size; resampled (sizes, resamples) AUC with other patients under test and other rounds."""

    points: tuple[SizePoint, ...]
    resampled: Floats

    @property
    def sizes(self) -> Floats:
        return np.array([point.patients for point in self.points], np.float64)

    @property
    def areas(self) -> Floats:
        return np.array([point.auc.value for point in self.points])


def measure_curve(rounds: Sequence[Round], cases: Cases, sizes: Sequence[int], *, seed: int = 0) -> Curve:
    """Every number of the curve. rounds  a size may be missing in later ones"""
    rng = np.random.default_rng([seed, 7])
    weights = draw_weights(cases, rng)
    points, resampled = [], []
    for size in sizes:
        own = [done for done in rounds if size in done.scores]
        areas = np.stack([_mean_areas(done, size, cases.y, weights) for done in own])  # (rounds, 1 + resamples)
        taken = rng.integers(0, len(own), (len(own), areas.shape[1] - 1))
        resampled.append(np.take_along_axis(areas[:, 1:], taken, axis=0).mean(axis=0))
        points.append(_measure_size(own, size, cases, areas, weights))
    return Curve(tuple(points), np.stack(resampled))


def error_over_rounds(rounds: Sequence[Round], size: int, y: Places) -> float:
    """The standard error of the size's mean AUC that comes from drawing patients and folds; infinite for one round."""
    alone = np.ones((1, len(y)))
    areas = [float(_mean_areas(done, size, y, alone)[0]) for done in rounds if size in done.scores]
    return float(np.std(areas, ddof=1)) / math.sqrt(len(areas)) if len(areas) > 1 else math.inf


def draw_weights(cases: Cases, rng: np.random.Generator) -> Floats:
    """(1 + resamples, images) how often each image counts: once each, then with patients drawn with replacement."""
    positives = int(cases.y.sum())
    pairs = positives * (len(cases.y) - positives)
    resamples = int(np.clip(_MOST_PRODUCTS / pairs, _FEWEST, RESAMPLES))
    patients = int(cases.patients.max()) + 1
    counts = [np.ones(patients)]
    while len(counts) <= resamples:
        drawn = np.bincount(rng.integers(0, patients, patients), minlength=patients).astype(np.float64)
        if 0 < drawn[cases.patients] @ cases.y < drawn[cases.patients].sum():
            counts.append(drawn)
    return np.stack(counts)[:, cases.patients]


def pair_areas(y: Places, fold: Places, score: Floats, weights: Floats) -> Floats:
    """(weights,) the share of pairs of the same fold in the right order, ties one half. y, fold, score (images,)"""
    right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(fold):
        positive, negative = np.flatnonzero((fold == number) & (y == 1)), np.flatnonzero((fold == number) & (y == 0))
        order = np.sign(score[positive][:, None] - score[negative][None, :]) / 2 + 0.5
        right += np.einsum("bn,bn->b", weights[:, positive] @ order, weights[:, negative])
        pairs += weights[:, positive].sum(axis=1) * weights[:, negative].sum(axis=1)
    return np.where(pairs > 0, right / np.maximum(pairs, 1e-300), CHANCE)


def balanced(y: Places, called: Places, weights: Floats) -> Floats:
    """(weights,) (sensitivity + specificity) / 2. y, called (images,)"""
    hits, total = weights @ (called * y), weights @ y
    passed, others = weights @ ((1 - called) * (1 - y)), weights @ (1 - y)
    return np.asarray((hits / total + passed / others) / 2)


def _mean_areas(done: Round, size: int, y: Places, weights: Floats) -> Floats:
    """(weights,) over the round's draws."""
    found = np.stack([pair_areas(y, done.fold, score, weights) for score in done.scores[size]])
    return np.asarray(found.mean(axis=0))


def _measure_size(own: Sequence[Round], size: int, cases: Cases, areas: Floats, weights: Floats) -> SizePoint:
    y = cases.y
    shares = np.stack([np.mean([balanced(y, c, weights) for c in done.called[size]], axis=0) for done in own])
    draws = len(own[0].scores[size])
    folds = int(own[0].fold.max()) + 1
    error = float(areas[:, 0].std(ddof=1) / math.sqrt(len(own))) if len(own) > 1 else math.nan
    auc, balance = _estimate("AUC", areas, cases), _estimate("balanced accuracy", shares, cases)
    alone = np.ones((1, len(y)))
    by_fold: list[list[list[tuple[float, float]]]] = []
    for done in own if draws > 1 else ():
        places = [np.flatnonzero(done.fold == number) for number in range(folds)]
        by_fold.append(
            [
                [
                    (
                        float(pair_areas(y[p], done.fold[p], done.scores[size][d, p], alone[:, p])[0]),
                        float(balanced(y[p], done.called[size][d, p], alone[:, p])[0]),
                    )
                    for p in places
                ]
                for d in range(draws)
            ]
        )
    table = np.array(by_fold)  # (rounds, draws, folds, 2)
    of_auc, of_balance = (_spread(table[..., k], e.value) if draws > 1 else None for k, e in enumerate((auc, balance)))
    untuned = float(np.mean([done.untuned[size] for done in own]))
    return SizePoint(size, len(own), len(own) * draws * folds, auc, balance, error, of_auc, of_balance, untuned)


def _estimate(name: str, resampled: Floats, cases: Cases) -> Estimate:
    """The mean over rounds. resampled (rounds, 1 + resamples), the first with every patient once."""
    value, se = float(resampled[:, 0].mean()), float(resampled[:, 1:].mean(axis=0).std(ddof=1))
    yes = cases.y.astype(bool)
    rarer, _ = count_rarer(yes, cases.patients)
    degrees = max(1, rarer - 1)
    low, high = logit_interval(value, se, quantile=float(stdtrit(degrees, 0.975))) if se > 0 else (math.nan, math.nan)
    counts = len(yes), int(yes.sum()), int(cases.patients.max()) + 1
    method = f"patients under test resampled, logit, t with {degrees} degrees of freedom"
    return Estimate(name, value, low, high, se, *counts, "image", method, few_units(yes, cases.patients))


def _spread(by_fold: Floats, centre: float) -> Spread:
    """by_fold (rounds, draws, folds), at least two draws"""
    draws = by_fold.shape[1]
    around = (by_fold - by_fold.mean(axis=1, keepdims=True)) * math.sqrt(draws / (draws - 1))
    single = centre + around
    low, high = np.percentile(single, (5, 95))
    rounds, _, folds = by_fold.shape
    part = np.broadcast_to(np.arange(rounds * folds).reshape(rounds, 1, folds), by_fold.shape).ravel()
    below = proportion((single < CHANCE).ravel().astype(int), cluster=part, unit="training set", name="below chance")
    return Spread(float(np.sqrt((around**2).mean())), max(0.0, float(low)), min(1.0, float(high)), below)
