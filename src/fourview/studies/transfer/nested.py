"""The rigorous run: everything that is learned, chosen or scaled sees training rows alone.

Outer folds hold what is measured. Within the rest, inner folds choose the setting with the largest mean AUC (of
equals: see `choose_setting`); the inner out-of-fold scores give the threshold (largest sensitivity + specificity) and
the map to probabilities (Platt 1999, never against the ranking), and the pipeline is fitted anew on the rest.
Varma and Simon 2006; Cawley and Talbot 2010.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from imblearn.pipeline import Pipeline
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from fourview.calibration import sigmoid
from fourview.evaluate import RocCurves, choose_threshold
from fourview.evaluate.operating import Rule
from fourview.exam import SetupError
from fourview.studies.transfer.cases import UNITS, Cases, Unit
from fourview.studies.transfer.folds import check_folds, draw_folds, walk_folds
from fourview.studies.transfer.steps import (
    Method,
    Setting,
    fit_back,
    fit_front,
    join,
    kept_features,
    score_pipeline,
)

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_YOUDEN = Rule(name="youden", kind="youden")
_SAME = 9  # digits to which areas of equals agree


@dataclass(frozen=True)
class Reading:
    """How scores of one unit become decisions and probabilities: score >= threshold; sigmoid(slope x + intercept)."""

    threshold: float
    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class Tuned:
    """A fitted pipeline with the setting that the inner folds chose.

    centre, spread  of the inner out-of-fold scores: takes scores of several folds to one scale
    readings        per unit, on that scale
    unconverged     fits that stopped before they converged
    area            the setting's mean AUC in the inner folds, by which it was chosen
    """

    pipeline: Pipeline
    setting: Setting
    centre: float
    spread: float
    readings: Mapping[Unit, Reading]
    unconverged: int
    area: float

    def score(self, values: Floats) -> Floats:
        """(rows,) scores on the common scale. values (rows, features)"""
        return (score_pipeline(self.pipeline, values) - self.centre) / self.spread

    @property
    def kept(self) -> Places | None:
        return kept_features(self.pipeline)


@dataclass(frozen=True, eq=False)
class UnitScores:
    """Out-of-fold, one per unit in the order of Cases: fold, score, probability, called (0 or 1)."""

    fold: Places
    score: Floats
    probability: Floats
    called: Places


@dataclass(frozen=True, eq=False)
class Repeat:
    """One pass over the outer folds.

    units    what was said of each image, breast and patient
    kept     per fold the selected features; None: no selection
    settings per fold, as the inner folds chose;  areas  per fold, their mean AUC in the inner folds
    """

    units: Mapping[Unit, UnitScores]
    kept: tuple[Places | None, ...]
    settings: tuple[Setting, ...]
    unconverged: int
    areas: tuple[float, ...]


def run_repeat(values: Floats, cases: Cases, method: Method, *, folds: Places, inner: int = 5, seed: int = 0) -> Repeat:
    """Every image scored by a pipeline that has seen nothing of its patient.

    values (images, features);  folds (images,) of draw_folds;  inner  folds within the training rows
    Raises SetupError if folds share a patient or lack a class.
    """
    if len(values) != len(cases.y):
        raise SetupError(f"found features of {len(values)} rows for {len(cases.y)} images; need one row per image")
    check_folds(folds, cases.y, cases.patients)
    parts = {unit: _empty(len(cases.truth(unit))) for unit in UNITS}
    kept, settings, areas, unconverged = [], [], [], 0
    for number, (train, test) in enumerate(walk_folds(folds, cases.patients)):
        tuned = tune(values[train], cases.take(train), method, inner=inner, seed=seed)
        kept.append(tuned.kept)
        settings.append(tuned.setting)
        areas.append(tuned.area)
        unconverged += tuned.unconverged
        own, said = cases.take(test), tuned.score(values[test])
        for unit in UNITS:
            part, reading, score = parts[unit], tuned.readings[unit], own.combine(said, unit)
            places = _places_of(cases, test, unit)
            part.fold[places], part.score[places] = number, score
            part.probability[places] = sigmoid(reading.slope * score + reading.intercept)
            part.called[places] = score >= reading.threshold
    return Repeat(parts, tuple(kept), tuple(settings), unconverged, tuple(areas))


def tune(values: Floats, cases: Cases, method: Method, *, inner: int = 5, seed: int = 0) -> Tuned:
    """The method with the best setting of its grid, fitted on all of these rows. They are the training rows.

    inner  folds, fewer where fewer patients hold the rarer class. Raises SetupError where not even two can be made.
    """
    folds = min(inner, cases.positive_patients, cases.negative_patients)
    numbers = draw_folds(cases.y, cases.patients, folds=folds, seed=seed)
    grid = method.settings
    said = np.empty((len(grid), len(cases.y)))
    with warnings.catch_warnings(record=True) as came:
        warnings.simplefilter("always", ConvergenceWarning)
        areas = np.zeros(len(grid))
        for train, test in walk_folds(numbers, cases.patients):
            said[:, test] = _score_grid(method, values[train], cases.y[train], values[test], seed=seed)
            areas += RocCurves.measure(cases.y[test], said[:, test]).areas
        areas /= folds
        best = choose_setting(areas, cases.y, said)
        front, seen = fit_front(method, grid[best].share, values, cases.y)
        back = fit_back(method, grid[best], seen, cases.y, seed=seed)
    pipeline = join(front, back)
    check_fitted_on(pipeline, rows=len(values))
    centre, spread = float(said[best].mean()), float(said[best].std()) or 1.0
    scores = (said[best] - centre) / spread
    readings = {unit: _read(cases.truth(unit), cases.combine(scores, unit)) for unit in UNITS}
    return Tuned(pipeline, grid[best], centre, spread, readings, len(came), float(areas[best]))


def choose_setting(areas: Floats, y: Places, said: Floats) -> int:
    """The place of the setting with the largest mean AUC in the inner folds.

    Of equals, the one with the largest AUC of all inner scores together, then the strictest. Under small C several
    settings rank every fold alike, but not the folds together.

    areas (settings,) means over folds;  y (rows,) 0 or 1;  said (settings, rows) out-of-fold scores
    """
    rounded = np.round(areas, _SAME)
    equals = np.flatnonzero(rounded == rounded.max())
    if len(equals) == 1:
        return int(equals[0])
    pooled = np.round(RocCurves.measure(y, said[equals]).areas, _SAME)
    return int(equals[np.argmax(pooled)])


def check_fitted_on(pipeline: Pipeline, *, rows: int) -> None:
    """Nothing, if the scaler has seen as many rows as are for training. Raises SetupError: it saw others."""
    seen = int(np.max(pipeline.steps[0][1].n_samples_seen_))
    if seen != rows:
        raise SetupError(f"pipeline: found a scaler fitted on {seen} rows; need the {rows} training rows and no others")


def _score_grid(method: Method, values: Floats, y: Places, test: Floats, *, seed: int) -> Floats:
    """(settings, test rows) scores of each setting, fitted on `values`. The front is fitted once per share."""
    found, done = [], None
    for setting in method.settings:
        if done is None or done[0] != setting.share:
            front, seen = fit_front(method, setting.share, values, y)
            done = (setting.share, seen, front.transform(test))
        found.append(score_pipeline(fit_back(method, setting, done[1], y, seed=seed), done[2]))
    return np.stack(found)


def _read(y: Places, scores: Floats) -> Reading:
    """From inner out-of-fold scores of one unit."""
    line = LogisticRegression(C=10.0).fit(scores[:, None], y)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope <= 0:  # scores rank the wrong way round: the same probability for all
        share = float(y.mean())
        slope, intercept = 0.0, float(np.log(share / (1 - share)))
    return Reading(choose_threshold(y, scores, _YOUDEN), slope, intercept)


def _empty(units: int) -> UnitScores:
    return UnitScores(np.full(units, -1, np.int64), np.empty(units), np.empty(units), np.empty(units, np.int64))


def _places_of(cases: Cases, rows: Places, unit: Unit) -> Places:
    """The places of the units that these images are of, in their order."""
    if unit == "image":
        return rows
    numbers = cases.breasts if unit == "breast" else cases.patients
    return np.unique(numbers[rows])
