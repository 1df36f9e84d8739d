"""Average precision against its definition, resampling, and the real reader study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourview.evaluate import average_precision, trapezoid_pr_area
from fourview.evaluate.average_precision import _Curve, _measure
from fourview.exam import SetupError


def by_definition(truth, scores) -> float:
    """Sum over thresholds of precision times the gain in recall."""
    truth, scores = np.asarray(truth), np.asarray(scores)
    total, before = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        called = scores >= threshold
        recall = truth[called].sum() / truth.sum()
        total += truth[called].mean() * (recall - before)
        before = recall
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_it_is_the_mean_precision_at_the_positives_with_ties_together(seed, levels) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[1, 0, rng.integers(0, 2, 40)]
    scores = np.round((rng.random(42) + 0.3 * truth) * levels)
    expected = by_definition(truth, scores)
    assert average_precision(truth, scores).value == pytest.approx(expected, abs=1e-12)
    own = average_precision(truth, scores, prevalence=truth.mean())
    assert own.value == pytest.approx(expected, abs=1e-12)


def test_the_derivative_by_a_units_weight_is_that_of_repeating_it() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(30) < 0.4
    scores = np.round(rng.random(30) * 9)
    value, influence = _measure(_Curve.draw(truth, scores))
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    many = 2000
    for k in range(30):
        times = np.full(30, many)
        times[k] += 1
        moved, _ = _measure(_Curve.draw(np.repeat(truth, times), np.repeat(scores, times)))
        assert (moved - value) * many == pytest.approx(influence[k], abs=2e-4)


def test_another_prevalence_is_that_of_a_table_with_more_negatives() -> None:
    rng = np.random.default_rng(6)
    truth = np.r_[np.ones(20), np.zeros(20)]
    scores = np.round((rng.random(40) + 0.4 * truth) * 12)
    diluted = np.r_[np.ones(20), np.zeros(20 * 49)]
    expected = by_definition(diluted, np.r_[scores[:20], np.tile(scores[20:], 49)])
    assert average_precision(truth, scores, prevalence=0.02).value == pytest.approx(expected, abs=1e-12)


def test_the_standard_error_is_that_of_resampling_clusters() -> None:
    rng = np.random.default_rng(5)
    women = 400
    ill = rng.random(women) < 0.25
    truth = np.repeat(ill, 2).astype(int) * (rng.random(2 * women) < 0.7)
    scores = rng.normal(size=2 * women) + np.repeat(rng.normal(size=women), 2) + 1.3 * truth
    cluster = np.repeat(np.arange(women), 2)
    found = average_precision(truth, scores, cluster=cluster)
    resampled = []
    for _ in range(600):
        picked = rng.integers(0, women, women)
        units = (2 * picked[:, None] + np.arange(2)).ravel()
        resampled.append(average_precision(truth[units], scores[units]).value)
    assert found.se == pytest.approx(np.std(resampled), rel=0.12)
    assert found.low < found.value < found.high
    assert found.clusters == women
    rare = average_precision(truth, scores, cluster=cluster, prevalence=0.01)
    again = average_precision(truth, scores, cluster=cluster, prevalence=0.01)
    alone = average_precision(truth, scores, prevalence=0.01)
    assert rare == again  # the seed is fixed
    assert rare.low < rare.value < rare.high
    assert rare.se != alone.se


@pytest.fixture(scope="module")
def study(shared: Path) -> pl.DataFrame:
    return pl.read_csv(shared / "data/nyu_reader_study/reader_study_results.csv")


def test_the_reader_study_has_the_known_numbers(study: pl.DataFrame) -> None:
    truth = study["label"].to_numpy()
    readers = [study[f"Reader{r:02}_POM"].to_numpy() for r in range(1, 15)]
    found = [average_precision(truth, r).value for r in readers]
    known = [.261, .317, .374, .453, .294, .304, .320, .329, .345, .287, .317, .328, .364, .244]  # fmt: skip
    assert np.round(found, 3).tolist() == pytest.approx(known, abs=1e-9)
    assert np.mean(found) == pytest.approx(0.3241, abs=5e-5)
    assert average_precision(truth, np.mean(readers, axis=0)).value == pytest.approx(0.515, abs=5e-4)
    trapezoids = [trapezoid_pr_area(truth, r) for r in readers]
    assert (np.mean(trapezoids), min(trapezoids), max(trapezoids)) == pytest.approx((0.358, 0.259, 0.478), abs=6e-4)
    dmv = study["AI_DMVCNN_POM"].to_numpy()
    enriched = average_precision(truth, dmv, cluster=study["case_ID"].to_numpy())
    assert enriched.value == pytest.approx(0.167, abs=5e-4)
    screening = average_precision(truth, dmv, cluster=study["case_ID"].to_numpy(), prevalence=0.005)
    assert 0.01 < screening.value < 0.03
    assert "at a prevalence of 0.005" in screening.method


def test_wrong_prevalences_are_refused() -> None:
    for prevalence in (0, 1, 4.2):
        with pytest.raises(SetupError, match="need a share between 0 and 1"):
            average_precision([0, 1], [0.1, 0.2], prevalence=prevalence)
