"""`fourview lesion handcrafted` from store to page: folds, what each baseline may see, the ceiling, resuming."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.evaluate import auc
from fourview.exam import SetupError
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.ceiling import read_planted, say_ceiling
from fourview.studies.lesion.descriptors.store import find_inputs, list_words, predict_held_out
from fourview.studies.lesion.folds import OFFICIAL_TEST, LesionFolds, divide_lesions
from fourview.studies.lesion.handcrafted import runs as handcrafted_runs
from fourview.studies.lesion.handcrafted import store as handcrafted_store
from fourview.studies.lesion.handcrafted.gallery import pick_lesions
from fourview.studies.lesion.handcrafted.numbers import FAMILIES, TITLES, list_names
from fourview.studies.lesion.handcrafted.results import choose_by_inner, make_baseline
from fourview.studies.lesion.handcrafted.runs import (
    ALL,
    Reader,
    Said,
    do_task,
    do_tasks,
    list_tasks,
    make_cases,
    reduce_edges,
    score_steadily,
)
from fourview.studies.lesion.handcrafted.store import LesionNumbers, measure_views
from fourview.studies.lesion.handcrafted.study import plan_methods
from fourview.studies.lesion.held_out import find_held_out, number_folds, walk_held_out
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.nested import tune
from fourview.studies.transfer.steps import Method, Setting
from tests.studies.lesion_drawn_set import draw_set

QUICK = ("--classifier", "lr,l1_lr", "--selection", "none", "--inner", "2", "--set", "folds=3")


@pytest.fixture(scope="module", autouse=True)
def _small_crops() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handcrafted_store, "SIDE_PX", 96)
        yield


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return draw_set(tmp_path_factory.mktemp("drawn"), fooled=(0, 5))


@pytest.fixture(scope="module")
def folds(drawn: Store) -> LesionFolds:
    return divide_lesions(find_lesions(drawn), folds=3, seed=0)


@pytest.fixture(scope="module")
def out(drawn: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines") / "out"
    result = _run(drawn, folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def numbers(out: Path, drawn: Store, folds: LesionFolds) -> LesionNumbers:
    return measure_views(drawn, folds.views, out)


def _run(store: Store, out: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["lesion", "handcrafted", str(store.path), "--out", str(out), *QUICK, *more])


def test_the_page_has_hand_crafted_numbers_words_and_the_ceiling_side_by_side(out: Path) -> None:
    found = json.loads((out / "results.json").read_text())
    assert found["kind"] == "lesion baselines"
    lesions = pl.read_csv(out / "lesions.csv")
    rows = dict(lesions.group_by("baseline").len().iter_rows())
    assert set(rows.values()) == {12}  # the same lesions under each
    assert set(lesions["sort"]) == {"hand-crafted", "family", "words", "ceiling"}
    assert set(lesions.filter(sort="words")["baseline"]) == {
        "shape and margins",
        "shape and margins, density, subtlety",
        "BI-RADS assessment",
        "shape and margins, BI-RADS assessment",
    }
    page = (out / "report.html").read_text()
    for text in ("chosen in the inner folds", "label ceiling", "size and shape", "Subtlety and assessment"):
        assert text in page
    for text in (
        "malignant, and looks so",
        "benign, and looks so",
        "benign, looks malignant",
        "malignant, looks benign",
    ):
        assert text in page
    assert page.count("data:image/jpeg") == 12  # lesions to look at
    assert (out / "plots/baselines.svg").is_file()


def test_each_lesion_is_held_out_once_and_its_probability_is_the_mean_of_its_views(out: Path) -> None:
    lesions = pl.read_csv(out / "lesions.csv").filter(baseline="logistic regression")
    assert sorted(lesions["fold"].unique()) == [1, 2, 3]
    means = (lesions["p_cc"] + lesions["p_mlo"]) / 2
    assert lesions["p"].to_numpy() == pytest.approx(means.to_numpy())
    y, p = lesions["malignant"].to_numpy(), lesions["p"].to_numpy()
    clear = ~lesions["patient"].is_in(["drawn/p00", "drawn/p05"]).to_numpy()
    assert p[y & clear].min() > p[~y & clear].max()  # stars and discs
    assert p[y & ~clear].max() < p[~y & ~clear].min()  # those that look as the other class does


def test_the_words_that_know_the_answer_never_reach_the_pixels_readers(
    drawn: Store, folds: LesionFolds, numbers: LesionNumbers
) -> None:
    for name in ("assessment", "subtlety", "pathology", "p_malignant", "density"):
        assert not any(name in text for _, text in list_names())
    tasks = list_tasks(folds, numbers, [Reader(ALL, Method("lr", "none"))], inner=2, seed=0)
    assert tasks[0].values.shape == (24, len(list_names()))
    words = list_words(drawn, folds.views)
    assert all("pathology" not in own and "p_malignant" not in own for own in words)


def test_what_a_test_lesion_looks_like_changes_nothing_that_is_said_of_others(
    folds: LesionFolds, numbers: LesionNumbers
) -> None:
    """Scaling, PCA of the edges and settings are learned without it."""
    reader = Reader(ALL, Method("lr", "none", value=0.1))
    task = list_tasks(folds, numbers, [reader], inner=2, seed=0)[0]
    before = do_task(task)["p"]
    task.values[task.test[0]] += 50
    assert task.edges is not None
    task.edges[task.test[0]] *= 7
    after = do_task(task)["p"]
    task.values[task.test[0]] -= 50
    task.edges[task.test[0]] /= 7
    assert after[0] != before[0]
    assert after[1:] == pytest.approx(before[1:], abs=1e-9)


def test_an_svm_without_an_intercept_of_its_own_is_taken_back_to_where_the_inner_folds_put_it() -> None:
    values = np.random.default_rng(0).normal(size=(60, 3))
    values[:30] += 1
    cases = Cases(np.repeat([1, 0], 30), np.arange(60), np.arange(60))
    svm = tune(values, cases, Method("rbf_svm", "none", value=1e-4), inner=3)
    moved = replace(svm, centre=svm.centre + 2)  # as an intercept of -1 where the inner folds had 1
    assert abs(moved.score(values).mean()) > 50
    found = score_steadily(moved, values, values[:40])
    assert np.abs(found).max() < 6
    assert found[:30].mean() > found[30:].mean()
    steady = tune(values, cases, Method("lr", "none", value=1.0), inner=3)
    assert (score_steadily(steady, values, values[:5]) == steady.score(values[:5])).all()


def test_edges_become_components_of_the_training_lesions(numbers: LesionNumbers) -> None:
    train, test = reduce_edges(numbers.edges[:16], numbers.edges[16:])
    assert train.shape == (16, 15)
    assert test.shape == (8, 15)
    assert train.mean(axis=0) == pytest.approx(np.zeros(15), abs=1e-9)
    assert (np.diff(train.var(axis=0)) <= 1e-9).all()


def test_folds_are_those_of_the_networks(folds: LesionFolds) -> None:
    walked = walk_held_out(folds)
    assert len(walked) == 3
    for fold, train, test in walked:
        parts = folds.parts(fold)
        assert (parts[test] == "test").all()
        assert set(parts[train]) == {"train", "validation"}
    cases = make_cases(folds)
    assert len(np.unique(cases.breasts)) == 12  # a lesion's two views are one
    assert (cases.truth("breast") == folds.malignant[::2]).all()


def test_of_an_official_split_the_test_part_is_read_once(tmp_path: Path) -> None:
    store = draw_set(tmp_path, patients=20, official=("train", "train", "test", "test", "train"), planted=False)
    folds = divide_lesions(find_lesions(store), split="official", folds=3)
    ((fold, train, test),) = walk_held_out(folds)
    assert fold == 0
    assert (folds.fold[test] == OFFICIAL_TEST).all()
    assert (np.flatnonzero(find_held_out(folds)) == test).all()
    assert set(number_folds(folds)[test]) == {0}
    assert set(number_folds(folds)[train]) == {1, 2, 3}
    assert {folds.views[place].official for place in train} == {"train"}
    words = list_words(store, folds.views)
    p = predict_held_out(folds, words, find_inputs(words)[0])
    assert np.isfinite(p[test]).all()
    assert np.isnan(p[train]).all()
    table = make_baseline(folds, "words", "words", p).table
    assert set(table["fold"]) == {0}
    assert table.height == len(test) // 2
    assert read_planted(folds.views) is None  # as of real lesions


def test_the_ceiling_is_the_probability_that_labels_were_drawn_with(out: Path, folds: LesionFolds) -> None:
    planted = read_planted(folds.views)
    assert planted is not None
    assert planted[folds.malignant].tolist() == [0.9] * 12
    lesions = pl.read_csv(out / "lesions.csv").filter(sort="ceiling")
    assert lesions["p"].to_list() == lesions["p_cc"].to_list()
    assert set(lesions["p"]) == {0.9, 0.1}
    assert "on the labels as they fell" in (out / "report.html").read_text()


def test_of_lesions_at_nine_and_one_in_ten_the_ceiling_is_nine_tenths_on_average() -> None:
    """A malignant one is at .9 in nine of ten, a benign one in one of ten: .9 x .9 ranked right, .18 tie."""
    p = np.repeat([0.9, 0.1], 50)
    malignant = np.repeat([True, False], 50)
    malignant[:10] = False
    said = say_ceiling(malignant, p)
    assert f"AUC of {auc(malignant, p).value:.3f} on the labels" in said
    assert "for these 100 lesions, it would be 0.900" in said


def test_in_each_fold_the_inner_folds_choose_not_the_outer_one() -> None:
    def said(fold: int, area: float, p: float) -> Said:
        return Said(fold, np.array([fold]), np.array([p]), 0.5, area, Setting(), None, 0)

    first, second = (said(0, 0.7, 0.1), said(1, 0.8, 0.2)), (said(0, 0.9, 0.3), said(1, 0.8, 0.4))
    assert [float(own.p[0]) for own in choose_by_inner([first, second])] == [0.3, 0.2]


def test_sizes_are_in_mm_where_all_pixel_sizes_are_known(out: Path, drawn: Store) -> None:
    rows = pl.read_csv(out / "features.csv")
    assert rows.height == 24
    assert rows.columns[7:] == [f"{title}: {name}" for title, name in _named()]
    area = np.pi * (18 * 0.5) ** 2
    assert rows["size and shape: area"].to_numpy() == pytest.approx(np.full(24, area), rel=0.35)
    malignant = rows.filter(pl.col("malignant") & ~pl.col("patient").str.ends_with("p05"))
    benign = rows.filter(~pl.col("malignant") & ~pl.col("patient").str.ends_with("p00"))
    assert malignant["size and shape: compactness"].max() < benign["size and shape: compactness"].min()  # type: ignore[operator]


def test_a_finished_study_is_written_again_without_new_work(
    out: Path, drawn: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (out / "lesions.csv").read_bytes()
    monkeypatch.setattr(handcrafted_store, "measure_lesion", None)  # would fail if it were called
    monkeypatch.setattr(handcrafted_runs, "tune", None)
    assert _run(drawn, out, "--resume").exit_code == 0
    assert (out / "lesions.csv").read_bytes() == before


def test_pieces_of_other_lesions_are_not_taken_again(
    tmp_path: Path, folds: LesionFolds, numbers: LesionNumbers
) -> None:
    """Of a lesion that could not be measured in the first run, but can be in the second."""
    reader = Reader(ALL, Method("lr", "none", value=0.1))
    tasks = list_tasks(folds, numbers, [reader], inner=2, seed=0)[:1]
    first = do_tasks(tasks, tmp_path)[reader][0]
    stored = next((tmp_path / "pieces").iterdir()).read_bytes()
    fewer = [replace(task, train=task.train[1:]) for task in tasks]
    other = do_tasks(fewer, tmp_path)[reader][0]
    assert next((tmp_path / "pieces").iterdir()).read_bytes() != stored
    assert other.p.tolist() != first.p.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handcrafted_runs, "tune", None)  # would fail if it were called
        assert do_tasks(fewer, tmp_path)[reader][0].p.tolist() == other.p.tolist()


def test_another_study_does_not_go_into_the_same_folder(out: Path, drawn: Store) -> None:
    assert isinstance(_run(drawn, out).exception, SetupError)
    other = _run(drawn, out, "--resume", "--set", "seed=5")
    assert "found a study of another seed" in str(other.exception)


def test_lesions_that_cannot_be_measured_are_listed_and_the_others_go_on(tmp_path: Path) -> None:
    store = draw_set(tmp_path, patients=14, empty=(13,), spacing_mm=None, planted=False)
    result = _run(store, tmp_path / "out", "--no-families", "--classifier", "lr")
    assert result.exit_code == 1
    failures = pl.read_csv(tmp_path / "out/failures.csv")
    assert failures["image"].to_list() == ["p13-CC", "p13-MLO"]
    assert failures["reason"].str.contains("one grey value").all()
    found = json.loads((tmp_path / "out/results.json").read_text())
    settings = dict(found["settings"]) if isinstance(found["settings"], list) else found["settings"]
    assert "pixels of the file" in str(settings)
    assert "The label ceiling is not known" in (tmp_path / "out/report.html").read_text()


def test_linear_classifiers_select_first_and_trees_see_all_numbers() -> None:
    selections = {own.classifier: own.selection for own in plan_methods("lr,l1_lr,random_forest,boosting", "lasso")}
    assert selections == {"lr": "lasso", "l1_lr": "none", "random_forest": "none", "boosting": "none"}


def test_no_lesion_is_shown_twice_and_the_worst_mistakes_come_last() -> None:
    names = [f"{number:02d}" for number in range(14)]
    columns = dict.fromkeys(("patient", "exam", "side", "lesion"), names)
    p = np.arange(14) / 14
    table = pl.DataFrame({**columns, "malignant": [number % 2 == 1 for number in range(14)], "p": p})
    shown = [(words, row["patient"]) for words, row in pick_lesions(table)]
    assert len({name for _, name in shown}) == 12
    assert [name for words, name in shown if words == "malignant, and looks so"] == ["13", "11", "09"]
    assert [name for words, name in shown if words == "malignant, looks benign"] == ["05", "03", "01"]
    assert [name for words, name in shown if words == "benign, looks malignant"] == ["12", "10", "08"]


def test_a_population_is_drawn_by_the_recipe_as_for_training(tmp_path: Path) -> None:
    said = ["lesion", "handcrafted", "phantom:nothing", "--out", str(tmp_path / "out"), "--recipe", "phantom"]
    result = CliRunner().invoke(app, said)
    assert "recipe nothing: cannot be read" in str(result.exception)
    (tmp_path / "bare.toml").write_text(_without_phantoms())
    result = CliRunner().invoke(app, [*said[:-1], str(tmp_path / "bare.toml")])
    assert "has no section phantoms" in str(result.exception)


def test_a_classifier_named_twice_is_refused(drawn: Store, tmp_path: Path) -> None:
    result = _run(drawn, tmp_path / "out", "--classifier", "lr,lr")
    assert "need each once" in str(result.exception)


def _without_phantoms() -> str:
    text = (files("fourview.studies.lesion") / "recipes/phantom.toml").read_text(encoding="utf-8")
    return text[: text.index("[phantoms]")]


def _named() -> list[tuple[str, str]]:
    assert set(TITLES) == set(FAMILIES)
    return [(TITLES[family], name) for family, name in list_names()]
