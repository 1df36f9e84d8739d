"""`fourview train` and `fourview heatmaps`: from a drawn population to readings, interrupted and gone on with."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from fourview.cli import app, train_show
from fourview.exam import SetupError
from fourview.phantom.folder import draw_folder
from fourview.phantom.recipe import load_recipe as load_population
from fourview.train.recipe_text import format_recipe
from fourview.train.trained import Step
from fourview.weights.folder import load_card
from tests.train.conftest import PATCH, SCALE, SPLIT
from tests.train.exam_recipes import exam_recipe

PHANTOMS = f"""
[phantoms]
exams = 12
seed = 12
scale = {SCALE}
fractions = [0.5, 0.3, 0.2]
"""


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def run(*words: object) -> str:
    """What was said, by a call that must end well."""
    result = call(*words)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def recipes(tmp_path: Path) -> Callable[[str], Path]:
    def write(stage: str) -> Path:
        path = tmp_path / f"{stage}.toml"
        path.write_text(PATCH if stage == "patch" else format_recipe(exam_recipe(stage=stage)) + PHANTOMS)
        return path

    return write


@pytest.fixture
def store(phantom_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom_store, tmp_path / "store"))


def test_from_a_population_to_readings_of_an_ensemble(
    store: Path, recipes: Callable[[str], Path], population: Path, tmp_path: Path
) -> None:
    data = ["--data", store, "--split", SPLIT]
    said = run("train", "patch", recipes("patch"), *data, "--out", tmp_path / "p", "--storage", "fp16")
    assert "malignant patches" in said
    assert re.search(r"looking at images of train: (\d+) of \1,", said)
    assert "not for real images" in said
    patch = tmp_path / "p" / "weights"
    assert "12 exams have heatmaps" in run("heatmaps", store, "--weights", patch)
    assert "(12 of them were there)" in run("heatmaps", store, "--weights", patch)
    run("train", "birads", recipes("birads"), *data, "--out", tmp_path / "b")
    start = ["--init", tmp_path / "b" / "weights", "--patch", patch, "--set", "exam.heatmaps=true", "--storage", "fp16"]
    for seed in (0, 1):
        run("train", "exam", recipes("exam"), *data, *start, "--set", f"seed={seed}", "--out", tmp_path / f"e{seed}")
    for name in ("report.html", "results.json", "history.csv", "predictions.csv", "recipe.toml", "weights/card.json"):
        assert (tmp_path / "e0" / name).is_file()
    card = load_card(tmp_path / "e0" / "weights")
    training = card.training
    assert (training.recipe, training.stage, training.seed, training.phantoms_only) == ("tiny", "exam", 0, True)
    assert (card.storage, card.licence) == ("fp16", "Apache-2.0")
    assert "tiny-birads-seed0" in training.source
    assert "6 women" in training.population
    said = run("train", "ensemble", tmp_path / "e0", tmp_path / "e1", "--out", tmp_path / "ens")
    assert "ensemble of 2: view-wise, image+heatmaps" in said
    draw_folder(load_population(population), tmp_path / "fresh", exams=2, seed=5, scale=SCALE)
    ens, readings = tmp_path / "ens", tmp_path / "readings"
    run("screen", tmp_path / "fresh", "--weights", ens, "--out", readings, "--engine", "torch", "--jitter", "1")
    rows = pl.read_csv(readings / "readings.csv")
    assert rows["model"].unique().to_list() == ["tiny-exam-seed0+tiny-exam-seed1"]
    assert all(mark.count("not for real images") == 1 for mark in rows["marks"])


def test_the_numbers_of_the_page_are_those_of_the_card_and_the_table(
    store: Path, recipes: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run("train", "exam", recipes("exam"), "--data", store, "--split", SPLIT, "--out", out)
    found = json.loads((out / "results.json").read_text())
    assert found["kind"] == "training"
    metrics = load_card(out / "weights").metrics
    assert [m.value for m in metrics] == [area["value"] for area in found["headline"]]
    table = pl.read_csv(out / "predictions.csv")
    assert [m.n for m in metrics] == [table["malignant"].count(), table["benign"].count()]
    assert {"exam", "patient", "side", "p_malignant", "p_benign"} <= set(table.columns)


def test_phantoms_are_drawn_once_into_the_cache_and_have_a_split_by_themselves(
    recipes: Callable[[str], Path], population: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOURVIEW_CACHE", str(tmp_path / "cache"))
    data = ["--data", f"phantom:{population}", "--set", "loop.epochs=1"]
    run("train", "birads", recipes("birads"), *data, "--out", tmp_path / "a")
    drawn = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.h5")}
    assert len(drawn) == 48
    run("train", "birads", recipes("birads"), *data, "--out", tmp_path / "b")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.h5")} == drawn


def test_an_interrupted_run_says_130_and_ends_with_the_same_weights(
    store: Path, recipes: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "exam", recipes("exam"), "--data", store, "--split", SPLIT]
    run(*words, "--out", tmp_path / "whole")
    shown = train_show.TrainProgress.__call__

    def stop_early(self: train_show.TrainProgress, step: Step) -> None:
        shown(self, step)
        if (step.epoch, step.step) == (2, 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_show.TrainProgress, "__call__", stop_early)
        stopped = call(*words, "--out", tmp_path / "broken")
    assert stopped.exit_code == 130
    assert "--resume" in stopped.output
    assert not (tmp_path / "broken" / "weights").exists()
    run(*words, "--out", tmp_path / "broken", "--resume")
    whole, broken = (load_file(tmp_path / name / "weights/network.safetensors") for name in ("whole", "broken"))
    assert all(whole[name].equal(broken[name]) for name in whole)
    again = run(*words, "--out", tmp_path / "broken", "--resume")  # of a finished run: shown once more
    assert "Next: fourview screen" in again


def test_a_dry_run_measures_and_leaves_nothing(store: Path, recipes: Callable[[str], Path], tmp_path: Path) -> None:
    words = ["train", "exam", recipes("exam"), "--data", store, "--split", SPLIT, "--out", tmp_path / "run"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = run(*words, "--dry-run")
    for what in ("parameters", "MB", "fits at once", "the whole run", "Nothing was kept"):
        assert what in said
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert {path for path in after if path not in before} <= {store / ".lock"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "loop.epoch=3"], "found the key 'loop.epoch', need one of"),
        (["--set", "loop.epochs=-3"], "loop.epochs: found -3, need"),
        (["--set", "exam.heatmaps=true"], "need --patch"),
        (["--devices", "2", "--device", "cpu"], "need a number of portions that they share evenly"),
        (["--split", "other"], "other"),
        (["--init", "nowhere"], "no such folder or name"),
    ],
)
def test_a_wrong_set_up_is_told_before_anything_is_written(
    words: list[str], said: str, store: Path, recipes: Callable[[str], Path], tmp_path: Path
) -> None:
    options = ["--data", store, "--split", SPLIT, "--out", tmp_path / "run"]
    with pytest.raises(SetupError, match=said):
        run("train", "exam", recipes("exam"), *options, *words)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_not_a_new_run(
    store: Path, recipes: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("keep me")
    with pytest.raises(SetupError, match="not empty; need a new one, or --resume"):
        run("train", "exam", recipes("exam"), "--data", store, "--split", SPLIT, "--out", tmp_path / "run")


def test_without_the_packages_of_training_it_says_how_to_install_them(
    recipes: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lightning_fabric" else find(name))
    with pytest.raises(SetupError, match=r'lightning_fabric: pip install "\.\[train\]"'):
        run("train", "exam", recipes("exam"), "--data", "x", "--out", tmp_path / "run")


@pytest.mark.slow
def test_heatmaps_by_several_processes_are_the_same_files(
    store: Path, recipes: Callable[[str], Path], tmp_path: Path
) -> None:
    run("train", "patch", recipes("patch"), "--data", store, "--split", SPLIT, "--out", tmp_path / "p")
    other = Path(shutil.copytree(store, tmp_path / "other"))
    run("heatmaps", store, "--weights", tmp_path / "p" / "weights")
    run("heatmaps", other, "--weights", tmp_path / "p" / "weights", "--jobs", "2")
    one, two = ({p.name: p.read_bytes() for p in (s / "heatmaps").rglob("*.h5")} for s in (store, other))
    assert one == two
    assert len(one) == 48


@pytest.mark.slow
def test_two_processes_of_torchrun_learn_what_one_does(
    store: Path, recipes: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ["train", "exam", recipes("exam"), "--data", store, "--split", SPLIT, "--set", "loop.micro_batch=1"]
    run(*words, "--out", tmp_path / "one")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "fourview"]
    done = subprocess.run(
        [*launch, *map(str, words), "--out", str(tmp_path / "two")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Output:") == 1  # the first process speaks, the others do not
    one, two = (pl.read_csv(tmp_path / name / "history.csv")["loss"].to_list() for name in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-4)
