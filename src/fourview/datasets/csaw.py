"""CSAW-CC: screening rounds of 873 women with breast cancer and 7,850 without, Karolinska (Dembrower et al. 2019).

x_case is a fact about a woman, not about an image: her healthy breast and the rounds before her cancer have it too.
Here an image is malignant only where the breast is the one of x_cancer_laterality and the cancer was found at this
round (rad_timing 1). In her later-diagnosed breast the earlier rounds (2: within two years; 3: later) are unknown, not
negative. Ages come in two classes (x_age 1, 2) and are no ages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile
from fourview.datasets.tables import files_below, find_one, read_table, side_of
from fourview.exam import ExamError, Mammogram, SetupError, Side

_NAME = "csaw-cc"
_TABLE = "CSAW-CC_breast_cancer_screening_data.csv"
_KEPT = (
    "x_case", "x_age", "x_type", "x_lymphnode_met", "rad_timing", "rad_r1", "rad_r2", "rad_recall",
    "libra_percentdensity",
)  # fmt: skip
_NEEDS = (
    "anon_patientid", "exam_year", "x_cancer_laterality", "imagelaterality", "viewposition", "anon_filename", *_KEPT
)  # fmt: skip
_FILE = re.compile(r"(?P<patient>.+)_\d{8}_(?P<side>[LR])_(?P<angle>[A-Z]+)_\d+")
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The images of the table, in its order. Raises SetupError."""
    rows = read_table(find_one(root, _TABLE, need="the table of CSAW-CC"), needs=_NEEDS, keep=())
    files: dict[str, list[Path]] = {}
    for path in files_below(root, ".dcm", ".png"):
        files.setdefault(path.name, []).append(path)
    if not any(name.endswith(".dcm") for name in files):
        raise SetupError(f"no DICOM file in or below {root.name}: need the images of CSAW-CC beside its table")
    records, problems = [], []
    named: set[str] = set()
    for row in rows:
        name = row["anon_filename"]
        try:
            if name in named:
                raise ExamError(f"{_TABLE} lists it twice, need one row per image")
            named |= {name, f"{Path(name).stem}_mask.png"}
            records.append(_record(row, files))
        except ExamError as error:
            problems.append((name, str(error)))
    problems += [(name, f"{_TABLE} does not name it") for name in sorted(files) if name not in named]
    return Listing(tuple(records), tuple(problems))


def _record(row: Row, files: Mapping[str, list[Path]]) -> ImageRecord:
    name, side = row["anon_filename"], side_of(row["imagelaterality"])
    stem = Path(name).stem
    match = _FILE.fullmatch(stem)
    if side is None or match is None or row["x_case"] not in ("0", "1"):
        raise ExamError(
            f"found side {row['imagelaterality']!r}, x_case {row['x_case']!r}; need Left or Right, 0 or 1, and a file "
            "called (patient)_(date)_(L or R)_(view)_(n).dcm"
        )
    told = row["anon_patientid"], side.value, row["viewposition"].upper()
    if (match["patient"], match["side"], match["angle"]) != told:
        raise ExamError(f"its name says otherwise than its row ({' '.join(told)}): need one of them corrected")
    path, mask = _only(files, name), files.get(f"{stem}_mask.png", [])
    if path is None:
        raise ExamError(f"in {_TABLE}, but its file is not there")
    malignant = _malignant(row, side)
    if mask and malignant is False:
        raise ExamError(f"{mask[0].name} outlines a cancer, the table says none in this breast: need one corrected")
    region = MaskFile(mask[0]) if mask else None
    exam = f"{row['anon_patientid']}_{row['exam_year']}"
    return ImageRecord(
        _NAME,
        row["anon_patientid"],
        exam=exam,
        image=stem,
        path=path,
        side=side,
        angle=told[2],
        malignant=malignant,
        label_unit="breast",
        label_source="registry",
        date=row["exam_year"] or None,
        lesions=(Lesion(f"{exam}_{side}_cancer", "other", "malignant", region=region),) if region else (),
        more={column: row[column] for column in _KEPT if row[column]},
    )


def _only(files: Mapping[str, list[Path]], name: str) -> Path | None:
    found = files.get(name, [])
    if len(found) > 1:
        raise ExamError(f"found {len(found)} files of this name, need one")
    return found[0] if found else None


def _malignant(row: Row, side: Side) -> bool | None:
    """Whether this breast had a cancer that was found at this round; None: at another time, or nobody says."""
    if row["x_case"] == "0":
        return False
    cancer = side_of(row["x_cancer_laterality"])
    if cancer is None:
        return None
    if cancer is not side:
        return False
    return True if row["rad_timing"] in ("1", "1.0") else None


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it. Raises ExamError."""
    return load_record(record)


DATASET = Dataset(
    _NAME,
    "CSAW-CC, the case-control part of the Cohort of Screen-Aged Women",
    has="about 98,800 digital mammograms of 8,723 women over several rounds; cancers from the registry, masks of some",
    terms="on request, for the stated research only; no redistribution",
    source="Karolinska Institutet, on request through the Swedish National Data Service (CSAW-CC); Dembrower et al. "
    "2020, doi 10.1007/s10278-019-00278-0",
    read_here="never: only a miniature in its layout",
    find=find,
    load=load,
)
