"""EMBED on a miniature in its published layout."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.embed import DATASET
from fourview.datasets.record import ImageRecord
from fourview.datasets.regions import draw_region
from fourview.exam import Box, SetupError, View
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
        "desc": "MG Screen Bilat w/Tomo/CAD Stnd Protocol",
        "age_at_study": 52.031185,
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
    name, series = f"1.2.{exam}.{side}{view}.dcm", f"1.3.{exam}.{side}{view}"
    return {
        "empi_anon": "10000001",
        "acc_anon": exam,
        "anon_dicom_path": f"/mnt/NAS2/mammo/anon_dicom/cohort_1/10000001/1.2.{exam}/{series}/{name}",
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


def place_of(root: Path, one: dict[str, object]) -> Path:
    """Where the set has the file of a row: cohort, patient, study, series, file."""
    return root / "images" / Path(*Path(str(one["anon_dicom_path"])).parts[-5:])


def write(root: Path, findings: list[dict[str, object]], files: list[dict[str, object]]) -> Path:
    write_rows(root / CLINICAL, findings)
    write_rows(root / METADATA, files)
    for one in files:
        write_image(root, one, faces="right" if one["ImageLateralityFinal"] == "L" else "left")
    return root


def write_image(root: Path, one: dict[str, object], *, faces: str, orientation: list[str] | None = None) -> None:
    path, image = place_of(root, one), breast()
    path.parent.mkdir(parents=True, exist_ok=True)
    image[ROWS, COLS] = 3900
    image = image if faces == "right" else np.ascontiguousarray(image[:, ::-1])
    tags = {"ViewPosition": one["ViewPosition"], "ImageLaterality": one["ImageLateralityFinal"]}
    save(mammogram_dataset(image, **tags, PatientOrientation=orientation), path)


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


def outlined(one: dict[str, object], **more: object) -> dict[str, object]:
    return {**one, "num_roi": 1, "ROI_coords": REGION, "match_level": "[1]", **more}


@pytest.mark.parametrize(
    ("side", "faces", "orientation"),
    [
        ("L", "right", None),
        ("R", "left", None),
        ("L", "right", ["A", "R"]),
        ("L", "left", ["P", "R"]),  # some C-views are stored so
        ("R", "left", ["P", "L"]),
        ("R", "right", ["A", "L"]),
    ],
)
def test_regions_lie_on_the_finding_although_they_are_those_of_pictures_that_all_face_right(
    tmp_path: Path, side: str, faces: str, orientation: list[str] | None
) -> None:
    root = write(tmp_path / "embed", [finding(side)], [one := outlined(file(side))])
    write_image(root, one, faces=faces, orientation=orientation)
    (record,) = DATASET.find(root).records
    region, image = record.lesions[0].region, DATASET.load(record)
    assert region is not None
    mask, bright = draw_region(region, image.pixels.shape), image.pixels > 0.94 * image.pixels.max()
    assert (mask == bright).all()
    assert not (mask[:, ::-1] & bright).any()
    assert record.lesions[0].descriptors == {"match_level": "1"}
    assert record.lesions[0].pathology == "unknown"  # nobody says which finding was outlined
    assert image.warnings == ()


def test_the_release_with_frames_gives_regions_in_pixels_of_the_file(tmp_path: Path) -> None:
    cols = breast().shape[1]
    box = f"[[61, {cols - 48}, 84, {cols - 30}]]"
    one = file("R", num_ROI=1, ROI_coords=box, ROI_frames="[]", anon_dicom_path="images/cohort_1/1/2/3/4.dcm")
    root = write(tmp_path / "embed", [finding("R")], [{name: cell for name, cell in one.items() if name != "num_roi"}])
    (record,) = DATASET.find(root).records
    image = DATASET.load(record)
    assert record.lesions[0].region is not None
    mask = draw_region(record.lesions[0].region, image.pixels.shape)
    assert (mask == (image.pixels > 0.94 * image.pixels.max())).all()


def test_a_region_beside_the_breast_is_a_warning_of_its_image(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("R")], [one := outlined(file("R"))])
    write_image(root, one, faces="left", orientation=["A", "L"])  # a tag that says the opposite of the pixels
    (record,) = DATASET.find(root).records
    write_image(root, one, faces="left")  # so that the image is read at all
    assert DATASET.load(record).warnings == (
        "region 1.2.801.RCC_1: 100% of it lies outside of the breast; is it that of a mirror image?",
    )


@pytest.mark.parametrize(
    ("text", "count", "boxes"),
    [
        ("((10, 20, 30, 41),)", 1, [(10, 30, 20, 41)]),
        ("((10, 20, 30, 41), (1, 2, 3, 4))", 2, [(10, 30, 20, 41), (1, 3, 2, 4)]),
        ("([10, 20, 30, 41], [1, 2, 3, 4])", 2, [(10, 30, 20, 41), (1, 3, 2, 4)]),
        ("((10, 20, 30, 41), ())", 1, [(10, 30, 20, 41)]),
        ("((10, 20, 30, 41), ())", 2, [(10, 30, 20, 41)]),
        ("()", 0, []),
        ("", 0, []),
    ],
)
def test_regions_are_written_in_several_ways(
    tmp_path: Path, text: str, count: int, boxes: list[tuple[int, int, int, int]]
) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L", num_roi=count, ROI_coords=text)])
    (record,) = DATASET.find(root).records
    assert [lesion.region for lesion in record.lesions] == [Box(*box) for box in boxes]


@pytest.mark.parametrize("text", ["((10, 20, 30),)", "((30, 20, 10, 41),)", "((10, 20, 30, x),)", "10, 20, 30, 41"])
def test_regions_that_cannot_be_understood_leave_their_image_out(tmp_path: Path, text: str) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L", num_roi=1, ROI_coords=text)])
    listing = DATASET.find(root)
    assert listing.records == ()
    assert "region" in listing.problems[0][1]


def test_two_copies_of_a_file_leave_it_out_and_are_said(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L"), file("R")])
    first = next(root.rglob("*LCC.dcm"))
    second = root / "images" / "cohort_2" / first.relative_to(root / "images" / "cohort_1")
    second.parent.mkdir(parents=True)
    second.write_bytes(b"another file")
    listing = DATASET.find(root)
    assert [record.side for record in listing.records] == ["R"]
    ((place, reason),) = listing.problems
    assert place == "10000001/1.2.801/1.3.801.LCC/1.2.801.LCC.dcm"
    assert "more than once" in reason


def test_files_are_found_without_the_folder_of_their_cohort(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L"), file("R")])
    (root / "images" / "cohort_1" / "10000001").rename(root / "images" / "10000001")
    listing = DATASET.find(root)
    assert (len(listing.records), listing.problems) == (2, ())


def test_the_exam_tells_age_and_whether_it_was_screening(tmp_path: Path) -> None:
    diagnostic = {"exam": "802", "desc": "MG Diagnostic Left w/CAD", "age_at_study": 61.5}
    unclear = {"exam": "803", "desc": "MG Consult Outside Film", "age_at_study": ""}
    at_odds = [finding("L", exam="804"), finding("R", exam="804", desc="MAMMO DIAGNOSTIC UNILATERAL", age_at_study=9)]
    findings = [finding("R"), finding("L", **diagnostic), finding("L", **unclear), *at_odds]
    root = write(tmp_path / "embed", findings, [file("L", exam=exam) for exam in ("801", "802", "803", "804")])
    records = DATASET.find(root).records
    assert [record.age for record in records] == [52.031185, 61.5, None, None]
    assert [record.more.get("exam type") for record in records] == ["screening", "diagnostic", None, None]
    assert records[2].more["desc"] == "MG Consult Outside Film"
    assert records[0].birads is None  # what the exam says of the other breast is not this one's


def test_the_reduced_tables_are_taken_where_the_whole_ones_are_not_there(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("B", 1.0, bside="R")], [file("L"), file("R")])
    whole = DATASET.find(root)
    reduced = {"", "empi_anon", "acc_anon", "side", "asses", "tissueden", "desc", "path_severity"}
    for table, name in ((CLINICAL, "clinical"), (METADATA, "metadata")):
        with (root / table).open(newline="") as cells:
            rows = [{"": str(i), **row} for i, row in enumerate(csv.DictReader(cells))]
        if name == "clinical":
            rows = [{column: cell for column, cell in row.items() if column in reduced} for row in rows]
        write_rows(root / "tables" / f"EMBED_OpenData_{name}_reduced.csv", rows)
    assert DATASET.find(root) == whole
    for table in (CLINICAL, METADATA):
        (root / table).unlink()
    listing = DATASET.find(root)
    assert [record.image for record in listing.records] == [record.image for record in whole.records]
    assert listing.problems == whole.problems == ()
    assert by_side(listing.records) == {"L": (True, False), "R": (True, False)}  # without bside, and said so:
    (warning,) = listing.warnings
    assert warning.startswith("EMBED_OpenData_clinical_reduced.csv has no column bside, age_at_study, massshape")
    assert warning.endswith("pathology counts for the side of its finding")


def test_a_table_without_a_number_of_regions_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L")])
    rename_column(root / METADATA, "num_roi")
    with pytest.raises(SetupError, match="no column num_roi or num_ROI"):
        DATASET.find(root)


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
    assert "found 1 regions in ROI_coords, the table counts 2" in listing.problems[0][1]


@pytest.mark.parametrize(("table", "column"), [(CLINICAL, "path_severity"), (METADATA, "ROI_coords")])
def test_missing_tables_and_changed_columns_are_named(tmp_path: Path, table: str, column: str) -> None:
    root = write(tmp_path / "embed", [finding("L")], [file("L")])
    rename_column(root / table, column)
    with pytest.raises(SetupError, match=f"no column {column}"):
        DATASET.find(root)
    (root / table).unlink()
    with pytest.raises(SetupError, match=Path(table).name):
        DATASET.find(root)
