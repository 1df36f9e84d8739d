"""Laterality drill: one mistake in one file of an exam whose left breast alone has a finding. docs/laterality.md
states every outcome that is asserted here, and what cannot be detected."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from fourview.crop import crop_breast
from fourview.exam import VIEWS, Exam, ExamError, Side, View
from fourview.ingest import read_exam
from fourview.phantom import FAULTS, Fault, PhantomExam, draw_exam, plant, write_exam

SCALE = 0.1
DOC = Path(__file__).resolve().parents[1] / "docs" / "laterality.md"

# refused  ExamError that names the file
# right    read, the same crop as without the fault
# warned   read under another view; the exam warns that this view is there twice and the true one is missing
# unseen   read under its own view as if nothing were wrong, but the networks see another picture
Outcome = Literal["refused", "right", "warned", "unseen"]
OUTCOMES: dict[Fault, dict[Literal["CC", "MLO"], Outcome]] = {
    "side tag swapped": {"CC": "refused", "MLO": "refused"},
    "pixels mirrored": {"CC": "refused", "MLO": "refused"},
    "side tag swapped and pixels mirrored": {"CC": "refused", "MLO": "refused"},
    "rotated 180 degrees": {"CC": "refused", "MLO": "refused"},
    "flipped top to bottom": {"CC": "unseen", "MLO": "unseen"},
    "orientation tag contradicts pixels": {"CC": "refused", "MLO": "refused"},
    "view mislabelled": {"CC": "warned", "MLO": "warned"},
    "pixels and orientation tag mirrored": {"CC": "right", "MLO": "right"},
    "side tag, orientation tag and pixels mirrored": {"CC": "warned", "MLO": "warned"},
}
CASES = [(fault, view) for fault in FAULTS for view in VIEWS]


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return draw_exam(np.random.default_rng(20), scale=SCALE, one_sided=Side.LEFT)


def read(folder: Path) -> Exam:
    return read_exam(folder, secret=b"of the test")


def crops(exam: Exam) -> dict[str, np.ndarray]:
    """The crop of each file, facing right."""
    return {
        m.name: crop_breast(m, iterations=round(100 * SCALE), buffer_px=round(50 * SCALE)).pixels
        for m in exam.mammograms
    }


def bright_pixels(exam: Exam) -> Counter[Side]:
    """How many pixels of each breast are as bright as the planted finding only."""
    return Counter({s: sum(int((m.pixels > 51000).sum()) for m in exam.mammograms if m.view.side is s) for s in Side})


def test_without_a_fault_the_files_read_exactly_as_drawn(exam: PhantomExam, tmp_path: Path) -> None:
    write_exam(exam, tmp_path)
    found, drawn = read(tmp_path), exam.to_exam()
    assert (found.exam_id, found.label) == (drawn.exam_id, drawn.label)
    assert found.warnings == found.left_out == ()
    assert set(found.views) == set(VIEWS)
    for mammogram in drawn.mammograms:
        (same,) = found.views[mammogram.view]
        np.testing.assert_array_equal(same.pixels, mammogram.pixels)
        assert (same.name, same.faces, same.pixel_mode) == (mammogram.name, mammogram.faces, "stored")
        assert same.spacing_mm == pytest.approx(mammogram.spacing_mm)
        assert same.warnings == ()
    bright = bright_pixels(found)
    assert bright[Side.LEFT] > 20 * max(bright[Side.RIGHT], 1)


def test_every_fault_has_a_stated_outcome() -> None:
    assert set(OUTCOMES) == set(FAULTS)
    table = [line for line in DOC.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for fault, outcomes in OUTCOMES.items():
        (row,) = [line for line in table if line.startswith(f"| {fault} |")]
        stated = [cell.strip().split(":")[0] for cell in row.strip("|").split("|")]
        assert stated[1:3] == [outcomes["CC"], outcomes["MLO"]], row


@pytest.mark.parametrize(("fault", "view"), CASES, ids=lambda value: str(value).replace(" ", "_"))
def test_a_fault_in_one_file_has_its_stated_outcome(
    exam: PhantomExam, tmp_path: Path, fault: Fault, view: View
) -> None:
    write_exam(exam, tmp_path)
    path = plant(tmp_path, fault, view)
    outcome = OUTCOMES[fault][view.angle]
    if outcome == "refused":
        with pytest.raises(ExamError) as refusal:
            read(tmp_path)
        assert path.name in str(refusal.value)
        assert "PHANTOM" not in str(refusal.value)
        return
    found, true = read(tmp_path), exam.to_exam()
    seen, drawn = crops(found), crops(true)
    same = {name: np.array_equal(seen[name], pixels) for name, pixels in drawn.items()}
    assert same == {name: outcome != "unseen" or name != path.name for name in drawn}
    (planted,) = [m for m in found.mammograms if m.name == path.name]
    if outcome == "right":
        assert planted.view is view
        assert planted.faces != view.usual_direction
        said = [d.source for d in planted.decisions if d.topic == "orientation"]
        assert len(said) == 1
        assert "PatientOrientation" in said[0]
        assert bright_pixels(found) == bright_pixels(true)
    elif outcome == "unseen":
        assert planted.view is view
        assert planted.warnings == found.warnings == ()
    else:
        assert planted.view is not view
        assert view not in found.views  # a view-wise model refuses the exam for that
        assert len(found.views[planted.view]) == 2
        assert found.warnings == (f"no {view} in this exam, but 2 images of {planted.view}: one may be mislabelled",)
        assert len(planted.warnings) == (fault == "view mislabelled")  # the angle of the tube contradicts it


def test_an_exam_whose_sides_are_exchanged_in_every_tag_and_every_pixel_cannot_be_told_from_a_true_one(
    exam: PhantomExam, tmp_path: Path
) -> None:
    write_exam(exam, tmp_path)
    for view in VIEWS:
        plant(tmp_path, "side tag, orientation tag and pixels mirrored", view)
    found = read(tmp_path)
    assert set(found.views) == set(VIEWS)
    assert found.warnings == ()
    assert all(m.warnings == () for m in found.mammograms)
    true = bright_pixels(exam.to_exam())
    assert bright_pixels(found) == Counter({Side.LEFT: true[Side.RIGHT], Side.RIGHT: true[Side.LEFT]})


@pytest.mark.parametrize("side", Side)
def test_cc_and_mlo_of_one_breast_exchanged_in_their_labels_are_told_by_the_angle_of_the_tube_only(
    exam: PhantomExam, tmp_path: Path, side: Side
) -> None:
    write_exam(exam, tmp_path)
    for path in [plant(tmp_path, "view mislabelled", view) for view in side.views[:1]]:
        path.rename(tmp_path / "exchanged.dcm")
    plant(tmp_path, "view mislabelled", side.views[1])
    found = read(tmp_path)
    assert set(found.views) == set(VIEWS)
    assert found.warnings == ()
    assert bright_pixels(found) == bright_pixels(exam.to_exam())  # the side, at least, is right
    (cc,), (mlo,) = (found.views[view] for view in side.views)
    assert cc.name != f"1_{side.value}_CC.dcm"
    assert [re.sub("-", "", said) for said in cc.warnings] == ["labelled CC, but taken at 45 degrees"]
    assert mlo.warnings == ("labelled MLO, but taken at 0 degrees",)


def write_pngs(exam: PhantomExam, folder: Path, *, mirrored: View | None = None) -> None:
    """The images as PNG files, which have no tags; one of them mirrored."""
    for image in exam.images:
        pixels = image.pixels[:, ::-1] if image.view is mirrored else image.pixels
        assert cv2.imwrite(str(folder / f"a_{image.view.value}.png"), pixels)


def test_a_png_with_the_wrong_side_in_its_name_is_refused_for_its_outline(exam: PhantomExam, tmp_path: Path) -> None:
    write_pngs(exam, tmp_path)
    (tmp_path / "a_L-CC.png").rename(tmp_path / "a_R-CC_2.png")
    with pytest.raises(ExamError, match=r"a_R-CC_2\.png.*the pixels show it facing right"):
        read(tmp_path)


def test_a_mirrored_png_is_refused_and_with_mirrored_auto_read_right(exam: PhantomExam, tmp_path: Path) -> None:
    write_pngs(exam, tmp_path, mirrored=View.R_MLO)
    with pytest.raises(ExamError, match=r"a_R-MLO\.png.*--mirrored auto"):
        read(tmp_path)
    found = read_exam(tmp_path, mirrored="auto", secret=b"of the test")
    (planted,) = found.views[View.R_MLO]
    assert planted.faces == "right"
    assert "mirrored" in next(d.value for d in planted.decisions if d.topic == "orientation")
    assert bright_pixels_of_png(found)[Side.LEFT] > 20 * bright_pixels_of_png(found)[Side.RIGHT]


def test_a_mirrored_png_with_the_wrong_side_in_its_name_cannot_be_told_from_the_other_breast(
    exam: PhantomExam, tmp_path: Path
) -> None:
    write_pngs(exam, tmp_path, mirrored=View.L_CC)
    (tmp_path / "a_L-CC.png").rename(tmp_path / "a_R-CC_2.png")
    assert len(read(tmp_path).views[View.R_CC]) == 2


def bright_pixels_of_png(exam: Exam) -> Counter[Side]:
    """As bright_pixels, for the twelve bits that these PNG files hold."""
    return Counter({s: sum(int((m.pixels > 3200).sum()) for m in exam.mammograms if m.view.side is s) for s in Side})
