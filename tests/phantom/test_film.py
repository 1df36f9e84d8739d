"""A scanned film: eight bits, never black, bent by its characteristic curve, with a film's litter on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import View
from fourview.phantom.acquisition import Acquired, acquire
from fourview.phantom.film import develop
from fourview.phantom.profiles import PROFILES
from tests.phantom.slab import even_tissue, half_ellipse, stepped_tissue

FILM = PROFILES["film"]


def take(
    *, key: int = 1, view: View = View.L_CC, brightness: float = 0.3, scale: float = 0.5
) -> tuple[Acquired, NDArray[np.bool_]]:
    breast, pixel_mm = half_ellipse(FILM, scale)
    tissue = even_tissue(breast, brightness)
    return acquire(tissue, breast, [breast], view=view, profile=FILM, pixel_mm=pixel_mm, key=[key]), breast


@pytest.mark.parametrize("key", range(5))
def test_a_scan_has_eight_bits_and_a_background_that_is_dark_uneven_and_never_zero(key: int) -> None:
    taken, breast = take(key=key)
    assert taken.pixels.dtype == np.uint8
    assert taken.pixels.min() >= 1
    air = taken.pixels[~breast]
    assert 3 < np.median(air) < 40
    corner, middle = taken.pixels[20:60, 300:340], taken.pixels[400:440, 300:340]
    assert len(np.unique(air)) > 20
    assert corner.mean() != middle.mean()
    assert np.median(taken.pixels[breast]) > 2 * np.median(air)


def test_contrast_is_largest_in_the_middle_of_the_characteristic_curve() -> None:
    breast, pixel_mm = half_ellipse(FILM, 0.5)
    tissue = np.float32(1.5) * stepped_tissue(breast) - np.float32(0.7)
    density = develop(tissue, breast, profile=FILM, pixel_mm=pixel_mm, key=[1])
    means = np.array([density[breast & (tissue == step)].mean() for step in np.unique(tissue)])
    steps = -np.diff(means)
    assert (steps > 0).all()  # denser tissue leaves the film clearer
    assert 0.2 < means[-1] < means[0] < 3.8
    assert 1 <= steps.argmax() <= 4
    assert steps[-1] < 0.5 * steps.max()


def test_grain_is_finer_than_a_grey_level_or_two_and_of_the_power_of_real_scans() -> None:
    breast = np.ones((256, 256), np.bool_)
    density = develop(even_tissue(breast, 0.38), breast, profile=FILM, pixel_mm=0.2, key=[2])
    grey = 1 - density / 3.95
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2 / grey.size * 0.2**2
    f = np.fft.fftfreq(256, 0.2)
    radius = np.hypot(f[:, None], f[None, :])
    # seven films of mini-MIAS: 1.0e-6 to 1.6e-6 in grey between 0.3 and 0.8 of white, 2 to 2.5 cycles per mm
    assert 0.5e-6 < power[(radius > 2) & (radius < 2.5)].mean() < 2.5e-6


def test_letters_and_a_label_that_says_synthetic_are_the_only_texts() -> None:
    texts = [take(key=key, view=View.R_MLO)[0].texts for key in range(20)]
    assert sum("RMLO" in found for found in texts) > 15
    for found in texts:
        assert all(text == "RMLO" or text.startswith("SYNTHETIC ") for text in found)
    assert len({text for found in texts for text in found}) > 10


def test_the_film_lies_within_the_scan_and_masks_end_where_it_ends() -> None:
    cut = 0
    for key in range(30):
        taken, breast = take(key=key, view=View.R_CC, scale=0.25)
        mask = taken.masks[0]
        assert not (mask & ~breast[:, ::-1]).any()
        beyond = breast[:, ::-1] & ~mask
        cut += bool(beyond.any())
        assert beyond.mean() < 0.02
        assert not beyond[:, : -round(2 / 0.8) - 2].any()  # no more than the first mm at the chest wall
    assert 0 < cut < 15


def test_scratches_and_dust_are_bright_on_air() -> None:
    clean = replace(FILM, marker_share=0.0, ball_share=0.0)
    breast, pixel_mm = half_ellipse(clean, 0.5)
    found = []
    for key in range(10):
        tissue = even_tissue(breast, 0.3)
        pixels = acquire(tissue, breast, (), view=View.L_CC, profile=clean, pixel_mm=pixel_mm, key=[key]).pixels
        inner = pixels[40:180, 250:400].astype(float)  # air, beside the label and the edges
        found.append(int((inner > np.median(inner) + 25).sum()))
    assert sum(n > 0 for n in found) >= 5
    assert max(found) < 0.05 * 140 * 150
