"""The table of INbreast: one row per image, as values. Its Excel file has more columns than its CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fourview.datasets.record import BIRADS
from fourview.datasets.tables import read_sheet, read_table, side_of
from fourview.exam import ExamError, SetupError, Side

_SHEET = "Sheet1"  # other sheets of copies in circulation hold diagnoses of the women: never read
_NEEDS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
_FINDINGS = ("Mass", "Micros", "Distortion", "Asymmetry")  # columns of the Excel file: X where there is one
_LESION_STATUS, _MUSCLE_STATUS = "Lesion Annotation Status", "Pectoral Muscle Annotation"  # columns of the Excel file
_NONE = "no"  # begins what they say of an image without outlines, such as "no annotation (normal)"
_DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D", "": None}
SUSPICIOUS_FROM = "4"


@dataclass(frozen=True)
class LabelRow:
    """One row of the table, as values.

    outlines  why there must be an outline of a finding: what the table says; "": there need not be one
    muscle    the table announces an outline of the pectoral muscle
    """

    image: str
    side: Side
    angle: str
    half_year: str
    density: str | None
    birads: str
    findings: tuple[str, ...]
    outlines: str
    muscle: bool


def read_labels(path: Path) -> tuple[dict[str, LabelRow], list[tuple[str, str]], list[str]]:
    """image -> its row; (image, reason) of rows that cannot be understood; warnings.

    path  INbreast.csv (separator ";"), or the Excel file, of which only Sheet1 is read
    Rows without a file name (the totals below the table) are dropped. Raises SetupError.
    """
    is_csv = path.suffix.lower() == ".csv"
    rows = read_table(path, separator=";", needs=_NEEDS) if is_csv else read_sheet(path, _SHEET, needs=_NEEDS)
    labels: dict[str, LabelRow] = {}
    problems = []
    dropped = 0
    seen: set[str] = set()
    for row in rows:
        image = row["File Name"]
        if not image.isdigit():
            dropped += 1
            continue
        try:
            if image in seen:
                raise ExamError("it has more than one row")
            seen.add(image)
            labels[image] = _label_row(row)
        except ExamError as error:
            labels.pop(image, None)
            problems.append((image, f"{path.name}: {error}"))
    if not labels:
        raise SetupError(f"{path.name}: no row with a file name and BI-RADS, need the table of INbreast")
    return labels, problems, [f"{path.name}: {dropped} rows without a file name dropped"] if dropped else []


def _label_row(row: Mapping[str, str]) -> LabelRow:
    side, angle = side_of(row["Laterality"]), angle_of(row["View"])
    birads, density = row["Bi-Rads"].lower(), row["ACR"]
    if side is None or not angle:
        raise ExamError(f"found side {row['Laterality']!r} and view {row['View']!r}, need L or R and a view")
    if birads not in BIRADS[1:]:
        raise ExamError(f"found BI-RADS {row['Bi-Rads']!r}, need 1, 2, 3, 4a, 4b, 4c, 5 or 6")
    if density not in _DENSITIES:
        raise ExamError(f"found ACR {density!r}, need 1 to 4 or a blank")
    lesion_status, muscle_status = (row.get(column, "").lower() for column in (_LESION_STATUS, _MUSCLE_STATUS))
    suspicion = [f"BI-RADS {birads}"] if birads >= SUSPICIOUS_FROM else []
    findings = tuple(name.lower() for name in _FINDINGS if row.get(name))
    return LabelRow(
        row["File Name"],
        side,
        angle,
        row["Acquisition date"],
        _DENSITIES[density],
        birads,
        findings,
        outlines="" if lesion_status.startswith(_NONE) else ", ".join([*suspicion, *findings]),
        muscle=bool(muscle_status) and not muscle_status.startswith(_NONE),
    )


def angle_of(word: str) -> str:
    """The view, where this set writes ML for MLO."""
    angle = word.strip().upper()
    return "MLO" if angle == "ML" else angle
