"""Two processes that share each batch learn what one process learns, and only the first one writes."""

from __future__ import annotations

import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file

from fourview.exam import SetupError
from fourview.train.devices import open_fabric
from fourview.train.feed import Plan, divide_epoch
from fourview.train.recipe_text import format_recipe
from tests.train.conftest import SPLIT
from tests.train.exam_recipes import exam_recipe
from tests.train.toy_stage import toy_recipe, toy_stage

ROOT = Path(__file__).parents[2]
SETTINGS = ["loop.micro_batch=2", "loop.epochs=2", "optimiser.average=0.9"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def run_toy(out: Path, *words: str, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    command = [*launcher, "-m", "tests.train.toy_run", str(out), *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("launcher", ["its own", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_does_and_only_the_first_writes(tmp_path: Path, launcher: str) -> None:
    settings = [*SETTINGS, "unlabelled=3"]  # so that the two know different numbers of targets
    one = run_toy(tmp_path / "one", *settings)
    if launcher == "torchrun":
        two = run_toy(tmp_path / "two", *settings, "--strict", launcher=tuple(TORCHRUN))
    else:
        two = run_toy(tmp_path / "two", *settings, "--strict", "--devices", "2")
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    tensors, shared = (load_file(tmp_path / name / "trained.safetensors") for name in ("one", "two"))
    assert {name for name in tensors if "running" in name} == {"norm.running_mean", "norm.running_var"}
    for name, tensor in tensors.items():
        assert float((tensor - shared[name]).abs().max()) < 1e-5, name
    history, other = (pl.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    for column in ("loss", "score", "accuracy"):
        assert other[column].to_list() == pytest.approx(history[column].to_list(), abs=1e-5)
    predictions = [pl.read_csv(tmp_path / name / "predictions.csv")["name"].to_list() for name in ("one", "two")]
    assert predictions[0] == predictions[1]
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1


def test_a_failure_in_one_process_names_the_batch_of_all_and_ends_all(tmp_path: Path) -> None:
    found = run_toy(tmp_path, *SETTINGS, "poison=exam 1-11", "--devices", "2")
    assert found.returncode == 2, found.stderr
    assert found.stderr.count("with exam 1-10, exam 1-11") == 1
    failure = pl.read_json(tmp_path / "failure.json")
    assert sorted(failure["names"][0]) == sorted(f"exam 1-{place}" for place in range(8, 16))


@pytest.mark.slow
def test_a_wrong_set_up_is_said_once_however_many_processes(phantom_store: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(format_recipe(exam_recipe("loop.micro_batch=1", "exam.heatmaps=true")))
    words = ["train", "exam", str(tmp_path / "recipe.toml"), "--data", str(phantom_store), "--split", SPLIT]
    words += ["--out", str(tmp_path / "run"), "--device", "cpu", "--devices", "2"]
    found = subprocess.run(
        [sys.executable, "-m", "fourview", *words], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 2, found.stderr
    assert found.stderr.count("need --patch") == 1


@pytest.mark.slow
def test_a_worker_that_dies_in_one_process_ends_all(tmp_path: Path) -> None:
    found = run_toy(tmp_path, *SETTINGS, "loop.workers=1", "deadly=exam 1-10", launcher=tuple(TORCHRUN))
    assert found.returncode != 0
    assert "a worker process that prepares samples died" in found.stderr


def test_portions_go_round_the_devices_so_that_each_step_has_the_same_samples() -> None:
    stage = toy_stage("loop.micro_batch=2")
    alone = Plan(stage, device=0, devices=1)
    shared = [Plan(stage, device=number, devices=2) for number in range(2)]
    for step, portions in enumerate(alone.steps(0)):
        dealt = [portion for pair in zip(*(plan.steps(0)[step] for plan in shared), strict=True) for portion in pair]
        assert dealt == list(portions)
    judged = [portion for pair in zip_longest(*(plan.validation for plan in shared)) for portion in pair if portion]
    assert judged == alone.validation


def test_a_plan_goes_on_from_any_step() -> None:
    plan = Plan(toy_stage(), device=0, devices=1)
    everything = list(plan.portions(epoch=0, step=0))
    per_epoch = 3 * 2 + len(plan.validation)
    assert len(everything) == 3 * per_epoch
    assert list(plan.portions(epoch=1, step=2)) == everything[per_epoch + 4 :]
    assert list(plan.portions(epoch=1, step=3)) == everything[per_epoch + 6 :]


def test_what_does_not_fill_a_batch_is_left_out_unless_it_is_all() -> None:
    keys = Plan(toy_stage(), device=0, devices=1).steps(0)[0][0] * 3  # 12
    sizes = [[len(portion) for portion in step] for step in divide_epoch(keys, batch=8, micro_batch=3)]
    assert sizes == [[3, 3, 2]]
    assert [len(portion) for portion in divide_epoch(keys[:5], batch=8, micro_batch=3)[0]] == [3, 2]


@pytest.mark.parametrize("per_epoch", [7, 3])
def test_an_epoch_that_several_devices_cannot_share_is_an_error(per_epoch: int) -> None:
    plan = Plan(toy_stage(f"patches.per_epoch={per_epoch}"), device=0, devices=2)
    with pytest.raises(SetupError, match="each of the 2 devices"):
        plan.steps(0)


def test_devices_that_cannot_share_a_batch_evenly_are_refused() -> None:
    with pytest.raises(SetupError, match="found 3 devices for 2 portions"):
        open_fabric(toy_recipe(), devices=3, accelerator="cpu")


def test_devices_that_are_not_there_are_an_error() -> None:
    with pytest.raises(SetupError, match="need devices that are there"):
        open_fabric(toy_recipe("loop.batch=4096"), devices=1024, accelerator="cuda")
