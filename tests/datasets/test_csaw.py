"""CSAW-CC on a miniature in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.csaw import DATASET
from fourview.datasets.record import MaskFile
from fourview.datasets.regions import draw_region
from fourview.exam import SetupError
from tests.datasets.csv_rows import rename_column, write_rows
from tests.ingest.pictures import write_picture
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

TABLE = "CSAW-CC_breast_cancer_screening_data.csv"
ROWS, COLS = slice(61, 84), slice(30, 48)


def row(
    patient: str, side: str, year: int = 2013, view: str = "CC", *, number: int = 1, **more: object
) -> dict[str, object]:
    return {
        "anon_patientid": patient,
        "exam_year": year,
        "x_age": 1,
        "x_case": 0,
        "x_cancer_laterality": "",
        "x_type": "",
        "x_lymphnode_met": "",
        "rad_timing": "",
        "rad_r1": 0,
        "rad_r2": 0,
        "rad_recall": 0,
        "rad_recall_type_right": "",
        "rad_recall_type_left": "",
        "imagelaterality": side,
        "viewposition": view,
        "libra_breastarea": 120.5,
        "libra_densearea": 20.1,
        "libra_percentdensity": 16.7,
        "anon_filename": f"{patient}_20990909_{side[0]}_{view}_{number}.dcm",
        **more,
    }


def case(side: str, year: int, timing: int, **more: object) -> dict[str, object]:
    """An image of a woman whose left breast got a cancer."""
    fields = {"x_case": 1, "x_cancer_laterality": "Left", "x_type": 2, "rad_timing": timing}
    return row("00001", side, year, number=year - 2000, **fields, **more)


def write(root: Path, rows: list[dict[str, object]], masks: tuple[str, ...] = ()) -> Path:
    write_rows(root / TABLE, rows)
    for one in rows:
        name, side = str(one["anon_filename"]), str(one["imagelaterality"])
        image = breast()
        image[ROWS, COLS] = 3900
        image = image if side == "Left" else np.ascontiguousarray(image[:, ::-1])
        tags = {"ViewPosition": one["viewposition"], "ImageLaterality": side[:1], "PatientOrientation": None}
        save(mammogram_dataset(image, **tags), root / name)
    for stem in masks:
        mask = np.zeros((240, 180), np.uint8)
        mask[ROWS, COLS] = 255
        write_picture(root / f"{stem}_mask.png", mask)
    return root


def test_a_case_is_malignant_in_one_breast_at_one_round(tmp_path: Path) -> None:
    rows = [case("Left", 2011, 3), case("Left", 2013, 1), case("Right", 2013, 1), row("00002", "Left")]
    listing = DATASET.find(write(tmp_path / "csaw", rows))
    assert listing.problems == ()
    assert [record.malignant for record in listing.records] == [None, True, False, False]
    assert {record.benign for record in listing.records} == {None}
    second = listing.records[1]
    assert (second.patient, second.exam, second.date) == ("00001", "00001_2013", "2013")
    assert (second.label_source, second.label_unit, second.age) == ("registry", "breast", None)  # x_age is a class
    assert second.more["rad_timing"] == "1"


def test_interval_cancers_are_not_negative(tmp_path: Path) -> None:
    rows = [case("Left", 2013, 2), case("Right", 2013, 2), row("00003", "Left", x_case=1, rad_timing=1)]
    listing = DATASET.find(write(tmp_path / "csaw", rows))
    assert [record.malignant for record in listing.records] == [None, False, None]  # the last: no side is named


def test_masks_lie_on_the_pixels_that_they_outline(tmp_path: Path) -> None:
    root = write(tmp_path / "csaw", [case("Left", 2013, 1)], ("00001_20990909_L_CC_13",))
    listing = DATASET.find(root)
    assert listing.problems == ()
    (record,) = listing.records
    mask = record.lesions[0].region
    assert isinstance(mask, MaskFile)
    assert record.lesions[0].pathology == "malignant"
    image = DATASET.load(record)
    assert (draw_region(mask, image.pixels.shape) == (image.pixels > 0.94 * image.pixels.max())).all()


def test_a_mask_in_a_breast_without_cancer_is_listed(tmp_path: Path) -> None:
    root = write(tmp_path / "csaw", [case("Right", 2013, 1)], ("00001_20990909_R_CC_13",))
    listing = DATASET.find(root)
    assert listing.records == ()
    assert "says none in this breast" in listing.problems[0][1]


def test_a_row_whose_file_name_says_another_side_is_listed(tmp_path: Path) -> None:
    swapped = row("00001", "Left") | {"anon_filename": "00001_20990909_R_CC_1.dcm"}
    listing = DATASET.find(write(tmp_path / "csaw", [swapped, row("00002", "Left")]))
    assert [record.patient for record in listing.records] == ["00002"]
    assert "otherwise" in listing.problems[0][1]


def test_labels_without_images_and_images_without_labels_are_listed(tmp_path: Path) -> None:
    root = write(tmp_path / "csaw", [row("00001", "Left"), row("00002", "Left")], ("00009_20990909_L_CC_1",))
    (root / "00001_20990909_L_CC_1.dcm").rename(root / "00008_20990909_L_CC_1.dcm")
    listing = DATASET.find(root)
    assert [record.patient for record in listing.records] == ["00002"]
    assert [name for name, _ in listing.problems] == [
        "00001_20990909_L_CC_1.dcm",
        "00008_20990909_L_CC_1.dcm",
        "00009_20990909_L_CC_1_mask.png",
    ]


def test_a_missing_table_no_images_and_changed_columns_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "csaw", [row("00001", "Left")])
    rename_column(root / TABLE, "x_cancer_laterality")
    with pytest.raises(SetupError, match="no column x_cancer_laterality"):
        DATASET.find(root)
    write(root, [row("00001", "Left")])
    (root / "00001_20990909_L_CC_1.dcm").unlink()
    with pytest.raises(SetupError, match="no DICOM file"):
        DATASET.find(root)
    (root / TABLE).unlink()
    with pytest.raises(SetupError, match=TABLE):
        DATASET.find(root)
