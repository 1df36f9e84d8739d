"""Curves, their bands, and what is read off them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from fourview.evaluate.curves import GRID, draw_curves
from fourview.evaluate.decision import decision_curve


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.random(600) < 0.2
    return truth, np.round(1 / (1 + np.exp(-rng.normal(truth * 1.8 - 2))), 2)  # with ties


def test_the_curve_is_scikit_learns(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y, _ = roc_curve(*table, drop_intermediate=False)
    assert draw_curves(*table).roc.y == pytest.approx(np.interp(GRID, x, y))


def test_the_partial_area_is_scikit_learns(table: tuple[np.ndarray, np.ndarray]) -> None:
    assert draw_curves(*table).read_off[0].value == pytest.approx(roc_auc_score(*table, max_fpr=0.1))


@pytest.mark.parametrize("negatives", [10, 40, 100])
def test_the_partial_area_is_scikit_learns_where_its_end_is_a_step(negatives: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = np.arange(negatives + 12) < 12
        scores = rng.normal(truth * 1.0)
        found = draw_curves(truth, scores).read_off[0].value
        assert found == pytest.approx(roc_auc_score(truth, scores, max_fpr=0.1), abs=1e-12)


def test_where_nothing_varies_no_interval_is_given() -> None:
    found = draw_curves([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]).read_off[1]
    assert found.value == 1
    assert np.isnan(found.low)
    assert "no interval can be given" in found.warnings[-1]


def test_what_is_read_off_is_a_threshold_that_exists(table: tuple[np.ndarray, np.ndarray]) -> None:
    x, y, _ = roc_curve(*table, drop_intermediate=False)
    found = {e.name: e for e in draw_curves(*table).read_off}
    assert found["sensitivity at specificity 0.90"].value == y[x <= 0.1 + 1e-12].max()
    assert found["specificity at sensitivity 0.80"].value == 1 - x[y >= 0.8].min()


def test_intervals_hold_the_value_and_widen_with_clusters_of_copies(table: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = table
    alone = draw_curves(np.tile(truth, 2), np.tile(scores, 2)).read_off
    pairs = draw_curves(np.tile(truth, 2), np.tile(scores, 2), cluster=np.tile(np.arange(600), 2)).read_off
    for a, b in zip(alone, pairs, strict=True):
        assert a.low <= a.value <= a.high
        assert b.se > 1.2 * a.se


def test_precision_at_a_small_prevalence_is_smaller(table: tuple[np.ndarray, np.ndarray]) -> None:
    found = draw_curves(*table, prevalence=0.005)
    here, there = found.pr, found.pr_at
    assert there is not None
    assert draw_curves(*table).pr_at is None
    truth, scores = table
    called = scores >= scores[truth].min()  # the first threshold with every positive
    assert here.y[-1] == pytest.approx(truth[called].mean())
    false = called[~truth].mean()
    assert there.y[-1] == pytest.approx(0.005 / (0.005 + 0.995 * false))
    assert (there.y <= here.y + 1e-12).all()


def test_net_benefit_follows_its_formula(table: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = table
    found = decision_curve(truth, scores)
    for k in (0, 20, 59):
        t = found.thresholds[k]
        called = scores >= t
        expected = ((called & truth).sum() - (called & ~truth).sum() * t / (1 - t)) / len(truth)
        assert found.score[k] == pytest.approx(expected)
        assert found.everybody[k] == pytest.approx((truth.sum() - (~truth).sum() * t / (1 - t)) / len(truth))
        assert found.low[k] <= found.score[k] <= found.high[k]
    rare = decision_curve(truth, scores, prevalence=0.005)
    assert rare.thresholds[0] == pytest.approx(0.001)
    assert rare.score.max() < 0.005
