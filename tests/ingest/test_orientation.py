"""Where the breast points: pixels against known directions, and what happens when tags and pixels disagree."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fourview.exam import ExamError, View
from fourview.ingest.orientation import decide_direction, decide_direction_auto, direction_in_pixels
from tests.ingest.synthetic_dicom import breast

NYU = {
    "birads_density_exam/L-CC.png": "right",
    "birads_density_exam/L-MLO.png": "right",
    "birads_density_exam/R-CC.png": "right",  # stored mirrored: its burned-in text reads backwards
    "birads_density_exam/R-MLO.png": "right",
    "dmv_cnn_partial/1_L_CC.png": "right",
    "dmv_cnn_partial/1_R_CC.png": "left",
    "gmic_exam0/0_L-CC.png": "right",
    "gmic_exam0/0_L-MLO.png": "right",
    "gmic_exam0/0_R-CC.png": "left",
    "gmic_exam0/0_R-MLO.png": "left",
}
FILLED = np.tile(np.linspace(1000, 3000, 200), (200, 1))  # tissue from edge to edge
OPPOSITE = {"left": "right", "right": "left", None: None}


def _weak(faces: str) -> NDArray[np.uint16]:
    """A breast whose nipple side is cut too, on fewer rows than the chest wall."""
    image = np.zeros((200, 150), dtype=np.uint16)
    for row in range(10, 190):
        image[row, : 140 if 55 <= row < 145 else 100] = 2000
    image[160:190, :8] = 0
    return image if faces == "right" else image[:, ::-1]


@pytest.mark.parametrize("name", NYU)
def test_the_pixels_of_every_real_digital_image_show_its_direction_strongly(shared: Path, name: str) -> None:
    image = cv2.imread(str(shared / "data/nyu_sample_exams" / name), cv2.IMREAD_UNCHANGED)
    shown = direction_in_pixels(image)
    assert (shown.direction, shown.strong) == (NYU[name], True)
    mirrored = direction_in_pixels(image[:, ::-1])
    assert (mirrored.direction, mirrored.strong) == (OPPOSITE[NYU[name]], True)


def test_the_pixels_of_240_of_242_films_show_their_direction_strongly_and_none_shows_the_wrong_one(
    shared: Path,
) -> None:
    not_strong = {}
    for path in sorted((shared / "data/mini_mias/images").glob("*.png")):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        truth = "right" if int(path.stem[3:]) % 2 == 0 else "left"
        shown = direction_in_pixels(image)
        if (shown.direction, shown.strong) != (truth, True):
            not_strong[path.stem] = shown.direction
    assert not_strong == {"mdb151": None, "mdb152": None}  # one breast that fills the film


@settings(deadline=None, max_examples=100)
@example(shape=(60, 60), width=1.25, height=0.875, gap=0, label=False)  # fills the image: thresholds part tissue
@given(
    shape=st.tuples(st.integers(60, 900), st.integers(60, 900)),
    width=st.floats(0.2, 1.3),
    height=st.floats(0.1, 0.9),
    gap=st.integers(0, 10),
    label=st.booleans(),
)
def test_mirrored_pixels_give_the_mirrored_answer(
    shape: tuple[int, int], width: float, height: float, gap: int, label: bool
) -> None:
    rows, cols = shape
    y, x = np.mgrid[:rows, :cols]
    inside = ((y - rows / 2) / (height * rows)) ** 2 + ((x - gap) / (width * cols)) ** 2 < 1
    image = np.where(inside & (x >= gap), 1500 + 3 * (x + y), 0).astype(np.uint16)
    if label:
        image[: rows // 8, -cols // 8 :] = 8000
    shown, mirrored = direction_in_pixels(image), direction_in_pixels(image[:, ::-1])
    assert (mirrored.direction, mirrored.strong) == (OPPOSITE[shown.direction], shown.strong)
    assert not (shown.strong and shown.direction == "left")


@pytest.mark.parametrize(
    "image",
    [np.zeros((300, 200)), np.full((300, 200), 7), FILLED, np.eye(3)],
    ids=["black", "constant", "filled", "tiny"],
)
def test_pixels_without_an_outline_show_nothing_strongly(image: NDArray[np.float64]) -> None:
    shown = direction_in_pixels(image)
    assert shown.direction is None
    assert not shown.strong


def test_tags_decide_and_agreeing_pixels_are_recorded() -> None:
    faces, decisions, warnings = decide_direction(
        View.L_CC, tagged="right", tag_source="PatientOrientation A\\R", pixels=breast(), name="a.dcm"
    )
    assert (faces, warnings) == ("right", ())
    assert [(d.topic, d.value) for d in decisions] == [
        ("orientation", "faces right"),
        ("orientation in the pixels", "faces right, strong"),
    ]
    assert decisions[0].source == "PatientOrientation A\\R"


def test_without_tags_the_usual_direction_of_the_view_is_taken() -> None:
    faces, decisions, warnings = decide_direction(
        View.R_MLO, tagged=None, tag_source="", pixels=breast(faces="left"), name="a.png"
    )
    assert (faces, warnings) == ("left", ())
    assert decisions[0].source == "no tag: the usual direction of R-MLO"


def test_pixels_that_show_nothing_leave_the_tags_alone() -> None:
    faces, _, warnings = decide_direction(
        View.L_CC, tagged="left", tag_source="PatientOrientation P\\R", pixels=FILLED, name="a.dcm"
    )
    assert (faces, warnings) == ("left", ())


def test_weakly_contradicting_pixels_warn() -> None:
    assert not direction_in_pixels(_weak("right")).strong
    faces, _, warnings = decide_direction(
        View.R_CC, tagged="left", tag_source="PatientOrientation P\\L", pixels=_weak("right"), name="a.dcm"
    )
    assert faces == "left"
    assert len(warnings) == 1
    assert "facing right, but weakly" in warnings[0]


@pytest.mark.parametrize(
    ("tagged", "need"), [("right", "tags that match the pixels"), (None, "--mirrored auto")], ids=["tag", "no tag"]
)
def test_strongly_contradicting_pixels_refuse_the_image(tagged: str | None, need: str) -> None:
    with pytest.raises(ExamError, match=rf"L-CC a\.dcm: .*faces right, .*facing left .*need .*{need}"):
        decide_direction(View.L_CC, tagged=tagged, tag_source="tag X", pixels=breast(faces="left"), name="a.dcm")


def test_mirrored_auto_takes_the_direction_of_the_pixels_and_says_so() -> None:
    faces, decisions, warnings = decide_direction_auto(View.R_CC, pixels=breast(faces="right"), name="a.png")
    assert (faces, warnings) == ("right", ())
    assert decisions[0].value == "faces right (mirrored: R-CC usually faces left)"
    faces, decisions, _ = decide_direction_auto(View.R_CC, pixels=breast(faces="left"), name="a.png")
    assert (faces, decisions[0].value) == ("left", "faces left (as usual)")


def test_mirrored_auto_with_unclear_pixels_takes_the_usual_direction_and_warns() -> None:
    faces, _, warnings = decide_direction_auto(View.R_CC, pixels=FILLED, name="a.png")
    assert faces == "left"
    assert "do not show where the breast points" in warnings[0]


def test_mirrored_auto_with_weak_pixels_follows_them_and_warns() -> None:
    faces, _, warnings = decide_direction_auto(View.R_CC, pixels=_weak("right"), name="a.png")
    assert faces == "right"
    assert "show weakly" in warnings[0]
