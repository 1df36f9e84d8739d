"""Exams through a classifier: tables per image and per breast, failures, and a page that says what a score means."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fourview.exam import ExamError, SetupError, join_reasons
from fourview.memory import give_back_memory
from fourview.report.document import Document, Section, Table
from fourview.report.document_folder import write_document
from fourview.report.versions import package_versions
from fourview.studies.transfer.classify import Answer, Classifier, ExamAnswer

if TYPE_CHECKING:
    from fourview.ingest import Found

ROWS = 500  # of the page; readings.csv has all
SCHEMA: dict[str, Any] = {
    "exam": pl.String,
    "patient_key": pl.String,
    "side": pl.String,
    "score": pl.Float64,
    "p": pl.Float64,
    "called": pl.Boolean,
    "means": pl.String,
    "views": pl.String,
    "files": pl.String,
    "model": pl.String,
    "weights_hash": pl.String,
    "marks": pl.String,
    "warnings": pl.String,
    "status": pl.String,
}


@dataclass(frozen=True)
class ClassifyStep:
    """One exam is done. problem: None if it was read."""

    done: int
    total: int
    exam: str
    problem: str | None


@dataclass(frozen=True, eq=False)
class Classified:
    """How it went. failures: (kind "exam" or "file", exam, name, reason);  stopped: somebody ended it early."""

    answers: tuple[ExamAnswer, ...]
    failures: tuple[tuple[str, str, str, str], ...]
    stopped: bool

    @property
    def failed(self) -> int:
        return sum(kind == "exam" for kind, *_ in self.failures)


def classify_exams(
    found: Found,
    classifier: Classifier,
    *,
    on_step: Callable[[ClassifyStep], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Classified:
    """Every exam, one after the other; one that cannot be read is listed, and the rest goes on.

    stop  asked after every exam: True ends it there
    """
    answers: list[ExamAnswer] = []
    failures = [("file", "", name, reason) for name, reason in found.left_out]
    for number, source in enumerate(found.exams, 1):
        problem = None
        try:
            answer = classifier.read(source.read())
        except SetupError:
            raise
        except ExamError as error:
            problem = str(error)
        except Exception as error:  # one exam must not stop a batch, whatever its files hold
            problem = _describe(error)
        if problem is None:
            answers.append(answer)
        else:
            failures.append(("exam", source.exam_id, join_reasons(source.names), problem))
        failures += [("file", source.exam_id, name, reason) for name, reason in source.left_out]
        give_back_memory()
        if on_step is not None:
            on_step(ClassifyStep(number, len(found.exams), source.exam_id, problem))
        if stop() and number < len(found.exams):
            return Classified(tuple(answers), tuple(failures), stopped=True)
    return Classified(tuple(answers), tuple(failures), stopped=False)


def write_classified(out: Path, result: Classified, classifier: Classifier, *, show_ids: bool = False) -> Document:
    """OUT/readings.csv (breasts), images.csv, failures.csv and report.html, whole or not at all; the document.

    Raises SetupError if `out` is not new or empty, or cannot be written.
    """
    tables = {
        "readings": _tabulate(result, classifier, unit="breast", show_ids=show_ids),
        "images": _tabulate(result, classifier, unit="image", show_ids=show_ids),
        "failures": pl.DataFrame(
            list(result.failures), schema=dict.fromkeys(("kind", "exam", "name", "reason"), pl.String), orient="row"
        ),
    }
    document = describe_classified(result, classifier)
    write_document(out, document, tables=tables)
    return document


def describe_classified(result: Classified, classifier: Classifier) -> Document:
    """The page: what a score means, the breasts, what failed, and where the classifier comes from."""
    card = classifier.card
    rows = [
        (answer.exam_id, breast.side.value, breast.score, breast.p, _yes(breast.called), " ".join(breast.views))
        for answer in result.answers
        for breast in answer.breasts
    ]
    more = f"the first {ROWS:,} of {len(rows):,}; readings.csv has all" if len(rows) > ROWS else ""
    columns = ("exam", "side", "score", "p in training's share", "reaches the threshold", "views")
    failed = tuple((exam, name, reason) for kind, exam, name, reason in result.failures if kind == "exam")
    origin: list[tuple[str, str]] = [
        ("classifier", f"{card.name} ({card.kind}; {card.weights_hash})"),
        ("a high score means", card.positive),
        ("labels", card.label),
        ("trained on", card.training.data),
        *(("of", text) for text in (card.training.population,) if text),
        *(("terms", text) for text in (card.training.terms,) if text),
        ("licence", card.licence),
    ]
    metrics = tuple((str(metric),) for metric in card.metrics)
    parts = [Table("readings", "Breasts", columns, tuple(rows[:ROWS]), more)]
    if failed:
        parts.append(Table("failures", "Could not be read", ("exam", "files", "reason"), failed))
    about = [Table("classifier", "The classifier", ("", ""), tuple(origin))]
    if metrics:
        about.append(Table("metrics", "Measured on patients that it had not seen", ("",), metrics))
    return Document(
        kind="classifier",
        title=f"Readings of {card.name}",
        headline=(),
        sections=(
            Section("readings", "Readings", tuple(parts), text=(explain_score(classifier),)),
            Section("classifier", "The classifier", tuple(about)),
        ),
        warnings=classifier.marks,
        settings=(("classifier", card.weights_hash), ("engine", classifier.engine)),
        versions=package_versions(),
    )


def explain_score(classifier: Classifier) -> str:
    """One paragraph that stands beside every table of readings."""
    card = classifier.card
    scale = ""
    if card.scales:
        scale = (
            f" p is the probability of that where {card.positive_share:.0%} of images have it, as among those that it "
            "learned from; elsewhere it is another one. Thresholds were chosen on those, too."
        )
    return f"A high score means: {card.positive}. Scores rank; a breast's is the mean over its images.{scale}"


def _tabulate(result: Classified, classifier: Classifier, *, unit: str, show_ids: bool) -> pl.DataFrame:
    card = classifier.card
    same = {"means": card.positive, "model": card.name, "weights_hash": card.weights_hash}
    rows: list[dict[str, Any]] = []
    for answer in result.answers:
        units: Sequence[Answer] = answer.breasts if unit == "breast" else answer.images
        rows += [
            {
                "exam": answer.exam_id,
                "patient_key": answer.patient_key,
                "side": own.side.value,
                "view": own.views[0],
                "score": own.score,
                "p": own.p,
                "called": own.called,
                "views": " ".join(own.views),
                "files": join_reasons(own.files),
                "marks": join_reasons(classifier.marks),
                "warnings": join_reasons((*answer.warnings, *own.warnings)),
                "status": "read",
                "exam_label": answer.label,
                **same,
            }
            for own in units
        ]
    rows += [
        {"exam": exam, "files": name, "status": "failed", **same}
        for kind, exam, name, _ in result.failures
        if kind == "exam"
    ]
    names = [name for name in SCHEMA if unit == "breast" or name != "views"]
    schema = {name: SCHEMA[name] for name in names}
    if unit == "image":
        schema["view"] = pl.String
    if show_ids:
        schema["exam_label"] = pl.String
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def _yes(called: bool | None) -> str | None:
    return None if called is None else "yes" if called else "no"


def _describe(error: Exception) -> str:
    """Without the error's own text, which may quote what a file says of a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"unexpected {type(error).__name__} at {place}"
