"""Thresholds are chosen on one table and applied to another; what they do is counted with intervals."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from fourview.evaluate.operating import (
    LOCK_FILE,
    Rule,
    ThresholdLock,
    choose_threshold,
    load_lock,
    lock_thresholds,
    operate,
    probabilistic_f1,
    take_thresholds,
)
from fourview.evaluate.population import Population
from fourview.evaluate.proportion import wilson
from fourview.evaluate.readings_table import Units, load_units
from fourview.exam import SetupError

TRUTH = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
SCORES = np.array([0.9, 0.8, 0.6, 0.2, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])


def table(folder: Path, name: str, *, weights: str = "w1", high: float = 0.9) -> Units:
    path = folder / f"{name}.csv"
    rows = [(f"e{k}", s if s < 0.9 else high, t) for k, (s, t) in enumerate(zip(SCORES, TRUTH, strict=True))]
    path.write_text(
        "exam,side,p_malignant,malignant,weights_hash\n"
        + "".join(f"{exam},L,{score},{truth},{weights}\n" for exam, score, truth in rows)
    )
    return load_units(path, path)


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        ("a:specificity=0.5", 0.4),  # 3 of 6 negatives lie below 0.4
        ("a:specificity=0.9", 0.8),
        ("a:sensitivity=0.75", 0.6),
        ("a:sensitivity=1", 0.2),
        ("youden", 0.8),  # 2/4 + 6/6
    ],
)
def test_a_rule_chooses_a_score_of_the_table(rule: str, threshold: float) -> None:
    assert choose_threshold(TRUTH, SCORES, Rule.parse(rule)) == pytest.approx(threshold)


def test_a_rule_that_no_score_satisfies_is_refused() -> None:
    with pytest.raises(SetupError, match="no score has a specificity at least 1"):
        choose_threshold([1, 0, 0], [0.1, 0.5, 0.2], Rule.parse("all:specificity=1"))


@pytest.mark.parametrize("text", ["", "a:specificity=2", "a:accuracy=0.9", "a:specificity=high"])
def test_a_rule_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="need NAME:specificity"):
        Rule.parse(text)


def test_counts_at_a_threshold_are_exact() -> None:
    found = {e.name: e for e in operate(TRUTH, SCORES, 0.6)}
    assert found["sensitivity"].value == 3 / 4
    assert found["specificity"].value == pytest.approx(4 / 6)
    assert found["PPV in this table"].value == 3 / 5
    assert found["NPV in this table"].value == 4 / 5
    assert found["accuracy"].value == 7 / 10
    assert found["called positive"].value == 5 / 10
    assert found["balanced accuracy"].value == pytest.approx(balanced_accuracy_score(TRUTH, SCORES >= 0.6))
    assert (found["sensitivity"].low, found["sensitivity"].high) == wilson(0.75, 4)


def test_predictive_values_at_the_tables_prevalence_are_the_tables_and_fall_with_it() -> None:
    own = {e.name: e.value for e in operate(TRUTH, SCORES, 0.6, prevalence=0.4)}
    assert own["PPV at a prevalence of 0.4"] == pytest.approx(own["PPV in this table"])
    assert own["NPV at a prevalence of 0.4"] == pytest.approx(own["NPV in this table"])
    rare = {e.name: e for e in operate(TRUTH, SCORES, 0.6, prevalence=0.005)}
    ppv = rare["PPV at a prevalence of 0.005"]
    assert ppv.value == pytest.approx(0.005 * 0.75 / (0.005 * 0.75 + 0.995 / 3))
    assert ppv.low < ppv.value < ppv.high


def test_the_interval_of_a_predictive_value_is_the_one_resampling_gives() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(3000) < 0.2
    scores = rng.normal(truth * 1.5)
    found = {e.name: e for e in operate(truth, scores, 1.0, prevalence=0.01)}["PPV at a prevalence of 0.01"]

    def ppv(k: np.ndarray) -> float:
        a, b = (scores[k][truth[k]] >= 1).mean(), (scores[k][~truth[k]] >= 1).mean()
        return float(0.01 * a / (0.01 * a + 0.99 * b))

    drawn = [ppv(rng.integers(0, 3000, 3000)) for _ in range(1000)]
    assert (found.low, found.high) == pytest.approx(np.percentile(drawn, (2.5, 97.5)), rel=0.05)


def test_a_pair_of_breasts_counts_as_one_where_they_always_agree() -> None:
    twice = np.repeat(np.arange(10), 2)
    single = {e.name: e for e in operate(TRUTH, SCORES, 0.6, cluster=np.arange(10))}
    double = {e.name: e for e in operate(np.repeat(TRUTH, 2), np.repeat(SCORES, 2), 0.6, cluster=twice)}
    for name in ("specificity", "balanced accuracy", "accuracy"):
        assert double[name].low == pytest.approx(single[name].low, abs=0.02)


def test_a_rare_class_without_a_wrong_call_is_not_taken_to_be_known() -> None:
    truth = np.arange(27) < 3
    scores = np.where(truth | (np.arange(27) >= 22), 1.0, 0.0)  # 3 of 3 found, 19 of 24 left alone
    found = {e.name: e for e in operate(truth, scores, 0.5)}
    balanced = found["balanced accuracy"]
    assert balanced.value == pytest.approx((1 + 19 / 24) / 2)
    assert balanced.low < balanced.value - (1 - found["sensitivity"].low) / 2 + 1e-9
    assert balanced.high <= 1
    assert "only 3" in balanced.warnings[0]


def test_the_interval_of_balanced_accuracy_holds_the_truth_where_positives_are_few() -> None:
    rng = np.random.default_rng(8)
    truth = np.arange(60) < 12
    right = 0.88
    held = 0
    for _ in range(400):
        called = np.where(rng.random(60) < right, truth, ~truth).astype(float)
        balanced = {e.name: e for e in operate(truth, called, 0.5)}["balanced accuracy"]
        held += balanced.low <= right <= balanced.high
    assert 0.925 < held / 400 < 0.99


def test_probabilistic_f1_is_the_harmonic_mean_of_both_shares() -> None:
    precision, recall = (SCORES * TRUTH).sum() / SCORES.sum(), (SCORES * TRUTH).sum() / TRUTH.sum()
    found = probabilistic_f1(TRUTH, SCORES)
    assert found.value == pytest.approx(2 * precision * recall / (precision + recall))
    assert probabilistic_f1(TRUTH, SCORES, prevalence=0.4).value == pytest.approx(found.value)
    assert probabilistic_f1(TRUTH, SCORES, prevalence=0.005).value < found.value


def test_probabilistic_f1s_standard_error_is_the_one_resampling_gives() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(2000) < 0.1
    scores = 1 / (1 + np.exp(-rng.normal(truth * 2 - 2)))
    for prevalence in (None, 0.01):
        found = probabilistic_f1(truth, scores, prevalence=prevalence)
        drawn = []
        for _ in range(800):
            k = rng.integers(0, 2000, 2000)
            drawn.append(probabilistic_f1(truth[k], scores[k], prevalence=prevalence).value)
        assert found.se == pytest.approx(np.std(drawn), rel=0.1)


def test_a_lock_travels_through_its_file_to_another_table(tmp_path: Path) -> None:
    chosen_on = table(tmp_path, "development")
    lock = lock_thresholds([chosen_on], [Rule.parse("recall:specificity=0.6")])
    (tmp_path / LOCK_FILE).write_text(lock.model_dump_json())
    assert load_lock(tmp_path / LOCK_FILE) == lock
    (only,), warnings = take_thresholds(lock, table(tmp_path, "test", high=0.95), file="lock")
    assert (only.threshold, only.sensitivity, only.n, only.positives) == (0.6, 0.75, 10, 4)
    assert warnings == ()


def test_a_threshold_used_on_the_table_it_was_chosen_on_is_said_to_flatter(tmp_path: Path) -> None:
    own = table(tmp_path, "development")
    _, warnings = take_thresholds(lock_thresholds([own], [Rule.parse("youden")]), own, file="lock")
    assert "chosen on this very table" in warnings[0]


def test_a_lock_of_another_model_or_question_is_refused(tmp_path: Path) -> None:
    lock = lock_thresholds([table(tmp_path, "development")], [Rule.parse("youden")])
    with pytest.raises(SetupError, match="weights_hash w1, readings of w2"):
        take_thresholds(lock, table(tmp_path, "test", weights="w2"), file="lock")
    exams = load_units(tmp_path / "development.csv", tmp_path / "development.csv", unit="exam")
    with pytest.raises(SetupError, match="malignant per breast; need malignant per exam"):
        take_thresholds(lock, exams, file="lock")


def test_a_lock_of_another_score_or_population_is_refused_or_said(tmp_path: Path) -> None:
    lock = lock_thresholds([table(tmp_path, "development")], [Rule.parse("youden")])
    other = table(tmp_path, "test", high=0.95)
    moved = load_units(tmp_path / "test.csv", tmp_path / "test.csv", population=Population(unknown="excluded"))
    assert any("another population" in warning for warning in take_thresholds(lock, moved, file="lock")[1])
    with pytest.raises(SetupError, match="on the column p_malignant; need ones on other"):
        take_thresholds(lock, replace(other, score="other"), file="lock")


def test_the_same_truth_with_other_line_ends_still_is_the_table_it_was_chosen_on(tmp_path: Path) -> None:
    own = table(tmp_path, "development")
    lock = lock_thresholds([own], [Rule.parse("youden")])
    path = tmp_path / "development.csv"
    (tmp_path / "copy.csv").write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    _, warnings = take_thresholds(lock, load_units(path, tmp_path / "copy.csv"), file="lock")
    assert "this very table" in warnings[0]


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need each once"):
        lock_thresholds([table(tmp_path, "d")], [Rule.parse("a:youden"), Rule.parse("a:specificity=0.5")])


def test_a_file_that_is_no_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": "fourview thresholds 1"}')
    with pytest.raises(SetupError, match="need a lock file"):
        load_lock(tmp_path / "x.json")
    with pytest.raises(SetupError, match="cannot be read"):
        load_lock(tmp_path / "nowhere.json")
    assert "thresholds" in ThresholdLock.model_fields


def test_without_a_called_unit_the_predictive_value_is_unknown() -> None:
    found = {e.name: e for e in operate(TRUTH, SCORES, 1.0, prevalence=0.1)}
    assert math.isnan(found["PPV in this table"].value)
    assert math.isnan(found["PPV at a prevalence of 0.1"].value)
    assert found["specificity"].value == 1
