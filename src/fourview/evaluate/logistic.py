"""A logistic regression of the truth on few columns, and the standard errors of its coefficients.

Methods. Maximum likelihood by Newton's steps. The sandwich variance of Liang and Zeger 1986, with each cluster's
leverage taken into account (CR3, Bell and McCaffrey 2002): without it, a few extreme scores make it too small. Units
may be weighted so that positives make up another share (see `weights_at`); the weights are ratios of the table's own
counts, and the variance knows that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.calibration import sigmoid
from fourview.exam import SetupError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
STEPS = 100


def weights_at(yes: Bools, prevalence: float | None) -> Floats:
    """(units,) weights that sum to 1: positives to the prevalence, negatives to the rest; None: all the same.

    Raises SetupError if the prevalence is not between 0 and 1.
    """
    if prevalence is None:
        return np.full(len(yes), 1 / len(yes))
    if not 0 < prevalence < 1:
        raise SetupError(f"prevalence: found {prevalence:g}; need a share between 0 and 1")
    return np.asarray(np.where(yes, prevalence / yes.sum(), (1 - prevalence) / (~yes).sum()))


def deviations(values: Floats, yes: Bools, prevalence: float | None) -> Floats:
    """Per unit, how much it moves the weighted mean of `values` (units, ...): the influence, 0 in sum.

    At another prevalence the shares of the classes are given, so each class moves the mean around its own mean.
    """
    weights = weights_at(yes, prevalence).reshape(-1, *[1] * (values.ndim - 1))
    if prevalence is None:
        return np.asarray(weights * (values - values.mean(axis=0)))
    centre = np.where(yes.reshape(weights.shape), values[yes].mean(axis=0), values[~yes].mean(axis=0))
    return np.asarray(weights * (values - centre))


def fit_logistic(design: Floats, yes: Bools, *, weights: Floats, offset: Floats | float = 0.0) -> Floats:
    """(k,) coefficients b of P(positive) = sigmoid(design @ b + offset), by maximum likelihood.

    design (units, k); weights (units,). Raises SetupError if no finite b is the best: columns that do not vary, or
    that separate the classes.
    """
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        fitted = sigmoid(design @ found + offset)
        slope = design.T @ (weights * (yes - fitted))
        try:
            step = np.linalg.solve(_information(design, fitted, weights), slope)
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        found = found + step / max(1.0, float(np.abs(step).max()) / 2)  # far steps are cut: Newton may overshoot
        if np.abs(step).max() < 1e-9 * (1 + np.abs(found).max()):
            return found
    raise SetupError("logistic regression: found scores that separate the classes or are all the same; need others")


def logistic_errors(
    design: Floats,
    yes: Bools,
    coefficients: Floats,
    *,
    numbers: NDArray[np.int64],
    prevalence: float | None,
    offset: Floats | float = 0.0,
) -> Floats:
    """(k,) standard errors of the coefficients that fit_logistic found with weights_at(prevalence).

    numbers  (units,) of the clusters, from 0; NaN for a single one, or if one of them decides alone

    What leaving each cluster out moves the coefficients by, in one Newton step from the fit.
    """
    clusters = int(numbers.max()) + 1
    fitted = sigmoid(design @ coefficients + offset)
    moved = deviations((yes - fitted)[:, None] * design, yes, prevalence)
    weights = weights_at(yes, prevalence) * fitted * (1 - fitted)
    products = [[np.bincount(numbers, weights * a * b, clusters) for a in design.T] for b in design.T]
    information = np.moveaxis(np.array(products), 2, 0)  # (clusters, k, k)
    sums = np.stack([np.bincount(numbers, column, clusters) for column in moved.T], axis=1)
    try:
        changes = np.linalg.solve(information.sum(axis=0) - information, sums[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return np.full(design.shape[1], np.nan)
    return np.asarray(np.sqrt((clusters - 1) / clusters * ((changes - changes.mean(axis=0)) ** 2).sum(axis=0)))


def _information(design: Floats, fitted: Floats, weights: Floats) -> Floats:
    return np.asarray(design.T @ (design * (weights * fitted * (1 - fitted))[:, None]))
