"""`fourview phantom`: draw, show, card; and the way from a drawn population to its evaluation."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.datasets import DATASETS
from fourview.exam import SetupError
from fourview.phantom import load_recipe
from fourview.phantom.recipe import parse_recipe
from fourview.store.manifest import FORMAT
from fourview.store.store import Store

Run = Callable[..., Result]
SMALL = ("--recipe", "enriched", "--scale", 0.05)


@pytest.fixture
def run() -> Run:
    runner = CliRunner()

    def call(*arguments: object) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments])

    return call


def flat(text: str) -> str:
    return " ".join(text.split())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_files_and_says_what_was_drawn(run: Run, tmp_path: Path) -> None:
    for name, jobs in (("a", 1), ("b", 2)):
        result = run("phantom", "--exams", 3, "--out", tmp_path / name, "--seed", 5, "--jobs", jobs, *SMALL)
        assert result.exit_code == 0, result.output
    said = flat(result.stdout)
    assert "3 synthetic exams of 3 women: " in said
    assert load_recipe("enriched").hash in said
    assert "Synthetic: no person was imaged" in said
    assert "fourview evaluate READINGS/readings.csv --truth" in said
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    again = run("phantom", "--exams", 3, "--out", tmp_path / "a", *SMALL)
    assert isinstance(again.exception, SetupError)
    assert "add --resume" in str(again.exception)


def test_without_an_output_folder_nothing_is_drawn(run: Run) -> None:
    result = run("phantom", "--exams", 2)
    assert isinstance(result.exception, SetupError)
    assert "no --out" in str(result.exception)


def test_a_transfer_syntax_and_a_first_exam_can_be_asked_for(run: Run, tmp_path: Path) -> None:
    import pydicom

    out = tmp_path / "out"
    assert run("phantom", "--start", 7, "--syntax", "rle", "--out", out, *SMALL).exit_code == 0
    dataset = pydicom.dcmread(out / "exam_000007/7_L_CC.dcm", stop_before_pixels=True)
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    result = run("phantom", "--syntax", "gif", "--out", tmp_path / "other", *SMALL)
    assert isinstance(result.exception, SetupError)
    assert "jpeg-ls" in str(result.exception)


def test_an_edited_recipe_draws_its_own_population(run: Run, tmp_path: Path) -> None:
    printed = run("phantom", "card", "enriched", "--toml")
    assert printed.exit_code == 0
    assert parse_recipe(printed.stdout).hash == load_recipe("enriched").hash
    (tmp_path / "mine.toml").write_text(printed.stdout.replace('name = "enriched"', 'name = "mine"'))
    result = run("phantom", "--recipe", tmp_path / "mine.toml", "--scale", 0.05, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    about = json.loads((tmp_path / "out/phantom.json").read_text())
    assert about["recipe"] == "mine"
    assert about["recipe_hash"] != load_recipe("enriched").hash


def test_the_card_names_hash_ceilings_and_how_often_everything_is(run: Run) -> None:
    said = flat(run("phantom", "card", "--difficulty", "hard").stdout)
    assert "Real images told from phantoms" in said
    assert load_recipe("screening", difficulty="hard").hash in said
    for text in ("lesion malignant vs benign", "breasts malignant", "density d", "standard error", "Synthetic"):
        assert text in said
    hard = parse_recipe(run("phantom", "card", "--difficulty", "hard", "--toml").stdout)
    assert hard.difficulty == "hard"


@pytest.mark.slow
def test_a_store_is_drawn_ready_to_be_checked_and_split(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "store"
    result = run("phantom", "--exams", 6, "--format", "store", "--out", out, "--seed", 5, "--jobs", 2, *SMALL)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["store"]  # the pictures it was made of are gone
    store = Store.open(out)
    assert store.images.height == 24
    assert store.about["dataset"] == "phantom"
    assert store.about["crop"] == {"iterations": 5, "buffer_px": 2}
    assert store.about["releases_models"] is True
    lesions = store.images["lesions"].explode().drop_nulls()
    assert lesions.struct.field("mask").is_not_null().sum() > 10
    assert {"phantom.json", "recipe.toml", "truth"} <= {path.name for path in out.iterdir()}
    split = run("data", "split", out, "--fractions", ".5,.25,.25")
    assert split.exit_code == 0, split.output
    check = run("data", "check", out, "--out", tmp_path / "check", "--split", "split")
    assert check.exit_code == 0, check.output
    again = run("phantom", "--exams", 6, "--format", "store", "--out", out, *SMALL)
    assert isinstance(again.exception, SetupError)


def test_a_folder_of_pictures_becomes_the_same_store(run: Run, tmp_path: Path) -> None:
    options = ("--exams", 2, "--seed", 5, *SMALL)
    assert run("phantom", "--format", "png", "--out", tmp_path / "png", *options).exit_code == 0
    assert run("phantom", "--format", "store", "--out", tmp_path / "store", *options).exit_code == 0
    crop = ("--crop-iterations", 5, "--crop-buffer", 2)
    result = run("data", "prepare", "phantom", tmp_path / "png", "--out", tmp_path / "prepared", *crop)
    assert result.exit_code == 0, result.output
    assert DATASETS["phantom"].terms in flat(result.stderr)
    one, other = contents(tmp_path / "prepared"), contents(tmp_path / "store")
    assert {name for name in one if name.startswith("images/")}
    assert all(other[name] == content for name, content in one.items() if not name.startswith("."))


def test_a_store_that_was_interrupted_is_gone_on_with(run: Run, tmp_path: Path) -> None:
    options = ("--exams", 2, "--seed", 5, *SMALL)
    store = ("phantom", "--format", "store", "--out", tmp_path / "store", *options)
    # what an interruption while drawing leaves beside the store
    assert run("phantom", "--format", "png", "--out", tmp_path / "store.pictures", *options).exit_code == 0
    refused = run(*store)
    assert isinstance(refused.exception, SetupError)
    assert "add --resume" in str(refused.exception)
    result = run(*store, "--resume")
    assert result.exit_code == 0, result.output
    assert "(2 of them by an earlier run)" in flat(result.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    finished = run(*store, "--resume")
    assert "finished store" in str(finished.exception)


def test_a_store_that_was_killed_while_its_truth_was_moved_in_is_gone_on_with(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ("phantom", "--format", "store", "--exams", 1, *SMALL, "--out")
    assert run(*store, tmp_path / "whole").exit_code == 0
    move = shutil.move

    def killed_after_the_first(source: Path, target: Path) -> None:
        if source.name != "truth":
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(shutil, "move", killed_after_the_first)
    assert run(*store, tmp_path / "store").exit_code == 130
    monkeypatch.undo()
    result = run(*store, tmp_path / "store", "--resume")
    assert result.exit_code == 0, result.output
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_nothing_is_drawn_for_a_store_in_a_folder_of_something_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/to_ann.txt").write_text("Dear Ann")
    result = run("phantom", "--format", "store", "--out", tmp_path / "letters", "--resume", *SMALL)
    assert isinstance(result.exception, SetupError)
    assert "no store" in str(result.exception)
    (tmp_path / "letters/store.json").write_text(json.dumps({"format": FORMAT, "dataset": "inbreast"}))
    result = run("phantom", "--format", "store", "--out", tmp_path / "letters", "--resume", *SMALL)
    assert "holds the set 'inbreast', not 'phantom'" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_options_that_would_be_ignored_are_refused(run: Run) -> None:
    result = run("phantom", "--recipe", "enriched", "show", 0)
    assert isinstance(result.exception, SetupError)
    assert "phantom show: found options before its name (--recipe); need them after it" in str(result.exception)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "untrained"
    arguments = ["weights", "untrained", "--out", str(out), "--wiring", "view-wise", "--scale", "0.25"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return out


@pytest.mark.parametrize("files", ["dicom", pytest.param("png", marks=pytest.mark.slow)])
def test_from_drawing_to_evaluation(run: Run, weights: Path, tmp_path: Path, files: str) -> None:
    """Untrained weights: that the ids, labels and boxes meet is tested, not any number."""
    out = tmp_path / "population"
    options = ("--exams", 6, "--seed", 0, "--recipe", "enriched", "--scale", 0.12)
    assert run("phantom", "--format", files, "--out", out, *options).exit_code == 0
    truth = pl.read_csv(out / "truth/breasts.csv", infer_schema=False)
    assert (truth["malignant"] == "1").any()
    inputs = (out,) if files == "dicom" else (out / "images.csv", "--mirrored", "auto")
    readings = tmp_path / "readings"
    result = run("screen", *inputs, "--weights", weights, "--out", readings, "--jitter", 0)
    assert result.exit_code == 0, result.output
    table = pl.read_csv(readings / "readings.csv")
    assert set(table["exam"]) == set(truth["exam"])
    report = tmp_path / "report"
    result = run(
        "evaluate", readings / "readings.csv", "--truth", out / "truth/breasts.csv", "--lesions", out / "lesions.csv",
        "--by", "density,profile", "--out", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    located = pl.read_csv(report / "lesions.csv", infer_schema=False)
    assert located.height == pl.read_csv(out / "lesions.csv").height > 0
    assert set(located["not_read"].fill_null("")) == {""}


def test_the_page_of_one_exam_is_written_where_it_is_wanted_or_here(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("phantom", "show", 0, "--index", 2, *SMALL)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "phantom_0_2/report.html").read_text()
    assert "Synthetic exam 2 of enriched, seed 0" in page
    assert "nothing on this page says anything about patients" in page
    assert "nothing on this page says anything about patients" in flat(result.stdout)
    again = run("phantom", "show", 0, "--index", 2, *SMALL)
    assert isinstance(again.exception, SetupError)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_whole_exams_that_the_same_command_completes(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["phantom", "--exams", "40", "--out", str(out), *map(str, SMALL), "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from fourview.cli import main; main()", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(out.glob("exam_*"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "run the same command with --resume" in said
    there = len(list(out.glob("exam_*")))
    assert 2 <= there < 40
    assert not (out / "truth").exists()
    assert not list(out.glob(".*part"))
    small = [*command[:2], str(there + 1), *command[3:]]
    (out / "phantom.json").write_text((out / "phantom.json").read_text().replace('"exams": 40', f'"exams": {there}'))
    result = run(*small, "--resume")
    assert result.exit_code == 0, result.output
    assert f"({there} of them by an earlier run)" in flat(result.stdout)
    assert (out / "truth/breasts.csv").is_file()
