"""Crop and window against tiny tables and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from fourview.crop import crop_breast
from fourview.exam import Box, Mammogram, View
from fourview.window import (
    Jitter,
    JitterNoise,
    cut_input,
    cut_window,
    find_best_centre,
    place_window,
    standardise,
    standardise_whole,
)

STILL = Jitter(None, (0.0, 0.0, 0.0, 0.0))


def breast_by_morphology(bright: np.ndarray, iterations: int) -> np.ndarray | None:
    """The definition, step by step: erode, keep the largest 4-connected region, dilate."""
    survives = ndimage.binary_erosion(bright, iterations=iterations)
    labels, count = ndimage.label(survives)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    return ndimage.binary_dilation(labels == 1 + np.argmax(sizes), iterations=iterations)


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, (24, 19), elements=st.integers(0, 2)), st.integers(1, 3), st.sampled_from(["left", "right"]))
def test_the_crop_is_the_box_of_erosion_largest_region_and_dilation(noise, iterations, faces) -> None:
    pixels = np.kron(noise[::3, ::3] > 0, np.ones((5, 5))).astype(np.uint16)
    breast = breast_by_morphology(pixels > 0, iterations)
    image = Mammogram(pixels, View.L_CC, "x", faces)
    if breast is None:
        with pytest.raises(Exception, match="no breast found"):
            crop_breast(image, iterations=iterations, buffer_px=0)
        return
    rows, cols = (np.flatnonzero(breast.any(axis=axis)) for axis in (1, 0))
    crop = crop_breast(image, iterations=iterations, buffer_px=0)
    assert crop.frame.box == Box(rows[0], rows[-1] + 1, cols[0], cols[-1] + 1)
    assert crop.bottommost[0] == rows[-1] - rows[0]


def test_of_two_regions_of_one_size_the_first_in_raster_order_is_the_breast() -> None:
    pixels = np.zeros((40, 60), np.uint16)
    pixels[5:15, 30:40] = pixels[20:30, 5:15] = 1
    box = crop_breast(Mammogram(pixels, View.L_CC, "x", "right"), iterations=2, buffer_px=0).frame.box
    assert box == Box(5, 15, 30, 40)


def test_labels_beside_the_breast_are_left_out_and_the_chest_wall_side_is_not_widened() -> None:
    pixels = np.zeros((100, 80), np.uint16)
    pixels[30:70, 0:40] = 9
    pixels[5:12, 60:75] = 9  # a side marker
    crop = crop_breast(Mammogram(pixels, View.L_CC, "x", "right"), iterations=4, buffer_px=10)
    assert crop.frame.box == Box(20, 80, 0, 50)
    assert crop.gap_px == 0
    assert crop.rightmost[1] == 39


def test_a_gap_at_the_chest_wall_is_measured_and_warned_of() -> None:
    pixels = np.zeros((100, 80), np.uint16)
    pixels[30:70, 12:50] = 9
    crop = crop_breast(Mammogram(pixels, View.L_CC, "x", "right"), iterations=4, buffer_px=10)
    assert crop.gap_px == 12
    assert "12 pixels from the chest-wall edge" in crop.warnings[0]


def test_resampling_keeps_the_background_exactly_black() -> None:
    pixels = np.zeros((200, 160), np.uint16)
    pixels[60:140, 0:90] = 40000
    for spacing in (0.05, 0.31):
        image = Mammogram(pixels, View.L_CC, "x", "right", spacing_mm=0.1)
        crop = crop_breast(image, working_spacing_mm=spacing, iterations=5, buffer_px=8)
        assert crop.pixels.max() == 40000
        box = crop.frame.box_source
        assert abs(box.right - 90 - 8 * spacing / 0.1) < 5
        assert not crop.pixels[:, -2:].any()


def test_the_cc_window_shows_most_of_the_breast_and_ties_go_to_the_middle() -> None:
    pixels = np.zeros((30, 20), np.uint16)
    pixels[12:20, :10] = 1
    # windows of 10 rows that hold rows 12..19 entirely start at 10, 11 or 12: centres 15, 16, 17; the middle is 15
    assert find_best_centre(pixels, angle="CC", window=(10, 8), rightmost_col=9, bottommost_row=19) == (15, 4)
    pixels[:] = 1
    assert find_best_centre(pixels, angle="CC", window=(10, 8), rightmost_col=9, bottommost_row=29) == (15, 4)
    assert find_best_centre(pixels, angle="CC", window=(40, 8), rightmost_col=9, bottommost_row=29) == (15, 4)


def test_the_mlo_window_ends_at_the_lowest_breast_row_in_reach() -> None:
    pixels = np.zeros((30, 20), np.uint16)
    pixels[:25, :3] = pixels[:18, 3:15] = 1
    assert find_best_centre(pixels, angle="MLO", window=(10, 8), rightmost_col=14, bottommost_row=24) == (11, 9)
    assert find_best_centre(pixels, angle="MLO", window=(10, 30), rightmost_col=14, bottommost_row=24) == (18, -2)


def test_small_crops_are_padded_around_in_cc_and_below_in_mlo() -> None:
    crop = np.ones((6, 5), np.float32)
    cc = place_window((6, 5), angle="CC", window=(10, 8), centre=(3, 2), noise=JitterNoise(), jitter=STILL)
    mlo = place_window((6, 5), angle="MLO", window=(10, 8), centre=(3, 2), noise=JitterNoise(), jitter=STILL)
    assert cut_window(crop, cc, (10, 8)).sum(axis=1).tolist() == [0, 0, 5, 5, 5, 5, 5, 5, 0, 0]
    assert cut_window(crop, mlo, (10, 8)).sum(axis=1).tolist() == [5, 5, 5, 5, 5, 5, 0, 0, 0, 0]


def test_a_window_at_a_border_moves_away_from_it_only() -> None:
    noise = JitterNoise((4, 4), 0)
    up_left = Jitter((-1.0, -1.0), (0, 0, 0, 0))
    at_origin = place_window((40, 40), angle="MLO", window=(10, 8), centre=(5, 4), noise=noise, jitter=up_left)
    assert at_origin.shifted == Box(4, 14, 4, 12)
    inside = place_window((40, 40), angle="MLO", window=(10, 8), centre=(20, 20), noise=noise, jitter=up_left)
    assert inside.shifted == Box(11, 21, 12, 20)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(5, 60), st.integers(5, 60)),
    st.tuples(st.integers(-20, 60), st.integers(-20, 60)),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.sampled_from(["CC", "MLO"]),
)
def test_every_window_lies_on_its_canvas(shape, centre, draws, angle) -> None:
    jitter = Jitter((draws[0], draws[1]), (draws[2], draws[3], draws[4], draws[5]))
    placed = place_window(
        shape, angle=angle, window=(20, 14), centre=centre, noise=JitterNoise((3, 3), 3), jitter=jitter
    )
    for box in (placed.shifted, placed.resized):
        assert 0 <= box.top < box.bottom <= placed.canvas_shape[0]
        assert 0 <= box.left < box.right <= placed.canvas_shape[1]
    assert cut_window(np.ones(shape, np.float32), placed, (20, 14)).shape == (20, 14)


def test_standardising_divides_by_the_population_deviation() -> None:
    assert standardise(np.array([[0.0, 2.0]], np.float32)).tolist() == [[-1, 1]]  # the sample deviation gives 0.71
    assert standardise(np.full((2, 2), 5.0)).tolist() == [[0, 0], [0, 0]]


def test_only_the_image_channel_is_standardised() -> None:
    planes = [np.array([row], np.float32) for row in ([0.0, 2.0], [0.25, 0.75])]
    placed = place_window((1, 2), angle="MLO", window=(1, 2), centre=(0, 1), noise=JitterNoise(), jitter=STILL)
    assert cut_input(planes, placed, (1, 2)).tolist() == [[[-1, 1]], [[0.25, 0.75]]]


@given(st.integers(1, 200), st.integers(1, 90), st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**32 - 1))
def test_standardising_whole_images_in_little_memory_changes_nothing(rows, cols, kind, seed) -> None:
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (rows, cols), endpoint=True).astype(kind)
    expected = standardise(pixels.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(standardise_whole(pixels), expected, rtol=1e-6, atol=1e-7)


def test_a_constant_image_is_standardised_to_zero() -> None:
    assert not standardise_whole(np.full((70, 3), 65535, np.uint16)).any()
