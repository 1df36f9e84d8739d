"""VinDr-Mammo on a miniature in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.regions import draw_region
from fourview.datasets.vindr import DATASET
from fourview.exam import ExamError, SetupError, Side, View
from tests.datasets.csv_rows import rename_column, write_rows
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

BREASTS, FINDINGS = "breast-level_annotations.csv", "finding_annotations.csv"
EXAM = "b8d273e8601f348d3664778dae0e7e0b"
ROWS, COLS = slice(61, 84), slice(30, 48)  # of the finding in a breast that faces right


def row(side: str, view: str, **more: object) -> dict[str, object]:
    return {
        "study_id": EXAM,
        "series_id": "d931832a0815df082c085b6e09d20aac",
        "laterality": side,
        "view_position": view,
        "height": 240,
        "width": 180,
        "breast_birads": "BI-RADS 4",
        "breast_density": "DENSITY C",
        "split": "training",
        "image_id": f"{side}{view}".lower(),
        **more,
    }


def finding(of: dict[str, object], words: str, box: tuple[float, ...] = ()) -> dict[str, object]:
    corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), box or ("",) * 4, strict=True))
    return {**of, "finding_categories": words, "finding_birads": "BI-RADS 4" if box else "", **corners}


def pixels(side: str) -> np.ndarray:
    image = breast()
    image[ROWS, COLS] = 3900
    return image if side == "L" else np.ascontiguousarray(image[:, ::-1])


def write(root: Path, rows: list[dict[str, object]], findings: list[dict[str, object]]) -> Path:
    write_rows(root / BREASTS, rows)
    write_rows(root / FINDINGS, findings)
    for one in rows:
        path = root / "images" / EXAM / f"{one['image_id']}.dicom"
        path.parent.mkdir(parents=True, exist_ok=True)
        side, view = str(one["laterality"]), str(one["view_position"])
        stored, photometric = pixels(side), "MONOCHROME2"
        if side == "R":  # the set mixes both
            stored, photometric = (4095 - stored).astype(np.uint16), "MONOCHROME1"
        tags = {"ViewPosition": view, "ImageLaterality": side, "PatientOrientation": None, "PatientID": ""}
        save(mammogram_dataset(stored, PhotometricInterpretation=photometric, **tags), path)
    about = [{"SOP Instance UID": "lcc", "Patient's Age": "053Y", "Manufacturer": "SIEMENS"}]
    write_rows(root / "metadata.csv", about)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    left, right = row("L", "CC"), row("R", "MLO", split="test", breast_birads="BI-RADS 1", breast_density="DENSITY A")
    box = (30.4, 61.2, 47.8, 83.5)
    mirrored = (180 - 47.8, 61.2, 180 - 30.4, 83.5)
    return write(
        tmp_path / "vindr",
        [left, right],
        [
            finding(left, "['Suspicious Calcification', 'Mass']", box),
            finding(right, "['Skin Thickening']", mirrored),
            finding(right, "['No Finding']"),
        ],
    )


def test_birads_is_all_that_is_known(root: Path) -> None:
    listing = DATASET.find(root)
    assert (listing.problems, listing.warnings) == ((), ())
    left, right = listing.records
    assert (left.malignant, left.benign, left.label_source, left.label_unit) == (None, None, "birads", "breast")
    assert (left.birads, left.density, left.split) == ("4", "C", "train")
    assert (left.age, left.vendor, left.patient) == (53, "SIEMENS", None)
    assert (right.birads, right.density, right.split, right.age) == ("1", "A", "test", None)
    assert (right.side, right.angle) == (Side.RIGHT, "MLO")


def test_findings_are_read_from_lists_that_are_text(root: Path) -> None:
    left, right = DATASET.find(root).records
    assert left.lesions[0].kind == "calcification"
    assert left.lesions[0].descriptors == {"categories": "Suspicious Calcification, Mass", "birads": "BI-RADS 4"}
    assert [lesion.kind for lesion in right.lesions] == ["other"]  # "No Finding" is none


def test_boxes_lie_on_the_findings_whatever_the_side_and_the_grey_scale(root: Path) -> None:
    for record in DATASET.find(root).records:
        image = DATASET.load(record)
        assert image.view == (View.L_CC if record.side is Side.LEFT else View.R_MLO)
        region = record.lesions[0].region
        assert region is not None
        inside = draw_region(region, image.pixels.shape)
        bright = image.pixels > 0.94 * image.pixels.max()
        assert (inside >= bright).all()
        assert bright.sum() / inside.sum() > 0.9


def test_labels_without_images_and_images_without_labels_are_listed(root: Path) -> None:
    folder = root / "images" / EXAM
    (folder / "lcc.dicom").rename(folder / "unknown.dicom")
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == ["rmlo"]
    assert [name for name, _ in listing.problems] == ["lcc", f"{EXAM}/unknown.dicom"]


def test_findings_that_contradict_the_breast_table_are_listed(tmp_path: Path) -> None:
    left, other = row("L", "CC"), row("L", "MLO")
    wrong = {**finding(left, "['Mass']", (30, 60, 48, 84)), "laterality": "R"}
    outside = finding(other, "['Mass']", (200, 60, 220, 84))
    stray = {**finding(left, "['Mass']", (30, 60, 48, 84)), "image_id": "nobody"}
    listing = DATASET.find(write(tmp_path / "vindr", [left, other], [wrong, outside, stray]))
    assert listing.records == ()
    reasons = [reason for _, reason in listing.problems]
    assert "side R" in reasons[0]
    assert "outside" in reasons[1]
    assert any("not in breast-level" in reason for reason in reasons)


def test_an_image_listed_twice_is_taken_once(tmp_path: Path) -> None:
    left = row("L", "CC")
    listing = DATASET.find(write(tmp_path / "vindr", [left, left], [finding(left, "['No Finding']")]))
    assert len(listing.records) == 1
    assert "twice" in listing.problems[0][1]


@pytest.mark.parametrize("table", [BREASTS, FINDINGS])
def test_missing_tables_and_changed_columns_are_named(root: Path, table: str) -> None:
    rename_column(root / table, "image_id")
    with pytest.raises(SetupError, match=f"{table}: no column image_id"):
        DATASET.find(root)
    (root / table).unlink()
    with pytest.raises(SetupError, match=table):
        DATASET.find(root)


def test_a_truncated_file_fails_its_image(root: Path) -> None:
    path = root / "images" / EXAM / "lcc.dicom"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ExamError):
        DATASET.load(DATASET.find(root).records[0])
