"""`fourview screen --weights CLASSIFIER --resume`: nothing is read twice, and the end is that of a run in one go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result
from sklearn.linear_model import LogisticRegression

from fourview.exam import Exam, SetupError
from fourview.studies.transfer.answer_json import load_answer
from fourview.studies.transfer.classify import Classifier, ExamAnswer
from tests.studies.inbreast_miniature import make_store
from tests.studies.test_screen_classifier import extract, files_of, screen, write

EXAMS = 8  # an image each
Read = Callable[[Classifier, Exam], ExamAnswer]
KILLED = """
import os, signal, sys
from fourview.cli import app
from fourview.studies.transfer.classify import Classifier

read, seen = Classifier.read, []

def until(self, exam):
    seen.append(exam.exam_id)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self, exam)

Classifier.read = until
app(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two women (in), two classifiers (c, other), and a whole run of the first (whole). Only read it."""
    base = tmp_path_factory.mktemp("resume")
    store = make_store(base / "inbreast", women=4)
    features = extract(store, base / "features", "texture")
    write(base / "c", features, LogisticRegression(C=0.1))
    write(base / "other", features, LogisticRegression(C=10.0))
    (base / "in").mkdir()
    for path in sorted(files_of(store).iterdir())[:EXAMS]:
        shutil.copy(path, base / "in")
    (base / "in/notes.txt").write_text("no image")
    done = screen(base / "in", base / "c", base / "whole")
    assert done.exit_code == 0, done.output
    return base


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a run but run.json, which tells times."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files.pop("run.json")
    return files


def check_same(out: Path, whole: Path) -> None:
    found, wanted = content(out), content(whole)
    assert {"readings.csv", "images.csv", "failures.csv", "report.html", "results.json", "estimates.csv"} < set(wanted)
    assert sum(name.endswith("/answer.json") for name in wanted) == EXAMS
    assert sorted(found) == sorted(wanted)
    for name, data in wanted.items():
        assert found[name] == data, name


def counts(out: Path) -> tuple[str, dict[str, int]]:
    run = json.loads((out / "run.json").read_text())
    return run["status"], run["exams"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The exams that the classifier reads, in order."""
    exams: list[str] = []
    read = Classifier.read
    monkeypatch.setattr(Classifier, "read", lambda self, exam: (exams.append(exam.exam_id), read(self, exam))[1])
    return exams


def interrupt(base: Path, out: Path, monkeypatch: pytest.MonkeyPatch, number: int, *more: str) -> Result:
    """A run that is sent a signal while it reads its fourth exam."""
    with monkeypatch.context() as patched:
        tried: list[str] = []
        read = Classifier.read

        def until(self: Classifier, exam: Exam) -> ExamAnswer:
            tried.append(exam.exam_id)
            if len(tried) == 4:
                os.kill(os.getpid(), number)
            return read(self, exam)

        patched.setattr(Classifier, "read", until)
        return screen(base / "in", base / "c", out, *more)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_the_tables_are_whole_and_resume_ends_with_the_bytes_of_a_whole_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str], number: int
) -> None:
    out = tmp_path / "out"
    handler = signal.getsignal(signal.SIGTERM)
    stopped = interrupt(base, out, monkeypatch, number)
    assert stopped.exit_code == 130
    assert "Interrupted: 5 exams not tried. To go on: the same command with --resume." in stopped.output
    assert signal.getsignal(signal.SIGTERM) is handler
    assert counts(out) == ("interrupted", {"read": 3, "failed": 0, "already_there": 0, "remaining": 5})
    assert pl.read_csv(out / "images.csv").height == pl.read_csv(out / "readings.csv").height == 3
    assert "the run ended early, 5 exams were not tried" in (out / "report.html").read_text()
    there = {path.name for path in (out / "exams").iterdir()}
    assert len(there) == 3
    seen.clear()

    done = screen(base / "in", base / "c", out, "--resume")
    assert done.exit_code == 0, done.output
    assert "8 exams read (3 of them by an earlier run), 0 failed" in done.output
    assert len(seen) == 5
    assert not there & set(seen)
    assert counts(out) == ("finished", {"read": 5, "failed": 0, "already_there": 3, "remaining": 0})
    check_same(out, base / "whole")

    seen.clear()
    assert screen(base / "in", base / "c", out, "--resume").exit_code == 0
    assert seen == []
    check_same(out, base / "whole")


def test_after_kill_9_what_was_half_written_is_swept_away_and_resume_ends_with_the_same_bytes(
    base: Path, tmp_path: Path, seen: list[str]
) -> None:
    out = tmp_path / "out"
    words = ["screen", base / "in", "--weights", base / "c", "--out", out, "--device", "cpu"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    there = {path.name for path in (out / "exams").iterdir() if not path.name.startswith(".")}
    assert 2 <= len(there) <= 3  # the third may have been on its way to the disk
    half = out / "exams/.0123456789abcdef.89abcdef.part"
    half.mkdir(exist_ok=True)
    (half / "answer.json").write_text('{"format": "four')
    (out / ".images.csv.89abcdef.part").write_text("exam,pat")
    done = screen(base / "in", base / "c", out, "--resume")
    assert done.exit_code == 0, done.output
    assert len(seen) == EXAMS - len(there)
    check_same(out, base / "whole")


def test_an_answer_that_a_failing_disk_cut_short_is_named_and_read_again_once_it_is_gone(
    base: Path, tmp_path: Path, seen: list[str]
) -> None:
    out = shutil.copytree(base / "whole", tmp_path / "out")
    folder = sorted((out / "exams").iterdir())[2]
    file = folder / "answer.json"
    file.write_bytes(file.read_bytes()[:200])
    refused = screen(base / "in", base / "c", out, "--resume")
    assert isinstance(refused.exception, SetupError)
    assert f"{file}: damaged (JSONDecodeError" in str(refused.exception)
    assert "remove its folder" in str(refused.exception)
    shutil.rmtree(folder)
    assert screen(base / "in", base / "c", out, "--resume").exit_code == 0
    assert seen == [folder.name]
    check_same(out, base / "whole")


def refused_words(done: Result, out: Path, before: dict[str, bytes]) -> str:
    assert isinstance(done.exception, SetupError), done.output
    assert content(out) == before
    return str(done.exception)


def test_other_weights_options_or_images_are_refused_with_words_and_nothing_changes(
    base: Path, tmp_path: Path, seen: list[str]
) -> None:
    out = shutil.copytree(base / "whole", tmp_path / "out")
    before = content(out)
    c, images = base / "c", base / "in"
    for words, said in (
        ((images, base / "other", out, "--resume"), "weights_hash was"),
        ((images, c, out, "--resume", "--spacing-mm", "0.14"), "spacing_mm was None, is 0.14"),
        ((images, c, out, "--resume", "--show-ids"), "show_ids was False, is True"),
        ((images, c, out), "the folder is not empty; name a new one, or add --resume"),
    ):
        assert said in refused_words(screen(*words), out, before)

    strange = tmp_path / "strange"
    strange.mkdir()
    for path in sorted(images.glob("*.dcm"))[:3]:
        shutil.copy(path, strange)
    words = refused_words(screen(strange, c, out, "--resume"), out, before)
    assert "holds 5 exams that are not in this input" in words

    changed = shutil.copytree(images, tmp_path / "changed")  # the same exams by their tags, with another pixel
    path = sorted(changed.glob("*.dcm"))[4]
    data = bytearray(path.read_bytes())
    data[-20_001] ^= 1
    path.write_bytes(data)
    words = refused_words(screen(changed, c, out, "--resume"), out, before)
    assert "was read from other images than this input has" in words
    assert seen == []

    copied = shutil.copytree(images, tmp_path / "copied", copy_function=shutil.copy)  # elsewhere, and later
    assert screen(copied, c, out, "--resume").exit_code == 0
    assert (seen, content(out)) == ([], before)


def test_runs_with_networks_and_with_classifiers_do_not_go_on_with_each_other(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_text('{"files": "readings"}')
    refused = screen(base / "in", base / "c", tmp_path / "out", "--resume")
    assert "is of a run with a network, now it is a classifier of features" in str(refused.exception)


def test_exams_that_failed_are_tried_again(base: Path, tmp_path: Path, seen: list[str]) -> None:
    images, out = shutil.copytree(base / "in", tmp_path / "in"), tmp_path / "out"
    path = sorted(images.glob("*.dcm"))[5]
    data = path.read_bytes()
    path.write_bytes(data[:-30_000])
    first = screen(images, base / "c", out)
    assert first.exit_code == 1, first.output
    failures = pl.read_csv(out / "failures.csv")
    assert failures["kind"].to_list() == ["file", "exam"]
    assert pl.read_csv(out / "readings.csv")["status"].to_list().count("failed") == 1
    path.write_bytes(data)
    seen.clear()
    again = screen(images, base / "c", out, "--resume")
    assert again.exit_code == 0, again.output
    assert seen == failures.filter(kind="exam")["exam"].to_list()
    check_same(out, base / "whole")


def test_files_that_are_read_ahead_change_no_byte(base: Path, tmp_path: Path) -> None:
    assert screen(base / "in", base / "c", tmp_path / "out", "--jobs", "3").exit_code == 0
    check_same(tmp_path / "out", base / "whole")


def test_an_answer_comes_back_as_it_was_written_and_names_the_study_only_on_request(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, ExamAnswer] = {}
    read: Read = Classifier.read
    monkeypatch.setattr(Classifier, "read", lambda self, exam: made.setdefault(exam.exam_id, read(self, exam)))
    assert screen(base / "in", base / "c", tmp_path / "loud", "--show-ids").exit_code == 0
    assert len(made) == EXAMS
    for exam_id, answer in made.items():
        assert load_answer(tmp_path / "loud/exams" / exam_id).answer == answer
        assert answer.label
        assert answer.label in (tmp_path / "loud/images.csv").read_text()
        quiet = base / "whole/exams" / exam_id / "answer.json"
        assert answer.label not in quiet.read_text()


def test_an_unexpected_error_fails_one_exam_and_tells_nothing_of_the_patient(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, tried = Classifier.read, []

    def clumsy(self: Classifier, exam: Exam) -> ExamAnswer:
        tried.append(exam.exam_id)
        if len(tried) == 2:
            raise ZeroDivisionError("DOE^JANE was here")
        return read(self, exam)

    monkeypatch.setattr(Classifier, "read", clumsy)
    done = screen(base / "in", base / "c", tmp_path / "out")
    assert done.exit_code == 1
    (reason,) = pl.read_csv(tmp_path / "out/failures.csv").filter(kind="exam")["reason"]
    assert reason.startswith("unexpected ZeroDivisionError at test_screen_classifier_resume.py:")
    assert b"DOE" not in b"".join(content(tmp_path / "out").values())
    assert pl.read_csv(tmp_path / "out/images.csv").height == EXAMS
