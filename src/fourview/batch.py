"""Many exams through one reader: files in, one folder per exam and the tables out. One bad exam stops nothing."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fourview.calibration import SiteCalibration, check_model
from fourview.exam import Exam, ExamError, PixelMode, Precision, Reading, SetupError, join_reasons
from fourview.memory import give_back_memory
from fourview.report.exam_folder import Files, write_exam_folder
from fourview.report.output_folder import (
    check_files,
    exam_folder,
    find_saved,
    open_output,
    write_contact_sheets,
    write_index,
)
from fourview.report.reading_json import Settings, load_reading
from fourview.report.readings import Failure, Summary, summarise, write_tables
from fourview.report.run_record import RunRecord
from fourview.shield import Shield, listen_for_signals

if TYPE_CHECKING:
    from fourview.ingest import ExamSource, Found
    from fourview.prepare import PreparedExam

log = logging.getLogger(__name__)
TABLES_EVERY_S = 30.0


class ExamReader(Protocol):
    """What a batch needs of a Screener."""

    @property
    def name(self) -> str: ...
    @property
    def weights_hash(self) -> str: ...
    @property
    def pixel_mode(self) -> PixelMode: ...
    @property
    def engine(self) -> str: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def marks(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> Literal["breast", "image"]: ...
    def prepare(self, exam: Exam) -> PreparedExam: ...
    def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading: ...


@dataclass(frozen=True)
class ScreenOptions:
    """What the numbers of a run depend on, besides weights and images: recorded in every reading.

    pixels  None = as the weights were trained; show_ids writes study ids and file paths into the output
    """

    jitter: int = 10
    seed: int = 0
    rng: Literal["exam", "upstream"] = "exam"
    pick: Literal["all", "random"] = "all"
    precision: Precision = "fp32"
    pixels: Literal["stored", "presentation"] | None = None
    spacing_mm: float | None = None
    mirrored: Literal["no", "auto"] = "no"
    show_ids: bool = False


@dataclass(frozen=True)
class Step:
    """One exam is done: what a progress bar needs. `problem` is None if the exam was read."""

    done: int
    total: int
    exam: str
    problem: str | None
    already_there: bool = False


@dataclass(frozen=True, eq=False)
class BatchResult:
    """How a batch went.

    summaries    of the exams that were read, in order, among them those `already_there` from an earlier run
    failures     exams that were not read, and files that were left out
    remaining    exams that were not tried: more than 0 only if interrupted
    """

    out: Path
    summaries: tuple[Summary, ...]
    failures: tuple[Failure, ...]
    already_there: int = 0
    remaining: int = 0
    interrupted: bool = False

    @property
    def read(self) -> int:
        return len(self.summaries)

    @property
    def failed(self) -> tuple[Failure, ...]:
        return tuple(f for f in self.failures if f.kind == "exam")

    @property
    def left_out(self) -> tuple[Failure, ...]:
        return tuple(f for f in self.failures if f.kind == "file")


def screen_batch(
    found: Found,
    screener: ExamReader,
    out: Path,
    *,
    options: ScreenOptions,
    site: SiteCalibration | None = None,
    jobs: int = 1,
    resume: bool = False,
    inputs: Mapping[str, Any] | None = None,
    files: Files = "all",
    on_step: Callable[[Step], None] | None = None,
) -> BatchResult:
    """Every exam read, in order, and written to `out`; the tables and run.json beside the exams.

    site    makes calibrated numbers, which stand beside the scores; it is one of the settings
    jobs    exams whose files are read ahead, in threads, while the reader works
    resume  exams that are in `out` already, read with the same weights and options, are taken as they are
    inputs  more to record about the input in run.json
    files   "all", or "readings": no heatmaps, pictures and pages, for batches of many thousands

    An exam that cannot be read is listed and the batch goes on. SIGINT and SIGTERM end it in good order, with
    all tables written. Raises SetupError if `out` is not empty (without resume) or holds something else, if
    the settings differ from those of an earlier run, or if writing fails: what is there stays whole.
    """
    if jobs < 1:
        raise SetupError(f"found --jobs {jobs}, need at least 1")
    if resume and options.rng == "upstream":
        raise SetupError("--resume with --rng upstream: one random stream runs over all exams, so none can be skipped")
    if site is not None:
        check_model(site.calibration, weights_hash=screener.weights_hash, unit=screener.unit)
    with _writing_to(out):
        open_output(out, resume=resume)
    known = [source.exam_id for source in found.exams]
    run = _Run(out, screener, options, found, dict(inputs or {}), files, site)
    done: frozenset[str] = frozenset()
    if resume:
        check_files(out, files)
        done = find_saved(out, known, run.settings, weights_hash=screener.weights_hash)
    interrupted = False
    with listen_for_signals(run.shield):
        try:
            run.write_tables("running")
            run.screen(done, jobs=jobs, on_step=on_step)
            with _writing_to(out):
                write_contact_sheets(out, run.summaries)
        except KeyboardInterrupt:
            interrupted = True
        except SetupError:
            # The disk may be full or the device gone: the first error is the one to report.
            try:
                run.write_tables("stopped")
            except SetupError as error:
                log.warning("the tables could not be brought up to date: %s", error)
            raise
        with contextlib.suppress(KeyboardInterrupt):  # a second one, answered after the tables are whole
            run.write_tables("interrupted" if interrupted else "finished")
    return BatchResult(
        out,
        tuple(run.summaries),
        tuple(run.failures),
        already_there=run.already_there,
        remaining=len(found.exams) - run.tried,
        interrupted=interrupted,
    )


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An exam in memory; `prepared` is None if that failed."""

    exam: Exam
    prepared: PreparedExam | None
    seconds: float


@dataclass(eq=False)
class _Read:
    """An exam that was read, and its folder being written."""

    exam: Exam
    reading: Reading
    seconds: Mapping[str, float]
    writing: Future[float] | None = None


_Outcome = _Read | Reading | str  # read now; read by an earlier run; or why it was not read


@dataclass
class _Run:
    """The state of one batch.

    unsettled  the latest exam: read, perhaps still being written, not yet counted
    """

    out: Path
    screener: ExamReader
    options: ScreenOptions
    found: Found
    inputs: dict[str, Any]
    files: Files = "all"
    site: SiteCalibration | None = None
    unsettled: tuple[ExamSource, _Outcome] | None = None
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="write exam"))
    summaries: list[Summary] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    already_there: int = 0
    tried: int = 0
    shield: Shield = field(default_factory=Shield)
    started: float = field(default_factory=time.perf_counter)
    tables_at: float = 0.0

    def __post_init__(self) -> None:
        self.failures += [Failure("file", "", name, reason) for name, reason in self.found.left_out]
        s = self.screener
        model = {"name": s.name, "weights_hash": s.weights_hash, "pixel_mode": s.pixel_mode, "unit": s.unit}
        self.settings: Settings = {**asdict(self.options), **({} if self.site is None else self.site.settings)}
        self.record = RunRecord(
            {**model, "marks": list(s.marks), "engine": s.engine, "precision": s.precision},
            self.settings,
            {"exams": len(self.found.exams), "files_left_out": len(self.found.left_out), **self.inputs},
            self.files,
        )

    def screen(self, done: frozenset[str], *, jobs: int, on_step: Callable[[Step], None] | None) -> None:
        """All exams in order: taken as they are, or read, or listed as failed."""
        once: dict[str, ExamSource] = {}
        for source in self.found.exams:
            once.setdefault(source.exam_id, source)
        new = [once[exam_id] for exam_id in once if exam_id not in done]
        ahead = _read_ahead(new, self.screener.prepare, jobs=jobs)
        seen: set[str] = set()
        try:
            for source in self.found.exams:
                if source.exam_id in seen:
                    outcome: _Outcome = "this exam is in the input twice; it was read the first time"
                elif source.exam_id in done:
                    outcome = load_reading(exam_folder(self.out, source.exam_id)).reading
                else:
                    outcome = self._read(next(ahead))  # while the exam before it is being written
                self._settle(on_step)
                seen.add(source.exam_id)
                with self.shield.held():
                    if isinstance(outcome, _Read):
                        outcome.writing = self.writer.submit(self._write, outcome)
                    self.unsettled = source, outcome
                del outcome
                if time.perf_counter() - self.tables_at > TABLES_EVERY_S:
                    self.write_tables("running")
            self._settle(on_step)
        finally:
            with self.shield.held():  # what is being written is finished and counted, whatever ended the loop
                ahead.close()
                try:
                    self._settle(on_step)
                finally:
                    self.writer.shutdown()

    def write_tables(self, status: str) -> None:
        """All tables and run.json up to now. Raises SetupError if they cannot be written."""
        order = [source.exam_id for source in self.found.exams[: self.tried]]
        with self.shield.held(), _writing_to(self.out):
            write_tables(
                self.out,
                self.summaries,
                self.failures,
                model=self.screener.name,
                weights_hash=self.screener.weights_hash,
                unit=self.screener.unit,
                order=order,
                calibrated=() if self.site is None else self.site.findings,
                show_ids=self.options.show_ids,
            )
            counts = {
                "read": len(self.summaries) - self.already_there,
                "failed": sum(failure.kind == "exam" for failure in self.failures),
                "already_there": self.already_there,
                "remaining": len(self.found.exams) - self.tried,
            }
            wall_s = time.perf_counter() - self.started
            record = self.record.write(self.out, status=status, counts=counts, wall_s=wall_s)
            if status != "running":  # a page of 20,000 exams takes a second
                write_index(
                    self.out,
                    self.summaries,
                    self.failures,
                    record=record,
                    populations=[None if self.site is None else str(self.site)],
                    unit=self.screener.unit,
                    order=order,
                    show_ids=self.options.show_ids,
                    pages=self.files == "all",
                )
        self.tables_at = time.perf_counter()

    def _read(self, loading: Future[_Loaded]) -> _Read | str:
        """The exam read, or why it was not."""
        about: tuple[str, ...] = ()  # what the files gave to think about may explain why the exam cannot be read
        try:
            loaded = loading.result()
            about = loaded.exam.warnings
            start = time.perf_counter()
            reading = self.screener.read(loaded.exam, loaded.prepared)
            read_s = time.perf_counter() - start
        except SetupError:
            raise
        except ExamError as error:
            return join_reasons((str(error), *about))
        except Exception as error:  # one exam must not stop a batch, whatever its files hold
            return self._unexpected(error)
        return _Read(loaded.exam, reading, {"load files": loaded.seconds, "read (after crop)": read_s})

    def _write(self, read: _Read) -> float:
        """The exam's folder, in the writer's thread; the seconds that it took."""
        start = time.perf_counter()
        folder = exam_folder(self.out, read.exam.exam_id)
        with _writing_to(folder):
            write_exam_folder(
                folder,
                read.exam,
                read.reading,
                settings=self.settings,
                site=self.site,
                show_ids=self.options.show_ids,
                files=self.files,
            )
        return time.perf_counter() - start

    def _settle(self, on_step: Callable[[Step], None] | None) -> None:
        """The latest exam, if it is not counted yet: written and counted, taken as it was, or listed."""
        if self.unsettled is None:
            return
        source, outcome = self.unsettled
        seconds: dict[str, float] = {}
        if isinstance(outcome, _Read) and outcome.writing is not None:
            try:
                seconds = {**outcome.seconds, "write files": outcome.writing.result()}
            except SetupError:
                self.unsettled = None  # it is not there: nothing to count
                raise
            except Exception as error:  # one exam must not stop a batch
                outcome = self._unexpected(error)
        with self.shield.held():  # an exam that is written is counted
            self.unsettled = None
            if isinstance(outcome, str):
                self._list_failure(source, outcome)
            elif isinstance(outcome, Reading):
                self._count(outcome, {}, take_seconds=False)
                self.already_there += 1
            else:
                self._count(outcome.reading, seconds)
            self.tried += 1
        problem, there = outcome if isinstance(outcome, str) else None, isinstance(outcome, Reading)
        del outcome  # with its images
        give_back_memory()
        if on_step is not None:
            on_step(Step(self.tried, len(self.found.exams), source.exam_id, problem, there))

    def _count(self, reading: Reading, seconds: Mapping[str, float], *, take_seconds: bool = True) -> None:
        self.summaries.append(summarise(reading, site=self.site))
        self.failures += [
            Failure("file", reading.exam_id, name, reason, label=reading.label) for name, reason in reading.left_out
        ]
        self.record.add(reading if take_seconds else replace(reading, seconds={}), seconds)

    def _list_failure(self, source: ExamSource, reason: str) -> None:
        self.failures += [
            Failure("file", source.exam_id, name, why, label=source.label) for name, why in source.left_out
        ]
        names = join_reasons(source.names)
        self.failures.append(
            Failure("exam", source.exam_id, names, reason, patient_key=source.patient_key, label=source.label)
        )

    def _unexpected(self, error: Exception) -> str:
        """A reason and a log line without the error's own text, which may quote what a file says of a patient."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
        text = f": {error}" if self.options.show_ids else " (run again with --show-ids to see its text)"
        reason = f"unexpected {type(error).__name__} at {place}{text}"
        log.error("%s", reason, exc_info=error if self.options.show_ids else None)
        return reason


def _read_ahead(
    sources: Sequence[ExamSource], prepare: Callable[[Exam], PreparedExam], *, jobs: int
) -> Generator[Future[_Loaded]]:
    """Each exam, in order, its pixels read and its breasts cropped while the caller works on the one before.

    At most `jobs` exams are ahead of the caller.
    """
    waiting: deque[Future[_Loaded]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="read exam")
    try:
        for source in sources:
            waiting.append(pool.submit(_load, source, prepare))
            if len(waiting) > jobs:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load(source: ExamSource, prepare: Callable[[Exam], PreparedExam]) -> _Loaded:
    start = time.perf_counter()
    exam = source.read()
    seconds = time.perf_counter() - start
    try:
        return _Loaded(exam, prepare(exam), seconds)
    except Exception:  # its turn will come: the reader raises it again, and there it is listed
        return _Loaded(exam, None, seconds)


@contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    """What goes wrong with the output is a wrong set-up (no room, no permission), not a bad exam."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"cannot write {path}: {error.strerror or error}; need a folder that can be written to, with room"
        ) from error
