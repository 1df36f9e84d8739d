"""INbreast: the two tables, file names with the patient, OsiriX outlines, everything that copies do to it."""

from __future__ import annotations

import plistlib
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fourview.datasets.inbreast import find_inbreast, load_inbreast, read_labels
from fourview.datasets.inbreast_rois import read_annotation, read_muscle
from fourview.datasets.record import Circle, ImageRecord, Listing, Polygon
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, SetupError, Side
from tests.datasets.small_xlsx import write_xlsx
from tests.ingest.synthetic_dicom import breast, mammogram_dataset, save

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
ROWS = [  # file, patient, side, view of the file name, view of the table, date, ACR, BI-RADS
    ("20586908", "6c613a14b80a8591", "L", "CC", "CC", "201001", "4", "1"),
    ("20586934", "6c613a14b80a8591", "L", "ML", "MLO", "201001", "4", "3"),
    ("20586960", "6c613a14b80a8591", "R", "ML", "MLO", "200802", "4", "2"),
    ("20587054", "b6a4f750c6df4f90", "R", "CC", "CC", "200901", "1", "4a"),
    ("20587080", "b6a4f750c6df4f90", "R", "ML", "MLO", "200901", "2", "4b"),
    ("20587122", "fe7d005dcbbfb46d", "L", "CC", "CC", "200901", "3", "4c"),
    ("20587148", "fe7d005dcbbfb46d", "L", "ML", "MLO", "200901", " " * 190, "5"),
    ("50994300", "a001122334455667", "R", "FB", "FB", "200901", "3", "6"),
]
OTHER_VIEW = "1 of 8 images is neither CC nor MLO, and no network here reads such a view: left out (50994300 (R FB))"
SPOT = slice(60, 90), slice(30, 50)  # bright in 20586908; its outline is drawn around it
OUTLINE = [(30.0, 60.0), (49.0, 60.0), (49.0, 89.0), (30.0, 89.0)]  # (x, y) = (column, row)


def roi(name: str | None, points: list[tuple[float, float]]) -> dict[str, Any]:
    texts = [f"({x:f}, {y:f})" for x, y in points]
    keys: dict[str, Any] = {"Area": 1.0, "Center": "(0, 0, 0)", "Dev": 1.0, "IndexInImage": 0, "Max": 1.0, "Mean": 1.0}
    keys |= {"Min": 0.0, "NumberOfPoints": len(points), "Point_mm": texts, "Point_px": texts, "Total": 1.0, "Type": 15}
    return keys if name is None else {**keys, "Name": name}


def write_rois(path: Path, *rois: dict[str, Any], announced: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = {"ImageIndex": 0, "NumberOfROIs": len(rois) if announced is None else announced, "ROIs": list(rois)}
    path.write_bytes(plistlib.dumps({"Images": [image]}))
    return path


def table(rows: list[tuple[str, ...]]) -> str:
    lines = [
        f"removed;removed;{side};{view};{date};{file};{acr};{birads}"
        for file, _, side, _, view, date, acr, birads in rows
    ]
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """INbreast Release 1.0 in its folder, as the archive unpacks."""
    release = tmp_path / "INbreast Release 1.0"
    dicoms, xml, muscle = (release / name for name in ("AllDICOMs", "AllXML", "PectoralMuscle"))
    for folder in (dicoms, xml, muscle):
        folder.mkdir(parents=True)
    (release / "INbreast.csv").write_text(table(ROWS))
    (release / "README.txt").write_text("text")
    for file, patient, side, angle, *_, birads in ROWS:
        pixels = breast(faces="right" if side == "L" else "left")
        if file == "20586908":
            pixels[SPOT] = 4000
        tags = {"ViewPosition": angle, "ImageLaterality": side, "PatientOrientation": None, "PatientID": "removed"}
        dataset = mammogram_dataset(pixels, **tags, ImagerPixelSpacing=[0.07, 0.07])
        save(dataset, dicoms / f"{file}_{patient}_MG_{side}_{angle}_ANON.dcm")
        if birads >= "4":
            write_rois(xml / f"{file}.xml", roi("Mass", OUTLINE))
        if angle == "ML":
            write_rois(muscle / f"{file}_muscle.xml", roi("Pectoral Muscle", [(0, 0), (60, 0), (0, 90)]))
    write_rois(xml / "20586908.xml", roi("Mass", OUTLINE), roi("Calcification", [(100.0, 150.0)]))
    second = {"ROIPoints": ["{0, 0}", "{60.5, 0}", "{0, 90}"], "Name": "Pectoral Muscle"}
    (muscle / "20586960_muscle.xml").write_bytes(plistlib.dumps(second))
    (xml / "20586908.roi").write_bytes(b"binary")
    return tmp_path


def by_image(listing: Listing) -> dict[str, ImageRecord]:
    return {record.image: record for record in listing.records}


def release(root: Path) -> Path:
    return root / "INbreast Release 1.0"


def test_the_file_name_gives_the_patient_and_the_table_the_rest(root: Path) -> None:
    listing = find_inbreast(root)
    assert listing.problems == ()
    found = by_image(listing)
    assert set(found) == {row[0] for row in ROWS}
    first = found["20586908"]
    assert (first.patient, first.exam) == ("6c613a14b80a8591", "6c613a14b80a8591_201001")
    assert found["20586960"].exam == "6c613a14b80a8591_200802"
    assert (first.view, first.density, first.date, first.spacing_mm) == ("L-CC", "D", "2010-01", 0.07)
    assert found["20586960"].date == "2008-07"  # the second half of 2008, written as its first month
    assert found["20587148"].density is None
    assert {record.age for record in listing.records} == {None}


def test_ml_in_names_is_mlo_and_fb_stays_no_standard_view(root: Path) -> None:
    found = by_image(find_inbreast(root))
    assert (found["20586934"].view, found["20586934"].warnings) == ("L-MLO", ())
    assert (found["50994300"].angle, found["50994300"].view) == ("FB", None)
    with pytest.raises(ExamError, match="50994300: R FB is no CC or MLO view"):
        load_inbreast(found["50994300"])


def test_bi_rads_is_carried_and_never_becomes_cancer(root: Path) -> None:
    found = by_image(find_inbreast(root))
    assert [found[row[0]].birads for row in ROWS] == ["1", "3", "2", "4a", "4b", "4c", "5", "6"]
    assert [found[row[0]].more["suspicious"] for row in ROWS] == ["no"] * 3 + ["yes"] * 5
    assert {(r.malignant, r.benign, r.label_source) for r in found.values()} == {(None, None, "birads")}
    assert {lesion.pathology for r in found.values() for lesion in r.lesions} == {"unknown"}


def test_x_is_the_column_so_the_outline_lies_on_the_spot(root: Path) -> None:
    record = by_image(find_inbreast(root))["20586908"]
    pixels = load_inbreast(record).pixels
    bright = pixels == pixels.max()
    region = record.lesions[0].region
    assert region is not None
    mask = draw_region(region, pixels.shape)
    np.testing.assert_array_equal(mask, bright)
    assert not (mask[::-1] & bright).any()
    assert not (mask[:, ::-1] & bright).any()


def test_an_image_without_an_outline_file_has_no_finding(root: Path) -> None:
    listing = find_inbreast(root)
    found = by_image(listing)
    assert (found["20586934"].lesions, found["20586934"].warnings) == ((), ())
    assert (listing.warnings, listing.problems) == ((OTHER_VIEW,), ())
    assert [lesion.kind for lesion in found["20586908"].lesions] == ["mass", "calcification"]


def test_the_muscle_is_read_in_both_forms(root: Path) -> None:
    found = by_image(find_inbreast(root))
    assert found["20586934"].muscle == Polygon(((0, 0), (0, 60), (90, 0)))
    assert found["20586960"].muscle == Polygon(((0, 0), (0, 60.5), (90, 0)))
    assert found["20586908"].muscle is None


def test_a_broken_muscle_is_a_warning_and_a_missing_folder_one_of_the_set(root: Path) -> None:
    folder = release(root) / "PectoralMuscle"
    write_rois(folder / "20586934_muscle.xml", roi("Pectoral Muscle", [(0, 0), (60, 0)]))
    assert by_image(find_inbreast(root))["20586934"].warnings == (
        "no outline of the muscle: 20586934_muscle.xml: found 2 points, need an outline",
    )
    for path in folder.iterdir():
        path.unlink()
    assert find_inbreast(root).warnings == (OTHER_VIEW, "no outlines of the pectoral muscle (folder PectoralMuscle)")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Mass", "mass"),
        ("calcifications", "calcification"),
        ("Cluster", "calcification"),
        ("Assymetry", "asymmetry"),
        ("Asymmetry", "asymmetry"),
        ("Distortion", "distortion"),
        ("Espiculated Region", "other"),
        ("Spiculated region", "other"),
    ],
)
def test_names_of_outlines_in_any_spelling(tmp_path: Path, name: str, kind: str) -> None:
    found = read_annotation(write_rois(tmp_path / "1.xml", roi(name, OUTLINE)), "1")
    assert [lesion.kind for lesion in found.lesions] == [kind]
    assert found.lesions[0].descriptors == {"name": name}
    assert found.warnings == ()


def test_an_unknown_name_warns_and_nameless_outlines_are_counted(tmp_path: Path) -> None:
    rois = [roi("Nodule?", OUTLINE), roi("Unnamed", OUTLINE), roi("Point 3", [(1, 1)]), roi(None, OUTLINE)]
    found = read_annotation(write_rois(tmp_path / "1.xml", *rois), "1")
    assert [lesion.kind for lesion in found.lesions] == ["other"]
    assert found.ignored == 3
    assert found.warnings == ("1.xml: unknown outline name 'Nodule?', kept as 'other'",)


def test_one_or_two_points_are_a_disc_and_points_outside_are_cut_off(tmp_path: Path) -> None:
    dots = [roi("Calcification", [(10.0, 20.0)]), roi("Calcification", [(30.0, 20.0), (32.0, 22.0)])]
    outside = roi("Mass", [(-20.0, -10.0), (5.0, -10.0), (5.0, 8.0), (-20.0, 8.0)])
    found = read_annotation(write_rois(tmp_path / "1.xml", *dots, outside), "1")
    assert [lesion.region for lesion in found.lesions[:2]] == [Circle(20, 10, 4), Circle(21, 31, 4)]
    region = found.lesions[2].region
    assert region is not None
    mask = draw_region(region, (40, 50))
    expected = np.zeros((40, 50), bool)
    expected[:9, :6] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_muscle_among_the_findings_is_the_muscle(tmp_path: Path) -> None:
    found = read_annotation(write_rois(tmp_path / "1.xml", roi("Pectoral Muscle", OUTLINE)), "1")
    assert found.lesions == ()
    assert found.muscle == Polygon(tuple((y, x) for x, y in OUTLINE))


@pytest.mark.parametrize("damage", ["cut", "other", "announced", "points"])
def test_a_broken_outline_file_leaves_its_image_out(root: Path, damage: str) -> None:
    path = release(root) / "AllXML" / "20586908.xml"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "other":
        path.write_bytes(plistlib.dumps({"Rois": []}))
    elif damage == "announced":
        write_rois(path, roi("Mass", OUTLINE), announced=2)
    else:
        write_rois(path, {**roi("Mass", OUTLINE), "Point_px": ["30 60", "40 60", "50 60"]})
    listing = find_inbreast(root)
    assert "20586908" not in by_image(listing)
    [(name, reason)] = listing.problems
    assert name == "20586908_6c613a14b80a8591_MG_L_CC_ANON.dcm"
    assert "20586908.xml" in reason


def test_half_a_download_is_named_file_by_file(root: Path) -> None:
    folder = release(root) / "AllDICOMs"
    (folder / "20586908_6c613a14b80a8591_MG_L_CC_ANON.dcm").unlink()
    stray = folder / "20586934_6c613a14b80a8591_MG_L_ML_ANON.dcm"
    stray.rename(folder / "99999999_6c613a14b80a8591_MG_L_ML_ANON.dcm")
    save(mammogram_dataset(), folder / "20587054.dcm")
    problems = find_inbreast(root).problems
    assert set(problems) == {
        ("20586908", "in INbreast.csv, but its image is not there"),
        ("20586934", "in INbreast.csv, but its image is not there"),
        ("99999999_6c613a14b80a8591_MG_L_ML_ANON.dcm", "no row in INbreast.csv"),
        ("20586908.xml", "outlines, but their image is not there"),
        ("20587054.dcm", "its name has no patient: need 20586908_<16 hex digits>_MG_R_CC_ANON.dcm"),
    }


def test_half_of_the_outlines_are_said_image_by_image_and_for_the_set(root: Path) -> None:
    for image in ("20587054", "20587148"):
        (release(root) / "AllXML" / f"{image}.xml").unlink()
    (release(root) / "PectoralMuscle" / "20587080_muscle.xml").unlink()
    listing = find_inbreast(root)
    found = by_image(listing)
    missing = {image: record.warnings for image, record in found.items() if record.warnings}
    assert missing == {
        "20587054": ("no file in AllXML, but the table says BI-RADS 4a: its outlines are missing",),
        "20587148": ("no file in AllXML, but the table says BI-RADS 5: its outlines are missing",),
    }
    assert found["20587054"].lesions == ()
    assert listing.warnings == (
        OTHER_VIEW,
        "2 of 5 images with findings in the table have no file in AllXML: without outlines they look normal",
        "1 of 4 MLO images have no outline of the pectoral muscle",
    )


@pytest.mark.parametrize("missing", ["AllDICOMs", "AllXML", "INbreast.csv"])
def test_a_missing_part_stops_and_is_named(root: Path, missing: str) -> None:
    (release(root) / missing).rename(root / "moved")
    with pytest.raises(SetupError, match=f"no {missing.replace('.', '[.]')}"):
        find_inbreast(root)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("L;CC;201001;20586908", "R;CC;201001;20586908", "the table says side R, its name says L"),
        ("L;CC;201001;20586908", "L;MLO;201001;20586908", "the table says view MLO, its name says CC"),
        ("20586908;4;1", "20586908;4;9", "found BI-RADS '9'"),
        ("20586908;4;1", "20586908;7;1", "found ACR '7'"),
        (
            "removed;removed;L;CC;201001;20586908;4;1",
            "removed;removed;L;CC;201001;20586934;4;1",
            "it has more than one row",
        ),
    ],
)
def test_rows_that_contradict_something_leave_their_image_out(root: Path, old: str, new: str, said: str) -> None:
    path = release(root) / "INbreast.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    listing = find_inbreast(root)
    assert any(said in reason for _, reason in listing.problems)
    assert len(listing.records) < len(ROWS)


def test_a_header_that_names_another_side_is_refused_when_the_image_is_read(root: Path) -> None:
    path = release(root) / "AllDICOMs" / "20586908_6c613a14b80a8591_MG_L_CC_ANON.dcm"
    save(mammogram_dataset(ImageLaterality="R", PatientOrientation=None), path)
    with pytest.raises(ExamError, match="L-CC 20586908: the set says side L, ImageLaterality says R"):
        load_inbreast(by_image(find_inbreast(root))["20586908"])


def test_the_png_copies_of_masses_are_refused(tmp_path: Path) -> None:
    for name in ("Benign Masses", "Malignant Masses"):
        (tmp_path / "INbreast Dataset" / name).mkdir(parents=True)
    with pytest.raises(SetupError, match=r"PNG copies .*their names have lost the patient, and any split leaks"):
        find_inbreast(tmp_path)


EXCEL_HEADER = [
    *HEADER.split(";"), "Mass ", "Micros", "Distortion", "Asymmetry", "Findings Notes (in Portuguese)", "Other Notes",
    "Lesion Annotation Status", "Pectoral Muscle Annotation", "Other Annotations",
]  # fmt: skip


def excel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sheets that are asked for, of a stand-in for the reader of Excel files; another one than Sheet1 fails."""
    asked = []

    def load_sheet(name: str, **_: Any) -> Any:
        asked.append(name)
        if name != "Sheet1":
            pytest.fail("a sheet other than Sheet1 was read")
        lines: list[list[str | None]] = [[*EXCEL_HEADER]]
        for file, _, side, _, view, date, acr, birads in ROWS:
            marks = ["X", None, None, "X"] if file in ("20586908", "20586960") else [None] * 4
            status = "no annotation (normal)" if file == "20586934" else None
            muscle = "yes" if view == "MLO" else None
            cells = ["removed", "removed", side, view, date, file, acr, birads, *marks, None, None, status, muscle]
            lines.append([*cells, None])
        lines.append([None] * 17)
        lines.append([*[None] * 8, "108", "308", "3", "14", *[None] * 5])
        return SimpleNamespace(to_polars=lambda: pl.DataFrame(lines, orient="row"))

    workbook = SimpleNamespace(load_sheet=load_sheet, sheet_names=["Sheet1", "Sheet2"])
    monkeypatch.setitem(sys.modules, "fastexcel", SimpleNamespace(read_excel=lambda path: workbook))
    return asked


def test_the_excel_table_has_more_columns_and_junk_below_and_sheet_2_is_never_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = excel(monkeypatch)
    (release(root) / "INbreast.csv").rename(release(root) / "INbreast.xls")
    (release(root) / "PectoralMuscle" / "20587080_muscle.xml").unlink()
    listing = find_inbreast(root)
    found = by_image(listing)
    assert listing.problems == ()
    assert listing.warnings == (
        "INbreast.xls: 1 rows without a file name dropped",
        OTHER_VIEW,
        "1 of 7 images with findings in the table have no file in AllXML: without outlines they look normal",
        "1 of 4 MLO images have no outline of the pectoral muscle",
    )
    assert {image: record.warnings for image, record in found.items() if record.warnings} == {
        "20586960": ("no file in AllXML, but the table says mass, asymmetry: its outlines are missing",),
        "20587080": ("no outline of the pectoral muscle, which the table announces",),
    }
    assert [found[row[0]].birads for row in ROWS] == ["1", "3", "2", "4a", "4b", "4c", "5", "6"]
    assert found["20586908"].more["findings"] == "mass, asymmetry"
    assert asked == ["Sheet1"]


def test_excel_files_with_numbers_as_cells_and_a_second_sheet_that_nobody_could_read(tmp_path: Path) -> None:
    lines: list[list[str | float]] = [[*EXCEL_HEADER]]
    for file, _, side, _, view, date, acr, birads in ROWS:
        known = float(birads) if birads.isdigit() else birads
        density = float(acr) if acr.strip() else acr
        lines.append(["removed", "removed", side, view, float(date), float(file), density, known, "X"])
    lines += [[""] * 17, [*[""] * 8, 108, 308.0, 3, 14]]
    path = write_xlsx(tmp_path / "INbreast.xlsx", {"Sheet1": lines, "Sheet2": None})
    labels, problems, warnings = read_labels(path)
    assert [(row.image, row.birads, row.half_year) for row in labels.values()] == [
        (row[0], row[7], row[5]) for row in ROWS
    ]
    assert labels["20587148"].density is None
    assert {row.findings for row in labels.values()} == {("mass",)}
    assert (problems, warnings) == ([], ["INbreast.xlsx: 1 rows without a file name dropped"])


def test_the_real_table_has_its_published_counts(shared: Path) -> None:
    labels, problems, warnings = read_labels(shared / "data" / "inbreast_labels" / "INbreast.csv")
    assert (len(labels), problems, warnings) == (410, [], [])
    birads = Counter(row.birads for row in labels.values())
    assert [birads[key] for key in ("1", "2", "3", "4a", "4b", "4c", "5", "6")] == [67, 220, 23, 13, 8, 22, 49, 8]
    density = Counter(row.density for row in labels.values())
    assert [density[key] for key in ("A", "B", "C", "D", None)] == [136, 146, 99, 28, 1]
    assert Counter(row.angle for row in labels.values()) == {"CC": 203, "MLO": 206, "FB": 1}
    assert Counter(row.side for row in labels.values()) == {Side.LEFT: 209, Side.RIGHT: 201}


def test_a_muscle_file_with_two_outlines_is_refused(tmp_path: Path) -> None:
    path = write_rois(tmp_path / "1_muscle.xml", roi("Pectoral Muscle", OUTLINE), roi("Mass", OUTLINE))
    with pytest.raises(ExamError, match=r"1_muscle\.xml: found 2 outlines, need the one of the pectoral muscle"):
        read_muscle(path)
