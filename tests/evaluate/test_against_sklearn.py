"""Areas against scikit-learn's, on tables with many ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc as area_under
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from fourview.evaluate import auc, average_precision, trapezoid_pr_area

EXACT = 1e-12


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Truth with both classes, and scores on few or many steps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    units = draw(st.integers(3, 400))
    positives = draw(st.integers(1, units - 1))
    steps = draw(st.sampled_from([1, 2, 5, 20, 1000]))
    truth = rng.permutation(np.arange(units) < positives).astype(int)
    return truth, np.round((rng.random(units) + rng.uniform(-0.5, 1) * truth) * steps) / steps


@settings(max_examples=300, deadline=None)
@given(tables())
def test_the_three_areas_are_scikit_learns(table) -> None:
    truth, score = table
    assert auc(truth, score).value == pytest.approx(roc_auc_score(truth, score), abs=EXACT)
    assert average_precision(truth, score).value == pytest.approx(average_precision_score(truth, score), abs=EXACT)
    precision, recall, _ = precision_recall_curve(truth, score)
    assert trapezoid_pr_area(truth, score) == pytest.approx(area_under(recall, precision), abs=EXACT)


def test_the_three_areas_are_scikit_learns_on_a_large_table() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random(100_000) < 0.02).astype(int)
    score = np.round(rng.standard_normal(100_000) + 1.5 * truth, 2)
    assert auc(truth, score).value == pytest.approx(roc_auc_score(truth, score), abs=EXACT)
    assert average_precision(truth, score).value == pytest.approx(average_precision_score(truth, score), abs=EXACT)


def test_the_average_precision_at_a_prevalence_is_scikit_learns_with_weights() -> None:
    rng = np.random.default_rng(6)
    truth = (rng.random(600) < 0.3).astype(int)
    score = np.round(rng.standard_normal(600) + truth, 1)
    weight = np.where(truth == 1, 0.01 / truth.mean(), 0.99 / (1 - truth.mean()))
    expected = average_precision_score(truth, score, sample_weight=weight)
    assert average_precision(truth, score, prevalence=0.01).value == pytest.approx(expected, abs=EXACT)
