"""CMMD: its real table, and a miniature of its download."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fourview.datasets.cmmd import DATASET, read_breasts
from fourview.exam import SetupError, Side, View
from tests.datasets.csv_rows import rename_column, write_rows
from tests.datasets.small_xlsx import write_xlsx
from tests.ingest.synthetic_dicom import breast, code_item, mammogram_dataset, save

TABLE = "CMMD_clinicaldata_revision.csv"
CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


def test_the_real_table_has_its_published_counts(shared: Path) -> None:
    breasts, problems = read_breasts(shared / "data/cmmd_labels/cmmd_raw_label.csv")
    assert not problems
    assert len(breasts) == 1872
    assert len({patient for patient, _ in breasts}) == 1775
    assert Counter(row.malignant for row in breasts.values()) == {True: 1316, False: 556}
    assert Counter(row.more["abnormality"] for row in breasts.values()) == {
        "mass": 1149,
        "both": 461,
        "calcification": 262,
    }
    assert {row.images for row in breasts.values()} == {2}
    assert all(row.age is not None and 15 < row.age < 100 for row in breasts.values())


def row(patient: str, side: str, classification: str = "Benign", **more: object) -> dict[str, object]:
    return {
        "ID1": patient,
        "LeftRight": side,
        "Age": 44,
        "number": 2,
        "abnormality": "mass",
        "classification": classification,
        "subtype": "",
        **more,
    }


def add(root: Path, patient: str, views: list[str]) -> None:
    """A series with one file per view, in this order: the numbers of the files say nothing about the view."""
    folder = root / "CMMD" / patient / "07-18-2010-NA-NA-79377" / "1.000000-NA-70244"
    folder.mkdir(parents=True, exist_ok=True)
    for number, view in enumerate(views, 1):
        side, angle = view.split("-")
        image = (breast(faces="right" if side == "L" else "left") // 16).astype("u1")
        item = code_item(*CODES[angle])
        tags = {"ViewPosition": None, "ImageLaterality": side, "PatientID": patient, "PatientOrientation": None}
        tags |= {"ViewCodeSequence": [item], "BitsStored": 8, "HighBit": 7, "PatientName": patient}
        save(mammogram_dataset(image, **tags), folder / f"1-{number}.dcm")


def write(root: Path, rows: list[dict[str, object]]) -> Path:
    write_rows(root / TABLE, rows)
    return root


def test_views_come_from_headers_and_labels_from_breasts(tmp_path: Path) -> None:
    root = write(
        tmp_path / "cmmd", [row("D1-0001", "R"), row("D2-0002", "L", "Malignant", subtype="Luminal A", Age=61)]
    )
    add(root, "D1-0001", ["R-MLO", "R-CC"])
    add(root, "D2-0002", ["R-CC", "L-MLO", "L-CC", "R-MLO"])
    listing = DATASET.find(root)
    assert listing.problems == ()
    found = {record.image: record for record in listing.records}
    assert found["D1-0001_R-MLO_1-1"].angle == "MLO"
    labels = {name: (record.malignant, record.benign, record.label_source) for name, record in found.items()}
    assert labels == {
        "D1-0001_R-CC_1-2": (False, True, "biopsy"),
        "D1-0001_R-MLO_1-1": (False, True, "biopsy"),
        "D2-0002_L-CC_1-3": (True, None, "biopsy"),
        "D2-0002_L-MLO_1-2": (True, None, "biopsy"),
        "D2-0002_R-CC_1-1": (None, None, "unknown"),
        "D2-0002_R-MLO_1-4": (None, None, "unknown"),
    }
    malignant = found["D2-0002_L-CC_1-3"]
    assert (malignant.patient, malignant.side, malignant.age) == ("D2-0002", Side.LEFT, 61)
    assert malignant.more == {"abnormality": "mass", "subtype": "Luminal A"}
    image = DATASET.load(malignant)
    assert (image.view, image.faces) == (View.L_CC, "right")


def test_the_published_excel_file_says_the_same_as_a_csv(tmp_path: Path) -> None:
    rows = [row("D1-0001", "R"), row("D2-0002", "L", "Malignant", subtype="Luminal A")]
    as_csv = write_rows(tmp_path / "table.csv", rows)
    lines = [list(rows[0]), *([str(cell) for cell in one.values()] for one in rows)]
    as_xlsx = write_xlsx(tmp_path / "CMMD_clinicaldata_revision.xlsx", {"Sheet1": lines})
    try:
        import fastexcel  # noqa: F401
    except ImportError:
        with pytest.raises(SetupError, match="save the sheet as CSV"):
            read_breasts(as_xlsx)
    else:
        assert read_breasts(as_xlsx) == read_breasts(as_csv)


def test_labels_without_images_and_images_without_labels_are_listed(tmp_path: Path) -> None:
    root = write(tmp_path / "cmmd", [row("D1-0001", "R"), row("D1-0002", "L"), row("D1-0003", "L")])
    add(root, "D1-0001", ["R-MLO"])
    add(root, "D1-0003", ["L-MLO", "L-CC"])
    add(root, "D1-0009", ["L-CC"])
    listing = DATASET.find(root)
    assert [record.patient for record in listing.records] == ["D1-0001", "D1-0003", "D1-0003"]
    reasons = dict(listing.problems)
    assert reasons["D1-0001 R"] == f"found 1 images, {TABLE} says 2"
    assert "no image of this breast" in reasons["D1-0002 L"]
    assert any("names patient D1-0009" in reason for reason in reasons.values())


def test_rows_that_contradict_each_other_and_broken_files_are_listed(tmp_path: Path) -> None:
    rows = [row("D1-0001", "R"), row("D1-0001", "R", "Malignant"), row("D1-0002", "X"), row("D1-0003", "L", "Maybe")]
    root = write(tmp_path / "cmmd", [*rows, row("D1-0004", "L")])
    add(root, "D1-0004", ["L-CC", "L-MLO"])
    broken = next(root.rglob("1-1.dcm"))
    broken.write_bytes(b"half a file")
    listing = DATASET.find(root)
    assert [record.angle for record in listing.records] == ["MLO"]
    named = [name for name, _ in listing.problems]
    assert named[:4] == [f"{TABLE}, row {number}" for number in (1, 2, 3, 4)]
    assert named[4].endswith("1-1.dcm")


def test_a_missing_table_no_images_and_changed_columns_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "cmmd", [row("D1-0001", "R")])
    with pytest.raises(SetupError, match="no DICOM file"):
        DATASET.find(root)
    rename_column(root / TABLE, "classification")
    with pytest.raises(SetupError, match="no column classification"):
        DATASET.find(root)
    (root / TABLE).unlink()
    with pytest.raises(SetupError, match="CMMD_clinicaldata_revision"):
        DATASET.find(root)
