"""Computed averages: what is averaged, that no weight is measured where it was chosen, and what ties contribute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourview.evaluate import auc
from fourview.evaluate.covariance import metric_values
from fourview.evaluate.hybrid import (
    CLIP,
    WEIGHTS,
    Sweep,
    average_scores,
    break_ties,
    measure_hybrid,
    split_in_halves,
    sweep_weights,
)
from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError


def make_study(seed: int = 0, exams: int = 60, readers: int = 3, *, cluster: str = "exam") -> ReaderStudy:
    rng = np.random.default_rng(seed)
    exam = np.repeat(np.arange(exams), 2)
    truth = np.zeros(2 * exams, bool)
    truth[: exams // 2 : 2] = True
    rate = np.clip(np.round(rng.random((readers, 2 * exams)) * 0.6 + 0.3 * truth, 1), 0, 1)
    model = np.clip(rng.random((1, 2 * exams)) * 0.7 + 0.2 * truth, 0, 1)
    names = tuple(f"Reader{k}" for k in range(readers))
    labels = None if cluster == "none" else exam
    return ReaderStudy(truth, rate, names, model, ("model",), exam, labels, cluster)  # type: ignore[arg-type]


def test_raw_averages_are_weighted_means_of_probabilities() -> None:
    found = average_scores(np.array([[0.0, 0.4], [1.0, 0.2]]), np.array([0.5, 0.3]), weight=0.25)
    np.testing.assert_allclose(found, [[0.375, 0.325], [0.625, 0.275]])


def test_logit_averages_are_probabilities_and_keep_certain_readers_finite() -> None:
    found = average_scores(np.array([0.0, 1.0, 0.2]), np.array([0.5, 0.5, 0.2]), weight=0.5, average="logit")
    assert found[2] == pytest.approx(0.2)
    assert found[0] == pytest.approx(1 - found[1])
    odds = found[0] / (1 - found[0])
    assert odds == pytest.approx((CLIP / (1 - CLIP)) ** 0.5)


def test_rank_averages_depend_on_order_only() -> None:
    rng = np.random.default_rng(0)
    reader, model = np.round(rng.random((2, 30)), 1), rng.random(30)
    first = average_scores(reader, model, weight=0.3, average="rank")
    second = average_scores(reader**3, np.sqrt(model) / 2, weight=0.3, average="rank")
    np.testing.assert_allclose(first, second)
    assert 0 < first.min() < first.max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["raw", "logit", "rank"]))
def test_all_weight_on_one_of_both_ranks_as_that_one(seed, average) -> None:
    rng = np.random.default_rng(seed)
    reader, model = 0.01 + 0.98 * np.round(rng.random(40), 1), 0.01 + 0.98 * rng.random(40)
    truth = np.r_[1, 0, rng.integers(0, 2, 38)]
    for weight, alone in ((1.0, reader), (0.0, model)):
        averaged = average_scores(reader, model, weight=weight, average=average)
        assert auc(truth, averaged).value == pytest.approx(auc(truth, alone).value, abs=1e-12)


def test_a_weight_outside_0_and_1_is_refused() -> None:
    with pytest.raises(SetupError, match=r"found 1\.5"):
        average_scores(np.array([0.1]), np.array([0.2]), weight=1.5)


def test_breaking_ties_keeps_the_readers_order_and_takes_the_models_within_ties() -> None:
    reader, model = np.array([0.1, 0.1, 0.2, 0.0]), np.array([0.9, 0.3, 0.1, 0.9])
    assert np.argsort(break_ties(reader, model)).tolist() == [3, 1, 0, 2]
    both = break_ties(np.stack([reader, np.zeros(4)]), model)
    np.testing.assert_allclose(both[0], break_ties(reader, model))
    assert both[1][0] == both[1][3]  # alike for reader and model


def test_halves_share_no_exam_and_as_many_exams_with_a_positive() -> None:
    study = make_study()
    half = split_in_halves(study)
    first, second = set(study.groups[half]), set(study.groups[~half])
    assert not first & second
    assert abs(len(first) - len(second)) <= 2
    with_positive = set(study.groups[study.truth])
    assert abs(len(first & with_positive) - len(second & with_positive)) <= 1
    np.testing.assert_array_equal(half, split_in_halves(study))
    assert not np.array_equal(half, split_in_halves(study, seed=1))


def test_exams_stay_whole_also_where_breasts_are_taken_as_independent() -> None:
    study = make_study(cluster="none")
    half = split_in_halves(study)
    assert not set(study.groups[half]) & set(study.groups[~half])


def test_too_few_exams_with_positives_cannot_be_halved() -> None:
    with pytest.raises(SetupError, match="found 3 exams with a malignant breast"):
        split_in_halves(make_study(exams=12))


def test_the_weight_is_chosen_on_the_other_half() -> None:
    """Where the model is perfect in one half and reversed in the other, each half gets the weight that fails it."""
    study = make_study(1)
    half = split_in_halves(study)
    model = np.where(half == study.truth, 0.9, 0.1)[None]
    turned = ReaderStudy(
        study.truth, study.readers, study.reader_names, model, ("model",), study.groups, study.cluster, "exam"
    )
    found = measure_hybrid(turned, "model", weight=None)
    assert found.weights[0] > 0.8  # in the half where the model is right: chosen where it is wrong
    assert found.weights[1] < 0.6
    j = len(study.readers)
    values = found.measured["AUC"].values
    fitted = [sweep_weights(turned, "model", half=h).values.mean(axis=1).max() for h in (half, ~half)]
    assert values[j : 2 * j].mean() < np.mean(fitted) - 0.05


def test_chosen_weights_are_measured_within_halves_and_averaged() -> None:
    study = make_study(2)
    half = split_in_halves(study)
    found = measure_hybrid(study, "model", weight=None)
    expected = []
    for part, weight in ((half, found.weights[0]), (~half, found.weights[1])):
        scores = average_scores(study.readers, study.model("model"), weight=weight)
        expected.append(metric_values(study.truth[part], scores[:, part], metric="AUC"))
    np.testing.assert_allclose(found.measured["AUC"].values[3:6], np.mean(expected, axis=0))
    assert found.measured["AUC"].n == study.n


def test_of_equal_weights_the_one_nearest_one_half_is_taken() -> None:
    values = np.array([[0.7], [0.8], [0.8], [0.8], [0.6]])
    assert Sweep("AUC", (0.0, 0.1, 0.4, 0.9, 1.0), values).best() == 0.4


def test_a_sweep_runs_from_the_model_alone_to_the_readers_alone() -> None:
    study = make_study(3)
    found = sweep_weights(study, "model")
    assert found.weights == WEIGHTS
    assert (WEIGHTS[0], WEIGHTS[1], WEIGHTS[-1]) == (0, 0.05, 1)
    np.testing.assert_allclose(found.values[0], auc(study.truth, study.model("model")).value)
    np.testing.assert_allclose(found.values[-1], metric_values(study.truth, study.readers, metric="AUC"))


def test_in_the_real_study_most_of_the_gain_comes_from_ties(shared: Path) -> None:
    study = ReaderStudy.read(shared / "data/nyu_reader_study/reader_study_results.csv")
    model = study.model("AI_DMVCNN_POM")
    alone = metric_values(study.truth, study.readers, metric="AUC")
    averaged = metric_values(study.truth, average_scores(study.readers, model, weight=0.5), metric="AUC")
    ordered = metric_values(study.truth, break_ties(study.readers, model), metric="AUC")
    assert averaged.mean() == pytest.approx(0.8515, abs=5e-5)
    assert averaged.std() == pytest.approx(0.0217, abs=5e-5)
    assert (averaged.min(), averaged.max()) == pytest.approx((0.823, 0.903), abs=5e-4)
    assert (averaged > alone).all()
    assert (ordered - alone).mean() == pytest.approx(0.0657, abs=5e-5)
