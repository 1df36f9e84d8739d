"""A classifier from few patients: who they are, and what is done where too few are positive for inner folds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.nested import tune
from fourview.studies.transfer.steps import Method, Setting, fit_back, fit_front, join, score_pipeline

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
LEAST = 3  # patients with the rarer class from which settings are tuned
_TRIES = 50


@dataclass(frozen=True, eq=False)
class Trained:
    """score (rows, features) -> (rows,); an image is called positive from `threshold` on.

    tuned  False: inner folds were not possible, so the setting is `few_setting`, the threshold the classifier's own
    """

    score: Callable[[Floats], Floats]
    threshold: float
    tuned: bool


def draw_patients(cases: Cases, patients: int, rng: np.random.Generator) -> Places:
    """(rows,) the images of some patients, drawn at random, positive ones in proportion, at least one of each kind.

    A patient is positive if an image of hers is. All rows, if there are no more patients than wanted. Raises SetupError
    if no draw of some holds images of both classes.
    """
    truth = cases.truth("patient")
    if patients >= len(truth):
        return np.arange(len(cases.y))
    positive, negative = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    least = 1 if len(negative) else patients
    wanted = int(np.clip(round(patients * len(positive) / len(truth)), least, max(least, patients - 1)))
    for _ in range(_TRIES):
        drawn = [rng.permutation(positive)[:wanted], rng.permutation(negative)[: patients - wanted]]
        rows = np.flatnonzero(np.isin(cases.patients, np.concatenate(drawn)))
        if 0 < cases.y[rows].sum() < len(rows):
            return rows
    raise SetupError(f"found no {patients} patients with images of both classes in {_TRIES} draws; need more patients")


def train_few(values: Floats, cases: Cases, method: Method, *, inner: int = 5, seed: int = 0) -> Trained:
    """The method fitted on these rows, tuned by inner folds (nested.tune) where 3 patients hold the rarer class.

    With fewer, or where inner folds cannot be drawn: `few_setting`, and the classifier's own threshold (balanced by
    class weights). A choice between settings by one or two positive patients would be a toss.
    """
    if min(cases.positive_patients, cases.negative_patients) >= LEAST:
        try:
            tuned = tune(values, cases, method, inner=inner, seed=seed)
        except SetupError:  # e.g. no folds with both classes in each; other reasons come again below
            pass
        else:
            return Trained(tuned.score, tuned.readings["image"].threshold, True)
    setting = few_setting(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        front, seen = fit_front(method, setting.share, values, cases.y)
        pipeline = join(front, fit_back(method, setting, seen, cases.y, seed=seed))
    decides = hasattr(pipeline.steps[-1][1], "decision_function")
    return Trained(lambda rows: score_pipeline(pipeline, rows), 0.0 if decides else 0.5, False)


def few_setting(method: Method) -> Setting:
    """What is taken untuned: the selection that keeps most, then the strictest of the grid.

    A linear classifier under the strictest penalty points from one class's mean to the other's.
    """
    shares = [setting.share for setting in method.settings]
    return next(setting for setting in method.settings if setting.share == min(shares))
