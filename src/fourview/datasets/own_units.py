"""Labels of a user's table that are of a whole breast, exam or patient: what all rows of one must agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fourview.datasets.own_table import LABELS, LINE, UNITS, Row, exam_of, truth_in
from fourview.datasets.record import LabelUnit
from fourview.datasets.tables import side_of
from fourview.exam import ExamError

_SIZES = {unit: size for size, unit in enumerate(UNITS)}
UnitKey = tuple[LabelUnit, tuple[str, ...]]


@dataclass
class SaidOfUnit:
    """What the rows say about one breast, exam or patient.

    no   label -> first line that says 0 of all of it
    yes  label -> first line, in words, that says 1 of it or of a part of it, or has such a lesion
    """

    no: dict[str, str] = field(default_factory=dict)
    yes: dict[str, str] = field(default_factory=dict)


def unit_keys(row: Row) -> Iterator[UnitKey]:
    """The breast, the exam and the patient of a row; no patient where none is named."""
    patient, exam = row.get("patient", ""), exam_of(row)
    yield "breast", (patient, exam, str(side_of(row["side"])))
    yield "exam", (patient, exam)
    if patient:
        yield "patient", (patient,)


def collect_units(rows: Iterable[Row]) -> dict[UnitKey, SaidOfUnit]:
    """What the rows say, by unit."""
    units: dict[UnitKey, SaidOfUnit] = defaultdict(SaidOfUnit)
    for row in rows:
        given = UNITS.get(row.get("label_unit", "").lower(), "image")
        lesion = row.get("pathology", "").lower()
        for key in unit_keys(row):
            said = units[key]
            for column in LABELS:
                truth = truth_in(row, column)
                if truth is False and key[0] == given:
                    said.no.setdefault(column, row[LINE])
                elif truth and _SIZES[given] <= _SIZES[key[0]]:
                    said.yes.setdefault(column, f"line {row[LINE]} of the same {key[0]} says 1")
                if lesion == column:
                    said.yes.setdefault(column, f"line {row[LINE]} of the same {key[0]} has a {column} lesion")
    return units


def check_units(row: Row, units: dict[UnitKey, SaidOfUnit]) -> None:
    """Raises ExamError where what is said of the breast, exam or patient of a row contradicts itself."""
    for key in unit_keys(row):
        said = units[key]
        for column in LABELS:
            if column in said.no and column in said.yes:
                raise ExamError(f"line {said.no[column]}: {column} is 0, {said.yes[column]}; need one value")
