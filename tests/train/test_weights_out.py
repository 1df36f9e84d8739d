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
from fourview.train.crops import reading_card
from fourview.train.data import TrainingData
from fourview.train.exam_stage import open_exam_stage
from fourview.train.open_stage import open_stage
from fourview.train.questions import ask, find_women
from fourview.train.recipe import Recipe, load_recipe
from fourview.train.stage import Judgement
from fourview.train.trained import Trained
from fourview.train.weights_out import describe_size, write_run_weights
from fourview.weights.card import Card, PatchNetwork, Training
from fourview.weights.folder import Weights, build_exam, load_weights, save_weights
from fourview.weights.learned import FILE, Learned, number_of
from fourview.weights.untrained import untrained_card, write_untrained
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


def test_the_card_says_in_what_it_is_not_the_papers_size(data: TrainingData, recipe: Recipe, tmp_path: Path) -> None:
    notes = write(data, recipe, tmp_path / "w").notes
    assert notes.startswith("Not the paper's size: 2 channels instead of 16")
    assert describe_size(reading_card(load_recipe("paper", stage="exam"), patch=PatchNetwork())) == ""
    small = describe_size(reading_card(load_recipe("small", stage="patch")))
    assert "growth" in small
    assert "pixels of 0.28 mm instead of 0.1 at most" in small


def test_finished_weights_of_another_storage_are_not_taken_for_what_was_asked(
    data: TrainingData, recipe: Recipe, tmp_path: Path
) -> None:
    stage = open_exam_stage(recipe, data)
    write(data, recipe, tmp_path / "w")
    with pytest.raises(SetupError, match="stored as fp32; need --storage fp32, or another folder for fp16"):
        write_run_weights(
            tmp_path / "w",
            stage,
            trained(dict(stage.network.state_dict())),
            data=data,
            questions=[],
            starts={},
            storage="fp16",
        )


def test_a_patch_network_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    assert write_untrained(tmp_path / "both", heatmaps=True, scale=0.1).storage == "fp32"
    tensors = load_weights(tmp_path / "both")
    assert tensors.exam is not None
    assert tensors.patch is not None
    parts = {"exam": tensors.exam.state_dict(), "patch": tensors.patch.state_dict()}
    half = save_weights(tmp_path / "half", tensors.card, **parts, storage="fp16")
    assert half.sha256["patch.safetensors"] == tensors.card.sha256["patch.safetensors"]
    assert half.patch_hash == tensors.card.patch_hash
    alone = tensors.card.model_copy(update={"exam": None})
    rounded = save_weights(tmp_path / "rounded", alone, patch=parts["patch"], storage="fp16")
    again = load_weights(tmp_path / "rounded").patch
    assert again is not None
    whole = save_weights(tmp_path / "whole", tensors.card, exam=parts["exam"], patch=again.state_dict())
    assert whole.patch_hash == rounded.patch_hash
    assert rounded.patch_hash != half.patch_hash


def test_whom_it_learned_from_is_kept_with_whom_its_start_did(
    data: TrainingData, recipe: Recipe, tmp_path: Path
) -> None:
    own = data.learned()
    assert (len(own.train), len(own.validation)) == (24, 12)  # of phantoms, images
    more = Learned(number_of(["a", "b"]), number_of([]))
    start = replace(started(Training(trained=True, data="", phantoms_only=True), "Apache-2.0"), learned=more)
    write(data, recipe, tmp_path / "w", start)
    found = load_weights(tmp_path / "w").learned
    assert found is not None
    np.testing.assert_array_equal(found.train, np.union1d(own.train, more.train))
    np.testing.assert_array_equal(found.validation, own.validation)
    (tmp_path / "w" / FILE).write_bytes(more.to_bytes())
    with pytest.raises(SetupError, match="the file is damaged or was exchanged"):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize(("part", "fits"), [("train", True), ("validation", False), ("test", False)])
def test_a_start_that_has_learned_from_women_who_are_judged_here_is_refused(
    data: TrainingData, recipe: Recipe, part: str, fits: bool
) -> None:
    start = load_start(recipe)
    seen = replace(start, learned=Learned(data.whom(part)[:3], number_of([])))
    if fits:
        open_stage(recipe, data, init=seen)
        return
    with pytest.raises(
        SetupError, match=r"--init: .* has learned from 3 of the 24 images of phantoms of validation and"
    ):
        open_stage(recipe, data, init=seen)


def test_a_start_may_have_been_chosen_by_the_same_validation_but_not_by_the_test_part(
    data: TrainingData, recipe: Recipe
) -> None:
    start = load_start(recipe)
    open_stage(recipe, data, init=replace(start, learned=data.learned()))
    chosen = Learned(number_of([]), data.whom("test")[:1])
    with pytest.raises(SetupError, match="has learned from 1 of the 24"):
        open_stage(recipe, data, init=replace(start, learned=chosen))


def test_of_a_start_that_does_not_say_whom_it_knows_the_notes_do(data: TrainingData, recipe: Recipe) -> None:
    start = load_start(recipe)
    training = start.card.training.model_copy(update={"trained": True, "phantoms_only": False})
    silent = replace(start, card=start.card.model_copy(update={"training": training}))
    assert any("does not say whom it has learned from" in note for note in open_stage(recipe, data, init=silent).notes)
    assert not any("does not say" in note for note in open_stage(recipe, data, init=start).notes)


def load_start(recipe: Recipe) -> Weights:
    """An untrained network that the recipe's can start from."""
    card = reading_card(recipe).model_copy(update={"training": Training(trained=False, data="none")})
    assert card.exam is not None
    return Weights(card, build_exam(card.exam), None)
