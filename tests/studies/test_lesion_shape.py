"""Size and shape of outlines whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.studies.lesion.handcrafted.shape import measure_shape, trace_outline
from tests.studies.lesion_shapes import DISC, ELLIPSE, ODD, SQUARE, STAR


def of(mask: NDArray[np.bool_], unit: float = 1.0) -> dict[str, float]:
    return measure_shape(trace_outline(mask), unit=unit)


def test_a_disc_has_the_numbers_of_a_disc() -> None:
    found = of(DISC)
    assert found["area"] == DISC.sum()
    assert found["equivalent diameter"] == pytest.approx(100, rel=0.005)
    assert found["perimeter"] == pytest.approx(np.pi * 100, rel=0.01)
    assert found["compactness"] == pytest.approx(1, abs=0.01)
    assert found["eccentricity"] == pytest.approx(0, abs=0.02)
    assert found["solidity"] == pytest.approx(1, abs=0.02)
    assert found["extent"] == pytest.approx(np.pi / 4, abs=0.01)
    assert found["longest diameter"] == pytest.approx(100, rel=0.02)
    assert found["narrowest width"] == pytest.approx(100, rel=0.02)
    assert found["radius sd"] == pytest.approx(0, abs=0.005)
    assert found["radius entropy"] == 0
    assert found["radius crossings"] == found["dents"] == 0
    assert all(found[f"harmonic {k}"] < 0.005 for k in (-5, -4, -3, -2, -1, 2, 3, 4, 5, 6))
    assert found["fractal dimension"] == pytest.approx(1, abs=0.05)


def test_a_square_has_the_numbers_of_a_square() -> None:
    found = of(SQUARE)
    assert found["area"] == 100 * 100
    assert found["perimeter"] == pytest.approx(400, rel=0.015)  # its corners are rounded
    assert found["compactness"] == pytest.approx(np.pi / 4, abs=0.025)
    assert found["eccentricity"] == pytest.approx(0, abs=1e-6)
    assert found["solidity"] == found["extent"] == 1
    assert found["longest diameter"] == pytest.approx(100 * np.sqrt(2), rel=1e-3)
    assert found["narrowest width"] == pytest.approx(100, rel=1e-3)
    assert found["radius crossings"] == 8
    assert found["fractal dimension"] == pytest.approx(1, abs=0.1)


def test_an_ellipse_has_its_eccentricity_and_its_radius_crosses_its_mean_four_times() -> None:
    found = of(ELLIPSE)
    assert found["eccentricity"] == pytest.approx(np.sqrt(1 - 0.25), abs=0.005)
    assert found["elongation"] == pytest.approx(2, abs=0.03)
    assert found["radius crossings"] == 4
    assert found["radius roughness"] == pytest.approx(4 * (1 - 0.5), rel=0.02)
    assert max((k for k in found if k.startswith("harmonic")), key=found.__getitem__) == "harmonic -1"


def test_a_star_has_as_many_dents_and_crossings_as_points() -> None:
    found = of(STAR)
    assert found["dents"] == 5
    assert found["radius crossings"] == 10
    assert found["compactness"] < 0.5
    assert found["solidity"] < 0.75
    largest = sorted((k for k in found if k.startswith("harmonic")), key=found.__getitem__)[-2:]
    assert set(largest) == {"harmonic -4", "harmonic 6"}  # r = 1 + cos(5 t) as complex exponentials


def test_a_ragged_outline_has_a_higher_fractal_dimension() -> None:
    ragged = np.zeros((256, 256), bool)
    ragged[64:192:2, 64:192] = True
    ragged[64:192, 120:136] = True
    assert of(ragged)["fractal dimension"] > of(SQUARE)["fractal dimension"] + 0.3


def test_lengths_are_in_the_unit_of_a_pixel_and_shares_are_not() -> None:
    once, half = of(ODD), of(ODD, unit=0.5)
    assert half["area"] == pytest.approx(once["area"] / 4)
    assert half["perimeter"] == pytest.approx(once["perimeter"] / 2)
    assert half["log diameter"] == pytest.approx(once["log diameter"] - np.log(2))
    assert half["compactness"] == once["compactness"]
    assert half["radius sd"] == once["radius sd"]


@pytest.mark.parametrize("mask", [SQUARE, ODD, STAR])
def test_turned_and_mirrored_outlines_have_the_same_numbers(mask: NDArray[np.bool_]) -> None:
    base = of(mask)
    for moved in (np.rot90(mask), mask[:, ::-1], mask[::-1].T):
        found = of(np.ascontiguousarray(moved))
        for name, value in base.items():
            assert found[name] == pytest.approx(value, rel=0.01, abs=0.003), name


def test_outlines_that_lie_elsewhere_have_the_same_numbers() -> None:
    base, moved = of(ODD), of(np.roll(ODD, (9, -7), (0, 1)))
    for name, value in base.items():
        rough = name == "fractal dimension"  # its boxes lie elsewhere on the outline
        assert moved[name] == pytest.approx(value, rel=0.1 if rough else 1e-3, abs=1e-3), name


def test_holes_and_smaller_pieces_do_not_count() -> None:
    holed = DISC.copy()
    holed[100:110, 100:110] = False
    holed[2:6, 2:6] = True
    assert of(holed) == of(DISC)


def test_a_single_pixel_has_numbers_and_an_empty_mask_has_none() -> None:
    one = np.zeros((64, 64), bool)
    one[10, 20] = True
    assert np.isfinite(list(of(one).values())).all()
    assert of(one)["solidity"] == of(one)["extent"] == 1
    with pytest.raises(ExamError, match="found an empty mask"):
        trace_outline(np.zeros((8, 8), bool))
