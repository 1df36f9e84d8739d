"""CMMD, the Chinese Mammography Database: biopsied breasts of 1,775 women, benign or malignant (Cui et al. 2021).

The label belongs to a breast, (ID1, LeftRight); a woman can have one row per side. Which view a file shows only its
DICOM header knows: the numbers of the files say nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Listing
from fourview.datasets.tables import files_below, find_one, number_of, read_sheet, read_table, side_of
from fourview.exam import ExamError, Mammogram, SetupError, Side
from fourview.ingest.dicom import read_header
from fourview.ingest.identity import distinct_names

_NAME = "cmmd"
_TABLES = ("CMMD_clinicaldata_revision.csv", "cmmd_raw_label.csv", "CMMD_clinicaldata_revision.xlsx")
_NEEDS = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification")
_MALIGNANT = {"malignant": True, "benign": False}
Breast = tuple[str, Side]


@dataclass(frozen=True)
class BreastRow:
    """One row of the table. images: how many images the set says that it has of this breast."""

    malignant: bool
    age: float | None
    images: float | None
    more: Mapping[str, str]


def read_breasts(path: Path) -> tuple[dict[Breast, BreastRow], tuple[tuple[str, str], ...]]:
    """The labels by breast, and (row, reason) of rows that contradict themselves or each other. Raises SetupError."""
    reads_sheet = path.suffix.lower() == ".xlsx"
    rows = read_sheet(path, "Sheet1", needs=_NEEDS) if reads_sheet else read_table(path, needs=_NEEDS)
    breasts: dict[Breast, BreastRow] = {}
    problems = []
    doubled = {b for b, count in Counter((r["ID1"], side_of(r["LeftRight"])) for r in rows).items() if count > 1}
    for number, row in enumerate(rows, 1):
        side, malignant = side_of(row["LeftRight"]), _MALIGNANT.get(row["classification"].lower())
        if not row["ID1"] or side is None or malignant is None:
            reason = f"found side {row['LeftRight']!r}, classification {row['classification']!r}; need L or R, a label"
            problems.append((f"{path.name}, row {number}", reason))
        elif (row["ID1"], side) in doubled:
            problems.append((f"{path.name}, row {number}", f"breast {side} of {row['ID1']} has several rows, need one"))
        else:
            more = {name: row.get(name, "") for name in ("abnormality", "subtype")}
            breasts[row["ID1"], side] = BreastRow(
                malignant,
                number_of(row["Age"]),
                number_of(row["number"]),
                {name: value for name, value in more.items() if value},
            )
    return breasts, tuple(problems)


def find(root: Path) -> Listing:
    """The images of the set by patient, side and view; breasts without a row have no label. Raises SetupError."""
    table = find_one(root, *_TABLES, need="the clinical data table of CMMD from its page at TCIA")
    breasts, bad_rows = read_breasts(table)
    patients = {patient for patient, _ in breasts}
    records, problems = [], list(bad_rows)
    found: Counter[Breast] = Counter()
    files = list(files_below(root, ".dcm"))
    if not files:
        raise SetupError(f"no DICOM file in or below {root.name}: need an NBIA download of CMMD")
    for path in files:
        try:
            record = _record(path, breasts)
        except ExamError as error:
            problems.append((str(path.relative_to(root)), str(error)))
            continue
        if record.patient not in patients or record.side is None:
            problems.append((str(path.relative_to(root)), f"no row of {table.name} names patient {record.patient}"))
            continue
        found[record.patient, record.side] += 1
        records.append(record)
    for (patient, side), row in sorted(breasts.items()):
        images = found[patient, side]
        if images == 0:
            problems.append((f"{patient} {side}", f"in {table.name}, but no image of this breast is there"))
        elif row.images is not None and images != row.images:
            problems.append((f"{patient} {side}", f"found {images} images, {table.name} says {row.images:g}"))
    records.sort(key=lambda record: record.image)
    names = distinct_names(record.image for record in records)
    return Listing(tuple(replace(r, image=name) for r, name in zip(records, names, strict=True)), tuple(problems))


def _record(path: Path, breasts: Mapping[Breast, BreastRow]) -> ImageRecord:
    """The record of one file, its patient, side and view from its header. Raises ExamError."""
    header = read_header(path)
    if header.problem or header.left_out or header.view is None or header.patient_id is None:
        raise ExamError(header.problem or header.left_out or "its header names no patient or no view")
    side = header.view.side
    row = breasts.get((header.patient_id, side))
    return ImageRecord(
        _NAME,
        header.patient_id,
        exam=header.patient_id,  # every patient has one exam
        image=f"{header.patient_id}_{header.view}_{path.stem}",
        path=path,
        side=side,
        angle=header.view.angle,
        malignant=row.malignant if row else None,
        benign=True if row and not row.malignant else None,  # a malignant breast may hold benign findings too
        label_unit="breast",
        label_source="biopsy" if row else "unknown",
        age=row.age if row else None,
        more=row.more if row else {},
    )


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it: 8 bits. Raises ExamError."""
    return load_record(record)


DATASET = Dataset(
    _NAME,
    "CMMD, the Chinese Mammography Database",
    has="biopsied breasts of 1,775 women, CC and MLO, 8-bit: 1,316 malignant, 556 benign; ages; no outlines",
    terms="CC BY 4.0; cite Cui et al. 2021",
    source="https://doi.org/10.7937/tcia.eqde-4b16: NBIA Data Retriever, and CMMD_clinicaldata_revision.xlsx beside it",
    read_here="the table with all its labels; never an image: only a miniature in its layout",
    find=find,
    load=load,
)
