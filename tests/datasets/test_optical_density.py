"""Optical density of DDSM films, by scanner."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.datasets.optical_density import (
    Scanner,
    density_to_pixels,
    optical_density,
    pixels_to_density,
    scanner_of,
)
from fourview.exam import ExamError

CASES = [("A", "DBA 21"), ("A", "HOWTEK 960"), ("B", "LUMISYS LASER"), ("C", "LUMISYS LASER"), ("D", "HOWTEK")]


def known(prefix: str, digitizer: str) -> Scanner:
    scanner = scanner_of(prefix, digitizer)
    assert scanner is not None
    return scanner


def test_the_scanner_follows_from_prefix_and_digitizer() -> None:
    found = [known(prefix, digitizer) for prefix, digitizer in CASES]
    assert [scanner.name for scanner in found] == ["DBA", "HOWTEK MGH", "LUMISYS", "LUMISYS", "HOWTEK ISMD"]
    assert [(scanner.bits, scanner.um) for scanner in found[:2]] == [(16, 42), (12, 43.5)]
    assert scanner_of("B", "DBA") is None
    assert scanner_of("A", "") is None


@pytest.mark.parametrize(
    ("case", "grey", "density"),
    [
        (CASES[0], 9999, (4 - 4.80662) / -1.07553),
        (CASES[1], 2000, 3.789 - 0.00094568 * 2000),
        (CASES[2], 2000, (2000 - 4096.99) / -1009.01),
        (CASES[4], 2000, 3.96604095240593 - 0.00099055807612 * 2000),
    ],
)
def test_published_calibrations(case: tuple[str, str], grey: int, density: float) -> None:
    found = optical_density(np.full((2, 2), grey, np.uint16), known(*case))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, density, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_brighter_is_thinner_film_on_every_scanner_within_what_they_measured(case: tuple[str, str]) -> None:
    scanner = known(*case)
    density = optical_density(np.arange(1 << scanner.bits, dtype=np.uint16)[None], scanner)[0]
    assert (np.diff(density) <= 0).all()
    assert density.min() == pytest.approx(0.05)
    assert density.max() == pytest.approx(3.0)


def test_copies_that_are_not_the_scanners_own_values_are_refused() -> None:
    lumisys = known("C", "LUMISYS LASER")
    with pytest.raises(ExamError, match="found pixels of type uint8"):
        optical_density(np.zeros((2, 2), np.uint8), lumisys)
    with pytest.raises(ExamError, match="found the value 4096, the scanner LUMISYS has 12 bits: a rescaled copy"):
        optical_density(np.full((2, 2), 4096, np.uint16), lumisys)


def test_stored_pixels_are_bright_where_the_film_is_thin_and_lead_back_to_the_density() -> None:
    density = np.array([[3.5, 3.0, 1.525, 0.05, 0.0]], np.float32)
    pixels = density_to_pixels(density)
    np.testing.assert_allclose(pixels, [[0, 0, 32767, 65535, 65535]], atol=1)
    np.testing.assert_allclose(pixels_to_density(pixels), [[3.0, 3.0, 1.525, 0.05, 0.05]], atol=3e-5)


def test_no_grey_value_of_a_12_bit_scanner_is_lost_in_the_store() -> None:
    scanner = known("C", "LUMISYS LASER")
    density = optical_density(np.arange(4096, dtype=np.uint16)[None], scanner)
    within = (density > 0.0501) & (density < 2.9999)
    assert np.unique(density_to_pixels(density)[within]).size == within.sum()
