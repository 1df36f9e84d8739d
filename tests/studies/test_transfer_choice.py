"""Which classifier is written: chosen by inner folds alone, and measured without the luck of the best row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fourview.exam import SetupError
from fourview.studies.transfer.candidates import Candidate, find_obstacle, read_choice
from fourview.studies.transfer.cases import UNITS, Cases
from fourview.studies.transfer.choice import Choice, make_choice
from fourview.studies.transfer.choice_out import read_weights
from fourview.studies.transfer.feature_set import FeatureCard, load_features, save_features
from fourview.studies.transfer.folds import draw_folds
from fourview.studies.transfer.nested import Repeat, UnitScores, run_repeat
from fourview.studies.transfer.steps import Method
from tests.studies.drawn_features import draw_cases, draw_features

CASES = draw_cases(160, 48)
FOLDS = draw_folds(CASES.y, CASES.patients, folds=4, seed=0)
LR, SVM = Method("lr"), Method("linear_svm")


def says(probability: np.ndarray, areas: tuple[float, ...], *, folds: np.ndarray = FOLDS) -> Repeat:
    """A repeat that says this of images, and the same of breasts and patients in their order."""
    units = {}
    for unit in UNITS:
        n = len(CASES.truth(unit))
        first = [int(np.flatnonzero(numbers == k)[0]) for numbers in (_numbers(unit),) for k in range(n)]
        own = probability[first]
        units[unit] = UnitScores(folds[first], 10 * own, own, (own > 0.5).astype(np.int64))
    return Repeat(units, (None,) * 4, (), 0, areas)


def _numbers(unit: str) -> np.ndarray:
    return {"image": np.arange(160), "breast": CASES.breasts, "patient": CASES.patients}[unit]


def test_each_fold_takes_the_probability_and_the_calls_of_its_winner() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.uniform(0, 0.4, 160), rng.uniform(0.6, 1, 160)
    runs = [[says(low, (0.9, 0.7, 0.8, 0.6))], [says(high, (0.8, 0.7, 0.9, 0.5))]]
    choice = make_choice(CASES, [Candidate("a", LR), Candidate("b", LR)], runs, (0.7, 0.8))
    assert (choice.times, choice.folds) == ((3, 1), 4)  # of equals the first
    said = choice.repeats[0]["image"]
    assert (said.probability == np.where(FOLDS == 2, high, low)).all()
    assert (said.score == said.probability).all()
    assert (said.called == (FOLDS == 2)).all()
    assert choice.inner == pytest.approx((0.75, 0.725))
    assert choice.best == Candidate("b", LR)  # all images decide
    patients = choice.repeats[0]["patient"]
    assert ((patients.probability > 0.5) == (patients.fold == 2)).all()
    assert choice.measures["image"].auc.value == pytest.approx(roc_auc_score(CASES.y, said.probability))


def test_candidates_on_other_folds_are_refused() -> None:
    p, areas = np.linspace(0, 1, 160), (0.5,) * 4
    other = draw_folds(CASES.y, CASES.patients, folds=4, seed=1)
    with pytest.raises(SetupError, match="choice: found other folds"):
        make_choice(
            CASES, [Candidate("a", LR), Candidate("b", LR)], [[says(p, areas)], [says(p, areas, folds=other)]], (0, 0)
        )


def test_of_many_candidates_that_know_nothing_the_choice_is_not_as_good_as_the_best_row() -> None:
    """Forty rows of noise, three repeats: the best row has luck, the choice has none."""
    rng = np.random.default_rng(1)
    runs = [[says(rng.uniform(size=160), tuple(rng.uniform(0.5, 0.7, 4))) for _ in range(3)] for _ in range(40)]
    rows = [np.mean([roc_auc_score(CASES.y, run.units["image"].score) for run in repeats]) for repeats in runs]
    choice = make_choice(CASES, [Candidate(f"n{k}", LR) for k in range(40)], runs, np.zeros(40))
    area = choice.measures["image"].auc
    assert max(rows) > 0.56
    assert 0.44 < area.value < 0.56
    assert area.low < 0.5 < area.high
    assert choice.measures["image"].says == "not told from chance"


def choose(cases: Cases) -> Choice:
    """Between two feature sets, each telling half of the positive images."""
    rng = np.random.default_rng(2)
    half = rng.integers(0, 2, 160)
    runs = []
    for k in range(2):
        values = rng.normal(size=(160, 6))
        values[:, 0] += 1.5 * CASES.y * (half == k)
        method = Method("lr", selection="none", value=0.1)
        runs.append([run_repeat(values, cases, method, folds=FOLDS, inner=2)])
    return make_choice(cases, [Candidate("a", LR), Candidate("b", LR)], runs, (0, 0))


def test_labels_of_an_outer_fold_change_nothing_of_what_is_chosen_and_said_there() -> None:
    turned = np.where(FOLDS == 0, 1 - CASES.y, CASES.y)
    before, after = choose(CASES), choose(Cases(turned, CASES.patients, CASES.breasts))
    for name in ("probability", "called"):
        first, second = (getattr(choice.repeats[0]["image"], name) for choice in (before, after))
        assert (first[FOLDS == 0] == second[FOLDS == 0]).all()
    assert (before.repeats[0]["image"].probability != after.repeats[0]["image"].probability).any()


def test_a_choice_by_name_must_be_in_the_study_and_writable() -> None:
    cards = {name: FeatureCard(extractor=name, name="drawn") for name in ("texture", "noise")}
    methods = (LR, SVM, Method("ridge"))
    assert read_choice("best", cards, methods) is None
    assert read_choice("texture:linear_svm", cards, methods) == Candidate("texture", SVM)
    for text, why in (
        ("texture", "need best, or one of texture:lr, texture:linear_svm"),
        ("texture:knn", "need best, or one of"),
        ("patch:lr", "need best, or one of"),
        ("texture:ridge", "classifier ridge: cannot be written as plain arrays"),
        ("noise:lr", "features noise: know nothing of an image"),
    ):
        with pytest.raises(SetupError, match=why):
            read_choice(text, cards, methods)
    assert find_obstacle(cards["texture"], Method("rbf_svm")) is None


def test_weights_are_named_where_there_are_several_feature_sets() -> None:
    assert read_weights((), ("a",)) == {}
    assert read_weights(("x/w=1.pth",), ("a",)) == {"a": "x/w=1.pth"}
    assert read_weights(("a=w", "b=x=y"), ("a", "b")) == {"a": "w", "b": "x=y"}
    for given in (("w",), ("c=w",), ("a=w", "a=v"), ("a=",)):
        with pytest.raises(SetupError, match="--weights: found"):
            read_weights(given, ("a", "b"))


def test_features_of_an_older_version_can_still_be_read(tmp_path: Path) -> None:
    save_features(tmp_path, draw_features(4))
    card = json.loads((tmp_path / "features.json").read_text())
    for name in ("store", "weights_given", "size", "view"):
        del card[name]
    (tmp_path / "features.json").write_text(json.dumps(card))
    assert load_features(tmp_path).card.store == ""
