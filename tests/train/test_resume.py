"""A run that was killed goes on and ends the same, bit for bit; but only with what it began with."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fourview.exam import SetupError
from fourview.train.recipe import parse_recipe
from fourview.train.recipe_text import format_recipe
from fourview.train.run_folder import open_run, read_run
from tests.train.toy_stage import open_toy_run, toy_recipe

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "src/fourview/train/recipes"
KILL_POINTS = 112  # how often such a run touches a file


def run_module(name: str, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", name, *words], cwd=ROOT, check=True, capture_output=True, text=True, timeout=600
    ).stdout


def start_toy(out: Path, *settings: str) -> subprocess.Popen[bytes]:
    """In a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.toy_run", str(out), *settings], cwd=ROOT, start_new_session=True
    )


def wait_for_group(group: int) -> None:
    """Workers see within seconds that nobody needs them any more."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("a process outlived its run")


def check_kills(folder: Path, places: list[int]) -> None:
    lines = run_module("tests.train.toy_kills", str(folder), *map(str, places)).splitlines()
    assert lines == [f"{place} killed equal tidy" for place in places]


def test_a_run_killed_where_it_touches_a_file_ends_the_same(tmp_path: Path) -> None:
    check_kills(tmp_path, [1, *range(9, KILL_POINTS, 13)])


@pytest.mark.slow
def test_a_run_killed_anywhere_it_touches_a_file_ends_the_same(tmp_path: Path) -> None:
    check_kills(tmp_path, list(range(1, KILL_POINTS + 1)))


@pytest.mark.slow
def test_a_run_with_workers_killed_again_and_again_at_random_ends_the_same(tmp_path: Path) -> None:
    settings = ["loop.workers=1", "loop.checkpoint_minutes=1e-9", "loop.epochs=8", "pause_s=0.004"]
    run_module("tests.train.toy_run", str(tmp_path / "whole"), *settings)
    out, rng, kills = tmp_path / "killed", random.Random(7), 0
    for _ in range(3):
        process = start_toy(out, *settings)
        before = newest(out)
        while process.poll() is None and newest(out) == before:  # it has begun, and goes on
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        kills += process.poll() is None
        process.kill()
        process.wait()
        wait_for_group(process.pid)
    assert kills >= 2
    run_module("tests.train.toy_run", str(out), *settings)
    whole, killed = (load_file(folder / "trained.safetensors") for folder in (tmp_path / "whole", out))
    assert all(bool((whole[name] == killed[name]).all()) for name in whole)
    assert (out / "history.csv").read_text().count("\n") == 9


def newest(out: Path) -> str:
    return max((path.name for path in out.glob("checkpoints/last-*")), default="")


def test_sigterm_ends_a_process_with_a_checkpoint(tmp_path: Path) -> None:
    settings = ["loop.workers=1", "loop.epochs=400", "loop.patience=400", "pause_s=0.01"]
    process = start_toy(tmp_path, *settings)
    while not newest(tmp_path):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)  # the workers too, as a scheduler does
    assert process.wait(timeout=60) == 130
    assert newest(tmp_path) > "last-00001"
    wait_for_group(process.pid)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_written_as_toml_reads_back_as_the_same(path: Path) -> None:
    recipe = parse_recipe(path.read_text())
    again = parse_recipe(format_recipe(recipe))
    assert again == recipe
    assert again.hash == recipe.hash


def test_a_run_says_what_it_is_of(tmp_path: Path) -> None:
    recipe = toy_recipe()
    open_run(tmp_path, recipe, data="store", split="s", data_sha256="ab", starts={"init": "cd"}, resume=False)
    card = read_run(tmp_path)
    assert (card.stage, card.recipe, card.recipe_sha256) == ("patch", "toy", recipe.hash)
    assert (card.data, card.split, card.data_sha256, card.starts) == ("store", "s", "ab", {"init": "cd"})


def test_a_folder_with_something_in_it_needs_resume(tmp_path: Path) -> None:
    open_toy_run(tmp_path, toy_recipe())
    with pytest.raises(SetupError, match="--resume"):
        open_toy_run(tmp_path, toy_recipe())
    begun = read_run(tmp_path)
    assert open_toy_run(tmp_path, toy_recipe(), resume=True).path == tmp_path
    assert read_run(tmp_path) == begun


def test_resume_begins_a_run_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0a.part").write_text("{")  # killed while it was written
    open_toy_run(tmp_path, toy_recipe(), resume=True)
    assert read_run(tmp_path).recipe == "toy"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(SetupError, match=r"found no readable run\.json"):
        open_toy_run(tmp_path, toy_recipe(), resume=True)


def test_resume_refuses_another_recipe_and_says_what_differs(tmp_path: Path) -> None:
    open_toy_run(tmp_path, toy_recipe())
    with pytest.raises(SetupError, match=r"another recipe \(optimiser\.lr 0\.01, now 0\.1\)"):
        open_toy_run(tmp_path, toy_recipe("optimiser.lr=0.1"), resume=True)


def test_resume_accepts_other_reasons_for_the_same_values(tmp_path: Path) -> None:
    open_toy_run(tmp_path, toy_recipe())
    open_toy_run(tmp_path, toy_recipe("optimiser.lr=0.01"), resume=True)


@pytest.mark.parametrize(
    ("other", "words"),
    [({"data_sha256": "e" * 64}, "other data"), ({"starts": {"init": "0123"}}, "other weights")],
)
def test_resume_refuses_other_data_and_other_weights(tmp_path: Path, other: dict[str, object], words: str) -> None:
    open_toy_run(tmp_path, toy_recipe())
    with pytest.raises(SetupError, match=words):
        open_toy_run(tmp_path, toy_recipe(), resume=True, **other)


def test_a_failure_is_forgotten_when_the_run_goes_on(tmp_path: Path) -> None:
    run = open_toy_run(tmp_path, toy_recipe())
    run.write_failure({"what": "loss"})
    open_toy_run(tmp_path, toy_recipe(), resume=True)
    assert not (tmp_path / "failure.json").exists()
