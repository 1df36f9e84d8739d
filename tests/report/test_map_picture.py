"""Pictures of maps: colour where the map is, nothing where it is not, one scale for several, failures on their face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Mammogram, View
from fourview.report.map_picture import LOWERS, RAISES, MapFact, MapShown, draw_map, scale_limit, smooth_values
from fourview.report.picture import Picture

ROWS, COLS = 400, 300
BOX = Box(50, 350, 20, 220)


def mammogram() -> Mammogram:
    pixels = np.zeros((ROWS, COLS), np.uint16)
    pixels[60:340, 30:210] = np.random.default_rng(0).integers(2000, 3000, (280, 180))
    return Mammogram(pixels, View.L_CC, "drawn", "right")


def shown(
    values: NDArray[np.float32], *, limit: float = 1.0, signed: bool = True, facts: tuple[MapFact, ...] = ()
) -> MapShown:
    outline = np.zeros((ROWS, COLS), bool)
    outline[100:140, 60:110] = True
    return MapShown("Left breast, CC view", "a map", BOX, values, BOX, signed, limit, outline, facts)


def coloured(picture: Picture, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels that are more of this colour than of grey."""
    towards = np.array(colour, np.float64) - np.mean(colour)
    own = picture.astype(np.float64) - picture.mean(axis=2, keepdims=True)
    return np.asarray(own @ towards / np.linalg.norm(towards) > 40)


def test_orange_is_where_the_score_is_raised_and_blue_where_it_is_lowered() -> None:
    values = np.zeros((300, 200), np.float32)
    values[200:240, 150:190] = 1.0  # right and low
    values[20:60, 10:50] = -1.0  # left and high
    picture = draw_map(mammogram(), shown(values))
    orange, blue = (np.argwhere(coloured(picture[70:-40, :1240], c)) for c in (RAISES, LOWERS))
    assert len(orange) > 500
    assert len(blue) > 500
    assert orange[:, 0].mean() > blue[:, 0].mean()
    unsigned = draw_map(mammogram(), shown(values, signed=False))
    assert not coloured(unsigned[70:-40, :1240], LOWERS).any()


def test_a_weak_map_and_one_without_a_scale_leave_the_tissue_as_it_is() -> None:
    values = np.zeros((300, 200), np.float32)
    values[100:200, 100:150] = 1.0
    for limit in (0.0, 100.0):
        picture = draw_map(mammogram(), shown(values, limit=limit))
        assert not coloured(picture[70:-40, :1240], RAISES).any()


def test_an_empty_map_has_no_strongest_place() -> None:
    empty = draw_map(mammogram(), shown(np.full((300, 200), -1.0, np.float32)))
    spot = np.full((300, 200), -1.0, np.float32)
    spot[200, 100] = 1.0
    found = draw_map(mammogram(), shown(spot))
    assert empty.shape == found.shape
    near = slice(2 * 573 + 40, 2 * 573 + 400)  # the third column: two pictures of 573 pixels before it
    assert found[200:600, near].std() > 20
    assert not np.ptp(empty[200:600, near], axis=(0, 1)).any()


def test_a_map_that_fails_says_so_above_the_image() -> None:
    values = np.ones((300, 200), np.float32)
    plain = draw_map(mammogram(), shown(values, facts=(MapFact("holds", passed=True),)))
    failed = draw_map(mammogram(), shown(values, facts=(MapFact("hardly depends on the weights", passed=False),)))
    assert failed.shape[0] > plain.shape[0]
    banner = failed[66:80].astype(int)
    assert (banner[..., 0] - banner[..., 2]).mean() > 40  # amber


def test_maps_of_one_score_have_one_scale() -> None:
    weak, strong = np.full((300, 200), 0.1, np.float32), np.full((300, 200), 10.0, np.float32)
    assert scale_limit([weak, strong]) == scale_limit([strong])
    assert scale_limit([weak]) < scale_limit([strong])
    assert scale_limit([-strong]) == 0


def test_looking_blurs_single_pixels_and_keeps_their_sum() -> None:
    values = np.zeros((300, 200), np.float32)
    values[150, 100] = 1.0
    smooth = smooth_values(values, BOX)
    assert smooth.max() < 0.1
    np.testing.assert_allclose(smooth.sum(), 1.0, rtol=1e-3)
    assert np.unravel_index(int(smooth.argmax()), smooth.shape) == (150, 100)


def test_the_edge_of_what_is_seen_from_near_is_no_outline() -> None:
    values = np.zeros((300, 200), np.float32)
    values[30:110, 30:110] = 1.0  # the detail lies within the lesion
    inside = shown(values)
    outline = np.zeros((ROWS, COLS), bool)
    outline[55:200, 25:180] = True
    with_lesion = draw_map(mammogram(), replace(inside, outline=outline))
    without = draw_map(mammogram(), replace(inside, outline=None))
    near = slice(2 * 573 + 35, 2 * 573 + 450)
    assert np.array_equal(with_lesion[:, near], without[:, near])
    assert not np.array_equal(with_lesion, without)
