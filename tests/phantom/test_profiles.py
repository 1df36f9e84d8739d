"""Every profile can be written and shown as its numbers say."""

from __future__ import annotations

import pytest

from fourview.exam import SetupError
from fourview.phantom.profiles import PROFILES, Profile, find_profile

ALL = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@ALL
def test_air_lies_below_all_tissue_and_the_stored_range_is_mostly_tissue(profile: Profile) -> None:
    assert 8 <= profile.bits <= 14
    assert 0 <= profile.pedestal < profile.darkest < 0.1 * profile.white
    assert (profile.noise is None) == (profile.name in ("plain", "film"))


@ALL
def test_windows_and_tables_lie_in_the_stored_range(profile: Profile) -> None:
    assert bool(profile.windows) != profile.film
    for window in profile.windows:
        assert profile.window_jitter < window.centre < profile.white - profile.window_jitter
        assert 0.4 * profile.white < window.width <= profile.white + 1
    if profile.table is not None:
        assert 0 <= profile.table.first < profile.table.last <= profile.white


@pytest.mark.parametrize(
    ("name", "rows", "cols", "pixel_mm"),
    [
        ("plain", 3328, 2560, 0.07),
        ("dimensions", 3328, 2560, 0.07),
        ("selenia", 4096, 3328, 0.07),
        ("inspiration", 3518, 2800, 0.085),
        ("senographe", 2294, 1914, 0.1),
        ("film", 1200, 900, 0.2),
    ],
)
def test_grids_are_those_of_real_units_and_shrink_with_the_scale(
    name: str, rows: int, cols: int, pixel_mm: float
) -> None:
    profile = find_profile(name)
    assert profile.grid(1) == ((rows, cols), pixel_mm)
    shape, coarse_mm = profile.grid(0.25)
    assert coarse_mm == 4 * pixel_mm
    assert abs(shape[0] * coarse_mm - rows * pixel_mm) < coarse_mm
    assert abs(shape[1] * coarse_mm - cols * pixel_mm) < coarse_mm


def test_together_the_profiles_hold_every_variation() -> None:
    digital = [profile for profile in PROFILES.values() if not profile.film]
    assert {profile.photometric for profile in digital} == {"MONOCHROME1", "MONOCHROME2"}
    assert {profile.bits for profile in digital} == {10, 12, 14}
    assert {profile.window_function for profile in digital} == {"LINEAR", "SIGMOID"}
    for trait in ("table", "padding", "pedestal", "air_noise", "mirrored_share", "ball_share", "marker_share"):
        assert {bool(getattr(profile, trait)) for profile in digital} == {True, False}, trait


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(SetupError, match=r"found profile 'ct', need one of plain, .*film"):
        find_profile("ct")
