"""RSNA 2022 on a miniature in its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourview.datasets.rsna import DATASET
from fourview.exam import SetupError, Side, View
from tests.datasets.csv_rows import rename_column, write_rows
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save


def row(image: int, side: str = "L", view: str = "CC", patient: int = 10006, **more: object) -> dict[str, object]:
    return {
        "site_id": 2,
        "patient_id": patient,
        "image_id": image,
        "laterality": side,
        "view": view,
        "age": 61.0,
        "cancer": 0,
        "biopsy": 0,
        "invasive": 0,
        "BIRADS": "",
        "implant": 0,
        "density": "",
        "machine_id": 29,
        "difficult_negative_case": False,
        **more,
    }


def write(root: Path, rows: list[dict[str, object]]) -> Path:
    write_rows(root / "train.csv", rows)
    for one in rows:
        path = root / "train_images" / str(one["patient_id"]) / f"{one['image_id']}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = str(one["laterality"])
        tags = {"ViewPosition": None, "ImageLaterality": side, "PatientOrientation": None}
        save(mammogram_dataset(breast(faces="right" if side == "L" else "left"), **tags), path)
    return root


def test_the_label_is_one_of_the_breast(tmp_path: Path) -> None:
    root = write(
        tmp_path / "rsna",
        [
            row(1, "L", "CC", cancer=1, biopsy=1, BIRADS="0.0", density="C"),
            row(2, "L", "MLO", cancer=1, biopsy=1),
            row(3, "R", "CC", biopsy=1),
            row(4, "R", "MLO", biopsy=1),
            row(5, "L", "CC", 10011, BIRADS="1.0"),
        ],
    )
    listing = DATASET.find(root)
    assert listing.problems == ()
    labels = {record.image: (record.malignant, record.benign, record.label_source) for record in listing.records}
    assert labels == {
        "1": (True, None, "biopsy"),
        "2": (True, None, "biopsy"),
        "3": (False, True, "biopsy"),
        "4": (False, True, "biopsy"),
        "5": (False, False, "unknown"),
    }
    first = listing.records[0]
    assert (first.patient, first.birads, first.density, first.age, first.label_unit) == (
        "10006",
        "0",
        "C",
        61,
        "breast",
    )
    assert listing.records[4].birads == "1"
    assert DATASET.load(first).view is View.L_CC


def test_other_views_more_images_of_a_view_and_implants_are_kept(tmp_path: Path) -> None:
    rows = [row(1), row(2), *(row(3 + at, view=view) for at, view in enumerate(("AT", "LM", "ML", "LMO")))]
    rows[1]["implant"] = 1
    listing = DATASET.find(write(tmp_path / "rsna", rows))
    assert [record.angle for record in listing.records] == ["CC", "CC", "AT", "LM", "ML", "LMO"]
    assert [record.view for record in listing.records] == [View.L_CC, View.L_CC, None, None, None, None]
    assert listing.records[1].warnings == ("a breast implant is present",)


def test_a_breast_that_has_cancer_in_one_row_only_is_listed(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path / "rsna", [row(1, cancer=1, biopsy=1), row(2, view="MLO"), row(3, "R")]))
    assert [record.side for record in listing.records] == [Side.RIGHT]
    assert [name for name, _ in listing.problems] == ["1", "2"]
    assert "both cancer and not" in listing.problems[0][1]


def test_labels_without_images_and_images_without_labels_are_listed(tmp_path: Path) -> None:
    root = write(tmp_path / "rsna", [row(1), row(2, "R"), row(3, "B")])
    folder = root / "train_images/10006"
    (folder / "1.dcm").rename(folder / "9.dcm")
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["2"]
    assert [name for name, _ in listing.problems] == ["1", "3", "10006/9.dcm"]


def test_missing_labels_images_and_columns_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "rsna", [row(1)])
    rename_column(root / "train.csv", "laterality")
    with pytest.raises(SetupError, match="no column laterality"):
        DATASET.find(root)
    write(root, [row(1)])
    (root / "train_images").rename(root / "elsewhere")
    with pytest.raises(SetupError, match="train_images"):
        DATASET.find(root)
    (root / "train.csv").unlink()
    with pytest.raises(SetupError, match=r"train\.csv"):
        DATASET.find(root)
