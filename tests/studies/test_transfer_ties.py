"""Settings that the inner folds find equally good: what is taken, with ties that are planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fourview.evaluate import RocCurves
from fourview.studies.transfer import nested
from fourview.studies.transfer.folds import draw_folds, walk_folds
from fourview.studies.transfer.nested import choose_setting, tune
from fourview.studies.transfer.steps import Method
from tests.studies.drawn_features import draw_cases

CASES = draw_cases(160, 48)
FOLDS = draw_folds(CASES.y, CASES.patients, folds=5, seed=0)  # those that tune draws
SIGNAL = np.random.default_rng(7).normal(size=160) + CASES.y
APART = SIGNAL + 9.0 * FOLDS  # ranks every fold as SIGNAL does, and all of them together by fold


def fold_mean(scores: np.ndarray) -> float:
    parts = [test for _, test in walk_folds(FOLDS, CASES.patients)]
    return float(np.mean([RocCurves.measure(CASES.y[part], scores[part]).areas[0] for part in parts]))


def pooled(scores: np.ndarray) -> float:
    return float(RocCurves.measure(CASES.y, scores).areas[0])


def test_the_planted_settings_are_equal_in_every_fold_and_not_in_all_folds_together() -> None:
    assert fold_mean(APART) == fold_mean(SIGNAL)
    assert pooled(APART) < pooled(SIGNAL) - 0.1


@pytest.mark.parametrize("order", [(APART, SIGNAL), (SIGNAL, APART), (APART, APART / 2, SIGNAL)])
def test_of_equals_the_one_with_the_largest_pooled_area_is_chosen_wherever_it_stands(
    order: tuple[np.ndarray, ...],
) -> None:
    best = choose_setting(np.full(len(order), fold_mean(SIGNAL)), CASES.y, np.stack(order))
    assert order[best] is SIGNAL


def test_of_equals_in_both_the_strictest_is_chosen() -> None:
    worse = -SIGNAL
    said = np.stack([worse, APART, SIGNAL, SIGNAL * 2])
    areas = np.array([fold_mean(row) for row in said])
    assert choose_setting(areas, CASES.y, said) == 2


def test_a_larger_mean_wins_whatever_all_folds_together_say() -> None:
    assert choose_setting(np.array([0.70, 0.71]), CASES.y, np.stack([SIGNAL, APART])) == 1


def test_means_that_differ_by_rounding_alone_are_equal() -> None:
    assert choose_setting(np.array([0.7 + 1e-12, 0.7]), CASES.y, np.stack([APART, SIGNAL])) == 1


def test_tune_chooses_so_and_fits_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of the seven strengths of logistic regression: all rank alike, the fourth alone holds folds together."""
    grid = Method("lr", "none").settings
    said = np.stack([APART] * 3 + [SIGNAL] + [APART] * 3)
    values = np.column_stack([np.arange(160.0), SIGNAL])  # the first column says which row it is

    def planted(method: Method, train: Any, y: Any, test: np.ndarray, *, seed: int) -> np.ndarray:
        return said[:, test[:, 0].astype(int)]

    monkeypatch.setattr(nested, "_score_grid", planted)
    tuned = tune(values, CASES, Method("lr", "none"))
    fitted = tuned.pipeline.steps[-1][1]
    assert (tuned.setting, fitted.C) == (grid[3], grid[3].value)
    assert tuned.area == pytest.approx(fold_mean(SIGNAL))
    assert (tuned.centre, tuned.spread) == (pytest.approx(SIGNAL.mean()), pytest.approx(SIGNAL.std()))
