"""Texture is the same pattern at every pixel size, and its power falls as asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fourview.phantom.texture import draw_texture, lines


def places(pixel_mm: float, size_mm: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    axis = ((np.arange(round(size_mm / pixel_mm)) + 0.5) * pixel_mm).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def test_a_finer_texture_is_the_coarse_one_with_more_detail() -> None:
    coarse = draw_texture([1, 2], (40, 40), coarse_mm=10, fine_mm=1.0).sample(*places(0.5))
    fine = draw_texture([1, 2], (40, 40), coarse_mm=10, fine_mm=0.25).sample(*places(0.5))
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.95
    assert fine.var() > coarse.var()
    again = draw_texture([1, 2], (40, 40), coarse_mm=10, fine_mm=0.25).sample(*places(0.5))
    np.testing.assert_array_equal(fine, again)


@pytest.mark.parametrize("exponent", [2.4, 3.0])
def test_power_falls_with_frequency_as_asked(exponent: float) -> None:
    slopes = []
    for seed in range(6):
        field = draw_texture([seed], (64, 64), coarse_mm=16, fine_mm=0.25, exponent=exponent).sample(*places(0.25, 64))
        window = np.hanning(256)
        power = np.abs(np.fft.fft2((field - field.mean()) * window[:, None] * window)) ** 2
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(256, 0.25), np.fft.fftfreq(256, 0.25)))
        bins = np.geomspace(0.12, 1.0, 9)
        rows = [(f >= a) & (f < b) for a, b in pairwise(bins)]
        slopes.append(-np.polyfit([np.log(f[r]).mean() for r in rows], [np.log(power[r].mean()) for r in rows], 1)[0])
    assert abs(np.mean(slopes) - exponent) < 0.4


def test_places_in_a_list_give_the_same_values_as_places_in_an_image() -> None:
    texture = draw_texture([3], (40, 40), coarse_mm=8, fine_mm=0.5)
    x, y = places(0.25)
    np.testing.assert_allclose(texture.sample(x.ravel(), y.ravel()), texture.sample(x, y).ravel(), atol=1e-6)


def test_lines_are_thin_and_lie_where_the_noise_is_zero() -> None:
    sheets = draw_texture([4], (40, 40), coarse_mm=8, fine_mm=1).sample(*places(0.25))
    drawn = lines(sheets, np.ones_like(sheets), width=0.2)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert not drawn[np.abs(sheets) > 0.2].any()
    assert drawn[np.abs(sheets) < 0.02].min() > 0.5
