"""Hottest places: true local maxima, in source pixels, the largest first."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import Box, Heatmap
from fourview.report.page.hot_places import MOST, find_hot_places


def _heatmap(malignant: NDArray[np.float32], *, top: int = 0, left: int = 0) -> Heatmap:
    rows, cols = malignant.shape
    box = Box(top, top + rows, left, left + cols)
    inside = {"malignant": malignant, "benign": np.zeros_like(malignant)}
    return Heatmap((top + rows + 9, left + cols + 9), box, inside)


def _bump(shape: tuple[int, int], row: int, col: int, peak: float, *, sigma: float = 40) -> NDArray[np.float32]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    bump = peak * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))
    return np.asarray(bump, np.float32)


def test_peaks_come_largest_first_at_their_source_pixels() -> None:
    values = np.maximum(_bump((1203, 997), 300, 250, 0.6), _bump((1203, 997), 1001, 703, 0.9))
    heatmap = _heatmap(values, top=50, left=7)
    places = find_hot_places(heatmap, "malignant")
    assert [(p.row, p.col) for p in places] == [(1051, 710), (350, 257)]
    for place in places:
        assert place.value == heatmap.malignant[place.row, place.col]
        assert place.finding == "malignant"
    assert find_hot_places(heatmap, "benign") == ()


def test_of_two_peaks_that_are_near_only_the_larger_is_a_place() -> None:
    shape = (600, 600)
    near = np.maximum(_bump(shape, 300, 200, 0.5, sigma=20), _bump(shape, 300, 400, 0.8, sigma=20))
    assert [p.col for p in find_hot_places(_heatmap(near), "malignant")] == [400]
    assert [p.col for p in find_hot_places(_heatmap(near), "malignant", radius_px=150)] == [400, 200]


def test_a_plateau_is_one_place_in_its_middle() -> None:
    values = np.zeros((700, 500), np.float32)
    values[100:171, 300:371] = 0.7
    (place,) = find_hot_places(_heatmap(values), "malignant")
    assert (place.row, place.col) == (135, 335)
    assert find_hot_places(_heatmap(np.full((1500, 900), 0.4, np.float32)), "malignant") != ()
    (whole,) = find_hot_places(_heatmap(np.full((1501, 901), 0.4, np.float32)), "malignant")
    assert (whole.row, whole.col) == (750, 450)


def test_the_middle_of_a_ring_is_on_the_ring() -> None:
    rows, cols = np.ogrid[:400, :400]
    distance = np.hypot(rows - 200, cols - 200)
    values = np.where((distance > 80) & (distance < 110), np.float32(0.5), np.float32(0.1))
    (place,) = find_hot_places(_heatmap(values), "malignant")
    assert values[place.row, place.col] == np.float32(0.5)


def test_a_shoulder_that_leads_to_a_higher_value_is_no_place() -> None:
    values = np.zeros((400, 2000), np.float32)
    values[100:300, 100:1900] = 0.5  # flat, and much longer than the radius
    values[180:220, 180:220] = 0.9
    assert [(p.row, p.col) for p in find_hot_places(_heatmap(values), "malignant")] == [(199, 199)]
    slope = np.tile(np.linspace(0, 1, 2000, dtype=np.float32), (300, 1))
    assert [p.col for p in find_hot_places(_heatmap(slope), "malignant")] == [1999]


def test_small_values_and_too_many_places_are_left_out() -> None:
    values = np.zeros((400, 4000), np.float32)
    peaks = [0.09, 0.3, 0.2, 0.6, 0.5, 0.4, 0.7, 0.11]
    for number, peak in enumerate(peaks):
        values[200, 100 + 500 * number] = peak
    found = find_hot_places(_heatmap(values), "malignant")
    assert [round(p.value, 2) for p in found] == [0.7, 0.6, 0.5, 0.4, 0.3]
    assert len(found) == MOST
    rest = find_hot_places(_heatmap(values), "malignant", most=99)
    assert [round(p.value, 2) for p in rest[-2:]] == [0.2, 0.11]


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 900), (17, 8)])
def test_any_shape_is_fine(shape: tuple[int, int]) -> None:
    values = np.zeros(shape, np.float32)
    assert find_hot_places(_heatmap(values), "malignant") == ()
    if values.size:
        values[-1, -1] = 0.5
        (place,) = find_hot_places(_heatmap(values), "malignant")
        assert (place.row, place.col) == (shape[0] - 1, shape[1] - 1)
