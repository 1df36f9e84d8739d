"""Many exams through one reader of exams: a folder of readings, heatmaps and pictures per exam, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fourview.calibration import SiteCalibration, check_model
from fourview.exam import Exam, PixelMode, Precision, Reading, SetupError
from fourview.report.exam_folder import Files, write_exam_folder
from fourview.report.output_folder import check_files, find_saved, write_contact_sheets, write_index
from fourview.report.reading_json import Settings, load_reading
from fourview.report.readings import Failure, Summary, summarise, write_tables
from fourview.report.run_record import RunRecord
from fourview.run_exams import Progress, Status, Step, run_exams

if TYPE_CHECKING:
    from fourview.ingest import Found
    from fourview.prepare import PreparedExam

__all__ = ["BatchResult", "ExamReader", "ScreenOptions", "Step", "screen_batch"]


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
    if resume and options.rng == "upstream":
        raise SetupError("--resume with --rng upstream: one random stream runs over all exams, so none can be skipped")
    if site is not None:
        check_model(site.calibration, weights_hash=screener.weights_hash, unit=screener.unit)
    work = _Readings(out, screener, options, found, inputs or {}, files, site)
    progress, interrupted = run_exams(
        found, work, out, jobs=jobs, resume=resume, show_ids=options.show_ids, on_step=on_step
    )
    return BatchResult(
        out,
        tuple(work.summaries),
        tuple(progress.failures),
        already_there=progress.already_there,
        remaining=progress.remaining,
        interrupted=interrupted,
    )


@dataclass
class _Readings:
    """What becomes of readings (run_exams.Work): folders with all that they say, tables, pages, contact sheets."""

    out: Path
    screener: ExamReader
    options: ScreenOptions
    found: Found
    inputs: Mapping[str, Any]
    files: Files = "all"
    site: SiteCalibration | None = None
    summaries: list[Summary] = field(default_factory=list)

    def __post_init__(self) -> None:
        s = self.screener
        model = {"name": s.name, "weights_hash": s.weights_hash, "pixel_mode": s.pixel_mode, "unit": s.unit}
        self.settings: Settings = {**asdict(self.options), **({} if self.site is None else self.site.settings)}
        self.record = RunRecord(
            {**model, "marks": list(s.marks), "engine": s.engine, "precision": s.precision},
            self.settings,
            {"exams": len(self.found.exams), "files_left_out": len(self.found.left_out), **self.inputs},
            self.files,
        )

    def prepare(self, exam: Exam) -> PreparedExam:
        return self.screener.prepare(exam)

    def read(self, exam: Exam, prepared: PreparedExam | None) -> Reading:
        return self.screener.read(exam, prepared)

    def write(self, folder: Path, exam: Exam, said: Reading) -> None:
        write_exam_folder(
            folder,
            exam,
            said,
            settings=self.settings,
            site=self.site,
            show_ids=self.options.show_ids,
            files=self.files,
        )

    def load(self, folder: Path) -> Reading:
        return load_reading(folder).reading

    def find_done(self, exam_ids: Collection[str]) -> frozenset[str]:
        check_files(self.out, self.files)
        settings = {**self.settings, "weights_hash": self.screener.weights_hash}
        return find_saved(self.out, exam_ids, settings, load_settings=_load_settings)

    def count(self, said: Reading, seconds: Mapping[str, float] | None) -> None:
        self.summaries.append(summarise(said, site=self.site))
        self.record.add(said if seconds is not None else replace(said, seconds={}), seconds or {})

    def finish(self) -> None:
        write_contact_sheets(self.out, self.summaries)

    def write_tables(self, progress: Progress, status: Status) -> None:
        """All tables and run.json up to now. Raises OSError."""
        write_tables(
            self.out,
            self.summaries,
            progress.failures,
            model=self.screener.name,
            weights_hash=self.screener.weights_hash,
            unit=self.screener.unit,
            order=progress.order,
            calibrated=() if self.site is None else self.site.findings,
            show_ids=self.options.show_ids,
        )
        record = self.record.write(self.out, status=status, counts=progress.counts, wall_s=progress.wall_s)
        if status != "running":  # a page of 20,000 exams takes a second
            write_index(
                self.out,
                self.summaries,
                progress.failures,
                record=record,
                populations=[None if self.site is None else str(self.site)],
                unit=self.screener.unit,
                order=progress.order,
                show_ids=self.options.show_ids,
                pages=self.files == "all",
            )


def _load_settings(folder: Path) -> Settings:
    """What an exam was read with: settings and weights."""
    saved = load_reading(folder)
    return {**saved.settings, "weights_hash": saved.reading.weights_hash}
