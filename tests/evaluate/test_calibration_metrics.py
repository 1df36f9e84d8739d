"""Scores as probabilities, measured: against scikit-learn, against resampling, and with planted distortions."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from fourview.evaluate.calibration_metrics import (
    brier,
    calibration_in_the_large,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability,
)
from fourview.evaluate.estimate import Estimate
from fourview.exam import SetupError

Table = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(p / (1 - p))


def draw(rng: np.random.Generator, *, women: int = 400, slope: float = 1.0, intercept: float = 0.0) -> Table:
    """Two breasts per woman with a risk in common; the scores are the risks' logits, distorted."""
    risk = rng.normal(-1.0, 1.2, women)[:, None] + rng.normal(0, 0.6, (women, 2))
    truth = rng.random((women, 2)) < 1 / (1 + np.exp(-risk))
    scores = 1 / (1 + np.exp(-(risk - intercept) / slope))
    return truth.ravel(), scores.ravel(), np.repeat(np.arange(women), 2)


def mix(table: Table, prevalence: float) -> NDArray[np.float64]:
    yes = table[0]
    return np.where(yes, prevalence / yes.sum(), (1 - prevalence) / (~yes).sum())


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_brier_score_and_log_loss_are_those_of_scikit_learn(prevalence: float | None) -> None:
    truth, scores, cluster = table = draw(np.random.default_rng(1))
    weights = None if prevalence is None else mix(table, prevalence)
    assert brier(truth, scores, cluster=cluster, prevalence=prevalence).value == pytest.approx(
        brier_score_loss(truth, scores, sample_weight=weights)
    )
    assert log_loss(truth, scores, cluster=cluster, prevalence=prevalence).value == pytest.approx(
        sklearn_log_loss(truth, scores, sample_weight=weights)
    )


def test_the_line_is_that_of_a_logistic_regression() -> None:
    truth, scores, _ = table = draw(np.random.default_rng(2))
    for prevalence in (None, 0.02):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        weights = None if prevalence is None else mix(table, prevalence) * 1000
        model.fit(logit(scores)[:, None], truth, sample_weight=weights)
        slope, intercept = calibration_line(truth, scores, prevalence=prevalence)
        assert slope.value == pytest.approx(model.coef_[0, 0], abs=1e-4)
        assert intercept.value == pytest.approx(model.intercept_[0], abs=1e-4)


def test_a_planted_distortion_is_found_within_its_interval() -> None:
    for seed in range(5):
        table = draw(np.random.default_rng(seed), women=3000, slope=0.7, intercept=-0.8)
        slope, intercept = calibration_line(*table[:2], cluster=table[2])
        assert slope.low < 0.7 < slope.high
        assert intercept.low < -0.8 < intercept.high


def test_calibrated_scores_need_nothing_added_and_doubled_odds_need_a_half() -> None:
    truth, scores, cluster = draw(np.random.default_rng(3), women=3000)
    as_is = calibration_in_the_large(truth, scores, cluster=cluster)
    odds = 2 * scores / (1 - scores)
    doubled = calibration_in_the_large(truth, odds / (1 + odds), cluster=cluster)
    assert as_is.low < 0 < as_is.high
    assert doubled.value == pytest.approx(as_is.value - math.log(2))


def slope_of(truth: NDArray[np.bool_], scores: NDArray[np.float64], **more: object) -> Estimate:
    return calibration_line(truth, scores, **more)[0]  # type: ignore[arg-type]


def intercept_of(truth: NDArray[np.bool_], scores: NDArray[np.float64], **more: object) -> Estimate:
    return calibration_line(truth, scores, **more)[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", [brier, log_loss, slope_of, intercept_of, calibration_in_the_large])
@pytest.mark.parametrize("prevalence", [None, 0.05])
def test_clustered_standard_errors_agree_with_resampled_women(
    metric: Callable[..., Estimate], prevalence: float | None
) -> None:
    truth, scores, cluster = draw(np.random.default_rng(4), slope=0.8)
    truth[1::2], scores[1::2] = truth[::2], scores[::2]  # both breasts alike: half as many women as breasts
    estimate = metric(truth, scores, cluster=cluster, prevalence=prevalence)
    rng = np.random.default_rng(5)
    women = truth.reshape(-1, 2), scores.reshape(-1, 2)
    resampled = []
    for _ in range(1000):
        drawn = rng.integers(0, 400, 400)
        resampled.append(metric(*(column[drawn].ravel() for column in women), prevalence=prevalence).value)
    assert estimate.se == pytest.approx(np.std(resampled), rel=0.08)
    assert metric(truth, scores, prevalence=prevalence).se == pytest.approx(estimate.se / math.sqrt(2), rel=0.03)


def test_the_calibration_error_of_four_units_in_two_bins() -> None:
    truth, scores = [0, 1, 1, 1], [0.1, 0.3, 0.8, 0.6]
    found = expected_calibration_error(truth, scores, bins=2)
    assert found.value == pytest.approx(0.5 * abs(0.5 - 0.2) + 0.5 * abs(1 - 0.7))
    assert "2 bins of equal count" in found.name


def test_the_calibration_error_weighs_classes_at_another_prevalence() -> None:
    truth, scores = [0, 1, 0, 1], [0.1, 0.1, 0.8, 0.8]
    found = expected_calibration_error(truth, scores, bins=2, by="width", prevalence=0.1)
    assert found.value == pytest.approx(0.5 * abs(0.1 - 0.1) + 0.5 * abs(0.1 - 0.8))


def test_the_calibration_error_is_the_same_at_every_call_and_other_with_another_seed() -> None:
    truth, scores, cluster = draw(np.random.default_rng(6))
    first, again, other = (expected_calibration_error(truth, scores, cluster=cluster, seed=s) for s in (0, 0, 1))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_the_interval_of_the_calibration_error_begins_at_0_where_chance_alone_shows_as_much() -> None:
    calibrated = [
        expected_calibration_error(*t[:2], cluster=t[2]) for t in map(draw, map(np.random.default_rng, range(8)))
    ]
    assert all(e.value > 0.01 for e in calibrated)
    assert sum(e.low == 0 for e in calibrated) >= 7
    truth, scores, cluster = draw(np.random.default_rng(9), slope=0.4)
    found = expected_calibration_error(truth, scores, cluster=cluster)
    assert 0.05 < found.low < found.value < found.high


def test_ties_share_a_bin_and_bins_hold_about_as_many_units() -> None:
    truth, scores, cluster = draw(np.random.default_rng(7))
    tied = np.where(scores < np.median(scores), 0.1, scores)
    found = reliability(truth, tied, bins=4, cluster=cluster).bins
    assert [b.observed.n for b in found] == [400, 200, 200]
    assert all(before.highest < after.lowest for before, after in pairwise(found))
    assert sum(b.observed.positives for b in found) == truth.sum()


def test_bins_of_equal_width_leave_empty_ranges_out() -> None:
    found = reliability([0, 0, 1, 1], [0.05, 0.15, 0.16, 1.0], bins=10, by="width").bins
    assert [(b.lowest, b.highest, b.observed.value) for b in found] == [(0.05, 0.05, 0), (0.15, 0.16, 0.5), (1, 1, 1)]


def test_observed_shares_at_another_prevalence_have_their_odds_multiplied() -> None:
    truth, scores, cluster = draw(np.random.default_rng(8))
    as_is = reliability(truth, scores, bins=1, cluster=cluster).bins[0].observed
    moved = reliability(truth, scores, bins=1, cluster=cluster, prevalence=0.01).bins[0].observed
    assert moved.value == pytest.approx(0.01)
    factor = 0.01 / 0.99 * (1 - truth.mean()) / truth.mean()
    assert moved.low / (1 - moved.low) == pytest.approx(factor * as_is.low / (1 - as_is.low))
    assert moved.high / (1 - moved.high) == pytest.approx(factor * as_is.high / (1 - as_is.high))


def test_a_line_through_separated_classes_is_no_number_and_says_why() -> None:
    for scores in ([0.1, 0.2, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5]):
        slope, intercept = calibration_line([0, 0, 1, 1], scores)
        assert math.isnan(slope.value)
        assert math.isnan(intercept.low)
        assert any("separate the classes" in text for text in slope.warnings)


def test_scores_of_0_and_1_are_taken_as_a_little_less_sure_and_counted() -> None:
    found = log_loss([0, 1, 1], [0.0, 0.0, 1.0])
    assert found.value == pytest.approx(math.log(1e7) / 3, rel=1e-6)
    assert any(text.startswith("3 scores") for text in found.warnings)


@pytest.mark.parametrize(
    ("scores", "prevalence", "message"),
    [
        ([0.1, 1.2], None, "need probabilities"),
        ([0.1, -0.2], None, "need probabilities"),
        ([0.1, 0.2], 0.0, "prevalence"),
        ([0.1, 0.2], 1.0, "prevalence"),
    ],
)
def test_what_is_no_probability_is_refused(scores: list[float], prevalence: float | None, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        brier([0, 1], scores, prevalence=prevalence)


def test_readers_and_models_of_the_public_reader_study_are_measured(shared: Path) -> None:
    with (shared / "data/nyu_reader_study/reader_study_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    truth = np.array([float(row["label"]) for row in rows])
    cluster = [row["case_ID"] for row in rows]
    scores = np.array([float(row["AI_DMVCNN_POM"]) for row in rows])
    found = brier(truth, scores, cluster=cluster)
    assert (found.n, found.positives, found.clusters) == (1440, 61, 720)
    assert found.value == pytest.approx(brier_score_loss(truth, scores))
    too_high = calibration_in_the_large(truth, scores, cluster=cluster, prevalence=0.005)
    assert too_high.high < -2  # made for an enriched table: at a screening prevalence far too high
