"""The table of a user's folder as rows of text, and what must agree between the rows of one image or exam."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from fourview.datasets.own_lesion import LESION_COLUMNS
from fourview.datasets.record import BIRADS, DENSITIES, LabelSource, LabelUnit
from fourview.datasets.tables import rows_of
from fourview.exam import ExamError, SetupError

LINE = "line of the table"  # a column that no table has: added here, for messages
TERMS = "pathology_terms"
NEEDS = ("file", "side", "view")
LABELS = ("malignant", "benign", "high_risk")
UNITS: dict[str, LabelUnit] = {word: word for word in get_args(LabelUnit)}
SOURCES: dict[str, LabelSource] = {word: word for word in get_args(LabelSource)}
_OPTIONAL = (
    "patient", "exam", *LABELS, "label_unit", "label_source", TERMS, "birads", "density", "age", "vendor", "date",
    "split", "spacing_mm",
)  # fmt: skip
KNOWN = frozenset({*NEEDS, *_OPTIONAL, *LESION_COLUMNS, LINE})
_TRUTH = {"": None, "0": False, "1": True, "no": False, "yes": True, "false": False, "true": True}
_TRUTH |= {"0.0": False, "1.0": True}  # as tables that knew blanks write them
_SPLITS = ("", "train", "validation", "test")
_NAMING = ("patient", "exam")  # columns whose cells no message quotes
Row = Mapping[str, str]


@dataclass(frozen=True)
class OwnTable:
    """A CSV as it was read: its rows, each with its line in the file under LINE."""

    path: Path
    rows: list[dict[str, str]]


def read_own_table(root: Path) -> OwnTable:
    """The folder's CSV: labels.csv, or the only one; column names in any case. Raises SetupError."""
    if not root.is_dir():
        raise SetupError(f"{root.name}: no such folder")
    tables = sorted(root.glob("*.csv"))
    path = next((table for table in tables if table.name.lower() == "labels.csv"), tables[0] if tables else None)
    if path is None or (path.name.lower() != "labels.csv" and len(tables) > 1):
        raise SetupError(f"found {len(tables)} CSV files in {root.name}: need labels.csv, or one with another name")
    try:
        content = path.read_text(encoding="utf-8-sig")
        head = content.lstrip().partition("\n")[0]
        if ";" in head and "," not in head:
            raise SetupError(f"{path.name}: found semicolons between the cells, need commas")
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        lines = [[*line, str(reader.line_num)] for line in reader if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SetupError(f"{path.name}: cannot be read as comma-separated UTF-8 ({type(error).__name__})") from None
    if not lines:
        raise SetupError(f"{path.name}: an empty table, need its header and rows")
    header = [cell.strip().lower() for cell in lines[0][:-1]] + [LINE]
    for line in lines[1:]:
        if len(line) != len(header):
            raise SetupError(f"{path.name}, line {line[-1]}: found {len(line) - 1} cells, need {len(header) - 1}")
    return OwnTable(path, rows_of([header, *lines[1:]], path.name, needs=NEEDS))


def truth_in(row: Row, column: str) -> bool | None:
    """What a cell of a label column says; None for a blank one, and for a word that check_words refuses."""
    return _TRUTH.get(row.get(column, "").lower())


def check_words(row: Row) -> None:
    """Raises ExamError for a word that its column does not have."""
    for column in LABELS:
        if row.get(column, "").lower() not in _TRUTH:
            raise ExamError(f"found {column} {row[column]!r}, need 1, 0 or nothing")
    birads, density = row.get("birads", "").lower() or None, row.get("density", "").upper() or None
    if birads not in (None, *BIRADS) or density not in (None, *DENSITIES):
        raise ExamError(f"found birads {birads!r} and density {density!r}; need {', '.join(BIRADS)}, and A to D")
    if row.get("split", "").lower() not in _SPLITS:
        raise ExamError(f"found split {row['split']!r}, need train, validation or test")
    for column, words in (("label_unit", UNITS), ("label_source", SOURCES)):
        if row.get(column, "").lower() not in ("", *words):
            raise ExamError(f"found {column} {row[column]!r}, need {', '.join(words)} or nothing")
    if row.get("label_unit", "").lower() == "patient" and not row.get("patient"):
        raise ExamError("found label_unit 'patient', but no patient: need whose label it is")


def names_exam(row: Row) -> bool:
    """Whether a row says which exam its image is of: by name, or by patient and date."""
    return bool(row.get("exam") or (row.get("patient") and row.get("date")))


def exam_of(row: Row, patient: str | None = None) -> str:
    """Which exam an image is of: the exam's name, else the patient's images of one day, else this file alone.

    patient  what stands for the patient; None: the cell, so that the answer is for comparing only
    """
    if row.get("exam") or not names_exam(row):
        return row.get("exam") or row["file"]
    return f"{patient or row['patient']} {row['date']}"


def find_mixed_exams(rows: Iterable[Row]) -> set[str]:
    """Exams whose rows name more than one patient, or none in some rows."""
    patients: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.get("exam"):
            patients[row["exam"]].add(row.get("patient", ""))
    return {exam for exam, found in patients.items() if len(found) > 1}


def join_rows(rows: Sequence[Row]) -> Row:
    """The first row of an image. Raises ExamError where another one says otherwise, of all but lesions and terms."""
    first = rows[0]
    for row in rows[1:]:
        for column in row.keys() - {LINE, TERMS, *LESION_COLUMNS}:
            if row[column] != first[column] and column in _NAMING:
                raise ExamError(
                    f"line {row[LINE]}: another {column} than in line {first[LINE]} of the same image; need one value"
                )
            if row[column] != first[column]:
                raise ExamError(
                    f"line {row[LINE]}: {column} is {row[column]!r}, line {first[LINE]} of the same image says "
                    f"{first[column]!r}; need one value"
                )
    return first
