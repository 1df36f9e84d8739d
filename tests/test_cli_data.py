"""`fourview data`: list, prepare, check, split."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

import fourview.datasets
from fourview.cli import app
from fourview.datasets import DATASETS
from fourview.datasets.record import Listing
from fourview.exam import SetupError
from fourview.store.prepare import prepare
from fourview.store.store import Store
from tests.store.png_set import CROP, DATASET, Drawn, four_views, write_set

SMALL = ("--crop-iterations", "10", "--crop-buffer", "8")
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line with the drawn set among the known ones."""
    monkeypatch.setitem(fourview.datasets.DATASETS, "drawn", DATASET)
    runner = CliRunner()

    def call(*arguments: object) -> Result:
        return runner.invoke(app, ["data", *map(str, arguments)])

    return call


def flat(text: str) -> str:
    return " ".join(text.split())


def test_list_says_of_every_set_what_it_has_its_terms_and_whether_it_was_ever_read(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    said = flat(result.stdout)
    for dataset in DATASETS.values():
        for text in (dataset.name, dataset.title, dataset.has, dataset.terms, dataset.source, dataset.read_here):
            assert flat(text) in said, dataset.name
    assert said.count("run on the real set:") == len(DATASETS)
    assert ("must not be released" in said) == (not all(d.releases_models for d in DATASETS.values()))


def test_prepare_shows_rule_by_rule_what_was_left_out(run: Run, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [*four_views(1), Drawn("e0", "L-LM"), Drawn("e1", "L-CC")])
    result = run("prepare", "drawn", root, "--out", tmp_path / "store", "--require", "four-views", *SMALL)
    assert result.exit_code == 0, result.output
    assert re.search(r"not CC or MLO\D+1\D+5\D+2", result.stdout)
    assert re.search(r"four views listed\D+1\D+4\D+1", result.stdout)
    assert re.search(r"gap at the chest wall\D+not asked for", result.stdout)
    assert "4 images prepared, 2 excluded, 0 failed" in result.stdout
    assert "Research" in result.stdout or "research" in result.stdout
    assert Store.open(tmp_path / "store").images.height == 4


def test_a_failed_image_is_named_and_ends_in_status_1(run: Run, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", four_views(1))
    (root / "e0_L-CC.png").unlink()
    result = run("prepare", "drawn", root, "--out", tmp_path / "store", *SMALL)
    assert result.exit_code == 1
    assert "e0_L-CC" in result.output
    assert "3 images prepared, 0 excluded, 1 failed" in result.stdout


def test_stored_files_of_other_settings_are_named_and_removed_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [*four_views(1), Drawn("e1", "L-CC")])
    arguments = ("prepare", "drawn", root, "--out", tmp_path / "store", *SMALL)
    assert "stored files" not in run(*arguments).stdout
    arguments = (*arguments, "--resume", "--require", "four-views")
    said = flat(run(*arguments).stdout)
    assert re.search(r"1 stored files, 0\.\d+ MB, are of .*, and stay \(images/.*--remove-unused removes them", said)
    assert "sources, and were removed." in flat(run(*arguments, "--remove-unused").stdout)
    assert len(list((tmp_path / "store" / "images").glob("*/*.h5"))) == 4
    assert "stored files" not in run(*arguments).stdout


def test_a_problem_of_the_listing_ends_in_status_1_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(root: Path) -> Listing:
        whole = DATASET.find(root)
        return replace(whole, records=whole.records[:3], problems=(("e0_R-MLO", "in the table, but not there"),))

    monkeypatch.setitem(fourview.datasets.DATASETS, "drawn", replace(DATASET, find=find))
    result = run("prepare", "drawn", write_set(tmp_path / "set", four_views(1)), "--out", tmp_path / "store", *SMALL)
    assert result.exit_code == 1
    assert "3 images prepared, 0 excluded, 0 failed" in result.stdout
    assert "1 problems in the set's listing" in result.stdout
    assert "e0_R-MLO" in (tmp_path / "store" / "failures.csv").read_text()


def test_resume_says_how_many_were_there(run: Run, tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", four_views(1))
    arguments = ("prepare", "drawn", root, "--out", tmp_path / "store", *SMALL)
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert isinstance(again.exception, SetupError)
    assert "add --resume" in str(again.exception)
    assert "4 images prepared (4 of them by an earlier run)" in run(*arguments, "--resume").stdout


def test_an_unknown_set_is_answered_with_the_known_ones(run: Run, tmp_path: Path) -> None:
    result = run("prepare", "imagenet", tmp_path, "--out", tmp_path / "store")
    assert isinstance(result.exception, SetupError)
    assert "drawn" in str(result.exception)
    assert "mini-mias" in str(result.exception)


INTERRUPTED = """
import sys
import fourview.datasets
from tests.store.png_set import DATASET
fourview.datasets.DATASETS["drawn"] = DATASET
from fourview.cli import main
if __name__ == "__main__":
    sys.argv[0] = "fourview"
    main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process there")
@pytest.mark.parametrize("jobs", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_ctrl_c_ends_in_status_130_and_can_be_resumed(run: Run, tmp_path: Path, jobs: str) -> None:
    root, out = write_set(tmp_path / "set", four_views(60)), tmp_path / "store"
    (tmp_path / "run.py").write_text(INTERRUPTED)
    project = Path(__file__).parents[1]
    arguments = ["data", "prepare", "drawn", str(root), "--out", str(out), "--jobs", jobs, *SMALL]
    with (tmp_path / "said").open("w") as said:
        program = subprocess.Popen(
            [sys.executable, str(tmp_path / "run.py"), *arguments],
            stdout=said,
            stderr=said,
            env=os.environ | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'src'}"},
            start_new_session=True,  # as a terminal does, the signal goes to all processes of the run
        )
        limit = time.monotonic() + 60
        while len(list(out.glob("images/*/*.h5"))) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(timeout=60) == 130, (tmp_path / "said").read_text()
    assert "run the same command with --resume" in (tmp_path / "said").read_text()
    assert "Traceback" not in (tmp_path / "said").read_text()
    result = run(*arguments[1:], "--resume")
    assert result.exit_code == 0, result.output
    assert (there := re.search(r"\((\d+) of them by an earlier run\)", result.stdout)) is not None
    assert 4 <= int(there[1]) <= 240


def test_split_writes_a_file_that_no_woman_is_twice_in(run: Run, tmp_path: Path) -> None:
    prepare(DATASET, write_set(tmp_path / "set", four_views(6)), tmp_path / "store", crop=CROP)
    result = run("split", tmp_path / "store", "--folds", 3, "--name", "cv")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "store" / "splits" / "cv.json").is_file()
    assert "fold-3" in result.stdout


def test_wrong_shares_are_refused(run: Run, tmp_path: Path) -> None:
    prepare(DATASET, write_set(tmp_path / "set", four_views(2)), tmp_path / "store", crop=CROP)
    result = run("split", tmp_path / "store", "--fractions", "most,rest")
    assert isinstance(result.exception, SetupError)
    assert "need numbers" in str(result.exception)


def test_check_writes_a_page_and_the_audit(run: Run, tmp_path: Path) -> None:
    prepare(DATASET, write_set(tmp_path / "set", four_views(2)), tmp_path / "store", crop=CROP)
    assert run("split", tmp_path / "store", "--folds", 2).exit_code == 0
    result = run("check", tmp_path / "store", "--out", tmp_path / "page", "--split", "split")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "page" / "report.html").is_file()
    assert pl.read_csv(tmp_path / "page" / "audit.csv").columns[0] == "kind"
