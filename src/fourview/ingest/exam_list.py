"""A CSV or JSON list: one row per image with file, exam, side and view (and spacing_mm, patient, if it has them)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import ExamError, SetupError, View
from fourview.ingest.identity import patient_key, safe_name
from fourview.ingest.listed import different_studies, listed_image
from fourview.ingest.sources import ExamSource, Found, ImageSource, IngestOptions, compose_exam
from fourview.ingest.view_names import view_of_stem, view_of_words

REQUIRED = ("file", "exam", "side", "view")
_OPTIONAL = ("spacing_mm", "patient")


@dataclass(frozen=True)
class Row:
    """One image of the list, as text. place: "row 3", for messages (the first row below the titles is row 1)."""

    place: str
    file: str
    exam: str
    side: str
    view: str
    spacing_mm: str | None
    patient: str | None


def find_listed(path: Path, options: IngestOptions) -> Found:
    """The exams of a CSV or JSON list, in the order of their first rows; nothing is left out but other views.

    Files are relative to the list. A row that cannot be used is a problem of its exam. Columns other than the six
    are ignored. Raises SetupError if the list itself cannot be read.
    """
    rows: dict[str, list[Row]] = {}
    for row in read_rows(path):
        rows.setdefault(row.exam, []).append(row)
    return Found(tuple(_compose(exam, listed, path, options) for exam, listed in rows.items()), ())


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of the list. Raises SetupError if it cannot be read, lacks a column, or has a row without exam."""
    is_json = path.suffix.lower() == ".json"
    records: Iterable[Mapping[str, Any]] = rows_of_json(load_json(path), path.name) if is_json else _read_csv(path)
    rows = tuple(
        _row(record, f"row {number}", path.name)
        for number, record in enumerate(records, 1)
        if any(value is not None and str(value).strip() for value in record.values())  # else a blank line
    )
    if not rows:
        raise SetupError(f"{path.name}: the list has no rows, need one per image")
    return rows


def load_json(path: Path) -> Any:
    """What a JSON file holds. Raises SetupError."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(f"{path.name}: cannot be read as JSON ({type(error).__name__})") from error


def rows_of_json(content: Any, name: str) -> list[dict[str, Any]]:
    """The objects of a JSON list, checked for their keys. Raises SetupError."""
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise SetupError(f"{name}: found {type(content).__name__}, need a list of objects with {', '.join(REQUIRED)}")
    for number, item in enumerate(content, 1):
        _check_columns(item.keys(), f"{name}, item {number}")
    return content


def _read_csv(path: Path) -> Iterable[dict[str, Any]]:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SetupError(f"{path.name}: cannot be read as comma-separated UTF-8 ({type(error).__name__})") from error
    table = table.rename({column: column.strip().lower() for column in table.columns})
    _check_columns(table.columns, path.name)
    return table.select([column for column in table.columns if column in (*REQUIRED, *_OPTIONAL)]).iter_rows(named=True)


def _check_columns(found: Iterable[str], name: str) -> None:
    found = list(found)
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise SetupError(
            f"{name}: no column {', '.join(missing)}; found {', '.join(found) or 'none'}; need {', '.join(REQUIRED)} "
            "separated by commas"
        )


def _row(record: Mapping[str, Any], place: str, name: str) -> Row:
    texts = {key: "" if record.get(key) is None else str(record[key]).strip() for key in (*REQUIRED, *_OPTIONAL)}
    if not texts["exam"]:
        raise SetupError(f"{name}, {place}: no exam, need the name of the exam in every row")
    return Row(
        place,
        texts["file"],
        texts["exam"],
        texts["side"],
        texts["view"],
        texts["spacing_mm"] or None,
        texts["patient"] or None,
    )


def _compose(exam: str, rows: list[Row], path: Path, options: IngestOptions) -> ExamSource:
    images: list[ImageSource] = []
    problems: list[str] = []
    left_out: list[tuple[str, str]] = []
    patients = {row.patient for row in rows if row.patient}
    if len(patients) > 1:
        problems.append(f"{path.name} gives {len(patients)} patients for this exam, need one")
    for row in rows:
        try:
            view = _view(row, path.name)
            if view is None:
                left_out.append((safe_name(row.file, row.patient), f"view {row.view} is neither CC nor MLO"))
                continue
            images.append(
                listed_image(
                    path.parent / row.file,
                    view=view,
                    list_name=path.name,
                    patient_id=row.patient,
                    spacing_mm=_spacing(row, path.name),
                )
            )
        except ExamError as error:
            problems.append(str(error))
    tagged = {image.header.patient_id for image in images if image.header and image.header.patient_id}
    if not patients and len(tagged) > 1:
        problems.append(f"{path.name} puts files of {len(tagged)} patients into this exam, need one")
    woman = next(iter(patients or tagged), None)
    return compose_exam(
        exam,
        images,
        options=options,
        patient_key=None if problems else patient_key(woman, options.secret),
        problems=problems,
        left_out=left_out,
        warnings=different_studies(images),
    )


def _view(row: Row, name: str) -> View | None:
    """The view of a row; None where it is an angle other than CC and MLO. Raises ExamError."""
    for column, value in (("file", row.file), ("side", row.side), ("view", row.view)):
        if not value:
            raise ExamError(f"{name}, {row.place}: no {column}, need one")
    if view_of_words(row.side, "CC") is None:
        raise ExamError(f"{name}, {row.place}: found side {row.side!r}, need L or R")
    named = view_of_stem(row.view)  # "L-CC" in the column view says the side once more
    if named is None or named.exam or named.number:
        return view_of_words(row.side, row.view)
    if view_of_words(row.side, named.view.angle) is not named.view:
        raise ExamError(f"{name}, {row.place}: found side {row.side!r} and view {row.view!r}, need one side in both")
    return named.view


def _spacing(row: Row, name: str) -> float | None:
    if row.spacing_mm is None:
        return None
    try:
        value = float(row.spacing_mm)
    except ValueError:
        value = 0.0
    if not 0 < value < 10:
        raise ExamError(f"{name}, {row.place}: found spacing_mm {row.spacing_mm!r}, need 0 to 10")
    return value
