"""The tables and the page of a classifier's answers, which say what a score means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from fourview.exam import join_reasons
from fourview.report.document import Document, Section, Table
from fourview.report.readings import Failure
from fourview.report.versions import package_versions
from fourview.studies.transfer.classify import Answer, Classifier, ExamAnswer

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


def describe_answers(
    answers: Sequence[ExamAnswer], failures: Sequence[Failure], classifier: Classifier, *, remaining: int = 0
) -> Document:
    """The page: what a score means, the breasts, what failed, and where the classifier comes from.

    remaining  exams that were not tried
    """
    card = classifier.card
    rows = [
        (answer.exam_id, breast.side.value, breast.score, breast.p, _yes(breast.called), " ".join(breast.views))
        for answer in answers
        for breast in answer.breasts
    ]
    more = f"the first {ROWS:,} of {len(rows):,}; readings.csv has all" if len(rows) > ROWS else ""
    columns = ("exam", "side", "score", "p in training's share", "reaches the threshold", "views")
    failed = tuple((failure.exam, failure.name, failure.reason) for failure in failures if failure.kind == "exam")
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
    engines = dict.fromkeys(answer.engine for answer in answers) or (classifier.engine,)
    unread = (f"the run ended early, {remaining:,} exams were not tried: --resume goes on",) if remaining else ()
    return Document(
        kind="classifier",
        title=f"Readings of {card.name}",
        headline=(),
        sections=(
            Section("readings", "Readings", tuple(parts), text=(explain_score(classifier),)),
            Section("classifier", "The classifier", tuple(about)),
        ),
        warnings=(*unread, *classifier.marks),
        settings=(("classifier", card.weights_hash), ("engine", "; ".join(engines))),
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


def tabulate_answers(
    answers: Sequence[ExamAnswer],
    failures: Sequence[Failure],
    classifier: Classifier,
    *,
    unit: Literal["breast", "image"],
    show_ids: bool = False,
) -> pl.DataFrame:
    """A row per breast or image; an exam that failed has one row, without numbers."""
    card = classifier.card
    same = {"means": card.positive, "model": card.name, "weights_hash": card.weights_hash}
    rows: list[dict[str, Any]] = []
    for answer in answers:
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
        {
            "exam": failure.exam,
            "patient_key": failure.patient_key,
            "files": failure.name,
            "status": "failed",
            "exam_label": failure.label,
            **same,
        }
        for failure in failures
        if failure.kind == "exam"
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
