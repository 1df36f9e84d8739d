"""A square of a crop, turned, mirrored and resized."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.exam import Box
from fourview.train.patch_cut import PatchCut, cut_marks, cut_pixels, resize_patch

IMAGE = np.random.default_rng(0).integers(1, 60000, (60, 50)).astype(np.uint16)


def cut(image: np.ndarray, where: PatchCut) -> np.ndarray:
    box = where.reach(image.shape)
    return cut_pixels(image[box.slices], where, box)


def test_without_turning_a_patch_is_a_slice() -> None:
    np.testing.assert_array_equal(cut(IMAGE, PatchCut(5, 7, 20)), IMAGE[5:25, 7:27])
    np.testing.assert_array_equal(cut(IMAGE, PatchCut(5, 7, 20, mirrored=True)), IMAGE[5:25, 7:27][::-1])


@pytest.mark.parametrize(("angle", "turns"), [(90.0, -1), (-90.0, 1), (180.0, 2)])
def test_a_patch_turns_clockwise_about_its_middle(angle: float, turns: int) -> None:
    expected = np.rot90(IMAGE[20:41, 15:36], turns)
    np.testing.assert_allclose(cut(IMAGE, PatchCut(20, 15, 21, angle)), expected, rtol=1e-3)


@pytest.mark.parametrize("where", [PatchCut(12, 10, 24, 17.0), PatchCut(0, 0, 30, -30.0), PatchCut(35, 20, 25, 29.0)])
def test_the_box_that_is_read_holds_all_that_a_turned_square_needs(where: PatchCut) -> None:
    whole = Box(0, 60, 0, 50)
    np.testing.assert_allclose(cut(IMAGE, where), cut_pixels(IMAGE, where, whole), rtol=1e-4)
    marks = (IMAGE > 30000).astype(np.uint8)
    box = where.reach(IMAGE.shape)
    np.testing.assert_array_equal(cut_marks(marks[box.slices], where, box), cut_marks(marks, where, whole))


def test_a_turned_corner_outside_of_the_crop_is_not_black() -> None:
    assert cut(IMAGE, PatchCut(0, 0, 30, 30.0)).min() > 0


def test_marks_and_pixels_turn_together() -> None:
    marks = np.zeros((60, 50), np.uint8)
    marks[20:40, 22:26] = 2
    where = PatchCut(10, 8, 40, 25.0, mirrored=True)
    box = where.reach(marks.shape)
    shown = cut_pixels(marks[box.slices], where, box)
    near = cut_marks(marks[box.slices], where, box)
    assert set(np.unique(near)) == {0, 2}
    assert np.abs(shown - near).mean() < 0.1
    assert np.abs(shown - near[::-1]).mean() > 0.1  # a test that sees a mirrored mask


def test_shrinking_averages_and_growing_interpolates() -> None:
    checks = np.indices((32, 32)).sum(axis=0).astype(np.float32) % 2
    np.testing.assert_allclose(resize_patch(checks, 16), 0.5)
    assert resize_patch(checks, 64).shape == (64, 64)
    assert resize_patch(checks, 32) is checks
