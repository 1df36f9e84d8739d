"""Ranks in folds: what they keep, and the AUC that folds put together lose."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.evaluate import auc, rank_in_folds
from fourview.exam import SetupError


def test_a_score_is_the_share_of_its_own_fold_below_it() -> None:
    scores, folds = np.array([3.0, 1, 2, 2, 900, 100]), np.array([0, 0, 0, 0, 1, 1])
    assert rank_in_folds(scores, folds).tolist() == [7 / 8, 1 / 8, 1 / 2, 1 / 2, 3 / 4, 1 / 4]


def test_one_fold_keeps_its_auc_and_scales_of_folds_do_not_count() -> None:
    rng = np.random.default_rng(0)
    y, folds = rng.integers(0, 2, 200), np.repeat([0, 1], 100)
    scores = rng.normal(size=200) + y
    assert auc(y, rank_in_folds(scores, np.zeros(200, np.int64))).value == pytest.approx(auc(y, scores).value)
    moved = np.where(folds == 1, 5 * scores - 20, scores)
    assert (rank_in_folds(moved, folds) == rank_in_folds(scores, folds)).all()


def test_models_that_know_nothing_are_no_worse_than_chance() -> None:
    """Each fold is given the mean of the others' labels: over all folds that is worse than chance, in folds it ties."""
    y = np.random.default_rng(1).integers(0, 2, 50)
    folds = np.arange(50) // 5
    means = np.array([y[folds != fold].mean() for fold in range(10)])[folds]
    assert auc(y, means).value < 0.35
    ranked = np.round(rank_in_folds(means, folds), 12)
    assert set(ranked) == {0.5}


def test_each_score_needs_a_fold() -> None:
    with pytest.raises(SetupError, match="found 3 scores and 2 folds"):
        rank_in_folds(np.zeros(3), np.zeros(2, np.int64))
