"""RSNA Screening Mammography Breast Cancer Detection (Kaggle 2022): cancer or not per breast, 54,706 images.

Views other than CC and MLO, several images of a view and breasts with implants occur; all are listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from fourview.datasets.reading import load_record
from fourview.datasets.record import DENSITIES, Dataset, ImageRecord, LabelSource, Listing
from fourview.datasets.tables import files_below, find_one, number_of, read_table, side_of
from fourview.exam import ExamError, Mammogram, SetupError

_NAME = "rsna"
_NEEDS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "invasive", "BIRADS",
    "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
_FLAGS = {"0": False, "1": True}
_KEPT = ("site_id", "machine_id", "biopsy", "invasive", "implant", "difficult_negative_case")
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The images of train.csv in its order (test.csv has no labels). Raises SetupError."""
    table = find_one(root, "train.csv", need="the labels of the competition")
    rows = read_table(table, needs=_NEEDS, keep=())
    folder = table.parent / "train_images"
    if not folder.is_dir():
        raise SetupError("no folder train_images beside train.csv: need train_images/(patient)/(image).dcm")
    disputed = _disputed(rows)
    records, problems = [], []
    named: set[tuple[str, str]] = set()
    for row in rows:
        place = row["patient_id"], row["image_id"]
        try:
            if place in named:
                raise ExamError("train.csv lists it twice, need one row per image")
            named.add(place)
            if (row["patient_id"], row["laterality"]) in disputed:
                raise ExamError(
                    f"train.csv calls breast {row['laterality']} of patient {row['patient_id']} both cancer and not"
                )
            records.append(_record(row, folder))
        except ExamError as error:
            problems.append((row["image_id"], str(error)))
    for path in files_below(folder, ".dcm"):
        if (path.parent.name, path.stem) not in named:
            problems.append((f"{path.parent.name}/{path.name}", "train.csv does not name it"))
    return Listing(tuple(records), tuple(problems))


def _disputed(rows: list[dict[str, str]]) -> set[tuple[str, str]]:
    """Breasts whose rows differ in cancer: the label is one of the breast."""
    labels = defaultdict(set)
    for row in rows:
        labels[row["patient_id"], row["laterality"]].add(row["cancer"])
    return {breast for breast, found in labels.items() if len(found) > 1}


def _record(row: Row, folder: Path) -> ImageRecord:
    path, side = folder / row["patient_id"] / f"{row['image_id']}.dcm", side_of(row["laterality"])
    if not path.is_file():
        raise ExamError(f"in train.csv, but train_images/{row['patient_id']}/{path.name} is not there")
    if side is None or row["cancer"] not in _FLAGS or row["biopsy"] not in _FLAGS:
        raise ExamError(
            f"found laterality {row['laterality']!r}, cancer {row['cancer']!r}, biopsy {row['biopsy']!r}; "
            "need L or R, 0 or 1, 0 or 1"
        )
    cancer, biopsied = _FLAGS[row["cancer"]], _FLAGS[row["biopsy"]]
    source: LabelSource = "biopsy" if biopsied or cancer else "unknown"  # without a biopsy the set does not say how
    birads = number_of(row["BIRADS"])
    return ImageRecord(
        _NAME,
        row["patient_id"],
        exam=row["patient_id"],  # the table names no exams
        image=row["image_id"],
        path=path,
        side=side,
        angle=row["view"].upper(),
        malignant=cancer,
        benign=None if cancer else biopsied,  # a breast with cancer may hold a benign finding too: nobody says
        label_unit="breast",
        label_source=source,
        birads=None if birads is None else str(int(birads)),
        density=row["density"] if row["density"] in DENSITIES else None,
        age=number_of(row["age"]),
        more={name: row[name] for name in _KEPT if row[name]},
        warnings=("a breast implant is present",) if row["implant"] == "1" else (),
    )


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it: JPEG 2000, JPEG lossless, MONOCHROME1 at some machines. Raises ExamError."""
    return load_record(record)


DATASET = Dataset(
    _NAME,
    "RSNA Screening Mammography Breast Cancer Detection 2022",
    has="54,706 digital mammograms of 11,913 women; cancer, biopsy and BI-RADS per breast; implants; no outlines",
    terms="non-commercial use only (RSNA); rules of the Kaggle competition",
    source="https://www.kaggle.com/competitions/rsna-breast-cancer-detection (315 GB): train.csv and train_images/",
    read_here="never: only a miniature in its layout",
    find=find,
    load=load,
)
