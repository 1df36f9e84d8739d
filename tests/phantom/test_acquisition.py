"""What a unit makes of tissue: grey values, air, noise, markers and direction; from the key and never from a label."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.exam import VIEWS, View
from fourview.phantom.acquisition import Acquired, acquire, draw_setup, read_stored
from fourview.phantom.markers import Place, burn_text
from fourview.phantom.profiles import PROFILES, Profile
from tests.phantom.slab import even_tissue, half_ellipse, stepped_tissue

DIGITAL = [profile for profile in PROFILES.values() if not profile.film]
NOISY = [profile for profile in DIGITAL if profile.noise]
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
each_digital = pytest.mark.parametrize("profile", DIGITAL, ids=lambda p: p.name)
each_noisy = pytest.mark.parametrize("profile", NOISY, ids=lambda p: p.name)


def take(
    profile: Profile, *, view: View = View.L_CC, brightness: float = 0.3, scale: float = 0.1, key: int = 1
) -> tuple[Acquired, NDArray[np.bool_]]:
    breast, pixel_mm = half_ellipse(profile, scale)
    tissue = even_tissue(breast, brightness)
    return acquire(tissue, breast, (), view=view, profile=profile, pixel_mm=pixel_mm, key=[key]), breast


def always(profile: Profile, **shares: float) -> Profile:
    """The profile with its optional parts off, except for these."""
    return replace(profile, **{"marker_share": 0.0, "ball_share": 0.0, "mirrored_share": 0.0, **shares})


def noise_of(profile: Profile, brightness: float, size: int, pixel_mm: float, key: int) -> NDArray[np.float64]:
    """(size, size) stored brightness of even tissue that fills the image, as a share of white."""
    breast = np.ones((size, size), np.bool_)
    options = {"view": View.L_CC, "profile": always(profile), "pixel_mm": pixel_mm, "key": [key]}
    taken = acquire(even_tissue(breast, brightness), breast, (), **options)
    return read_stored(taken.pixels, profile) / 65535


def test_plain_is_a_straight_line_with_three_percent_noise_on_air_of_exactly_zero() -> None:
    breast, pixel_mm = half_ellipse(PROFILES["plain"], 0.1)
    tissue = stepped_tissue(breast)
    taken = acquire(tissue, breast, (), view=View.R_CC, profile=PROFILES["plain"], pixel_mm=pixel_mm, key=[7, 3])
    noise = np.random.default_rng([7, 3, 1, 50]).standard_normal(breast.shape, dtype=np.float32)
    expected = np.clip(np.rint(tissue * (1 + np.float32(0.03) * noise) * 4095), 1, 4095)
    np.testing.assert_array_equal(taken.pixels, np.where(breast, expected, 0)[:, ::-1])
    assert taken.pixels.dtype == np.uint16
    assert (taken.faces, taken.texts, taken.partial) == ("left", (), False)


@each_digital
def test_denser_tissue_is_brighter_and_air_is_zero_once_it_is_read(profile: Profile) -> None:
    breast, pixel_mm = half_ellipse(profile, 0.1)
    tissue = stepped_tissue(breast)
    taken = acquire(tissue, breast, (), view=View.L_CC, profile=always(profile), pixel_mm=pixel_mm, key=[1])
    assert int(taken.pixels.max()) <= profile.white
    pixels = read_stored(taken.pixels, profile)
    assert not pixels[~breast].any()
    assert pixels[breast].all()
    inside = cv2.erode(breast.astype(np.uint8), np.ones((5, 5))) > 0
    means = [pixels[inside & (tissue == step)].mean() for step in np.unique(tissue)]
    assert (np.diff(means) > 1500).all()
    assert means[0] < 0.2 * 65535 < 0.8 * 65535 < means[-1]


@each_profile
def test_the_same_key_gives_the_same_bytes_and_another_key_other_noise(profile: Profile) -> None:
    first, again, other = take(profile)[0], take(profile)[0], take(profile, key=2)[0]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_each_view_has_noise_of_its_own() -> None:
    views = [take(always(PROFILES["selenia"]), view=view)[0] for view in VIEWS]
    facing_right = [image.pixels if image.faces == "right" else image.pixels[:, ::-1] for image in views]
    for n, image in enumerate(facing_right):
        for other in facing_right[:n]:
            assert (image != other)[image > 0].mean() > 0.9


@each_noisy
def test_a_quarter_scale_image_has_the_noise_of_a_binned_full_scale_one(profile: Profile) -> None:
    fine = noise_of(profile, 0.3, 512, profile.pixel_mm, 1)
    binned = cv2.resize(fine, (128, 128), interpolation=cv2.INTER_AREA)
    coarse = noise_of(profile, 0.3, 128, 4 * profile.pixel_mm, 2)
    assert coarse.std() == pytest.approx(binned.std(), rel=0.04)
    assert coarse.mean() == pytest.approx(binned.mean(), rel=0.01)
    assert fine.std() > 2 * coarse.std()


@each_noisy
def test_noise_grows_where_fewer_photons_arrive(profile: Profile) -> None:
    curve_off = replace(profile, curve=replace(profile.curve, steepness=0.0))
    thin, dense = (noise_of(curve_off, t, 256, profile.pixel_mm, 3).std() for t in (0.15, 0.6))
    expected = np.exp(profile.noise.attenuation * 0.45 / 2)
    assert 0.95 * expected < dense / thin < 1.4 * expected  # read-out noise grows faster


def test_photon_noise_is_correlated_through_the_blur_of_the_detector() -> None:
    def neighbours(profile: Profile) -> float:
        noise = noise_of(profile, 0.3, 256, profile.pixel_mm, 4)
        noise = noise - noise.mean()
        return float((noise[:, 1:] * noise[:, :-1]).mean() / (noise**2).mean())

    assert abs(neighbours(PROFILES["plain"])) < 0.02
    sharp = neighbours(replace(PROFILES["selenia"], blur_mm=0.0))
    assert abs(sharp) < 0.02
    assert 0.1 < neighbours(PROFILES["selenia"]) < neighbours(PROFILES["senographe"]) < 0.5


@pytest.mark.parametrize(
    ("brightness", "real"),
    # medians of 64-pixel squares of five public 12-bit images of 0.07 mm (two exams), share of white squared mm²
    [(0.15, 2.9e-6), (0.27, 7e-6), (0.45, 1.1e-5)],
)
@each_noisy
def test_noise_between_3_and_4_cycles_per_mm_has_the_power_of_real_images(
    profile: Profile, brightness: float, real: float
) -> None:
    wanted = np.linspace(0, 1, 201)
    seen = np.array([noise_of(replace(profile, noise=replace(profile.noise, quantum_mm2=0, electronic_mm2=0)), t, 4,
                              profile.pixel_mm, 1).mean() for t in wanted])  # fmt: skip
    noise = noise_of(profile, float(np.interp(brightness, seen, wanted)), 256, profile.pixel_mm, 5)
    power = np.abs(np.fft.fft2(noise - noise.mean())) ** 2 / noise.size * profile.pixel_mm**2
    f = np.fft.fftfreq(256, profile.pixel_mm)
    radius = np.hypot(f[:, None], f[None, :])
    assert 0.45 * real < power[(radius > 3) & (radius < 4)].mean() < 2 * real


def test_choices_come_from_the_key_alone_and_as_often_as_the_profile_says() -> None:
    profile = PROFILES["inspiration"]
    setups = [draw_setup(profile, [key]) for key in range(2000)]
    for share, found in (
        (profile.mirrored_share, [setup.mirrored for setup in setups]),
        (profile.marker_share, [setup.lettered for setup in setups]),
        (profile.ball_share, [setup.ball for setup in setups]),
    ):
        assert abs(np.mean(found) - share) < 0.04
    shifts = [setup.window_shift for setup in setups]
    assert (min(shifts), max(shifts)) == (-profile.window_jitter, profile.window_jitter)
    for brightness in (0.1, 0.7):
        assert take(profile, key=5, brightness=brightness)[0].setup == setups[5]
    assert {draw_setup(PROFILES["plain"], [key]) for key in range(50)} == {
        replace(draw_setup(PROFILES["plain"], [0]), film_number=draw_setup(PROFILES["plain"], [k]).film_number)
        for k in range(50)
    }


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["dimensions", "selenia", "inspiration", "senographe"])
def test_view_letters_stand_beside_the_breast_away_from_the_chest_wall_and_can_be_read(name: str, view: View) -> None:
    profile = PROFILES[name]
    bare, breast = take(always(profile), view=view, scale=0.25)
    lettered, _ = take(always(profile, marker_share=1.0), view=view, scale=0.25)
    assert lettered.texts[0] == view.value.replace("-", "")
    changed = lettered.pixels != bare.pixels
    breast = breast if bare.faces == "right" else breast[:, ::-1]
    assert not (changed & breast).any()
    rows, cols = np.nonzero(changed)
    middle = cols.mean() / changed.shape[1]
    assert (middle if bare.faces == "right" else 1 - middle) > 0.6
    assert rows.mean() < 0.4 * changed.shape[0]
    white = 0 if profile.photometric == "MONOCHROME1" else profile.white
    assert (lettered.pixels[changed] == white).any()
    # the same letters drawn on an empty canvas agree with what is seen, their mirror image does not
    mm = 1 / (4 * profile.pixel_mm)
    seen = changed[rows.min() - 2 : rows.max() + 3, cols.min() - 2 : cols.max() + 3].astype(np.float32)
    canvas = np.zeros((round(profile.marker_mm * mm) + 1, round(4 * profile.marker_mm * mm)), np.float32)
    height = profile.marker_mm * mm
    burn_text(canvas, lettered.texts[0], Place(canvas.shape[0] / 2, canvas.shape[1] / 2, height, 0), 1.0)
    letters = canvas[:, canvas.any(axis=0)]
    seen = np.pad(seen, 8)
    as_is = cv2.matchTemplate(seen, letters, cv2.TM_CCOEFF_NORMED).max()
    mirrored = cv2.matchTemplate(seen, np.ascontiguousarray(letters[:, ::-1]), cv2.TM_CCOEFF_NORMED).max()
    assert as_is > 0.6
    assert as_is > mirrored + 0.1


def test_no_letters_are_written_where_the_breast_leaves_no_room() -> None:
    profile = always(PROFILES["selenia"], marker_share=1.0)
    breast = np.ones((200, 160), np.bool_)
    taken = acquire(even_tissue(breast, 0.3), breast, (), view=View.L_CC, profile=profile, pixel_mm=1.4, key=[1])
    assert taken.texts == ()
    assert taken.partial


@pytest.mark.parametrize("view", [View.L_CC, View.R_MLO])
def test_a_metal_ball_lies_at_the_nipple(view: View) -> None:
    profile = PROFILES["selenia"]
    bare, breast = take(always(profile), view=view, scale=0.25)
    balled, _ = take(always(profile, ball_share=1.0), view=view, scale=0.25)
    rows, cols = np.nonzero(balled.pixels == profile.white)
    assert not np.array_equal(bare.pixels, balled.pixels)
    mm = 4 * profile.pixel_mm
    assert 1.5 < rows.size * mm**2 < 5.5  # pi * 1.2² mm²
    nipple_col = np.flatnonzero(breast.any(axis=0)).max()
    nipple_col = nipple_col if balled.faces == "right" else breast.shape[1] - 1 - nipple_col
    assert abs(cols.mean() - nipple_col) * mm < 3
    assert abs(rows.mean() - breast.shape[0] / 2) * mm < 4


def test_a_mirrored_exam_is_the_exact_mirror_image_masks_and_letters_included() -> None:
    profile = PROFILES["inspiration"]
    breast, pixel_mm = half_ellipse(profile, 0.1)
    tissue, mask = stepped_tissue(breast), np.zeros_like(breast)
    mask[150:160, 20:50] = True
    usual, mirrored = (
        acquire(
            tissue,
            breast,
            [mask],
            view=View.R_MLO,
            profile=always(profile, marker_share=1.0, mirrored_share=share),
            pixel_mm=pixel_mm,
            key=[3],
        )
        for share in (0.0, 1.0)
    )
    assert (usual.faces, mirrored.faces) == ("left", "right")
    np.testing.assert_array_equal(usual.pixels[:, ::-1], mirrored.pixels)
    np.testing.assert_array_equal(mirrored.masks[0], mask & breast)
    np.testing.assert_array_equal(usual.masks[0], (mask & breast)[:, ::-1])


def test_monochrome1_holds_the_same_image_upside_down_in_grey() -> None:
    inverse = always(PROFILES["dimensions"])
    upright = replace(inverse, photometric="MONOCHROME2")
    a, b = take(inverse)[0], take(upright)[0]
    np.testing.assert_array_equal(a.pixels, 16383 - b.pixels)
    np.testing.assert_array_equal(read_stored(a.pixels, inverse), read_stored(b.pixels, upright))


@each_profile
def test_tissue_and_masks_are_left_as_they_were(profile: Profile) -> None:
    breast, pixel_mm = half_ellipse(profile, 0.1)
    tissue, mask = stepped_tissue(breast), breast.copy()
    before = tissue.copy(), breast.copy(), mask.copy()
    acquire(tissue, breast, [mask], view=View.R_CC, profile=profile, pixel_mm=pixel_mm, key=[1])
    for now, then in zip((tissue, breast, mask), before, strict=True):
        np.testing.assert_array_equal(now, then)
