"""Leave one set out: the set that is measured has no part in training, and what holds in it alone is found out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureSet, save_features
from fourview.studies.transfer.joined_sets import join_sets
from fourview.studies.transfer.left_out_sets import SetsPlan, SetsStudy, open_sets, run_sets, score_across
from fourview.studies.transfer.steps import Method
from tests.studies.drawn_features import draw_features

PLAN = SetsPlan(Method("lr", "none", value=0.1), folds=2, inner=2, repeats=1)


def _set(name: str, seed: int, *, patients: int = 16, apart: float = 2.0) -> FeatureSet:
    features = draw_features(patients, 4, seed=seed, apart=apart)
    return replace(features, rows=features.rows.with_columns(pl.lit(name).alias("dataset")))


def _open(*sets: FeatureSet) -> SetsStudy:
    return open_sets(join_sets(sets), PLAN)


def test_labels_and_thresholds_of_the_left_out_set_change_nothing_of_its_scores() -> None:
    study = _open(_set("a", 1), _set("b", 2))
    turned = replace(study, cases=replace(study.cases, y=np.where(study.set_of == 1, 1 - study.cases.y, study.cases.y)))
    before, after = (score_across(one, 1, seed=0)["image"] for one in (study, turned))
    assert (before.score == after.score).all()
    assert (before.called == after.called).all()
    assert (before.y != after.y).all()


def test_what_tells_the_classes_in_one_set_alone_is_found_out() -> None:
    """A shortcut: the second feature, in set a; the first feature holds in neither."""
    sets = [_set("a", 1, apart=0), _set("b", 2, apart=0)]
    y = sets[0].rows["malignant"].to_numpy()
    values = sets[0].values.copy()
    values[y, 1] += 4
    first = run_sets(_open(replace(sets[0], values=values), sets[1]))[0]
    assert not isinstance(first.within, str)
    assert first.within["image"].auc.value > 0.95
    assert first.across["image"].auc.value < 0.75
    assert first.difference is not None
    assert first.difference.high < 0


def test_the_same_patient_id_in_two_sets_is_two_women_and_is_counted() -> None:
    study = _open(_set("a", 1), _set("b", 2))
    assert study.shared == 16
    assert len(np.unique(study.cases.patients)) == 32


def test_sets_that_cannot_be_used_are_refused() -> None:
    a = _set("a", 1)
    with pytest.raises(SetupError, match="found images of a alone; need several data sets"):
        _open(a)
    copied = replace(a, rows=a.rows.with_columns(pl.lit("b").alias("dataset")))
    with pytest.raises(SetupError, match="found an image of b in a as well, number by number"):
        _open(a, copied)
    with pytest.raises(SetupError, match="found the image a/i0 in two folders"):
        join_sets([a, a])
    plain = _set("b", 2)
    plain = replace(plain, rows=plain.rows.with_columns(pl.lit("2").alias("birads")))
    with pytest.raises(SetupError, match="b: found 0 positives among 64 labelled images"):
        _open(a, plain)


def test_a_set_too_small_for_folds_still_has_its_number_from_the_others(tmp_path: Path) -> None:
    small = run_sets(_open(_set("a", 1), _set("b", 2, patients=3)))[1]
    assert isinstance(small.within, str) or small.within["image"].auc.n == 12
    assert small.across["image"].auc.n == 12


def test_the_command_writes_page_scores_and_warnings(tmp_path: Path) -> None:
    a, b = _set("a", 1), _set("b", 2)
    save_features(tmp_path / "a", replace(a, rows=a.rows.with_columns(pl.lit("biopsy").alias("label_source"))))
    save_features(tmp_path / "b", b)
    out = tmp_path / "out"
    words = ["transfer-sets", str(tmp_path / "a"), str(tmp_path / "b"), "--selection", "none", "--folds", "2"]
    words += ["--inner", "2", "--repeats", "1", "--classifier", "ridge", "--out", str(out)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "A positive is not the same in every set (truth by: a: biopsy; b: birads)" in result.output.replace(
        "\n", " "
    )
    assert json.loads((out / "results.json").read_text())["kind"] == "several sets"
    assert pl.read_csv(out / "scores.csv").height == 128
    assert (out / "plots/sets.svg").is_file()
