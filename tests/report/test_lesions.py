"""LESIONS.csv and the marks of a run: what lies in what, in source pixels, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fourview.evaluate.froc import lesion_sensitivities
from fourview.exam import Box, Exam, Heatmap, SetupError, View, hash_label
from fourview.phantom import PhantomExam, draw_exam
from fourview.report.document import Figure, Table
from fourview.report.lesions import Circle, Lesion, Region, load_lesions
from fourview.report.localisation_section import localisation_section
from fourview.report.located import locate_lesions
from tests.report.runs import black_exam, plant_peaks, write_run

ONE, TWO, GONE = "1" * 16, "2" * 16, "3" * 16
SHAPE = (120, 90)
APART = 16  # these images are small: marks may be as near as this


def _csv(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "LESIONS.csv"
    file.write_text(text)
    return file


def _run(tmp_path: Path) -> Path:
    """Exam 1: peaks in L-CC at (30, 20) 0.9 and (90, 70) 0.5, in L-MLO at (60, 40) 0.4. Exam 2: R-CC (10, 80) 0.7."""
    heatmaps = {
        (ONE, "L-CC"): plant_peaks(SHAPE, [(30, 20, 0.9), (90, 70, 0.5)]),
        (ONE, "L-MLO"): plant_peaks(SHAPE, [(60, 40, 0.4)]),
        (TWO, "R-CC"): plant_peaks(SHAPE, [(10, 80, 0.7)]),
    }
    exams = {ONE: black_exam(), TWO: black_exam()}
    return write_run(tmp_path / "run", exams, heatmaps, failed={GONE: "no MLO views"})


def _found(tmp_path: Path, region: str, cells: str, *, margin_px: float = 0) -> list[float | None]:
    """The highest mark in one lesion of exam 1, L-CC."""
    run = _run(tmp_path)
    table = _csv(tmp_path, f"exam,view,finding,malignant,{region}\n{ONE},L-CC,a,1,{cells}\n")
    located = locate_lesions(run, table, margin_px=margin_px, apart_px=APART)
    return located.lesions_table()["highest_mark"].to_list()


def _mask(tmp_path: Path, name: str, pixels: NDArray[np.uint8]) -> None:
    assert cv2.imwrite(str(tmp_path / name), pixels)


@pytest.mark.parametrize(
    ("region", "inside", "outside"),
    [
        ("top,bottom,left,right", "30,31,20,21", "31,40,20,30"),
        ("top,bottom,left,right", "25,31,15,21", "25,30,15,21"),  # half-open: the last row is not in it
        ("row,col,radius", "27,16,5", "27,16,4.9"),
        ("row,col,radius", "30.4,20.3,0.6", "20,30,9"),  # rows and columns exchanged
    ],
)
def test_a_mark_lies_in_a_box_or_a_circle_of_source_pixels(
    tmp_path: Path, region: str, inside: str, outside: str
) -> None:
    assert _found(tmp_path / "a", region, inside) == [pytest.approx(0.9)]
    assert _found(tmp_path / "b", region, outside) == [None]


def test_a_margin_widens_every_kind_of_region(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[33:40, 24:30] = 1  # the mark at (30, 20) is 5 px from its corner
    for number, (region, cells) in enumerate(
        [("top,bottom,left,right", "33,40,24,30"), ("row,col,radius", "38,26,5"), ("mask", "../m.png")]
    ):
        for margin, found in ((4.9, [None]), (5, [pytest.approx(0.9)])):
            folder = tmp_path / f"{number} {margin}"
            folder.mkdir()
            _mask(tmp_path, "m.png", mask)
            assert _found(folder, region, cells, margin_px=margin) == found


def test_masks_of_any_depth_and_colour_are_read(tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[30, 20] = 1
    for number, pixels in enumerate(
        [mask, mask.astype(np.uint16), np.dstack([mask, mask, mask]), np.dstack([mask] * 3 + [np.full_like(mask, 255)])]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        _mask(folder, "m.png", pixels)
        assert _found(folder, "mask", "m.png") == [pytest.approx(0.9)]


def test_marks_and_hits_are_counted_over_all_images_of_the_run(tmp_path: Path) -> None:
    table = _csv(
        tmp_path,
        "exam,view,finding,malignant,top,bottom,left,right,row,col,radius\n"
        f"{ONE},L-CC,a,1,25,35,15,25,,,\n"
        f"{ONE},L-MLO,a,1,,,,,10,10,5\n"
        f"{TWO},R-CC,b,0,0,20,70,90,,,\n",
    )
    located = locate_lesions(_run(tmp_path), table, apart_px=APART)
    marks = located.marks_table()
    assert marks.select("row", "col", "findings").rows() == [(30, 20, "a"), (90, 70, ""), (60, 40, ""), (10, 80, "b")]
    assert len(located.images) == 8
    assert lesion_sensitivities(located.marked, rates=(0.0, 0.125))[0].value == pytest.approx(2 / 3)
    assert lesion_sensitivities(located.marked, by="finding")[0].value == 1
    few = locate_lesions(_run(tmp_path / "2"), table, apart_px=APART, exams=())
    assert len(few.images) == 8  # both exams have lesions


@pytest.mark.parametrize(("side_px", "marks"), [(16, 2), (60, 1), (None, 1)])
def test_marks_are_as_far_apart_as_the_patches_of_the_run_are_wide(
    tmp_path: Path, side_px: int | None, marks: int
) -> None:
    table = _csv(tmp_path, f"exam,view,finding,malignant,row,col,radius\n{ONE},L-CC,a,1,30,20,5\n")
    run = _run(tmp_path)
    for file in (run / "exams").glob("*/reading.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "patch_side_px": side_px}))
    located = locate_lesions(run, table)
    assert located.marks_table().filter(image="L-CC", exam=ONE).height == marks
    assert located.apart_px == (side_px or 256)


def test_only_the_exams_asked_for_count_besides_those_with_lesions(tmp_path: Path) -> None:
    table = _csv(tmp_path, f"exam,view,finding,malignant,row,col,radius\n{ONE},L-CC,a,1,30,20,5\n")
    run = _run(tmp_path)
    assert {exam for exam, _ in locate_lesions(run, table).images} == {ONE, TWO}
    assert {exam for exam, _ in locate_lesions(run, table, exams=[ONE]).images} == {ONE}


def test_lesions_that_were_not_read_count_as_missed_and_are_named(tmp_path: Path) -> None:
    table = _csv(
        tmp_path,
        "exam,view,finding,malignant,row,col,radius\n"
        f"{ONE},L-CC,a,1,30,20,5\n{GONE},L-CC,b,1,30,20,5\n{'4' * 16},L-CC,c,1,30,20,5\n",
    )
    located = locate_lesions(_run(tmp_path), table, apart_px=APART)
    assert located.lesions_table()["not_read"].to_list() == ["", "no MLO views", "the run has no such exam"]
    assert lesion_sensitivities(located.marked)[0].value == pytest.approx(1 / 3)
    section = localisation_section(located)
    assert any("2 lesions of 2 exams" in text and "missed" in text for text in section.warnings)
    (listed,) = [part for part in section.parts if part.name == "lesions_not_read"]
    assert isinstance(listed, Table)
    assert [row[0] for row in listed.rows] == [GONE, "4" * 16]


def test_a_view_that_the_exam_lacks_is_missed_too(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {ONE: black_exam(views=[View.L_CC])}, {})
    table = _csv(
        tmp_path,
        "exam,view,finding,malignant,row,col,radius\n" + "".join(f"{ONE},{v},a,1,9,9,5\n" for v in ("L-CC", "L-MLO")),
    )
    located = locate_lesions(run, table)
    assert located.not_read == {1: "the run read no image L-MLO of this exam"}
    assert located.marked.lesion_image.tolist() == [0, -1]


def test_exams_may_be_named_by_what_their_ids_are_hashes_of(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {hash_label("clinic/7"): black_exam()}, {})
    table = _csv(tmp_path, "exam,view,finding,malignant,row,col,radius\nclinic/7,L-CC,a,1,30,20,5\n")
    assert not locate_lesions(run, table).not_read
    other = _csv(tmp_path, "exam,view,finding,malignant,row,col,radius\nclinic/8,L-CC,a,1,30,20,5\n")
    with pytest.raises(SetupError, match="none of its 1 exams"):
        locate_lesions(run, other)


def test_of_several_images_of_a_view_the_file_says_which(tmp_path: Path) -> None:
    one = black_exam(views=[View.L_CC])
    twice = Exam("x", (*one.mammograms, replace(one.mammograms[0], name="again.dcm")))
    run = write_run(tmp_path / "run", {ONE: twice}, {(ONE, "again.dcm"): plant_peaks(SHAPE, [(30, 20, 0.9)])})
    rows = "exam,view,file,finding,malignant,row,col,radius\n"
    with pytest.raises(SetupError, match="line 2: found 2 images L-CC"):
        locate_lesions(run, _csv(tmp_path, rows + f"{ONE},L-CC,,a,1,30,20,5\n"))
    table = _csv(tmp_path, rows + f"{ONE},,again.dcm,a,1,30,20,5\n{ONE},L-CC,L-CC,b,1,30,20,5\n")
    assert locate_lesions(run, table).lesions_table()["highest_mark"].to_list() == [pytest.approx(0.9), None]


@pytest.mark.parametrize(
    ("header", "row", "complaint"),
    [
        ("view,finding,malignant,row,col,radius", "L-CC,a,1,9,9,5", "need exam"),
        ("exam,view,malignant,row,col,radius", "x,L-CC,1,9,9,5", "need finding"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,,9,9,5", r"'' \(line 2\)|None \(line 2\)"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,2,9,9,5", r"'2' \(line 2\)"),
        ("exam,view,finding,malignant,row,col,radius", "x,LCCC,a,1,9,9,5", "need L-CC"),
        ("exam,finding,malignant,row,col,radius", "x,a,1,9,9,5", "line 2: file is empty; need one, or a view"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,9,9,0", "line 2: radius is 0"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,-9,9,5", "line 2: row is '-9'"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,nan,9,5", "line 2: row is 'nan'"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,9,,5", "line 2: col is empty"),
        ("exam,view,finding,malignant,row,col", "x,L-CC,a,1,9,9", "line 2: radius is empty"),
        ("exam,view,finding,malignant", "x,L-CC,a,1", "line 2: found none"),
        ("exam,view,finding,malignant,mask,row,col,radius", "x,L-CC,a,1,m.png,9,9,5", "found mask and row col radius"),
        ("exam,view,finding,malignant,top,bottom,left,right", "x,L-CC,a,1,9,9,5,9", "box of 0 rows"),
        ("exam,view,finding,malignant,top,bottom,left,right", "x,L-CC,a,1,1.5,9,5,9", "top is 1.5"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,9,9,5\nx,L-CC,a,1,9,9,6", r"second time \(line 2\)"),
        ("exam,view,finding,malignant,row,col,radius", "x,L-CC,a,1,9,9,5\nx,L-MLO,a,0,9,9,6", "line 3: finding a"),
    ],
)
def test_what_is_wrong_in_the_table_is_named_with_its_line(
    tmp_path: Path, header: str, row: str, complaint: str
) -> None:
    with pytest.raises(SetupError, match=complaint):
        load_lesions(_csv(tmp_path, f"{header}\n{row}\n"))


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = _csv(
        tmp_path,
        "note,exam,view,file,finding,malignant,mask,top,bottom,left,right,row,col,radius\n"
        "x,e,L-CC,,1,1,a/b.png,,,,,,,\n,e,,q.png,1,1,,1,2,3,4,,,\n,e,R-MLO,,2,0,,,,,,5.5,6,7\n",
    )
    assert load_lesions(table) == (
        Lesion("e", "1", True, tmp_path / "a/b.png", View.L_CC, None, 2),
        Lesion("e", "1", True, Box(1, 2, 3, 4), None, "q.png", 3),
        Lesion("e", "2", False, Circle(5.5, 6, 7), View.R_MLO, None, 4),
    )


def test_regions_that_do_not_fit_the_image_are_refused(tmp_path: Path) -> None:
    run = _run(tmp_path)

    def locate(region: str, cells: str) -> None:
        locate_lesions(run, _csv(tmp_path, f"exam,view,finding,malignant,{region}\n{ONE},L-CC,a,1,{cells}\n"))

    with pytest.raises(SetupError, match=r"down to row 121 .* 120 x 90"):
        locate("top,bottom,left,right", "0,121,0,9")
    with pytest.raises(SetupError, match=r"column 110; .* 120 x 90"):
        locate("row,col,radius", "60,110,5")
    with pytest.raises(SetupError, match=r"gone\.png cannot be read"):
        locate("mask", "gone.png")
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(SetupError, match=r"no\.png is no picture"):
        locate("mask", "no.png")
    _mask(tmp_path, "turned.png", np.ones((90, 120), np.uint8))
    with pytest.raises(SetupError, match=r"turned.png has 90 x 120 pixels; need .* 120 x 90"):
        locate("mask", "turned.png")
    _mask(tmp_path, "empty.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(SetupError, match=r"empty.png marks 0.0 %"):
        locate("mask", "empty.png")
    inverted = np.full(SHAPE, 255, np.uint8)
    inverted[30, 20] = 0
    _mask(tmp_path, "inverted.png", inverted)
    with pytest.raises(SetupError, match=r"inverted.png marks 100.0 %"):
        locate("mask", "inverted.png")


def test_runs_that_cannot_tell_are_refused(tmp_path: Path) -> None:
    table = _csv(tmp_path, f"exam,view,finding,malignant,row,col,radius\n{ONE},L-CC,a,1,30,20,5\n")
    with pytest.raises(SetupError, match="no folder exams"):
        locate_lesions(tmp_path / "nothing", table)
    bare = write_run(tmp_path / "bare", {ONE: black_exam()}, {}, files="readings")
    with pytest.raises(SetupError, match="no heatmap of L-CC"):
        locate_lesions(bare, table)
    with pytest.raises(SetupError, match="margin"):
        locate_lesions(_run(tmp_path), table, margin_px=-1)


def _phantoms() -> list[PhantomExam]:
    return [draw_exam(np.random.default_rng([7, n]), scale=0.1, number=n) for n in range(3)]


def _write_phantoms(tmp_path: Path, change: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> tuple[Path, Path]:
    """A run whose heatmaps are the blurred masks of its phantoms, and LESIONS.csv with the masks, changed."""
    tmp_path.mkdir()
    exams, heatmaps, rows = {}, {}, ["exam,view,finding,malignant,mask"]
    for phantom in _phantoms():
        exam = phantom.to_exam()
        exams[exam.exam_id] = exam
        for image in phantom.images:
            for number, (finding, mask) in enumerate(zip(image.findings, image.masks, strict=True)):
                blurred = np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3))
                heatmap = Heatmap.from_arrays(malignant=blurred, benign=np.zeros_like(blurred))
                heatmaps[exam.exam_id, phantom.file_name(image.view)] = heatmap
                name = f"{exam.exam_id}_{image.view}_{number}.png"
                _mask(tmp_path, name, change(mask).astype(np.uint8))
                rows.append(f"{phantom.study_uid},{image.view},{number},{int(finding.malignant)},{name}")
    return write_run(tmp_path / "run", exams, heatmaps), _csv(tmp_path, "\n".join(rows) + "\n")


def test_a_perfect_heatmap_finds_every_phantom_lesion_and_mirrored_masks_are_noticed(tmp_path: Path) -> None:
    right = locate_lesions(*_write_phantoms(tmp_path / "right", lambda mask: mask), apart_px=APART)
    assert len(right.lesions) == 6
    assert {lesion.view.side for lesion in right.lesions if lesion.view} == {"L", "R"}
    assert [e.value for e in lesion_sensitivities(right.marked)] == [1.0] * 6
    assert not right.marked.false_positives.any()
    mirrored = locate_lesions(*_write_phantoms(tmp_path / "mirrored", lambda mask: mask[:, ::-1]), apart_px=APART)
    assert lesion_sensitivities(mirrored.marked)[-1].value < 0.5
    flipped = locate_lesions(*_write_phantoms(tmp_path / "flipped", lambda mask: mask[::-1]), apart_px=APART)
    assert lesion_sensitivities(flipped.marked)[-1].value <= 0.5


def test_the_section_has_a_curve_per_kind_and_says_what_was_counted(tmp_path: Path) -> None:
    located = locate_lesions(*_write_phantoms(tmp_path / "x", lambda mask: mask), apart_px=APART, margin_px=2)
    section = localisation_section(located)
    parts = {part.name: part for part in section.parts}
    assert list(parts) == ["froc", "lesion_sensitivity", "jafroc", "localisation_counts"]
    curve, counts = parts["froc"], parts["localisation_counts"]
    assert isinstance(curve, Figure)
    assert isinstance(counts, Table)
    assert list(curve.data) == [
        "all lesions, each image for itself",
        "malignant lesions",
        "benign lesions",
        "all findings, in at least one view",
        "malignant findings, in at least one view",
    ]
    assert dict(counts.rows)["images without a lesion (normal)"] == 6
    assert any("2 px" in text and "16 px apart" in text for text in section.text)
    assert section.warnings[0].startswith("UNTRAINED")


def test_mini_mias_circles_lie_on_the_lesions_if_y_counts_from_the_bottom(shared: Path) -> None:
    folder = shared / "data" / "mini_mias"
    labels = pl.read_csv(folder / "labels.csv").drop_nulls("x").filter(pl.col("radius") < 60).head(25)
    brighter = {True: 0, False: 0}
    for row in labels.iter_rows(named=True):
        film = cv2.imread(str(folder / "images" / f"{row['image']}.png"), cv2.IMREAD_GRAYSCALE)
        for from_bottom in (True, False):
            circle = Circle(1023 - row["y"] if from_bottom else row["y"], row["x"], row["radius"])
            lesion = Lesion(row["image"], "1", True, circle, None, row["image"], 2)
            region = Region(lesion, (film.shape[0], film.shape[1]))
            places = [(r, c) for r in range(0, 1024, 6) for c in range(0, 1024, 6)]
            distances = np.array([region.distance(r, c) for r, c in places])
            grey = np.array([film[place] for place in places], float)
            around = (distances > 0.3 * row["radius"]) & (distances < row["radius"]) & (grey > 0)
            brighter[from_bottom] += bool(grey[distances == 0].mean() > grey[around].mean())
    assert brighter[True] >= 21
    assert brighter[False] <= 18
