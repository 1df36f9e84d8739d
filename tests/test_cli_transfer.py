"""`fourview transfer` from features to page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.studies.transfer import pieces
from fourview.studies.transfer.feature_set import FeatureSet, save_features
from fourview.studies.transfer.pieces import Task
from tests.studies.drawn_features import draw_features

QUICK = ("--folds", "2", "--inner", "2", "--repeats", "2", "--penalty", "0.5")


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["transfer", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two extractors of the same images, the second's rows in another order."""
    base = tmp_path_factory.mktemp("features")
    first, second = draw_features(apart=2.0), draw_features(features=8, extractor="other", apart=2.0)
    order = np.random.default_rng(0).permutation(len(second.values))
    save_features(base / "a", first)
    save_features(base / "b", FeatureSet(second.values[order], second.rows[order], second.card))
    return base / "a", base / "b"


@pytest.fixture(scope="module")
def published(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("transfer") / "out"
    return out, _run(*folders, "--protocol", "as_published", "--classifier", "lr", "--kept", 4, *QUICK, "--out", out)


def test_as_published_prints_its_leaks_in_table_and_page_with_the_rigorous_number_beside(
    published: tuple[Path, str],
) -> None:
    out, said = published
    page, numbers = (out / "report.html").read_text(), json.loads((out / "results.json").read_text())
    assert said.count("LEAKS: SMOTE, selection, patient") == 2
    assert page.count("LEAKS: SMOTE, selection, patient") >= 2
    assert "balanced_accuracy_hard" in said
    assert "balanced_accuracy_hard" in page
    assert "Why the published number becomes what it becomes" in page
    assert "AUC, other, logistic regression" in said
    assert "AUC, chosen in the inner folds, one of 2" in said
    assert "No OUT/classifier of " in said  # nobody knows how these were made
    assert numbers["kind"] == "transfer"
    assert (out / "plots/ladder.svg").is_file()


def test_scores_of_every_image_and_feature_set_are_written(published: tuple[Path, str]) -> None:
    scores = pl.read_csv(published[0] / "scores.csv")
    counts = dict(scores.group_by("features").len().iter_rows())
    assert counts == {"drawn": 96, "other": 96, "chosen in the inner folds": 96}
    assert scores["truth"].sum() == 3 * 24
    assert scores["probability"].is_between(0, 1).all()


def test_a_piece_that_is_missing_is_done_again_and_the_others_are_not(
    published: tuple[Path, str], folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = published
    before = (out / "results.json").read_text()
    piece = out / "pieces/other.lr.rigorous.1.json"
    content = piece.read_text()
    piece.unlink()
    done: list[str] = []
    do = pieces.do_task

    def note(task: Task) -> dict[str, object]:
        done.append(task.key)
        return do(task)

    monkeypatch.setattr(pieces, "do_task", note)
    _run(*folders, "--protocol", "as_published", "--classifier", "lr", "--kept", 4, *QUICK, "--out", out, "--resume")
    assert done == ["other.lr.rigorous.1"]
    assert piece.read_text() == content
    assert (out / "results.json").read_text() == before


def test_pieces_of_another_plan_are_not_taken(published: tuple[Path, str], folders: tuple[Path, Path]) -> None:
    out, _ = published
    same = (*folders, "--protocol", "as_published", "--classifier", "lr", "--kept", 4, *QUICK)
    for more, text in (((), "not empty"), (("--resume", "--seed", 1), "pieces of another plan")):
        with pytest.raises(SetupError, match=text):
            _run(*same, *more, "--out", out)


def test_a_stopped_run_keeps_what_is_done(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from fourview.studies.transfer.labels import read_labels
    from fourview.studies.transfer.steps import Method
    from fourview.studies.transfer.study import Plan, open_study

    features = draw_features(apart=2.0)
    plan = Plan((Method("lr", share=0.5),), folds=2, inner=2, repeats=3, controls=False)
    study = open_study({"drawn": features}, read_labels(features), plan)
    with pytest.raises(KeyboardInterrupt):
        pieces.do_tasks(study.tasks(), tmp_path, asked_to_stop=lambda: True)
    assert [path.name for path in (tmp_path / "pieces").iterdir()] == ["drawn.lr.rigorous.0.json"]
    assert len(pieces.do_tasks(study.tasks(), tmp_path)) == 3


def test_rigorous_is_the_default_and_names_a_constant_predictor_useless(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    said = _run(folders[0], "--classifier", "majority,lr", *QUICK, "--out", tmp_path / "out")
    numbers = (tmp_path / "out/results.json").read_text()
    assert "LEAKS" not in said
    assert "useless: says the same of every one" in numbers
    for control in ("labels permuted by patient", "noise features", "density alone", "view and side alone"):
        assert control in numbers


def test_feature_sets_of_other_images_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    save_features(tmp_path / "few", draw_features(20, extractor="few"))
    with pytest.raises(SetupError, match="found 16 images in only one of drawn and few"):
        _run(folders[0], tmp_path / "few", "--out", tmp_path / "out")
    with pytest.raises(SetupError, match="classifier: found knn with the published protocol"):
        _run(folders[0], "--protocol", "+grouped", "--classifier", "knn", "--out", tmp_path / "out")
