"""Scores of a cross-validation made comparable: each by its rank among those of its own fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError


def rank_in_folds(scores: NDArray[np.float64], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """(units,) the share of its fold that a unit's score exceeds, ties a half.

    Every fold has a model of its own, and their scores are not on one scale: units are compared within their fold, and
    pooled by where they stand in it. Folds need the same shares of labels (stratified ones have them). Without it, an
    AUC over all folds is too low: a fold with more positives than others leaves fewer to the model that reads it, whose
    scores are then lower. Coarse scores, which tie within a fold and not between folds, lose most.
    The bias: Forman and Scholz 2010; Airola et al. 2011. Raises SetupError: not a fold per score.
    """
    if scores.shape != folds.shape:
        raise SetupError(f"found {scores.size} scores and {folds.size} folds; need one fold per score")
    ranked = np.empty(len(scores))
    for fold in np.unique(folds):
        own = scores[folds == fold]
        ordered = np.sort(own)
        below, upto = np.searchsorted(ordered, own, "left"), np.searchsorted(ordered, own, "right")
        ranked[folds == fold] = (below + upto) / (2 * len(own))
    return ranked
