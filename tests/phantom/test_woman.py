"""Women differ as the sources say: density falls with age, dense breasts are smaller, two breasts are siblings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fourview.exam import SetupError, Side
from fourview.phantom.woman import DENSITIES, Woman, draw_breast, draw_density, draw_woman

FIELD_MM = (233.0, 179.2)


@pytest.fixture(scope="module")
def women() -> list[Woman]:
    return [draw_woman(np.random.default_rng([n, 1])) for n in range(1500)]


def test_dense_breasts_are_as_common_at_each_age_as_in_the_surveillance_consortium() -> None:
    for age, published in ((42, 0.57), (57, 0.38), (72, 0.26)):
        rng = np.random.default_rng(age)
        dense = np.mean([draw_density(rng, age) in "cd" for _ in range(4000)])
        assert abs(dense - published) < 0.03


def test_area_falls_and_share_of_gland_rises_with_density(women: list[Woman]) -> None:
    area = [np.mean([0.73 * w.depth_mm * w.width_mm / 100 for w in women if w.density == d]) for d in DENSITIES]
    share = [np.mean([w.share for w in women if w.density == d]) for d in DENSITIES]
    assert area == sorted(area, reverse=True)
    assert share == sorted(share)
    # published means by BI-RADS category are 239, 156, 119 and 96 cm2; breasts on the films of public samples are
    # smaller, and the largest do not fit the field
    np.testing.assert_allclose(area[1:], [0.8 * 156, 0.8 * 119, 0.8 * 96], rtol=0.12)


def test_share_and_thickness_have_the_published_means(women: list[Woman]) -> None:
    share = np.array([w.share for w in women])
    assert 0.16 < share.mean() < 0.23  # 19.3 %
    assert np.mean(share < 0.45) > 0.93  # 95 %
    thickness = np.array([w.thickness_mm for w in women])
    assert 56 < thickness.mean() < 62
    assert 12 < thickness.std() < 17


def test_every_breast_fits_the_width_of_the_field_and_nearly_every_one_its_height(women: list[Woman]) -> None:
    assert max(w.depth_mm for w in women) < FIELD_MM[1] - 12
    assert np.mean([w.width_mm > FIELD_MM[0] for w in women]) < 0.02


def test_density_and_age_given_are_kept_and_the_rest_of_the_woman_does_not_change_with_age() -> None:
    young = draw_woman(np.random.default_rng(3), density="c", age=45)
    old = draw_woman(np.random.default_rng(3), density="c", age=51)
    assert (young.age, old.age, young.density) == (45, 51, "c")
    assert replace(old, age=45) == young


def test_an_unknown_density_is_refused() -> None:
    with pytest.raises(SetupError, match="density 'e'"):
        draw_woman(np.random.default_rng(1), density="e")  # type: ignore[arg-type]


def test_the_same_identity_gives_the_same_breast_and_its_sides_differ_a_little() -> None:
    woman = draw_woman(np.random.default_rng(5))
    first, again = (draw_breast(woman, Side.LEFT, identity=9) for _ in range(2))
    other = draw_breast(woman, Side.RIGHT, identity=9)
    np.testing.assert_array_equal(first.gland, again.gland)
    np.testing.assert_array_equal(first.curves["strands"].places, again.curves["strands"].places)
    assert first.traits == again.traits
    assert 0 < abs(first.traits.depth_mm / other.traits.depth_mm - 1) < 0.15
    assert first.nipple == other.nipple
