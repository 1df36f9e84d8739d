"""Readings and failures -> readings.csv, upstream.csv, failures.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fourview.calibration import SiteCalibration
from fourview.exam import Finding, Reading, Score, Side, View, join_reasons
from fourview.report.reading_json import image_keys
from fourview.whole_files import write_whole

SCORES = (
    "p_benign",
    "p_malignant",
    "benign_sd_windows",
    "malignant_sd_windows",
    "benign_sd_members",
    "malignant_sd_members",
)
COLUMNS = (
    "exam",
    "patient_key",
    "side",
    *SCORES,
    "views",
    "files",
    "model",
    "weights_hash",
    "marks",
    "warnings",
    "status",
)
UPSTREAM = ("left_benign", "right_benign", "left_malignant", "right_malignant")
Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Failure:
    """One exam that was not read, or one file that was left out, and why.

    kind   "exam" or "file"
    exam   the exam's hash; empty for a file that belongs to no exam
    name   the file's name; of an exam the names of its files
    label  the study id or name of the exam: written only on request
    """

    kind: str
    exam: str
    name: str
    reason: str
    patient_key: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Summary:
    """What one exam that was read adds to the tables.

    images  (key, name) of each image: what its files are called in the exam's folder, and what it came as
    """

    exam: str
    marks: tuple[str, ...]
    warnings: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    readings: tuple[Row, ...]
    upstream: tuple[str, str, str, str]


def summarise(reading: Reading, *, site: SiteCalibration | None = None) -> Summary:
    """The rows of one exam: per breast, or per image where the model reads single images.

    site  adds calibrated numbers, p_malignant_calibrated and p_benign_calibrated
    """
    if reading.unit == "image":
        rows = [_row(reading, image.score, image.view, site) for image in reading.images if image.score is not None]
    else:
        rows = [_row(reading, score, side, site) for side, score in reading.breasts.items()]
    left, right = reading.left, reading.right
    p = (left and left.benign, right and right.benign, left and left.malignant, right and right.malignant)
    a, b, c, d = ("" if value is None else f"{value:.4f}" for value in p)
    images = zip(image_keys(reading), (image.name for image in reading.images), strict=True)
    return Summary(reading.exam_id, reading.marks, reading.warnings, tuple(images), tuple(rows), (a, b, c, d))


def write_tables(
    out: Path,
    summaries: Sequence[Summary],
    failures: Sequence[Failure],
    *,
    model: str,
    weights_hash: str,
    unit: str,
    order: Sequence[str],
    calibrated: Sequence[Finding] = (),
    show_ids: bool = False,
) -> None:
    """The three tables in the folder `out`, each whole or not at all.

    summaries  of the exams that were read, in input order
    failures   exams (one row in readings.csv too, without numbers) and files
    order      ids of the exams tried, in input order
    calibrated findings that have calibrated numbers in the summaries: a column each

    upstream.csv has upstream's columns, rounding and order (Wu et al. 2019, published code): row n is the n-th exam
    of the input. It names no exam, so an exam or a breast that was not read leaves its cells empty. Raises OSError.
    """
    image_column = ("view",) if unit == "image" else ()
    more = tuple(calibrated_column(finding) for finding in calibrated)
    columns = (*COLUMNS[:3], *image_column, *COLUMNS[3:5], *more, *COLUMNS[5:], *(("exam_label",) if show_ids else ()))
    failed = [f for f in failures if f.kind == "exam"]
    rows = [row for summary in summaries for row in summary.readings]
    rows += [_failed_row(failure, model=model, weights_hash=weights_hash) for failure in failed]
    types = {name: pl.Float64 if name in (*SCORES, *more) else pl.String for name in columns}
    table = pl.DataFrame([{name: row.get(name) for name in columns} for row in rows], schema=types)
    write_whole(out / "readings.csv", table.write_csv())

    numbers = {summary.exam: summary.upstream for summary in summaries}
    lines = [",".join(row) for row in (UPSTREAM, *(numbers.get(exam, ("",) * 4) for exam in order))]
    write_whole(out / "upstream.csv", "\n".join(lines) + "\n")

    write_whole(out / "failures.csv", tabulate_failures(failures, show_ids=show_ids).write_csv())


def tabulate_failures(failures: Sequence[Failure], *, show_ids: bool = False) -> pl.DataFrame:
    """The rows of failures.csv: exams that were not read and files that were left out."""
    names = ("kind", "exam", "name", "reason", *(("exam_label",) if show_ids else ()))
    records = [(f.kind, f.exam, f.name, f.reason, f.label)[: len(names)] for f in failures]
    return pl.DataFrame(records, schema=dict.fromkeys(names, pl.String), orient="row")


def calibrated_column(finding: Finding) -> str:
    return f"p_{finding}_calibrated"


def _row(reading: Reading, score: Score, unit: Side | View, site: SiteCalibration | None) -> Row:
    calibrated = {} if site is None else site.calibrate(score)
    return {
        "exam": reading.exam_id,
        "patient_key": reading.patient_key,
        "side": unit.side.value if isinstance(unit, View) else unit.value,
        "view": unit.value if isinstance(unit, View) else None,
        "p_benign": float(score.benign),
        "p_malignant": float(score.malignant),
        **{calibrated_column(finding): p for finding, p in calibrated.items()},
        "benign_sd_windows": float(score.benign_sd_windows),
        "malignant_sd_windows": float(score.malignant_sd_windows),
        "benign_sd_members": float(score.benign_sd_members),
        "malignant_sd_members": float(score.malignant_sd_members),
        "views": " ".join(view.value for view in score.views),
        "files": join_reasons(score.files),
        "model": reading.model,
        "weights_hash": reading.weights_hash,
        "marks": join_reasons(reading.marks),
        "warnings": join_reasons(reading.warnings),
        "status": "read",
        "exam_label": reading.label,
    }


def _failed_row(failure: Failure, *, model: str, weights_hash: str) -> Row:
    return {
        "exam": failure.exam,
        "patient_key": failure.patient_key,
        "files": failure.name,
        "model": model,
        "weights_hash": weights_hash,
        "status": "failed",
        "exam_label": failure.label,
    }
