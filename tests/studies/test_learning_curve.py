"""The learning curve: who is drawn and tested, what is measured, when a forecast is made and when it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from fourview.cli import app
from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.curve_measures import (
    Curve,
    SizePoint,
    balanced,
    draw_weights,
    measure_curve,
    multiply_strangers,
    pair_areas,
)
from fourview.studies.transfer.curve_rounds import (
    Round,
    RoundTask,
    choose_sizes,
    count_draws,
    do_round,
    load_round,
    save_round,
)
from fourview.studies.transfer.feature_set import save_features
from fourview.studies.transfer.few_patients import Trained, draw_patients, few_setting, train_few
from fourview.studies.transfer.forecast import fit_power_law, forecast
from fourview.studies.transfer.labels import read_labels
from fourview.studies.transfer.learning_curve import CurvePlan, open_curve, run_curve
from fourview.studies.transfer.steps import Method, Setting
from tests.studies.drawn_features import draw_cases, draw_features

PLAIN = Method("lr", "none", value=0.1)
CASES = draw_cases(160, 48)
VALUES = np.random.default_rng(5).normal(size=(160, 6))


def test_sizes_are_the_few_shot_ones_then_double_and_end_with_all_patients() -> None:
    assert choose_sizes(600, 5) == (5, 10, 20, 30, 50, 100, 200, 480)
    assert choose_sizes(30, 5) == (5, 10, 24)
    assert choose_sizes(600, 5, (7, 70)) == (7, 70, 480)
    with pytest.raises(SetupError, match="found 4 patients for training"):
        choose_sizes(5, 5)
    with pytest.raises(SetupError, match="--sizes: found 1 patients"):
        choose_sizes(60, 5, (1, 10))


def test_patients_are_drawn_in_proportion_and_at_least_one_of_each_kind() -> None:
    y = np.zeros(200, np.int64)
    y[:20] = 1  # 5 of 50 patients
    cases = Cases(y, np.arange(200) // 4, np.arange(200) // 2)
    for size, positive in ((2, 1), (5, 1), (20, 2), (50, 5)):
        rows = draw_patients(cases, size, np.random.default_rng(size))
        drawn = cases.take(rows)
        assert int(drawn.patients.max()) + 1 == size
        assert drawn.positive_patients == positive
        assert len(rows) == 4 * size


def test_with_two_positive_patients_nothing_is_tuned_and_with_three_it_is() -> None:
    y = np.repeat([1, 1, 1, 0, 0, 0, 0], 4)
    cases = Cases(y, np.arange(28) // 4, np.arange(28) // 2)
    values = np.random.default_rng(0).normal(size=(28, 5)) + y[:, None]
    method = Method("lr", "none")
    assert few_setting(method) == Setting(0.0, 1e-4)
    assert few_setting(Method("lr")).share == 0.05
    few = train_few(values[4:], cases.take(np.arange(4, 28)), method)
    assert (few.tuned, few.threshold) == (False, 0.0)
    assert (few.score(values) > 0).astype(int).tolist() == pytest.approx(y.tolist(), abs=1)
    assert train_few(values, cases, Method("lr", "none", value=0.1), inner=3).tuned


def test_the_same_images_are_tested_at_every_size_and_no_patient_is_on_both_sides() -> None:
    sizes = (5, 10, 32)
    seen: list[tuple[int, set[bytes], set[bytes]]] = []

    def note(values: np.ndarray, cases: Cases, *, seed: int) -> Trained:
        own = {row.tobytes() for row in values}

        def score(rows: np.ndarray) -> np.ndarray:
            seen.append((int(cases.patients.max()) + 1, own, {row.tobytes() for row in rows}))
            return np.asarray(rows[:, 0])

        return Trained(score, 0.0, True)

    done = do_round(RoundTask(VALUES, CASES, PLAIN, 0, sizes), all_sizes=sizes, train=note)
    owner = {VALUES[row].tobytes(): CASES.patients[row] for row in range(160)}
    for _, own, tested in seen:
        assert not {owner[row] for row in own} & {owner[row] for row in tested}
    trained = np.array([patients for patients, _, _ in seen]).reshape(5, 9)
    assert (trained[:, :8] == [*[5] * 4, *[10] * 4]).all()
    assert (trained[:, 8] + [len(tested) // 4 for _, _, tested in seen[8::9]] == 40).all()
    assert len({frozenset(tested) for _, _, tested in seen}) == 5
    for size in sizes:
        assert done.scores[size].shape == (count_draws(size, sizes), 160)
        assert (done.scores[size] == VALUES[:, 0]).all()


def test_a_round_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    done = do_round(RoundTask(VALUES, CASES, PLAIN, 0, (5, 32), folds=2, inner=2), all_sizes=(5, 32))
    save_round(tmp_path / "r.npz", done)
    back = load_round(tmp_path / "r.npz")
    assert (back.fold == done.fold).all()
    for size in (5, 32):
        assert back.scores[size] == pytest.approx(done.scores[size], rel=1e-5)
        assert (back.called[size] == done.called[size]).all()
        assert back.untuned[size] == done.untuned[size]
    (tmp_path / "r.npz").write_bytes(b"half of it")
    with pytest.raises(SetupError, match="found a round that cannot be read"):
        load_round(tmp_path / "r.npz")


def test_the_auc_counts_pairs_of_the_same_test_part_and_weights_are_repeated_images() -> None:
    fold = (CASES.patients % 2).astype(np.int64)
    score = VALUES[:, 0] + 100 * fold  # other classifiers, other scales
    areas, pairs = [], []
    for number in (0, 1):
        own = fold == number
        areas.append(roc_auc_score(CASES.y[own], score[own]))
        pairs.append(CASES.y[own].sum() * (1 - CASES.y[own]).sum())
    weights = draw_weights(CASES, np.random.default_rng(0))[:3]
    found = pair_areas(CASES.y, fold, score, weights)
    assert found[0] == pytest.approx(np.average(areas, weights=pairs))
    again = np.repeat(np.arange(160), weights[1].astype(int))
    ones = np.ones((1, len(again)))
    assert found[1] == pytest.approx(pair_areas(CASES.y[again], fold[again], score[again], ones)[0])
    assert balanced(CASES.y, CASES.y, weights) == pytest.approx(np.ones(3))


def test_the_spread_is_that_of_training_sets_and_not_of_test_parts() -> None:
    """Two draws that score alike have no spread, however much test parts differ."""
    fold = (CASES.patients % 2).astype(np.int64)
    same = np.stack([VALUES[:, 0], VALUES[:, 0]])
    signal = VALUES[:, 0] + 2 * CASES.y
    other = np.stack([signal, -signal])
    called = np.zeros((2, 160), np.int64)
    rounds = [Round(fold, {5: s, 10: other}, {5: called, 10: called}, {5: 0.0, 10: 0.0}) for s in (same, same)]
    few, more = measure_curve(rounds, CASES, (5, 10)).points
    assert few.auc_spread is not None
    assert more.auc_spread is not None
    assert (few.auc_spread.sd, few.auc_error) == (0, 0)
    assert few.auc.low < few.auc.value < few.auc.high
    assert more.auc_spread.sd > 0
    assert more.auc.value == pytest.approx(0.5)
    assert more.auc_spread.below is None  # the mean itself is not told from chance


def _rounds_of(quality: np.ndarray, cases: Cases, rng: np.random.Generator) -> list[Round]:
    """Each draw's scores of each test part: the truth times its own quality, and noise. quality (rounds, draws)"""
    images, rounds = len(cases.y), []
    for own in quality:
        scores = own[:, None] * cases.y + rng.normal(size=(len(own), images))
        fold = (rng.permutation(int(cases.patients.max()) + 1) % 5)[cases.patients]
        rounds.append(Round(fold, {5: scores}, {5: (scores > own[:, None] / 2).astype(np.int64)}, {5: 0.0}))
    return rounds


@pytest.mark.parametrize("scatter", [0.0, 0.6])
def test_the_spread_is_that_of_classifiers_on_endless_patients_however_small_the_test_parts(scatter: float) -> None:
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(60), 2)
    cases = Cases((owner % 3 == 0).astype(np.int64), owner, owner)
    quality = 1 + scatter * rng.normal(size=(60, 4))
    rounds = _rounds_of(quality, cases, rng)
    true = ndtr(quality / np.sqrt(2)), ndtr(quality / 2)  # AUC and balanced accuracy of normal scores, in closed form
    point = measure_curve(rounds, cases, (5,)).points[0]
    for found, areas in zip((point.auc_spread, point.balanced_spread), true, strict=True):
        assert found is not None
        expected = float(np.sqrt(areas.var(axis=1, ddof=1).mean()))
        assert found.sd == pytest.approx(expected, abs=0.025)
        assert found.low < areas.mean() < found.high or scatter == 0
        assert found.below is not None
        assert found.below == pytest.approx((areas < 0.5).mean(), abs=0.06)
    plain = [
        np.var([roc_auc_score(cases.y[own], score[own]) for score in done.scores[5]], ddof=1)
        for done in rounds
        for own in (done.fold == part for part in range(5))
        if 0 < cases.y[own].sum() < own.sum()
    ]
    assert np.sqrt(np.mean(plain)) > 0.1  # what two classifiers differ by on a dozen patients


def test_products_leave_out_whoever_is_named_twice() -> None:
    table = np.random.default_rng(0).normal(size=(5, 5))
    plain = sum(table[p, q] * table[r, s] for p, q, r, s in np.ndindex(5, 5, 5, 5) if not {p, q} & {r, s})
    assert multiply_strangers(table) == pytest.approx(plain)


SIZES = np.array([5.0, 10, 20, 40, 80])


def _curve(areas: np.ndarray, noise: float = 0.002, shift: float = 0.02) -> Curve:
    """As measured: every resampled curve is the curve, moved as a whole and a little bent."""
    rng = np.random.default_rng(0)
    points = tuple(
        SizePoint(int(n), 5, 100, Estimate("AUC", a, a, a, 0, 9, 3, 9, "image", ""), _E, 0.0, None, None, 0.0)
        for n, a in zip(SIZES, areas, strict=False)
    )
    resampled = areas[:, None] + rng.normal(0, shift, 200) + rng.normal(0, noise, (len(areas), 200))
    return Curve(points, resampled)


_E = Estimate("balanced accuracy", 0.5, 0.4, 0.6, 0.1, 9, 3, 9, "image", "")


def test_the_law_of_a_curve_is_found_again() -> None:
    law = fit_power_law(SIZES, np.stack([0.85 - 0.5 * SIZES**-0.5, 0.95 - 0.4 * SIZES**-0.3]))
    assert law.at(320) == pytest.approx([0.85 - 0.5 * 320**-0.5, 0.95 - 0.4 * 320**-0.3], abs=2e-3)


def test_no_law_goes_above_one_or_falls() -> None:
    law = fit_power_law(SIZES, np.stack([0.5 + 0.09 * np.log(SIZES), 0.8 - 0.01 * SIZES / 80]))
    assert (law.ceiling <= 1).all()
    assert (law.drop >= 0).all()
    assert law.at(1e9)[0] <= 1


def test_a_forecast_holds_the_value_of_the_law_for_twice_and_four_times_as_many() -> None:
    found = forecast(_curve(0.85 - 0.5 * SIZES**-0.5))
    assert found.refused == ""
    for estimate, patients in zip(found.estimates, (160, 320), strict=True):
        assert estimate.low < 0.85 - 0.5 * patients**-0.5 < estimate.high
        assert f"for {patients} training patients" in estimate.name


@pytest.mark.parametrize(
    ("areas", "noise", "shift", "why"),
    [
        (np.full(5, 0.7), 0.01, 0.02, "the curve is flat"),
        (np.array([0.6, 0.7, 0.65, 0.72, 0.75]), 0.002, 0.02, "the curve falls by 0.050 before 20 patients"),
        (np.array([0.6, 0.65, 0.7]), 0.002, 0.02, "found 3 sizes"),
        (0.85 - 0.5 * SIZES**-0.5, 0.002, 0.1, "too wide to plan anything by"),
    ],
)
def test_a_curve_that_allows_no_forecast_gets_none(areas: np.ndarray, noise: float, shift: float, why: str) -> None:
    found = forecast(_curve(areas, noise, shift))
    assert why in found.refused
    assert found.estimates == ()


def _study(**changes: object) -> object:
    features = draw_features(16, 4, apart=2.0)
    plan = replace(CurvePlan(PLAIN, rounds=2, folds=2, inner=2), **changes)  # type: ignore[arg-type]
    return open_curve(features, read_labels(features), plan)


def test_a_curve_that_was_stopped_goes_on_with_the_rounds_that_it_lacks(tmp_path: Path) -> None:
    study = _study()
    with pytest.raises(KeyboardInterrupt):
        run_curve(study, tmp_path, asked_to_stop=lambda: True)  # type: ignore[arg-type]
    first = (tmp_path / "rounds/round.0.npz").read_bytes()
    assert len(run_curve(study, tmp_path)) == 2  # type: ignore[arg-type]
    assert (tmp_path / "rounds/round.0.npz").read_bytes() == first


def test_the_command_writes_the_curve_and_goes_on_with_the_same_plan_alone(tmp_path: Path) -> None:
    save_features(tmp_path / "f", draw_features(16, 4, apart=2.0))
    out = tmp_path / "out"
    words = ["curve", str(tmp_path / "f"), "--sizes", "3", "--folds", "2", "--inner", "2", "--rounds", "2"]
    words += ["--classifier", "ridge", "--out", str(out)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "No forecast: found 2 sizes" in result.output.replace("\n", " ")
    assert json.loads((out / "results.json").read_text())["kind"] == "learning curve"
    table = pl.read_csv(out / "curve.csv")
    assert table["patients"].to_list() == [3, 8]
    assert table["auc_sd_of_sets"].null_count() == 1
    before = (out / "results.json").read_text()
    assert CliRunner().invoke(app, [*words, "--resume"], catch_exceptions=False).exit_code == 0
    assert (out / "results.json").read_text() == before
    for more, text in (((), "not empty"), (("--resume", "--seed", "1"), "found rounds of another plan")):
        with pytest.raises(SetupError, match=text):
            CliRunner().invoke(app, [*words, *more], catch_exceptions=False)
