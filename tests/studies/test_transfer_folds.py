"""Folds and pipelines: patients kept apart, nothing synthetic in a test fold, and every planted defect refused."""

from __future__ import annotations

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.preprocessing import StandardScaler

from fourview.exam import SetupError
from fourview.studies.transfer import nested
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.folds import check_folds, check_split, draw_folds, walk_folds
from fourview.studies.transfer.nested import check_fitted_on, run_repeat, tune
from fourview.studies.transfer.steps import CLASSIFIERS, Method, check_order, fit_front, read_methods
from tests.studies.drawn_features import draw_cases

CASES = draw_cases(160, 48)
NOISE = np.random.default_rng(5).normal(size=(160, 30))
QUICK = Method("lr", share=0.5, value=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_two_folds_and_every_fold_has_both_classes(seed: int) -> None:
    numbers = draw_folds(CASES.y, CASES.patients, folds=5, seed=seed)
    for patient in np.unique(CASES.patients):
        assert len(set(numbers[CASES.patients == patient])) == 1
    for fold in range(5):
        assert 0 < CASES.y[numbers == fold].mean() < 1


def test_folds_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    first, again, other = (draw_folds(CASES.y, CASES.patients, folds=5, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_more_folds_than_patients_with_a_positive_image_are_refused() -> None:
    y = np.zeros(40, np.int64)
    y[:8] = 1  # two patients
    with pytest.raises(SetupError, match="found 2 patients with a positive image for 3 folds"):
        draw_folds(y, np.arange(40) // 4, folds=3, seed=0)


def test_a_patient_in_two_folds_is_refused() -> None:
    numbers = draw_folds(CASES.y, CASES.patients, folds=5, seed=0)
    numbers[0] = (numbers[0] + 1) % 5
    with pytest.raises(SetupError, match="found 1 patients in two folds"):
        check_folds(numbers, CASES.y, CASES.patients)
    with pytest.raises(SetupError, match="found 1 patients in two folds"):
        run_repeat(NOISE, CASES, QUICK, folds=numbers)


def test_a_fold_of_one_class_and_an_image_in_no_fold_are_refused() -> None:
    with pytest.raises(SetupError, match="found 0 positives among 2 images of fold 1"):
        check_folds(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0]), np.arange(4))
    with pytest.raises(SetupError, match="found 3 of 4 images in a fold"):
        check_folds(np.array([0, 0, 1, -1]), np.array([0, 1, 0, 1]), np.arange(4))


def test_a_synthetic_row_in_a_test_fold_is_refused() -> None:
    patients = np.array([0, 1, 2, 3, 0])  # the fifth row is synthetic
    with pytest.raises(SetupError, match="found 1 synthetic rows among 2 test rows"):
        check_split(np.array([0, 1]), np.array([3, 4]), patients, images=4)
    with pytest.raises(SetupError, match="found 1 patients in training and test"):
        check_split(np.array([1, 4]), np.array([0]), patients, images=4)
    with pytest.raises(SetupError, match="found 1 rows in training and test"):
        check_split(np.array([0, 1]), np.array([1]), patients, images=4)


def test_smote_adds_rows_while_fitting_and_none_while_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    score = nested.score_pipeline
    monkeypatch.setattr(nested, "score_pipeline", lambda p, v: (scored.append(len(v)), score(p, v))[1])
    folds = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
    method = Method("lr", imbalance="smote", share=0.5, value=0.1)
    done = run_repeat(NOISE, CASES, method, folds=folds, inner=2)
    sizes = [int((folds == fold).sum()) for fold in range(4)]
    assert scored[2::3] == sizes  # two inner folds, then the outer one
    assert [a + b for a, b in zip(scored[::3], scored[1::3], strict=True)] == [160 - size for size in sizes]
    assert len(done.units["image"].score) == 160


def test_what_is_selected_differs_between_folds_and_is_not_what_all_rows_would_select() -> None:
    folds = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
    kept = run_repeat(NOISE, CASES, QUICK, folds=folds, inner=2).kept
    everything = tune(NOISE, CASES, QUICK, inner=2).kept
    found = {tuple(places.tolist()) for places in (*kept, everything) if places is not None}
    assert len(found) == 5


def test_test_labels_change_nothing_of_what_is_learned() -> None:
    """Turning the labels of a test fold around leaves its scores as they are."""
    folds = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
    turned = np.where(folds == 0, 1 - CASES.y, CASES.y)
    before = run_repeat(NOISE, CASES, QUICK, folds=folds, inner=2).units["image"]
    after = run_repeat(NOISE, Cases(turned, CASES.patients, CASES.breasts), QUICK, folds=folds, inner=2).units["image"]
    for name in ("score", "probability", "called"):
        assert (getattr(before, name)[folds == 0] == getattr(after, name)[folds == 0]).all()
    assert (before.score[folds == 1] != after.score[folds == 1]).any()


def test_the_values_of_test_rows_change_nothing_of_what_others_score() -> None:
    folds = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
    first = np.flatnonzero(folds == 0)[0]
    moved = NOISE.copy()
    moved[first] += 100
    before, after = (run_repeat(v, CASES, QUICK, folds=folds, inner=2).units["image"].score for v in (NOISE, moved))
    same = folds == 0
    same[first] = False
    assert (before[same] == after[same]).all()


def test_smote_before_the_selection_is_refused() -> None:
    wrong = Pipeline(
        [
            ("scale", StandardScaler()),
            ("smote", SMOTE()),
            ("select", SelectFromModel(Lasso(alpha=0.1))),
            ("classify", LogisticRegression()),
        ]
    )
    with pytest.raises(SetupError, match="synthetic rows may not decide what is selected"):
        check_order(wrong)


def test_a_scaler_that_saw_other_rows_than_the_training_rows_is_refused() -> None:
    front, _ = fit_front(QUICK, 0.5, NOISE, CASES.y)
    check_fitted_on(front, rows=160)
    with pytest.raises(SetupError, match="scaler fitted on 160 rows; need the 120 training rows"):
        check_fitted_on(front, rows=120)


def test_a_front_fitted_on_all_rows_is_refused_in_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published defect, planted: scaling and selection see the test rows as well."""
    fit = nested.fit_front
    leaky = fit(QUICK, 0.5, NOISE, CASES.y)[0]
    monkeypatch.setattr(nested, "fit_front", lambda m, s, values, y: (leaky, leaky.transform(values)))
    folds = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
    with pytest.raises(SetupError, match="found a scaler fitted on 160 rows"):
        run_repeat(NOISE, CASES, QUICK, folds=folds, inner=2)


def test_folds_that_share_a_patient_are_refused_while_walking() -> None:
    numbers = np.array([0, 0, 1, 1])
    with pytest.raises(SetupError, match="patients in training and test"):
        list(walk_folds(numbers, np.array([0, 1, 1, 2])))


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("imbalance", ["weights", "smote"])
def test_every_classifier_runs_and_finds_a_feature_that_tells_the_classes_apart(name: str, imbalance: str) -> None:
    values = np.concatenate([NOISE[:, :3], NOISE[:, 3:4] + 4.0 * CASES.y[:, None]], axis=1)
    (method,) = read_methods(name, selection="none", imbalance=imbalance)  # type: ignore[arg-type]
    method = Method(name, "none", method.imbalance, value=15 if name == "knn" else 0.2)
    folds = draw_folds(CASES.y, CASES.patients, folds=2, seed=0)
    done = run_repeat(values, CASES, method, folds=folds, inner=2).units["image"]
    right = (done.called == CASES.y).mean()
    assert right > 0.9 if name != "majority" else np.ptp(done.score) < 1e-9


def test_methods_that_cannot_be_are_refused() -> None:
    with pytest.raises(SetupError, match="'forest'; need some of lr"):
        read_methods("lr,forest", selection="lasso", imbalance="none")
    with pytest.raises(SetupError, match="no class weights"):
        Method("knn")
    with pytest.raises(SetupError, match="selects by itself"):
        Method("l1_lr")
    with pytest.raises(SetupError, match="need one of the two"):
        Method("lr", components=3)
    with pytest.raises(SetupError, match="share between 0 and 1"):
        Method("lr", share=1.5)
    with pytest.raises(SetupError, match="4 features that do not vary with the truth"):
        fit_front(QUICK, 0.5, np.ones((160, 4)), CASES.y)


def test_pca_takes_the_place_of_a_selection() -> None:
    method = Method("lr", "none", components=4, value=0.1)
    front, seen = fit_front(method, 0.0, NOISE, CASES.y)
    assert seen.shape == (160, 4)
    assert front.transform(NOISE[:3]).shape == (3, 4)
