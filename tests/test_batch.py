"""A batch: order, failures, resuming, interruption, and output that cannot be written."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fourview import batch, run_exams
from fourview.batch import BatchResult, ScreenOptions, Step, screen_batch
from fourview.calibration import SiteCalibration
from fourview.exam import Exam, ExamError, Reading, Score, SetupError, View
from fourview.prepare import PreparedExam
from tests.fake_screener import FakeScreener, MemoryFound, MemorySource, small_exam
from tests.test_calibration import a_calibration

IDS = tuple(letter * 16 for letter in "abcde")


def _found(*sources: MemorySource) -> MemoryFound:
    return MemoryFound(sources or tuple(MemorySource(exam_id) for exam_id in IDS))


def _screen(found: MemoryFound, out: Path, screener: FakeScreener | None = None, **options: object) -> BatchResult:
    chosen = {name: options.pop(name) for name in list(options) if name in ScreenOptions.__dataclass_fields__}
    return screen_batch(found, screener or FakeScreener(), out, options=ScreenOptions(**chosen), **options)


def _run(out: Path) -> dict[str, object]:
    return json.loads((out / "run.json").read_text())


def test_every_exam_gets_a_folder_and_its_rows_in_input_order(tmp_path: Path) -> None:
    steps: list[Step] = []
    result = _screen(_found(), tmp_path / "out", on_step=steps.append)
    assert (result.read, result.failed, result.interrupted, result.remaining) == (5, (), False, 0)
    table = pl.read_csv(tmp_path / "out/readings.csv")
    assert table["exam"].to_list() == [exam_id for exam_id in IDS for _ in range(2)]
    assert {p.name for p in (tmp_path / "out/exams").iterdir()} == set(IDS)
    assert len((tmp_path / "out/upstream.csv").read_text().splitlines()) == 6
    assert [step.done for step in steps] == [1, 2, 3, 4, 5]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "index.html", "readings.csv", "upstream.csv", "failures.csv", "run.json", "exams", "contact_sheet_001.png",
    }  # fmt: skip


def test_run_json_says_what_was_done_and_how_long_it_took(tmp_path: Path) -> None:
    _screen(_found(), tmp_path, jitter=3)
    run = _run(tmp_path)
    assert run["status"] == "finished"
    assert run["exams"] == {"read": 5, "failed": 0, "already_there": 0, "remaining": 0}
    assert run["settings"] == asdict(ScreenOptions(jitter=3))
    assert run["model"]["weights_hash"] == "feed" * 4
    assert run["model"]["engine"] == "fake 1.0 on cpu"
    assert run["model"]["precision"] == "fp32"
    assert {"python", "torch", "numpy", "pydicom", "fourview"} <= set(run["versions"])
    assert run["seconds"]["crop"] == {"sum": 0.005, "median": 0.001}
    assert {"load files", "read (after crop)", "write files"} <= set(run["seconds"])
    assert run["peak_memory_mb"]["process"] > 10
    assert run["decisions"][0]["images"] == 10
    assert {d["value"]: d["images"] for d in run["decisions"]} == {"faces right": 10, "faces left": 10}


def test_one_bad_exam_never_stops_a_batch(tmp_path: Path) -> None:
    sources = (
        MemorySource("a" * 16),
        MemorySource("b" * 16, ExamError("R-CC 2.dcm: truncated pixels")),
        MemorySource("c" * 16, small_exam("c" * 16, views=(View.L_CC,))),
        MemorySource("d" * 16, ZeroDivisionError("DOE^JANE was here")),
        MemorySource("e" * 16, left_out=(("scout.dcm", "tomosynthesis"),)),
    )
    found = MemoryFound(sources, left_out=(("notes.txt", "not an image"),))
    result = _screen(found, tmp_path)
    assert [summary.exam[0] for summary in result.summaries] == ["a", "e"]
    reasons = {failure.exam[0]: failure.reason for failure in result.failed}
    assert reasons["b"] == "R-CC 2.dcm: truncated pixels"
    assert "found no R-CC, L-MLO, R-MLO" in reasons["c"]
    assert reasons["d"].startswith("unexpected ZeroDivisionError at fake_screener.py:")
    assert {(f.name, f.reason) for f in result.left_out} == {
        ("notes.txt", "not an image"),
        ("scout.dcm", "tomosynthesis"),
    }
    table = pl.read_csv(tmp_path / "readings.csv")
    assert table.filter(pl.col("status") == "failed")["exam"].to_list() == ["b" * 16, "c" * 16, "d" * 16]
    assert _run(tmp_path)["exams"]["failed"] == 3


def test_no_identifier_is_written_or_logged_unless_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = _found(
        MemorySource("a" * 16, label="1.2.840.SECRET"),
        MemorySource("b" * 16, ValueError("DOE^SECRET"), label="1.2.840.SECRET"),
    )
    _screen(found, tmp_path / "quiet")
    written = b"".join(p.read_bytes() for p in (tmp_path / "quiet").rglob("*") if p.is_file())
    assert b"SECRET" not in written
    assert "unexpected ValueError" in caplog.text
    assert "SECRET" not in caplog.text
    _screen(found, tmp_path / "loud", show_ids=True)
    assert "1.2.840.SECRET" in (tmp_path / "loud/readings.csv").read_text()
    assert "DOE^SECRET" in (tmp_path / "loud/failures.csv").read_text()
    assert "1.2.840.SECRET" in (tmp_path / "loud/exams" / ("a" * 16) / "reading.json").read_text()


def test_an_exam_that_is_in_the_input_twice_is_read_once_and_listed(tmp_path: Path) -> None:
    screener = FakeScreener()
    found = _found(*(MemorySource(letter * 16) for letter in "abab"), MemorySource("c" * 16))
    result = _screen(found, tmp_path, screener)
    assert [exam_id[0] for exam_id in screener.seen] == ["a", "b", "c"]
    assert [failure.exam[0] for failure in result.failed] == ["a", "b"]
    assert "twice" in result.failed[0].reason


@pytest.mark.parametrize("jobs", [1, 3])
def test_at_most_so_many_exams_are_read_ahead(tmp_path: Path, jobs: int) -> None:
    loaded: list[str] = []
    ahead: list[int] = []
    sources = tuple(
        MemorySource(letter * 16, before=lambda letter=letter: loaded.append(letter)) for letter in "abcdefgh"
    )

    class Slow(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            time.sleep(0.03)
            ahead.append(len(loaded) - len(self.seen) - 1)
            return super().read(exam)

    result = _screen(_found(*sources), tmp_path, Slow(), jobs=jobs)
    assert [summary.exam[0] for summary in result.summaries] == list("abcdefgh")
    assert 1 <= max(ahead) <= jobs


def test_an_interrupted_run_has_whole_tables_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    class Stops(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            if len(self.seen) == 2:
                stop()
            return super().read(exam)

    first = _screen(_found(), tmp_path / "out", Stops())
    assert (first.interrupted, first.read, first.remaining) == (True, 2, 3)
    assert pl.read_csv(tmp_path / "out/readings.csv").height == 4
    assert _run(tmp_path / "out")["status"] == "interrupted"
    before = (tmp_path / "out/exams" / IDS[0] / "reading.json").stat().st_mtime_ns
    (tmp_path / "out/exams/.half.part").mkdir()  # what a killed run leaves behind

    screener, steps = FakeScreener(), []
    second = _screen(_found(), tmp_path / "out", screener, resume=True, on_step=steps.append)
    assert screener.seen == list(IDS[2:])
    assert (second.read, second.already_there, second.interrupted) == (5, 2, False)
    assert [step.already_there for step in steps] == [True, True, False, False, False]
    assert (tmp_path / "out/exams" / IDS[0] / "reading.json").stat().st_mtime_ns == before
    assert not (tmp_path / "out/exams/.half.part").exists()

    _screen(_found(), tmp_path / "whole")
    for name in ("readings.csv", "upstream.csv", "contact_sheet_001.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_a_batch_in_good_order(tmp_path: Path, number: int) -> None:
    def send_once(step: Step) -> None:
        if step.done == 2:
            os.kill(os.getpid(), number)

    handler = signal.getsignal(signal.SIGTERM)
    result = _screen(_found(), tmp_path, on_step=send_once)
    assert result.interrupted
    assert 2 <= result.read < 5
    assert pl.read_csv(tmp_path / "readings.csv").height == 2 * result.read
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_batch_runs_in_a_thread_too(tmp_path: Path) -> None:
    results: list[BatchResult] = []
    thread = threading.Thread(target=lambda: results.append(_screen(_found(), tmp_path)))
    thread.start()
    thread.join()
    assert results[0].read == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"jitter": 4}, "jitter was 10, is 4"),
        ({"show_ids": True}, "show_ids was False, is True"),
        ({"screener": FakeScreener(weights_hash="beef")}, "weights_hash was feedfeedfeedfeed, is beef"),
    ],
)
def test_resuming_with_other_settings_or_weights_is_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    _screen(_found(), tmp_path)
    with pytest.raises(SetupError, match=says):
        _screen(_found(), tmp_path, resume=True, **change)


def test_calibrated_numbers_stand_beside_raw_ones_with_their_prevalence(tmp_path: Path) -> None:
    site = SiteCalibration(a_calibration(), {"malignant": 0.005})
    _screen(_found(), tmp_path / "plain")
    _screen(_found(), tmp_path / "out", site=site)
    plain, table = (pl.read_csv(tmp_path / name / "readings.csv") for name in ("plain", "out"))
    assert table.drop("p_malignant_calibrated").equals(plain)
    scores = (Score(benign=0.5, malignant=p) for p in table["p_malignant"])
    assert table["p_malignant_calibrated"].to_list() == [site.calibrate(score)["malignant"] for score in scores]
    assert _run(tmp_path / "out")["settings"]["prevalence_malignant"] == 0.005
    assert _run(tmp_path / "out")["settings"]["calibration"] == site.calibration.calibration_hash
    assert "calibration" not in _run(tmp_path / "plain")["settings"]
    assert "calibrated for: a prevalence of 0.5 % (malignant)" in (tmp_path / "out/index.html").read_text()


def test_resuming_with_another_calibration_or_prevalence_is_refused(tmp_path: Path) -> None:
    site = SiteCalibration(a_calibration(), {"malignant": 0.005})
    _screen(_found(), tmp_path / "out", site=site)
    _screen(_found(), tmp_path / "out", site=site, resume=True)
    other = SiteCalibration(a_calibration(population="other women"), {"malignant": 0.005})
    moved = SiteCalibration(a_calibration(), {"malignant": 0.01})
    for change, says in (
        (None, "prevalence_malignant was 0.005, is None"),
        (other, "calibration was"),
        (moved, "prevalence_malignant was 0.005, is 0.01"),
    ):
        with pytest.raises(SetupError, match=says):
            _screen(_found(), tmp_path / "out", site=change, resume=True)


def test_a_calibration_of_another_model_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    site = SiteCalibration(a_calibration(weights_hash="dead" * 4), {"malignant": 0.005})
    with pytest.raises(SetupError, match="need one of these weights"):
        _screen(_found(), tmp_path / "out", site=site)
    assert not (tmp_path / "out").exists()


def test_resuming_is_refused_where_it_would_lose_or_mix_exams(tmp_path: Path) -> None:
    _screen(_found(), tmp_path / "out")
    with pytest.raises(SetupError, match="one random stream"):
        _screen(_found(), tmp_path / "out", resume=True, rng="upstream")
    with pytest.raises(SetupError, match="2 exams that are not in this input"):
        _screen(_found(*(MemorySource(exam_id) for exam_id in IDS[:3])), tmp_path / "out", resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    with pytest.raises(SetupError, match="no run to resume"):
        _screen(_found(), tmp_path / "other", resume=True)


def test_failed_exams_are_tried_again_when_resuming(tmp_path: Path) -> None:
    broken = _found(MemorySource("a" * 16), MemorySource("b" * 16, ExamError("cut")))
    assert len(_screen(broken, tmp_path).failed) == 1
    result = _screen(_found(*(MemorySource(letter * 16) for letter in "ab")), tmp_path, resume=True)
    assert (result.read, result.already_there, result.failed) == (2, 1, ())


def test_an_output_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SetupError, match="not empty"):
        _screen(_found(), tmp_path)
    with pytest.raises(SetupError, match="found a file, need a folder"):
        _screen(_found(), tmp_path / "thesis.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_output_folder_that_cannot_be_made_is_a_wrong_set_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"cannot write .*file/out: Not a directory"):
        _screen(_found(), tmp_path / "file/out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run the tests as another user")
def test_a_read_only_output_folder_is_a_wrong_set_up(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SetupError, match="Permission denied"):
            _screen(_found(), tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def test_a_disk_that_fills_up_stops_the_batch_and_leaves_only_whole_exams(tmp_path: Path) -> None:
    """Files may grow to a size that small exams stay below and a large one does not, as on a disk with no room."""
    noise = np.random.default_rng(0).integers(0, 65535, (700, 700), np.uint16)
    large = Exam.from_arrays({"L-CC": noise})
    sources = (MemorySource("a" * 16), MemorySource("b" * 16, replace(large, exam_id="b" * 16)), MemorySource("c" * 16))
    with _file_size_limit(150_000), pytest.raises(SetupError, match=rf"cannot write .*{'b' * 16}: File too large"):
        _screen(_found(*sources), tmp_path, FakeScreener(needs_all=False))
    assert [p.name for p in (tmp_path / "exams").iterdir()] == ["a" * 16]
    assert pl.read_csv(tmp_path / "readings.csv").height == 2
    assert _run(tmp_path)["status"] == "stopped"
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]


def test_a_reader_that_finds_its_set_up_wrong_stops_the_batch(tmp_path: Path) -> None:
    class Broken(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            if self.seen:
                raise SetupError("the GPU is gone")
            return super().read(exam)

    with pytest.raises(SetupError, match="the GPU is gone"):
        _screen(_found(), tmp_path, Broken())
    assert pl.read_csv(tmp_path / "readings.csv").height == 2
    assert _run(tmp_path)["status"] == "stopped"


def test_an_exam_that_cannot_be_drawn_is_listed_and_the_batch_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.write_exam_folder

    def clumsy(folder: Path, exam: Exam, *more: Any, **options: Any) -> None:
        if exam.exam_id == IDS[1]:
            raise ZeroDivisionError("a picture of no size")
        real(folder, exam, *more, **options)

    monkeypatch.setattr(batch, "write_exam_folder", clumsy)
    steps: list[Step] = []
    result = _screen(_found(), tmp_path, on_step=steps.append)
    assert result.read == 4
    assert [step.problem is None for step in steps] == [True, False, True, True, True]
    assert "unexpected ZeroDivisionError at" in result.failed[0].reason
    assert "no size" not in result.failed[0].reason


def test_the_next_exam_is_read_while_one_is_written_and_all_are_counted_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.write_exam_folder
    next_is_read = threading.Event()

    class Eager(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            if self.seen:
                next_is_read.set()
            return super().read(exam)

    def patient(folder: Path, exam: Exam, *more: Any, **options: Any) -> None:
        if exam.exam_id == IDS[0]:
            assert next_is_read.wait(20), "the second exam was not read while the first was being written"
        real(folder, exam, *more, **options)

    monkeypatch.setattr(batch, "write_exam_folder", patient)
    result = _screen(_found(), tmp_path, Eager())
    assert [summary.exam for summary in result.summaries] == list(IDS)


def test_an_exam_that_is_being_written_when_the_signal_comes_is_finished_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.write_exam_folder
    signalled = threading.Event()

    class Interrupted(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            if len(self.seen) == 1:
                signalled.set()
                os.kill(os.getpid(), signal.SIGINT)
            return super().read(exam)

    def slow(folder: Path, *more: Any, **options: Any) -> None:
        assert signalled.wait(20)
        time.sleep(0.3)
        real(folder, *more, **options)

    monkeypatch.setattr(batch, "write_exam_folder", slow)
    result = _screen(_found(), tmp_path, Interrupted())
    assert result.interrupted
    assert [summary.exam for summary in result.summaries] == [IDS[0]]
    assert [folder.name for folder in (tmp_path / "exams").iterdir()] == [IDS[0]]
    assert _run(tmp_path)["exams"]["read"] == 1


def test_readings_alone_can_be_written(tmp_path: Path) -> None:
    _screen(_found(), tmp_path, files="readings")
    for folder in (tmp_path / "exams").iterdir():
        assert [p.name for p in folder.iterdir()] == ["reading.json"]
    assert not list(tmp_path.glob("contact_sheet*"))
    assert pl.read_csv(tmp_path / "readings.csv").height == 10


def test_resuming_with_other_files_per_exam_is_refused(tmp_path: Path) -> None:
    _screen(_found(), tmp_path, files="readings")
    with pytest.raises(SetupError, match="written with --files readings"):
        _screen(_found(), tmp_path, resume=True)
    assert _screen(_found(), tmp_path, resume=True, files="readings").already_there == 5


def test_a_second_signal_loses_no_exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first comes while the third exam is read, the second while the second exam is still being written."""
    real = batch.write_exam_folder
    stopped = threading.Event()

    class Interrupted(FakeScreener):
        def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
            if len(self.seen) == 2:
                stopped.set()
                os.kill(os.getpid(), signal.SIGINT)
            return super().read(exam)

    def slow(folder: Path, exam: Exam, *more: Any, **options: Any) -> None:
        if exam.exam_id == IDS[1]:
            assert stopped.wait(20)
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        real(folder, exam, *more, **options)

    monkeypatch.setattr(batch, "write_exam_folder", slow)
    result = _screen(_found(), tmp_path, Interrupted())
    assert result.interrupted
    assert [summary.exam for summary in result.summaries] == list(IDS[:2])
    assert {folder.name for folder in (tmp_path / "exams").iterdir()} == set(IDS[:2])
    assert pl.read_csv(tmp_path / "readings.csv").height == 4


def test_tables_are_brought_up_to_date_while_the_batch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_exams, "TABLES_EVERY_S", 0.0)
    heights: list[int] = []

    def look(step: Step) -> None:
        heights.append(pl.read_csv(tmp_path / "readings.csv", infer_schema=False).height)

    _screen(_found(), tmp_path, on_step=look)
    assert heights == [0, 2, 4, 6, 8]


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="only POSIX systems limit the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
