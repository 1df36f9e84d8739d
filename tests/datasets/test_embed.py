"""EMBED on a miniature in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.embed import DATASET
from fourview.datasets.record import ImageRecord
from fourview.datasets.regions import draw_region
from fourview.exam import SetupError, View
from tests.datasets.csv_rows import rename_column, write_rows
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

CLINICAL, METADATA = "tables/EMBED_OpenData_clinical.csv", "tables/EMBED_OpenData_metadata.csv"
ROWS, COLS = slice(61, 84), slice(30, 48)  # of the finding in a breast that faces right
REGION = "((61, 30, 84, 48),)"


def finding(side: str, severity: object = "", exam: str = "801", **more: object) -> dict[str, object]:
    return {
        "empi_anon": "10000001",
        "acc_anon": exam,
        "study_date_anon": "2013-05-11",
        "numfind": 1,
        "side": side,
        "asses": "N",
        "tissueden": 2.0,
        "massshape": "",
        "massmargin": "",
        "calcfind": "",
        "calcdistri": "",
        "bside": "",
        "path_severity": severity,
        **more,
    }


def file(side: str, view: str = "CC", exam: str = "801", **more: object) -> dict[str, object]:
    name = f"1.2.{exam}.{side}{view}.dcm"
    return {
        "empi_anon": "10000001",
        "acc_anon": exam,
        "anon_dicom_path": f"/mnt/NAS2/mammo/anon_dicom/cohort_1/10000001/1.2.{exam}/{name}",
        "study_date_anon": "2013-05-10",
        "FinalImageType": "2D",
        "ImageLateralityFinal": side,
        "ViewPosition": view,
        "spot_mag": "",
        "num_roi": 0,
        "ROI_coords": "()",
        "match_level": "[]",
        "Manufacturer": "HOLOGIC, Inc.",
        **more,
    }


def write(root: Path, findings: list[dict[str, object]], files: list[dict[str, object]]) -> Path:
    write_rows(root / CLINICAL, findings)
    write_rows(root / METADATA, files)
    for one in files:
        path = root / "images" / "cohort_1" / Path(*Path(str(one["anon_dicom_path"])).parts[-3:])
        path.parent.mkdir(parents=True, exist_ok=True)
        side = str(one["ImageLateralityFinal"])
        image = breast()
        image[ROWS, COLS] = 3900
        image = image if side == "L" else np.ascontiguousarray(image[:, ::-1])
        tags = {"ViewPosition": one["ViewPosition"], "ImageLaterality": side, "PatientOrientation": None}
        save(mammogram_dataset(image, **tags), path)
    return root


def by_side(records: tuple[ImageRecord, ...]) -> dict[str, tuple[bool | None, bool | None]]:
    return {str(record.side): (record.malignant, record.benign) for record in records}


def test_findings_stay_in_their_breast(tmp_path: Path) -> None:
    findings = [finding("L", 0.0, asses="M"), finding("R", "", asses="N")]
    listing = DATASET.find(write(tmp_path / "embed", findings, [file("L"), file("R")]))
    assert listing.problems == ()
    assert by_side(listing.records) == {"L": (True, False), "R": (None, None)}
    left, right = listing.records
    assert (left.birads, left.density, left.label_source, left.label_unit) == ("5", "B", "biopsy", "breast")
    assert (right.birads, right.label_source) == ("1", "birads")
    assert (left.patient, left.exam, left.date) == ("10000001", "801", "2013-05-10")
    assert left.vendor == "HOLOGIC, Inc."


@pytest.mark.parametrize("side", ["B", ""])
def test_findings_of_both_or_no_side_belong_to_both_breasts(tmp_path: Path, side: str) -> None:
    listing = DATASET.find(write(tmp_path / "embed", [finding(side, 4.0, asses="S")], [file("L"), file("R")]))
    assert by_side(listing.records) == {"L": (False, True), "R": (False, True)}


def test_pathology_counts_for_the_side_that_was_biopsied(tmp_path: Path) -> None:
    listing = DATASET.find(write(tmp_path / "embed", [finding("B", 1.0, bside="R")], [file("L"), file("R")]))
    assert by_side(listing.records) == {"L": (None, None), "R": (True, False)}


def test_a_cancer_of_the_other_breast_is_not_lost_with_the_findings_side(tmp_path: Path) -> None:
    findings = [finding("L", 0.0, bside="R"), finding("R", 4.0, bside="R")]
    listing = DATASET.find(write(tmp_path / "embed", findings, [file("L"), file("R")]))
    assert by_side(listing.records) == {"L": (None, None), "R": (True, True)}


@pytest.mark.parametrize(
    ("severities", "malignant", "benign", "high_risk"),
    [
        ((0,), True, False, False),
        ((1,), True, False, False),
        ((2,), False, True, True),
        ((3,), None, None, False),
        ((4,), False, True, False),
        ((5,), False, False, False),
        ((6,), None, None, False),
        ((4, 0), True, True, False),
        ((0, 3), True, None, False),
        ((4, 6), None, True, False),
        ((), None, None, False),
    ],
)
def test_the_severity_of_pathology_becomes_labels(
    tmp_path: Path, severities: tuple[int, ...], malignant: bool | None, benign: bool | None, high_risk: bool
) -> None:
    findings = [finding("L", severity) for severity in severities] or [finding("L")]
    (record,) = DATASET.find(write(tmp_path / "embed", findings, [file("L")])).records
    assert (record.malignant, record.benign, record.high_risk) == (malignant, benign, high_risk)


@pytest.mark.parametrize(
    ("letters", "birads"), [("A", "0"), ("NB", "2"), ("BA", "0"), ("AS", "4"), ("P", "3"), ("K", "6"), ("X", None)]
)
def test_the_gravest_assessment_of_a_breast_counts(tmp_path: Path, letters: str, birads: str | None) -> None:
    findings = [finding("L", asses=letter) for letter in letters]
    (record,) = DATASET.find(write(tmp_path / "embed", findings, [file("L")])).records
    assert record.birads == birads


def test_regions_are_rows_first_and_lie_on_the_finding(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L", num_roi=1, ROI_coords=REGION, match_level="[1]")])
    (record,) = DATASET.find(root).records
    region = record.lesions[0].region
    assert region is not None
    image = DATASET.load(record)
    assert (draw_region(region, image.pixels.shape) == (image.pixels > 0.94 * image.pixels.max())).all()
    assert record.lesions[0].descriptors == {"match_level": "1"}
    assert record.lesions[0].pathology == "unknown"  # nobody says which finding was outlined


def test_synthesised_and_magnified_images_are_no_standard_views(tmp_path: Path) -> None:
    files = [file("L", "CC", FinalImageType="cview"), file("L", "MLO", spot_mag=1), file("R", "XCCL"), file("R", "CC")]
    listing = DATASET.find(write(tmp_path / "embed", [finding("L")], files))
    assert [record.angle for record in listing.records] == ["CC C-view", "MLO spot", "XCCL", "CC"]
    assert [record.view for record in listing.records] == [None, None, None, View.R_CC]


def test_a_male_breast_has_no_density(tmp_path: Path) -> None:
    (record,) = DATASET.find(write(tmp_path / "embed", [finding("L", tissueden=5.0)], [file("L")])).records
    assert record.density is None


def test_models_trained_on_it_must_not_be_released() -> None:
    assert DATASET.releases_models is False


def test_what_does_not_fit_together_is_listed(tmp_path: Path) -> None:
    bad = file("R", num_roi=2, ROI_coords=REGION)
    gone, stray = file("L", "MLO"), file("L", "CC", exam="802")
    root = write(tmp_path / "embed", [finding("L"), finding("L", exam="999")], [file("L"), bad, gone, stray])
    next(root.rglob("*LMLO.dcm")).unlink()
    write_rows(root / METADATA, [file("L"), bad, gone])
    listing = DATASET.find(root)
    assert len(listing.records) == 1
    named = [name for name, _ in listing.problems]
    assert [name.split("/")[-1] for name in named] == [
        "1.2.801.RCC.dcm",
        "1.2.801.LMLO.dcm",
        "1.2.802.LCC.dcm",
        "exam 999",
    ]
    assert "num_roi says 2" in listing.problems[0][1]


@pytest.mark.parametrize(("table", "column"), [(CLINICAL, "path_severity"), (METADATA, "ROI_coords")])
def test_missing_tables_and_changed_columns_are_named(tmp_path: Path, table: str, column: str) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L")])
    rename_column(root / table, column)
    with pytest.raises(SetupError, match=f"no column {column}"):
        DATASET.find(root)
    (root / table).unlink()
    with pytest.raises(SetupError, match=Path(table).name):
        DATASET.find(root)
