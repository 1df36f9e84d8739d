"""What a run's weights say of themselves: whose licence, what they saw, how good they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fourview.evaluate.question import Question
from fourview.exam import SetupError
from fourview.train.data import TrainingData
from fourview.train.exam_stage import open_exam_stage
from fourview.train.questions import ask, find_women
from fourview.train.recipe import Recipe
from fourview.train.stage import Judgement
from fourview.train.trained import Trained
from fourview.train.weights_out import write_run_weights
from fourview.weights.card import Card, Training
from fourview.weights.folder import Weights, load_weights
from fourview.weights.untrained import untrained_card
from tests.train.exam_recipes import exam_recipe


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return exam_recipe()


@pytest.fixture(scope="module")
def data(open_phantoms: Callable[[Recipe], TrainingData], recipe: Recipe) -> TrainingData:
    return open_phantoms(recipe)


def trained(stage_tensors: dict[str, torch.Tensor]) -> Trained:
    judgement = Judgement(0.5, {}, pl.DataFrame())
    return Trained(pl.DataFrame(), judgement, 1, stage_tensors, "epochs", 90.0, 0.1, "a laptop")


def question() -> Question:
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 4 == 0
    return Question(
        "AUC, malignant finding", "breast", truth, truth + rng.normal(size=200), (np.arange(200) // 2).astype(np.str_)
    )


def started(training: Training, licence: str) -> Weights:
    card = untrained_card("start", heatmaps=False, scale=0.1).model_copy(
        update={"training": training, "licence": licence}
    )
    return Weights(card, None, None)


def write(data: TrainingData, recipe: Recipe, out: Path, *starts: Weights) -> Card:
    stage = open_exam_stage(recipe, data)
    names = dict(zip(("init", "patch"), starts, strict=False))
    tensors = dict(stage.network.state_dict())
    return write_run_weights(out, stage, trained(tensors), data=data, questions=[question()], starts=names)


def test_the_card_says_what_trained_it_on_what_for_how_long(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    card = write(data, recipe, tmp_path / "w")
    training = card.training
    assert (training.recipe_sha256, training.data_sha256, training.minutes) == (recipe.hash, data.hash, 1.5)
    assert training.trained_on == "a laptop"
    assert training.population.startswith("phantoms, nobody was imaged: train 6 women, 6 exams, 24 images")
    assert load_weights(tmp_path / "w").card == card


def test_metrics_have_interval_unit_n_and_positives(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    metric = write(data, recipe, tmp_path / "w").metrics[0]
    area = question().area
    assert (metric.value, metric.interval_95) == (area.value, (area.low, area.high))
    assert (metric.unit, metric.n, metric.positives) == ("breast", 200, 50)


def test_phantoms_only_is_inherited_and_ends_with_the_first_real_image(
    data: TrainingData, recipe: Recipe, tmp_path: Path
) -> None:
    untrained = started(Training(trained=False, data="none"), "Apache-2.0")
    phantoms = started(Training(trained=True, data="phantoms", phantoms_only=True), "Apache-2.0")
    real = started(Training(trained=True, data="women"), "Apache-2.0")
    of_women = replace(data, phantoms_only=False)
    assert write(data, recipe, tmp_path / "1", untrained, phantoms).training.phantoms_only
    assert not write(data, recipe, tmp_path / "2", real).training.phantoms_only
    assert not write(of_women, recipe, tmp_path / "3", phantoms).training.phantoms_only


def test_the_licence_is_ours_only_where_nobody_else_had_a_part(
    data: TrainingData, recipe: Recipe, tmp_path: Path
) -> None:
    foreign = started(Training(trained=True, data="women"), "AGPL-3.0")
    assert write(data, recipe, tmp_path / "1").licence == "Apache-2.0"
    assert write(data, recipe, tmp_path / "2", foreign).licence == "made from weights under AGPL-3.0"
    assert "terms of the training data" in write(replace(data, phantoms_only=False), recipe, tmp_path / "3").licence


def test_weights_that_are_there_are_not_written_again(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    first = write(data, recipe, tmp_path / "w")
    assert write(data, recipe.with_values(["seed=7"]), tmp_path / "w") == first


def test_questions_leave_out_what_is_unknown_and_say_what_cannot_be_asked() -> None:
    table = pl.DataFrame(
        {
            "exam": ["a", "a", "b", "b"],
            "side": ["L", "R", "L", "R"],
            "malignant": [1, 0, None, 0],
            "p_malignant": [0.9, 0.2, 0.5, None],
            "benign": [0, 0, 0, 0],
            "p_benign": [0.1, 0.2, 0.3, 0.4],
        }
    )
    asked, unasked = ask("exam", table, {"a": "one", "b": "two"})
    assert [(q.name, len(q.truth), list(q.cluster)) for q in asked] == [("AUC, malignant finding", 2, ["one", "one"])]
    assert len(unasked) == 1
    assert unasked[0].startswith("AUC, benign finding: found 0 positive of 4 breasts")


def test_an_exam_of_an_unknown_woman_stands_for_her() -> None:
    rows = pl.DataFrame({"exam": ["a", "b"], "patient": ["x", None], "image": ["1", "2"]})
    assert find_women("exam", rows) == {"a": "x", "b": "b"}
    assert find_women("patch", rows) == {"1": "x", "2": "b"}


def test_a_run_never_overwrites_other_things(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "letter.txt").write_text("keep me")
    with pytest.raises(SetupError, match="exists already"):
        write(data, recipe, tmp_path / "w")
