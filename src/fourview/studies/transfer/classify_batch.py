"""Exams through a classifier: a folder with the answer per exam, tables per image and per breast, and a page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fourview.exam import Exam, ExamError, SetupError
from fourview.report.document_folder import add_document
from fourview.report.output_folder import ANSWERS, check_files, exam_folder, find_saved
from fourview.report.reading_json import Settings
from fourview.report.readings import Failure, tabulate_failures
from fourview.report.run_record import RunRecord
from fourview.run_exams import Progress, Status, Step, run_exams
from fourview.studies.transfer.answer_json import hash_images, load_answer, write_answer
from fourview.studies.transfer.classified_document import describe_answers, tabulate_answers
from fourview.studies.transfer.classify import Classifier, ExamAnswer
from fourview.whole_files import write_whole

if TYPE_CHECKING:
    from fourview.ingest import Found, IngestOptions
    from fourview.report.document import Document


@dataclass(frozen=True, eq=False)
class Classified:
    """How it went.

    answers    of the exams that were read, in order, among them those `already_there` from an earlier run
    remaining  exams that were not tried: more than 0 only if interrupted
    document   the page
    """

    answers: tuple[ExamAnswer, ...]
    failures: tuple[Failure, ...]
    already_there: int
    remaining: int
    interrupted: bool
    document: Document

    @property
    def failed(self) -> int:
        return sum(failure.kind == "exam" for failure in self.failures)


def classify_exams(
    found: Found,
    classifier: Classifier,
    out: Path,
    *,
    options: IngestOptions,
    show_ids: bool = False,
    jobs: int = 1,
    resume: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> Classified:
    """Every exam read, in order, and written to `out`: a folder each, tables, run.json and, at the end, the page.

    options  those that `found` came with;  show_ids, jobs, resume  see run_exams

    Raises SetupError as run_exams does, also if an earlier run had other weights, options or images.
    """
    work = _Answers(out, classifier, found, options, show_ids)
    progress, interrupted = run_exams(found, work, out, jobs=jobs, resume=resume, show_ids=show_ids, on_step=on_step)
    return Classified(
        tuple(work.answers),
        tuple(progress.failures),
        progress.already_there,
        progress.remaining,
        interrupted,
        work.describe(progress),
    )


@dataclass
class _Answers:
    """What becomes of answers (run_exams.Work)."""

    out: Path
    classifier: Classifier
    found: Found
    options: IngestOptions
    show_ids: bool
    answers: list[ExamAnswer] = field(default_factory=list)

    def __post_init__(self) -> None:
        card, options = self.classifier.card, self.options
        self.sources = {source.exam_id: source for source in self.found.exams}
        self.settings: Settings = {
            "weights_hash": card.weights_hash,
            "pixels": options.pixels,
            "spacing_mm": options.spacing_mm,
            "mirrored": options.mirrored,
            "show_ids": self.show_ids,
        }
        self.record = RunRecord(
            {
                "name": card.name,
                "kind": card.kind,
                "weights_hash": card.weights_hash,
                "pixel_mode": card.features.pixel_mode,
                "marks": list(self.classifier.marks),
                "engine": self.classifier.engine,
            },
            self.settings,
            {"exams": len(self.found.exams), "files_left_out": len(self.found.left_out)},
            ANSWERS,
        )

    def prepare(self, exam: Exam) -> None:
        """Nothing: an extractor reads an image in one go."""

    def read(self, exam: Exam, prepared: None) -> ExamAnswer:
        return self.classifier.read(exam)

    def write(self, folder: Path, exam: Exam, said: ExamAnswer) -> None:
        images_hash = hash_images(self.sources[exam.exam_id])
        says = {
            "model": self.classifier.card.name,
            "means": self.classifier.card.positive,
            "marks": self.classifier.marks,
        }
        write_answer(folder, said, says=says, settings=self.settings, images_hash=images_hash, show_ids=self.show_ids)

    def load(self, folder: Path) -> ExamAnswer:
        return load_answer(folder).answer

    def find_done(self, exam_ids: Collection[str]) -> frozenset[str]:
        """Also raises SetupError if an exam of the same name has other images than it had."""
        check_files(self.out, ANSWERS)
        done = find_saved(self.out, exam_ids, self.settings, load_settings=lambda folder: load_answer(folder).settings)
        for exam_id in sorted(done):
            self._check_images(exam_id)
        return done

    def _check_images(self, exam_id: str) -> None:
        before = load_answer(exam_folder(self.out, exam_id)).images_hash
        try:
            now = hash_images(self.sources[exam_id])
        except ExamError as error:
            raise SetupError(f"--resume: exam {exam_id} has been read, and its images are gone: {error}") from None
        if before != now:
            raise SetupError(
                f"--resume: exam {exam_id} in {self.out} was read from other images than this input has; give the "
                "same input, or another output folder"
            )

    def count(self, said: ExamAnswer, seconds: Mapping[str, float] | None) -> None:
        self.answers.append(said)
        self.record.add_seconds(seconds or {})

    def finish(self) -> None:
        """Nothing: all is in the tables."""

    def write_tables(self, progress: Progress, status: Status) -> None:
        """The tables and run.json up to now; the page at the end. Raises OSError, SetupError."""
        failures = tuple(progress.failures)
        tables = {
            "readings": tabulate_answers(
                self.answers, failures, self.classifier, unit="breast", show_ids=self.show_ids
            ),
            "images": tabulate_answers(self.answers, failures, self.classifier, unit="image", show_ids=self.show_ids),
            "failures": tabulate_failures(failures, show_ids=self.show_ids),
        }
        if status == "running":
            for name, table in tables.items():
                write_whole(self.out / f"{name}.csv", table.write_csv())
        else:
            add_document(self.out, self.describe(progress), tables=tables)
        self.record.write(self.out, status=status, counts=progress.counts, wall_s=progress.wall_s)

    def describe(self, progress: Progress) -> Document:
        return describe_answers(self.answers, progress.failures, self.classifier, remaining=progress.remaining)
