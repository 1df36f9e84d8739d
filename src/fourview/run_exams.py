"""Exams one after the other, whatever is said of them: files in, a folder per exam and the tables out.

One bad exam stops nothing. What was interrupted goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from fourview.exam import Exam, ExamError, SetupError, join_reasons
from fourview.memory import give_back_memory
from fourview.report.output_folder import exam_folder, open_output
from fourview.report.readings import Failure
from fourview.shield import Shield, listen_for_signals

if TYPE_CHECKING:
    from fourview.ingest import ExamSource, Found

log = logging.getLogger(__name__)
TABLES_EVERY_S = 30.0
Status = Literal["running", "finished", "interrupted", "stopped"]


class Said(Protocol):
    """What is said of an exam: a Reading, or the answer of a classifier."""

    @property
    def exam_id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def left_out(self) -> tuple[tuple[str, str], ...]: ...


S = TypeVar("S", bound=Said)


@dataclass(frozen=True)
class Step:
    """One exam is done: what a progress bar needs. `problem` is None if the exam was read."""

    done: int
    total: int
    exam: str
    problem: str | None
    already_there: bool = False


@dataclass
class Progress:
    """How far a run is.

    failures  exams that were not read, and files that were left out
    order     ids of the exams tried, in input order
    read      exams that were read, among them those `already_there` from an earlier run
    """

    total: int
    failures: list[Failure] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    read: int = 0
    already_there: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def remaining(self) -> int:
        return self.total - len(self.order)

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self.started

    @property
    def counts(self) -> dict[str, int]:
        """Of exams, for run.json."""
        return {
            "read": self.read - self.already_there,
            "failed": sum(failure.kind == "exam" for failure in self.failures),
            "already_there": self.already_there,
            "remaining": self.remaining,
        }


class Work(Protocol[S]):
    """What is done with each exam, and what becomes of what is said of it.

    prepare       the first half of reading, in another thread, while the exam before it is read
    read          the second half; prepared None: the first half failed, and does so again here
    write         the exam's folder, whole or not at all, in another thread; what is in it, load gives back
    find_done     those of the exams of the input that an earlier run left in the output; raises SetupError if it was
                  another run
    count         takes what was said into the tables. seconds: stage -> s; None: an earlier run read it
    write_tables  all tables up to now
    finish        what is written once, when all exams are done
    """

    def prepare(self, exam: Exam) -> Any: ...
    def read(self, exam: Exam, prepared: Any) -> S: ...
    def write(self, folder: Path, exam: Exam, said: S) -> None: ...
    def load(self, folder: Path) -> S: ...
    def find_done(self, exam_ids: Collection[str]) -> frozenset[str]: ...
    def count(self, said: S, seconds: Mapping[str, float] | None) -> None: ...
    def write_tables(self, progress: Progress, status: Status) -> None: ...
    def finish(self) -> None: ...


def run_exams(
    found: Found,
    work: Work[S],
    out: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    show_ids: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> tuple[Progress, bool]:
    """Every exam read, in order, and written to `out`; how far it came, and whether it was interrupted.

    jobs      exams whose files are read ahead, in threads, while the reader works
    resume    exams that are in `out` already are taken as they are
    show_ids  what goes wrong unexpectedly is told in full

    An exam that cannot be read is listed and the run goes on. SIGINT and SIGTERM end it in good order, with
    all tables written. Raises SetupError if `out` is not empty (without resume) or holds something else, if
    the earlier run was another one, or if writing fails: what is there stays whole.
    """
    if jobs < 1:
        raise SetupError(f"found --jobs {jobs}, need at least 1")
    with _writing_to(out):
        open_output(out, resume=resume)
    done = work.find_done([source.exam_id for source in found.exams]) if resume else frozenset()
    run = _Run(found, work, out, show_ids)
    interrupted = False
    with listen_for_signals(run.shield):
        try:
            run.write_tables("running")
            run.read_all(done, jobs=jobs, on_step=on_step)
            with _writing_to(out):
                work.finish()
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
    return run.progress, interrupted


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An exam in memory; `prepared` is None if that failed."""

    exam: Exam
    prepared: Any
    seconds: float


@dataclass(eq=False)
class _Read(Generic[S]):
    """What is said of an exam. exam, writing: of one that was read now, and its folder being written."""

    said: S
    exam: Exam | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    writing: Future[float] | None = None


@dataclass
class _Run(Generic[S]):
    """The state of one run.

    unsettled  the latest exam, read (perhaps still being written) or why it was not; not yet counted
    """

    found: Found
    work: Work[S]
    out: Path
    show_ids: bool = False
    unsettled: tuple[ExamSource, _Read[S] | str] | None = None
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="write exam"))
    shield: Shield = field(default_factory=Shield)
    tables_at: float = 0.0

    def __post_init__(self) -> None:
        self.progress = Progress(len(self.found.exams))
        self.progress.failures += [Failure("file", "", name, reason) for name, reason in self.found.left_out]

    def read_all(self, done: frozenset[str], *, jobs: int, on_step: Callable[[Step], None] | None) -> None:
        """All exams in order: taken as they are, or read, or listed as failed."""
        once: dict[str, ExamSource] = {}
        for source in self.found.exams:
            once.setdefault(source.exam_id, source)
        new = [once[exam_id] for exam_id in once if exam_id not in done]
        ahead = _read_ahead(new, self.work.prepare, jobs=jobs)
        seen: set[str] = set()
        try:
            for source in self.found.exams:
                if source.exam_id in seen:
                    outcome: _Read[S] | str = "this exam is in the input twice; it was read the first time"
                elif source.exam_id in done:
                    outcome = _Read(self.work.load(exam_folder(self.out, source.exam_id)))
                else:
                    outcome = self._read(next(ahead))  # while the exam before it is being written
                self._settle(on_step)
                seen.add(source.exam_id)
                with self.shield.held():
                    if isinstance(outcome, _Read) and outcome.exam is not None:
                        outcome.writing = self.writer.submit(self._write, outcome.exam, outcome.said)
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

    def write_tables(self, status: Status) -> None:
        """All tables up to now. Raises SetupError if they cannot be written."""
        with self.shield.held(), _writing_to(self.out):
            self.work.write_tables(self.progress, status)
        self.tables_at = time.perf_counter()

    def _read(self, loading: Future[_Loaded]) -> _Read[S] | str:
        """The exam read, or why it was not."""
        about: tuple[str, ...] = ()  # what the files gave to think about may explain why the exam cannot be read
        try:
            loaded = loading.result()
            about = loaded.exam.warnings
            start = time.perf_counter()
            said = self.work.read(loaded.exam, loaded.prepared)
            read_s = time.perf_counter() - start
        except SetupError:
            raise
        except ExamError as error:
            return join_reasons((str(error), *about))
        except Exception as error:  # one exam must not stop a batch, whatever its files hold
            return self._unexpected(error)
        return _Read(said, loaded.exam, {"load files": loaded.seconds, "read (after crop)": read_s})

    def _write(self, exam: Exam, said: S) -> float:
        """The exam's folder, in the writer's thread; the seconds that it took."""
        start = time.perf_counter()
        folder = exam_folder(self.out, exam.exam_id)
        with _writing_to(folder):
            self.work.write(folder, exam, said)
        return time.perf_counter() - start

    def _settle(self, on_step: Callable[[Step], None] | None) -> None:
        """The latest exam, if it is not counted yet: written and counted, taken as it was, or listed."""
        if self.unsettled is None:
            return
        source, outcome = self.unsettled
        seconds: dict[str, float] | None = None
        if isinstance(outcome, _Read) and outcome.writing is not None:
            try:
                seconds = {**outcome.seconds, "write files": outcome.writing.result()}
            except SetupError:
                self.unsettled = None  # it is not there: nothing to count
                raise
            except Exception as error:  # one exam must not stop a batch
                outcome = self._unexpected(error)
        there = isinstance(outcome, _Read) and outcome.exam is None
        with self.shield.held():  # an exam that is written is counted
            self.unsettled = None
            if isinstance(outcome, str):
                self._list_failure(source, outcome)
            else:
                self._count(outcome.said, seconds)
                self.progress.already_there += there
            self.progress.order.append(source.exam_id)
        problem = outcome if isinstance(outcome, str) else None
        del outcome  # with its images
        give_back_memory()
        if on_step is not None:
            on_step(Step(len(self.progress.order), self.progress.total, source.exam_id, problem, there))

    def _count(self, said: S, seconds: Mapping[str, float] | None) -> None:
        self.work.count(said, seconds)
        self.progress.read += 1
        self.progress.failures += [
            Failure("file", said.exam_id, name, reason, label=said.label) for name, reason in said.left_out
        ]

    def _list_failure(self, source: ExamSource, reason: str) -> None:
        failures = self.progress.failures
        failures += [Failure("file", source.exam_id, name, why, label=source.label) for name, why in source.left_out]
        names = join_reasons(source.names)
        failures.append(
            Failure("exam", source.exam_id, names, reason, patient_key=source.patient_key, label=source.label)
        )

    def _unexpected(self, error: Exception) -> str:
        """A reason and a log line without the error's own text, which may quote what a file says of a patient."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
        text = f": {error}" if self.show_ids else " (run again with --show-ids to see its text)"
        reason = f"unexpected {type(error).__name__} at {place}{text}"
        log.error("%s", reason, exc_info=error if self.show_ids else None)
        return reason


def _read_ahead(
    sources: Sequence[ExamSource], prepare: Callable[[Exam], Any], *, jobs: int
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


def _load(source: ExamSource, prepare: Callable[[Exam], Any]) -> _Loaded:
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
