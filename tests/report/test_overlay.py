"""Overlays: colours where the heatmap stands out, text only in the margins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fourview.exam import Exam, Heatmap, ImageReading, Mammogram, Reading, View
from fourview.report import overlay
from fourview.report.overlay import COLOURS, SHOWN_FROM, blend_heatmap, draw_overlay
from fourview.report.picture import fit_text, text_width, wrap_text
from tests.fake_screener import FakeScreener, small_exam


def _case(exam: Exam | None = None) -> tuple[Mammogram, ImageReading, Reading]:
    exam = exam or small_exam()
    reading = FakeScreener(needs_all=False).read(exam)
    return exam.mammograms[0], reading.images[0], reading


def test_colours_follow_the_heatmaps_and_spare_the_rest() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    malignant, benign = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    malignant[0, 0], benign[1, 1], malignant[2, 2], benign[2, 2] = 1, 1, 1, 1
    malignant[3, 3] = SHOWN_FROM
    picture = blend_heatmap(grey, Heatmap.from_arrays(malignant=malignant, benign=benign)).astype(int)
    red, green, blue = picture[0, 0]
    assert red > 180
    assert green == blue < 100
    red, green, blue = picture[1, 1]
    assert green > 150
    assert max(red, blue) < 100
    red, green, blue = picture[2, 2]
    assert min(red, green) > 100 > blue
    untouched = np.ones((4, 4), bool)
    untouched[[0, 1, 2], [0, 1, 2]] = False
    assert (picture[untouched] == 100).all()


def test_a_larger_value_is_never_drawn_weaker() -> None:
    ramp = np.linspace(0, 1, 50, dtype=np.float32)[None]
    picture = blend_heatmap(
        np.full((1, 50, 3), 128, np.uint8), Heatmap.from_arrays(malignant=ramp, benign=np.zeros_like(ramp))
    )
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()
    assert picture[0, -1, 0] > picture[0, 0, 0] + 60


@pytest.mark.parametrize("shape", [(120, 90), (3328, 2560), (1000, 4000), (4096, 300)])
def test_the_picture_is_at_most_1600_high_and_keeps_the_proportions(shape: tuple[int, int]) -> None:
    pixels = np.zeros(shape, np.uint16)
    pixels[shape[0] // 4 : shape[0] // 2, : shape[1] // 2] = 999
    mammogram, image, reading = _case(Exam.from_arrays({"L-CC": pixels}))
    picture = draw_overlay(mammogram, image, reading)
    assert picture.shape[0] <= overlay.HEIGHT
    cols = picture.shape[1] - overlay._PANEL
    rows = round(cols * shape[0] / shape[1])
    assert picture.shape[0] - overlay._TOP >= rows - 2


def test_text_never_covers_the_image() -> None:
    """With other marks, scores and names, every pixel of the image area is the same."""
    mammogram, image, reading = _case()
    other = replace(reading, marks=("A MARK " * 40,), left=None, model="another " * 30, exam_id="f" * 16)
    first, second = draw_overlay(mammogram, image, reading), draw_overlay(mammogram, image, other)
    rows, cols = mammogram.pixels.shape
    area = (slice(overlay._TOP, overlay._TOP + rows), slice(0, cols))
    np.testing.assert_array_equal(first[area], second[area])
    assert (first != second).any()


def test_the_overlay_is_in_the_direction_of_the_file_and_marks_the_right_place() -> None:
    exam = small_exam(views=(View.R_CC,))
    mammogram, image, reading = _case(exam)
    hot = np.zeros(mammogram.pixels.shape, np.float32)
    hot[50:60, 70:80] = 1
    image = replace(image, heatmap=Heatmap.from_arrays(malignant=hot, benign=np.zeros_like(hot)))
    picture = draw_overlay(mammogram, image, reading)[overlay._TOP :, :90].astype(int)[:120]
    redder = picture[..., 0] - picture[..., 1] > 60
    rows, cols = np.nonzero(redder)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (50, 59, 70, 79)
    assert COLOURS["malignant"][0] > COLOURS["malignant"][1]


def test_an_image_without_heatmap_or_score_is_drawn_too() -> None:
    mammogram, image, reading = _case()
    picture = draw_overlay(mammogram, replace(image, heatmap=None), replace(reading, left=None))
    grey = picture[overlay._TOP + 30 : overlay._TOP + 90, 5:50]
    assert (grey[..., 0] == grey[..., 1]).all()
    assert grey.max() > 200


def test_long_text_is_wrapped_or_cut_to_its_width() -> None:
    lines = wrap_text("one two three four five six seven " + "w" * 200, width_px=150, size_px=12)
    assert len(lines) > 2
    assert all(text_width(line, size_px=12) <= 150 for line in lines)
    assert fit_text("short", width_px=150, size_px=12) == "short"
    assert fit_text("w" * 99, width_px=150, size_px=12).endswith("...")
