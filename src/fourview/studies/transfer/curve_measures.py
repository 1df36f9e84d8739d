"""What a learning curve says of each size: how well on whom was tested, and how much it depends on whom one trained.

Scores of different classifiers are never ranked against each other: the AUC is the share of pairs (positive, negative)
of the same test part in the right order. Its interval resamples patients under test, and knows nothing of the luck of
those that were trained on: it is too short. The spread is that of single
training sets, tested on endlessly many patients: two classifiers that are equally good on all women differ on twelve,
and that is taken out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from fourview.evaluate import Estimate
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
Right = Callable[[Any, Any], Floats]  # of positives' and negatives' scores or calls: (positives, negatives)


@dataclass(frozen=True)
class Spread:
    """Of single training sets, tested on endlessly many patients: sd, 5th and 95th percentile, share below chance.

    Percentiles and share are those of a normal distribution of the log odds with that sd.

    sd     0: none was seen beyond what the patients under test explain
    below  None: the mean itself is not told from chance, so nobody knows on which side most of them lie
    """

    sd: float
    low: float
    high: float
    below: float | None


@dataclass(frozen=True)
class SizePoint:
    """One size of the curve.

    patients, rounds, classifiers  trained on how many patients, how often
    auc, balanced_accuracy  with intervals over patients under test;  auc_error  standard error of the mean over rounds
    auc_spread, balanced_spread  of single training sets; None where all patients are taken or parts are too small
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
    of_auc = of_balance = None
    if draws > 1:
        of_auc = _told(auc, spread_of_sets(auc.value, own, lambda done: done.scores[size], cases, _ranked))
        of_balance = _told(balance, spread_of_sets(balance.value, own, lambda done: done.called[size], cases, _called))
    untuned = float(np.mean([done.untuned[size] for done in own]))
    return SizePoint(size, len(own), len(own) * draws * folds, auc, balance, error, of_auc, of_balance, untuned)


def _told(mean: Estimate, spread: Spread | None) -> Spread | None:
    """Without the share below chance where the mean may be chance itself."""
    told = mean.low > CHANCE or mean.high < CHANCE
    return spread if spread is None or told else replace(spread, below=None)


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


def spread_of_sets(
    centre: float, rounds: Sequence[Round], said: Callable[[Round], Floats | Places], cases: Cases, right: Right
) -> Spread | None:
    """The spread of classifiers around their mean; None where test parts have too few patients.

    The variance is half the mean squared difference of two classifiers that are tested on endlessly many patients. Its
    unbiased estimate multiplies differences of pairs of images (positive, negative) that have no patient in common.

    centre  the mean;  rounds  each with at least two draws;  said  a round's (draws, images) scores or calls
    """
    squares, pairs = 0.0, 0.0
    for done in rounds:
        of_draws = said(done)
        for number in np.unique(done.fold):
            places = np.flatnonzero(done.fold == number)
            part = cases.take(places)
            ones = _by_patients(np.ones((int(part.y.sum()), int((1 - part.y).sum()))), part)
            tables = [_by_patients(right(s[places][part.y == 1], s[places][part.y == 0]), part) for s in of_draws]
            for first, second in combinations(tables, 2):
                squares += multiply_strangers(first - second)
                pairs += multiply_strangers(ones)
    if pairs == 0:
        return None
    sd = math.sqrt(max(0.0, squares / pairs / 2))
    inner = min(max(centre, 1e-6), 1 - 1e-6)
    middle, scale = math.log(inner / (1 - inner)), sd / (inner * (1 - inner))
    low, high = (1 / (1 + math.exp(-(middle + way * 1.645 * scale))) for way in (-1, 1))
    return Spread(sd, low, high, float(ndtr(-middle / scale)) if scale > 0 else float(centre < CHANCE))


def _ranked(positive: Floats, negative: Floats) -> Floats:
    """(positives, negatives) 1 where in the right order, 0.5 for ties: its mean is the AUC."""
    return np.asarray(np.sign(positive[:, None] - negative[None, :]) / 2 + 0.5)


def _called(positive: Places, negative: Places) -> Floats:
    """(positives, negatives) the share of the two called rightly: its mean is the balanced accuracy."""
    return np.asarray((positive[:, None] + 1.0 - negative[None, :]) / 2)


def _by_patients(values: Floats, part: Cases) -> Floats:
    """(patients, patients) sums over the images of each. values (positives, negatives)"""
    one = np.eye(int(part.patients.max()) + 1)[part.patients]
    return np.asarray(one[part.y == 1].T @ values @ one[part.y == 0])


def multiply_strangers(table: Floats) -> float:
    """The sum of products of all two entries (p, q), (r, s) of a table by patients in which nobody is named twice."""
    involved = table.sum(axis=0) + table.sum(axis=1) - np.diag(table)
    both_ways = np.triu(table + table.T, k=1)
    return float(table.sum() ** 2 - (involved**2).sum() + (both_ways**2).sum())
