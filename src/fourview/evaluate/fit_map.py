"""Scores and truths -> a map from raw scores to probabilities at a stated prevalence.

An enriched table is weighted: positives to the prevalence that probabilities shall refer to, negatives to the rest.

Methods. Platt scaling (Platt 1999) is a logistic regression of the truth on the score's logit; his smoothed targets are
not used, so the mean probability is the prevalence. Temperature scaling (Guo et al. 2017) fits the slope alone.
Isotonic regression pools adjacent violators (Zadrozny and Elkan 2002); tied scores share a probability.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from fourview.calibration import Isotonic, Platt, Temperature, logit
from fourview.evaluate.logistic import fit_logistic, weights_at
from fourview.evaluate.table import check_scores, check_truth
from fourview.exam import SetupError

Floats = NDArray[np.float64]
Method = Literal["platt", "isotonic", "temperature"]


def fit_map(
    truth: ArrayLike, scores: ArrayLike, *, method: Method, prevalence: float
) -> Platt | Isotonic | Temperature:
    """The map from raw scores to probabilities at the prevalence.

    truth (units,) 0 or 1;  scores (units,) in [0, 1]

    Raises SetupError if there is no such map: separated classes, or scores that rank the wrong way round.
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    weights = weights_at(yes, prevalence)
    if method == "isotonic":
        return _isotonic(yes, score, weights)
    if method == "platt":
        design = np.stack([logit(score), np.ones(len(yes))], axis=1)
        slope, intercept = fit_logistic(design, yes, weights=weights).tolist()
        _check_slope(slope)
        return Platt(slope=slope, intercept=intercept)
    own = float(yes.mean())
    offset = float(np.log(prevalence / (1 - prevalence) * (1 - own) / own))
    (slope,) = fit_logistic(logit(score)[:, None], yes, weights=weights, offset=offset).tolist()
    _check_slope(slope)
    return Temperature(temperature=1 / slope, offset=offset)


def _isotonic(yes: NDArray[np.bool_], score: Floats, weights: Floats) -> Isotonic:
    """Knots of the best map that never falls: both ends of every step."""
    values, place = np.unique(score, return_inverse=True)
    mass = np.bincount(place, weights)
    share = np.clip(np.bincount(place, weights * yes) / mass, 0, 1)
    p = np.clip(isotonic_regression(share, weights=mass).x, 0, 1)
    before, after = np.diff(p, prepend=-1) > 0, np.diff(p, append=2) > 0
    knots = before | after
    return Isotonic(scores=tuple(values[knots].tolist()), probabilities=tuple(p[knots].tolist()))


def _check_slope(slope: float) -> None:
    if slope <= 0:
        raise SetupError(
            f"calibration: found a slope of {slope:.3g}, so scores rank positives below negatives; need scores that "
            "rank the right way round"
        )
