"""The three real stages in the loop: killed and resumed, in portions, in two processes, they learn the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fourview.train.data import TrainingData
from fourview.train.devices import open_fabric
from fourview.train.loop import train
from fourview.train.open_stage import open_stage
from fourview.train.recipe import STAGES, Recipe, Stage, parse_recipe
from fourview.train.recipe_text import format_recipe
from fourview.train.trained import Step, Trained
from tests.train.conftest import PATCH, SPLIT
from tests.train.exam_recipes import exam_recipe
from tests.train.toy_stage import open_toy_run

ROOT = Path(__file__).parents[2]
Open = Callable[[Recipe], TrainingData]


class KilledError(BaseException):
    """Nobody catches it: like kill -9, nothing is written after it."""


def small_recipe(stage: Stage, *settings: str) -> Recipe:
    if stage == "patch":
        recipe = parse_recipe(PATCH)
        return recipe.with_values(["patches.per_epoch=20", "patches.validation=10", "loop.micro_batch=5", *settings])
    return exam_recipe("loop.micro_batch=1", *settings, stage=stage)


def run_stage(
    out: Path, recipe: Recipe, data: TrainingData, on_step: Callable[[Step], None] = lambda step: None
) -> Trained:
    run = open_toy_run(out, recipe, resume=True)
    fabric = open_fabric(recipe, accelerator="cpu")
    return train(open_stage(recipe, data), run, fabric=fabric, resume=True, on_step=on_step)


def largest_difference(one: Trained, other: Trained) -> float:
    return max(float((tensor - other.tensors[name]).abs().max()) for name, tensor in one.tensors.items())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_killed_again_and_again_ends_the_same(
    open_phantoms: Open, tmp_path: Path, stage: Stage
) -> None:
    recipe = small_recipe(stage, "loop.checkpoint_minutes=1e-9")
    data = open_phantoms(recipe)
    whole = run_stage(tmp_path / "whole", recipe, data)
    assert len(whole.history) == recipe.loop.epochs
    left = [2]

    def kill(step: Step) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    kills = 0
    while True:
        left[0] = 2  # one step is done and kept, the next one is lost
        try:
            resumed = run_stage(tmp_path / "killed", recipe, data, kill)
        except KilledError:
            kills += 1
            continue
        break
    assert kills >= 2
    assert largest_difference(whole, resumed) == 0
    assert resumed.best.table.equals(whole.best.table)


@pytest.mark.parametrize("stage", ["patch", *(pytest.param(s, marks=pytest.mark.slow) for s in ("birads", "exam"))])
def test_workers_change_nothing_of_a_stage(open_phantoms: Open, tmp_path: Path, stage: Stage) -> None:
    runs = []
    for workers in (0, 1):
        recipe = small_recipe(stage, "loop.epochs=1", f"loop.workers={workers}")
        runs.append(run_stage(tmp_path / str(workers), recipe, open_phantoms(recipe)))
    assert largest_difference(*runs) == 0


def test_recomputed_activations_change_nothing_of_an_exam_network(open_phantoms: Open, tmp_path: Path) -> None:
    settings = ("loop.epochs=1", "exam.width=2")
    runs = []
    for stages in (0, 3):
        recipe = small_recipe("exam", *settings, f"loop.recomputed={stages}")
        runs.append(run_stage(tmp_path / str(stages), recipe, open_phantoms(recipe)))
    assert largest_difference(*runs) == 0


@pytest.mark.slow  # the toy stage does it in the fast tests
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_a_stage_as_one_does(phantom_store: Path, tmp_path: Path, stage: Stage) -> None:
    recipe = small_recipe(stage, "loop.epochs=1")
    (tmp_path / "recipe.toml").write_text(format_recipe(recipe))
    words = [sys.executable, "-m", "fourview", "train", stage, str(tmp_path / "recipe.toml"), "--device", "cpu"]
    words += ["--data", str(phantom_store), "--split", SPLIT]
    for devices in ("1", "2"):
        command = [*words, "--devices", devices, "--out", str(tmp_path / devices)]
        found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
        assert found.returncode == 0, found.stderr
    one, two = (load_file(next((tmp_path / name / "weights").glob("*.safetensors"))) for name in ("1", "2"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-5, rtol=0, msg=name)
