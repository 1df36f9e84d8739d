"""Margins and greys of drawn lesions whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.studies.lesion.handcrafted.greys import describe_greys, measure_greys
from fourview.studies.lesion.handcrafted.margin import CHANCE, measure_margin
from fourview.studies.lesion.handcrafted.regions import find_regions
from tests.studies.lesion_shapes import DISC, ODD, RADIUS, SIDE, STAR, bright, rings, rough, spokes

GRADIENTS, LINES = "spiculation, gradients", "spiculation, lines of 1.5 px"


def of(pixels: NDArray[np.float32], mask: NDArray[np.bool_] = DISC) -> dict[str, float]:
    return measure_margin(find_regions(pixels, mask))


def test_regions_lie_where_they_should() -> None:
    found = find_regions(bright(DISC), DISC)
    assert (found.lesion == DISC).all()
    assert RADIUS[found.ring].min() > 49
    assert RADIUS[found.ring].max() == pytest.approx(75, abs=1.5)
    assert RADIUS[found.margin].min() == pytest.approx(35, abs=1.5)
    assert RADIUS[found.margin].max() == pytest.approx(65, abs=1.5)
    half = bright(DISC)
    half[:, :60] = 0  # background
    assert not find_regions(half, DISC).ring[:, :60].any()


def test_the_gradient_of_a_bright_disc_points_to_its_middle_and_of_a_dark_one_away() -> None:
    found, dark = of(bright(DISC)), of(1 - bright(DISC))
    assert found["radial gradient index"] == pytest.approx(1, abs=0.01)
    assert dark["radial gradient index"] == pytest.approx(-1, abs=0.01)
    assert found["gradient angle"] < 3
    assert dark["gradient angle"] > 177
    assert found["ring contrast"] == pytest.approx(0.4, abs=0.03)
    assert dark["ring contrast"] == pytest.approx(-0.4, abs=0.03)
    assert found["margin contrast"] > 0.3


def test_a_patch_of_one_grey_has_no_margin() -> None:
    found = of(np.full((SIDE, SIDE), 0.5, np.float32))
    for name in ("acutance", "sharpness mean", "sharpness sd", "ring contrast", "radial gradient index"):
        assert found[name] == pytest.approx(0, abs=1e-9)
    assert found["gradient angle"] == 90
    assert found["lost share"] == 1
    assert found[GRADIENTS] == found[LINES] == CHANCE


def test_acutance_is_the_slope_of_a_ramp_and_falls_with_blur() -> None:
    ramp = np.clip(0.9 - 0.01 * RADIUS, 0, 1).astype(np.float32)
    found = of(ramp)
    assert found["acutance"] == pytest.approx(0.01, rel=0.02)
    assert found["sharpness mean"] == pytest.approx(0.01, rel=0.02)
    assert found["sharpness sd"] < 0.001
    sharp, soft = of(bright(DISC, blur=2)), of(bright(DISC, blur=10))
    assert sharp["acutance"] > 1.2 * soft["acutance"] > 0


def test_a_margin_that_is_lost_on_one_side_is_lost_for_that_share() -> None:
    pixels = bright(DISC)
    pixels[:, : SIDE // 2] = 0.7
    assert of(pixels)["lost share"] == pytest.approx(0.5, abs=0.05)
    assert of(bright(DISC))["lost share"] == 0


def test_lines_that_run_outwards_are_spicules_and_circles_are_not() -> None:
    outwards, around, smooth, noise = of(spokes()), of(rings()), of(bright(DISC)), of(rough())
    assert outwards[GRADIENTS] > 0.8
    assert outwards[LINES] > 0.8
    assert around[GRADIENTS] < 0.1
    assert around[LINES] < 0.2
    assert smooth[GRADIENTS] < 0.1
    assert smooth[LINES] == pytest.approx(CHANCE, abs=0.1)  # there are no lines
    assert noise[GRADIENTS] == pytest.approx(CHANCE, abs=0.08)
    assert noise[LINES] == pytest.approx(CHANCE, abs=0.08)


@pytest.mark.parametrize(("pixels", "mask"), [(rough(1) * bright(ODD), ODD), (spokes(7), STAR)])
def test_turned_and_mirrored_lesions_have_the_same_margin(pixels: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    base = of(pixels, mask)
    for move in (np.rot90, np.fliplr, np.flipud):
        found = of(np.ascontiguousarray(move(pixels)), np.ascontiguousarray(move(mask)))
        for name, value in base.items():
            assert found[name] == pytest.approx(value, rel=0.01, abs=0.008), name


def test_greys_of_two_values_have_the_statistics_of_a_coin() -> None:
    found = describe_greys(np.array([0.25] * 500 + [0.75] * 500))
    assert found["mean"] == found["median"] == 0.5
    assert found["sd"] == found["mean absolute deviation"] == 0.25
    assert found["variance"] == 0.0625
    assert found["skewness"] == pytest.approx(0, abs=1e-9)
    assert found["kurtosis"] == pytest.approx(1)
    assert found["entropy"] == 1
    assert found["uniformity"] == 0.5
    assert found["range"] == found["interquartile range"] == 0.5
    assert found["root mean square"] == pytest.approx(np.sqrt((0.25**2 + 0.75**2) / 2))
    assert len(found) == 19


def test_greys_of_one_value_have_no_spread_and_no_form() -> None:
    found = describe_greys(np.full(100, 0.4))
    assert found["mean"] == pytest.approx(0.4)
    assert found["sd"] == pytest.approx(0, abs=1e-9)
    assert found["skewness"] == found["kurtosis"] == found["entropy"] == found["range"] == 0
    assert found["uniformity"] == 1
    assert set(describe_greys(np.empty(0)).values()) == {0.0}


def test_differences_are_lesion_minus_ring_and_turning_changes_nothing() -> None:
    pixels = rough(2) * bright(ODD)
    found = measure_greys(find_regions(pixels, ODD))
    assert len(found) == 57
    assert found["difference mean"] == found["lesion mean"] - found["ring mean"] > 0
    turned = measure_greys(find_regions(np.rot90(pixels).copy(), np.rot90(ODD).copy()))
    assert turned == pytest.approx(found, rel=1e-6)
