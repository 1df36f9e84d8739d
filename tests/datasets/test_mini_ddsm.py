"""Mini-DDSM: labels per exam, outlines scaled to the JPEG, contours drawn in JPEG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.datasets.mini_ddsm import find_mini_ddsm, jpeg_shape, load_mini_ddsm
from fourview.datasets.reading import LOSSY
from fourview.datasets.record import ImageRecord, Listing, MaskFile, Polygon
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError, SetupError
from tests.datasets.ddsm_miniature import COLS, ROWS, VIEWS, abnormality, film, overlay, write_case
from tests.datasets.unreadable import make_unreadable
from tests.ingest.pictures import write_picture

HEADER = "fullPath,fileName,View,Side,Status,Tumour_Contour,Tumour_Contour2,Age,Density"
EXAMS = (("Benign", "0029", "C"), ("Cancer", "0031", "C"), ("Normal", "1002", "C"))


def half(view: str) -> NDArray[np.uint8]:
    """The JPEG's pixels: the film at half size, 8 bits."""
    grey = (film(view) >> 4).astype(np.uint8)
    return cv2.resize(grey, (COLS // 2, ROWS // 2), interpolation=cv2.INTER_AREA)


def contour() -> NDArray[np.uint8]:
    """The drawn outline of the spot at half size, not filled."""
    image = np.zeros((ROWS // 2, COLS // 2), np.uint8)
    cv2.rectangle(image, (20, 35), (30, 50), 255)
    return image


def rows() -> list[str]:
    lines = []
    for status, number, letter in EXAMS:
        for view in VIEWS:
            side, angle = view.split("_")
            stem = f"{letter}_{number}_1.{view}"
            mask = f"{status}/{number}/{stem}_Mask.jpg" if status != "Normal" and side == "LEFT" else "-"
            lines.append(f"{status}/{number}/{stem}.jpg,{stem}.jpg,{angle},{side},{status},{mask},-,66.0,3")
    return lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A benign exam with outlines, a cancer with drawn contours only, a normal one without text files."""
    (tmp_path / "DataWMask.csv").write_text("\n".join([HEADER, *rows()]) + "\n")
    for status, number, letter in EXAMS:
        folder = tmp_path / status / number
        for view in VIEWS:
            write_picture(folder / f"{letter}_{number}_1.{view}.jpg", half(view))
            if status != "Normal" and view.startswith("LEFT"):
                write_picture(folder / f"{letter}_{number}_1.{view}_Mask.jpg", contour())
    mass = overlay(abnormality(pathology="BENIGN"))
    write_case(tmp_path / "Benign/0029", LEFT_CC=mass, LEFT_MLO=mass)
    write_case(tmp_path / "Cancer/0031", number="0031")
    return tmp_path


def by_image(listing: Listing) -> dict[str, ImageRecord]:
    return {record.image: record for record in listing.records}


def test_the_status_is_the_label_of_the_whole_exam(root: Path) -> None:
    listing = find_mini_ddsm(root)
    assert listing.problems == ()
    assert listing.warnings == (LOSSY,)
    found = by_image(listing)
    assert len(found) == 12
    labels = {name: (r.malignant, r.benign, r.label_source, r.label_unit) for name, r in found.items()}
    assert labels["C_0029_1.LEFT_CC"] == labels["C_0029_1.RIGHT_CC"] == (False, True, "biopsy", "exam")
    assert labels["C_0031_1.RIGHT_MLO"] == (True, None, "biopsy", "exam")
    assert labels["C_1002_1.LEFT_CC"] == (False, False, "unknown", "exam")
    record = found["C_0029_1.LEFT_MLO"]
    assert (record.patient, record.exam, record.view) == ("C_0029", "C_0029_1", "L-MLO")
    assert (record.age, record.density, record.vendor, record.date) == (66, "C", "LUMISYS", "1993-03-02")
    assert record.spacing_mm == pytest.approx(0.1)  # half of the scan's resolution
    assert found["C_1002_1.LEFT_CC"].spacing_mm is None


def test_an_outline_in_original_pixels_lies_on_the_spot_of_the_jpeg(root: Path) -> None:
    record = by_image(find_mini_ddsm(root))["C_0029_1.LEFT_CC"]
    [lesion] = record.lesions
    assert isinstance(lesion.region, Polygon)
    assert lesion.pathology == "benign"
    pixels = load_mini_ddsm(record).pixels
    mask = draw_region(lesion.region, pixels.shape)
    bright = pixels > 150  # tissue is 112 to 137; pixels on the rim are a mixture
    assert (mask & bright).sum() / (mask | bright).sum() > 0.9
    for turned in (mask[:, ::-1], mask[::-1]):
        assert (turned & bright).sum() == 0


def test_a_drawn_contour_is_thresholded_and_filled(root: Path) -> None:
    record = by_image(find_mini_ddsm(root))["C_0031_1.LEFT_CC"]
    [lesion] = record.lesions
    assert isinstance(lesion.region, MaskFile)
    assert lesion.pathology == "unknown"  # in a cancer exam it may be the benign one
    mask = draw_region(lesion.region, (ROWS // 2, COLS // 2))
    expected = np.zeros_like(mask)
    expected[35:51, 20:31] = True
    assert (mask ^ expected).sum() <= 0.03 * expected.sum()


def test_rows_without_a_picture_and_pictures_without_a_row_are_named(root: Path) -> None:
    (root / "Normal/1002/C_1002_1.LEFT_CC.jpg").unlink()
    write_picture(root / "Normal/1002/C_1003_1.LEFT_CC.jpg", half("LEFT_CC"))
    (root / "Cancer/0031/C_0031_1.LEFT_CC_Mask.jpg").unlink()
    listing = find_mini_ddsm(root)
    assert set(listing.problems) == {
        ("Normal/1002/C_1002_1.LEFT_CC.jpg", "in the table, but its image is not there"),
        ("Normal/1002/C_1003_1.LEFT_CC.jpg", "not in DataWMask.csv"),
    }
    assert by_image(listing)["C_0031_1.LEFT_CC"].warnings == ("the contour C_0031_1.LEFT_CC_Mask.jpg is not there",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",CC,LEFT,Benign,", ",CC,RIGHT,Benign,", "which its name contradicts"),
        (",CC,LEFT,Benign,", ",MLO,LEFT,Benign,", "which its name contradicts"),
        (",CC,LEFT,Benign,", ",CC,LEFT,Healthy,", "found status 'Healthy'"),
        (",CC,LEFT,Benign,", ",CC,LEFT,Cancer,", "says Cancer, but its image lies in the folder Benign"),
    ],
)
def test_rows_that_contradict_themselves_are_left_out(root: Path, old: str, new: str, said: str) -> None:
    table = root / "DataWMask.csv"
    table.write_text(table.read_text().replace(old, new))
    listing = find_mini_ddsm(root)
    assert "C_0029_1.LEFT_CC" not in by_image(listing)
    assert said in dict(listing.problems)["Benign/0029/C_0029_1.LEFT_CC.jpg"]


def test_outlines_that_contradict_the_status_are_said(root: Path) -> None:
    malignant = overlay(abnormality(pathology="MALIGNANT"))
    (root / "Benign/0029/C_0029_1.LEFT_CC.OVERLAY").write_text(malignant)
    record = by_image(find_mini_ddsm(root))["C_0029_1.LEFT_CC"]
    assert record.warnings == ("the exam is labelled Benign, but an outline of it is malignant",)


def test_an_outline_in_a_normal_exam_is_said_and_its_exam_counted(root: Path) -> None:
    table = root / "DataWMask.csv"
    name = "Normal/1002/C_1002_1.RIGHT_CC_Mask.jpg"
    line = "C_1002_1.RIGHT_CC.jpg,CC,RIGHT,Normal,"
    table.write_text(table.read_text().replace(f"{line}-,", f"{line}{name},"))
    write_picture(root / name, contour())
    listing = find_mini_ddsm(root)
    assert listing.problems == ()
    assert listing.warnings == (LOSSY, "outlines contradict the status of 1 of 3 exams")
    records = by_image(listing)
    warned = {name: record.warnings for name, record in records.items() if record.warnings}
    assert warned == {"C_1002_1.RIGHT_CC": ("the exam is labelled Normal, but this image has an outline",)}


@pytest.mark.parametrize(
    ("pathology", "said"),
    [
        ("BENIGN", ("the exam is labelled Cancer, but its outlines are benign",)),
        ("BENIGN_WITHOUT_CALLBACK", ("the exam is labelled Cancer, but its outlines are benign",)),
        ("UNPROVEN", ()),
        ("MALIGNANT", ()),
    ],
)
def test_a_cancer_whose_outlines_are_all_benign_is_said_on_all_images_of_the_exam(
    root: Path, pathology: str, said: tuple[str, ...]
) -> None:
    write_case(root / "Cancer/0031", number="0031", LEFT_CC=overlay(abnormality(pathology=pathology)))
    listing = find_mini_ddsm(root)
    records = by_image(listing)
    assert {records[f"C_0031_1.{view}"].warnings for view in VIEWS} == {said}
    assert (len(listing.warnings) == 2) == bool(said)


def test_outlines_without_the_size_of_their_scan_still_speak_about_the_status(root: Path) -> None:
    (root / "Benign/0029/C-0029-1.ics").unlink()
    (root / "Benign/0029/C_0029_1.LEFT_CC.OVERLAY").write_text(overlay(abnormality(pathology="MALIGNANT")))
    record = by_image(find_mini_ddsm(root))["C_0029_1.LEFT_CC"]
    assert [type(lesion.region) for lesion in record.lesions] == [MaskFile]
    assert record.warnings == (
        "the exam is labelled Benign, but an outline of it is malignant",
        "no .ics file says how large its scan was: the outlines of its .OVERLAY file are not used",
    )


def test_half_of_an_exam_is_said(root: Path) -> None:
    (root / "Benign/0029/C_0029_1.LEFT_CC.OVERLAY").unlink()
    record = by_image(find_mini_ddsm(root))["C_0029_1.LEFT_CC"]
    assert record.warnings == ("the .ics file announces an outline in an .OVERLAY file, but none is there",)


def test_contours_that_the_table_does_not_name_are_listed_and_not_used(root: Path) -> None:
    write_picture(root / "Benign/0029/C_0029_1.RIGHT_CC_Mask.jpg", contour())
    listing = find_mini_ddsm(root)
    said = "not in DataWMask.csv, an outline that is not used"
    assert listing.problems == (("Benign/0029/C_0029_1.RIGHT_CC_Mask.jpg", said),)
    assert by_image(listing)["C_0029_1.RIGHT_CC"].lesions == ()


def test_a_picture_of_other_proportions_or_a_cut_one_is_left_out(root: Path) -> None:
    write_picture(root / "Benign/0029/C_0029_1.LEFT_CC.jpg", half("LEFT_CC")[:100])
    (root / "Benign/0029/C_0029_1.LEFT_MLO.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    problems = dict(find_mini_ddsm(root).problems)
    assert "not the proportions of the scan" in problems["C_0029_1.LEFT_CC"]
    assert "no JPEG header" in problems["C_0029_1.LEFT_MLO"]


def test_a_picture_that_cannot_be_read_is_a_problem_of_its_own(root: Path) -> None:
    make_unreadable(root / "Benign/0029/C_0029_1.LEFT_CC.jpg")
    listing = find_mini_ddsm(root)
    assert len(listing.records) == 11
    said = "C_0029_1.LEFT_CC.jpg: cannot be read (Input/output error), need the whole file"
    assert listing.problems == (("C_0029_1.LEFT_CC", said),)


def test_a_picture_without_a_size_is_left_out(root: Path) -> None:
    path = root / "Benign/0029/C_0029_1.LEFT_CC.jpg"
    data = path.read_bytes()
    at = data.index(b"\xff\xc0") + 5  # of its rows and columns
    path.write_bytes(data[: at + 2] + bytes(2) + data[at + 4 :])
    problems = dict(find_mini_ddsm(root).problems)
    assert "no JPEG header with a size" in problems["C_0029_1.LEFT_CC"]


def test_a_mirrored_picture_is_refused_when_it_is_read(root: Path) -> None:
    write_picture(root / "Benign/0029/C_0029_1.LEFT_CC.jpg", np.ascontiguousarray(half("LEFT_CC")[:, ::-1]))
    with pytest.raises(ExamError, match=r"L-CC C_0029_1.LEFT_CC: .*pixels show it facing left"):
        load_mini_ddsm(by_image(find_mini_ddsm(root))["C_0029_1.LEFT_CC"])


def test_without_table_or_images_the_set_is_refused(root: Path, tmp_path: Path) -> None:
    empty = tmp_path / "table only"
    empty.mkdir()
    (root / "DataWMask.csv").rename(empty / "DataWMask.csv")
    with pytest.raises(SetupError, match="no folder Benign, Cancer, Normal beside"):
        find_mini_ddsm(empty)
    (empty / "DataWMask.csv").write_text("fullPath,View\n")
    with pytest.raises(SetupError, match="no column Side, Status"):
        find_mini_ddsm(empty)


def test_the_real_table_and_the_real_images(shared: Path) -> None:
    listing = find_mini_ddsm(shared / "data" / "mini_ddsm_sample")
    assert len(listing.records) == 40
    assert len(listing.problems) == 7808 - 40  # of 1,952 exams, 10 are here
    assert {reason for _, reason in listing.problems} == {"in the table, but its image is not there"}
    assert len({record.patient for record in listing.records}) == 10
    assert sum(len(record.lesions) for record in listing.records) == 24
    assert [record.spacing_mm for record in listing.records] == [pytest.approx(0.1)] * 40
    assert all(record.warnings == () for record in listing.records)


def test_real_outlines_and_real_drawn_contours_agree_to_two_pixels(shared: Path) -> None:
    compared = 0
    for record in find_mini_ddsm(shared / "data" / "mini_ddsm_sample").records:
        shape = jpeg_shape(record.path)
        outlines = [draw_region(lesion.region, shape) for lesion in record.lesions if lesion.region]
        for end in ("_Mask", "_MASK2"):
            path = record.path.with_name(f"{record.path.stem}{end}.jpg")
            if not path.exists():
                continue
            drawn = draw_region(MaskFile(path, 128, outline=True), shape)
            best = max(outlines, key=lambda outline: int((outline & drawn).sum()))
            grown = np.pad(best.astype(np.uint8), 2)  # what leaves the film ends at its border
            thick = cv2.dilate(grown, np.ones((5, 5), np.uint8))[2:-2, 2:-2] > 0
            thin = cv2.erode(grown, np.ones((5, 5), np.uint8))[2:-2, 2:-2] > 0
            assert not (drawn & ~thick).any()
            assert not (thin & ~drawn).any()
            compared += 1
    assert compared == 22  # all that have a drawing; a third one in two images was never drawn


@pytest.mark.slow
def test_real_breasts_point_as_their_side_says(shared: Path) -> None:
    for record in find_mini_ddsm(shared / "data" / "mini_ddsm_sample").records:
        mammogram = load_mini_ddsm(record)
        assert mammogram.faces == mammogram.view.usual_direction
        assert mammogram.warnings == ()
