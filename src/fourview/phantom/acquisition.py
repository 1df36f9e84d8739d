"""Tissue -> the pixels of a file: blur, noise, grey curve, air, markers, direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import VIEWS, Direction, View
from fourview.phantom.detector import expose
from fourview.phantom.film import WHITE_DENSITY, develop, scan
from fourview.phantom.markers import Place, burn_ball, burn_brackets, burn_text, find_nipple, find_place, measure_text
from fourview.phantom.profiles import PROFILES, Profile

_BALL_MM = 1.2  # radius of the metal ball taped to the skin
_INITIALS = "PH"  # of nobody: where a technologist's stand


@dataclass(frozen=True)
class Setup:
    """What the images of one exam have in common. Drawn from the acquisition key: no label, no trait of the woman.

    mirrored      stored the other way round: left breasts pointing left
    lettered      view letters are burned in where the breast leaves room
    ball          a metal ball is taped to the nipple
    window_shift  stored values by which the first window is moved
    film_number   on the label of a film
    """

    profile: Profile = PROFILES["plain"]
    mirrored: bool = False
    lettered: bool = False
    ball: bool = False
    window_shift: int = 0
    film_number: int = 0


@dataclass(frozen=True, eq=False)
class Acquired:
    """One image as its file holds it.

    pixels   (rows, cols) uint16, of film uint8, in the direction of the file
    masks    for each finding (rows, cols) bool, the same way
    faces    where the nipple points in `pixels`
    texts    what is burned in
    partial  the breast is cut by the side of the image opposite the chest wall
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    masks: tuple[NDArray[np.bool_], ...]
    faces: Direction
    setup: Setup
    texts: tuple[str, ...] = ()
    partial: bool = False

    @property
    def profile(self) -> Profile:
        return self.setup.profile


def draw_setup(profile: Profile, key: Sequence[int]) -> Setup:
    """How the images of one exam are taken; the same key gives the same answers at every scale."""
    rng = np.random.default_rng([*key, 60])
    mirrored, lettered, ball = (
        rng.random(3) < (profile.mirrored_share, profile.marker_share, profile.ball_share)
    ).tolist()
    shift = round(rng.uniform(-1, 1) * profile.window_jitter)
    return Setup(profile, mirrored, lettered, ball, shift, int(rng.integers(10000)))


def acquire(
    tissue: NDArray[np.float32],
    breast: NDArray[np.bool_],
    masks: Sequence[NDArray[np.bool_]],
    *,
    view: View,
    profile: Profile,
    pixel_mm: float,
    key: Sequence[int],
) -> Acquired:
    """The image that this unit makes of the tissue, in the direction of its file.

    tissue    (rows, cols) brightness 0 to 1, linear in the logarithm of the exposure, free of noise; facing right.
              It is left as it is
    breast    (rows, cols) bool
    pixel_mm  of these arrays: the profile's own, or coarser at a smaller scale
    key       of the exam, the same for its four views; every choice and all noise come from it
    """
    setup = draw_setup(profile, key)
    view_key = [*key, VIEWS.index(view)]
    if profile.film:
        image: NDArray[Any] = develop(tissue, breast, profile=profile, pixel_mm=pixel_mm, key=view_key)
    else:
        image = _digitise(tissue, breast, profile, pixel_mm=pixel_mm, key=view_key)
    flipped = view.usual_direction == "left"
    image, masks = _mirror(image, flipped), [_mirror(mask & breast, flipped) for mask in masks]
    white = WHITE_DENSITY if profile.film else profile.white
    rng = np.random.default_rng([*view_key, 61])
    if setup.ball:
        row, col = find_nipple(breast)
        # in contact films the ball is seen on the skin line or just beside it
        row, col = row + rng.normal(0, 1.0) / pixel_mm, col + rng.uniform(-1.5, 1.5) / pixel_mm
        burn_ball(image, row, image.shape[1] - 1 - col if flipped else col, _BALL_MM / pixel_mm, white)
    texts = (
        _burn_letters(image, breast, view, profile, white=white, pixel_mm=pixel_mm, rng=rng) if setup.lettered else ()
    )
    if profile.film:
        image, on_film, label = scan(
            image,
            _mirror(breast, flipped),
            label=f"SYNTHETIC {setup.film_number:04d}",
            flipped=flipped,
            pixel_mm=pixel_mm,
            key=view_key,
        )
        masks, texts = [mask & on_film for mask in masks], (*texts, *label)
    if profile.photometric == "MONOCHROME1":
        image = np.subtract(np.uint16(profile.white), image)
    usual = view.usual_direction
    other: Direction = "left" if usual == "right" else "right"
    return Acquired(
        np.ascontiguousarray(_mirror(image, setup.mirrored)),
        tuple(np.ascontiguousarray(_mirror(mask, setup.mirrored)) for mask in masks),
        other if setup.mirrored else usual,
        setup,
        texts,
        partial=bool(breast[:, -1].any()),
    )


def read_stored(pixels: NDArray[Any], profile: Profile) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The pixels as a reader hands them on: bright is dense, air exactly 0, stretched to 16 bits; film as it is.

    pixels  as Acquired holds them
    """
    if profile.film:
        return np.asarray(pixels, np.uint8)
    codes = np.arange(profile.white + 1)
    bright = profile.white - codes if profile.photometric == "MONOCHROME1" else codes
    scaled = np.rint(np.maximum(bright - profile.pedestal, 0) * (65535 / profile.white))
    return np.asarray(np.where(bright < profile.darkest, 0, scaled).astype(np.uint16)[pixels])


def _digitise(
    tissue: NDArray[np.float32], breast: NDArray[np.bool_], profile: Profile, *, pixel_mm: float, key: Sequence[int]
) -> NDArray[np.uint16]:
    """(rows, cols) uint16: stored brightness, air at the pedestal; facing right."""
    rng = np.random.default_rng([*key, 50])
    if profile.noise is None:
        light = tissue * (1 + np.float32(profile.speckle) * rng.standard_normal(tissue.shape, dtype=np.float32))
        codes = _store(light, profile)
    else:
        codes = np.zeros(tissue.shape, np.uint16)
        rows, cols = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
        if rows.size:  # air needs no noise of its own: only the breast is exposed
            box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
            light = expose(
                tissue[box],
                noise=profile.noise,
                blur_mm=profile.blur_mm,
                pixel_mm=pixel_mm,
                fine_mm=profile.pixel_mm,
                rng=rng,
            )
            codes[box] = _store(_bend(light, profile), profile)
    if profile.air_noise:
        air = rng.normal(0.4 * profile.air_noise, 0.15 * profile.air_noise, tissue.shape)
        np.copyto(
            codes, np.rint(np.clip(air, 0, profile.air_noise) + profile.pedestal).astype(np.uint16), where=~breast
        )
    else:
        codes[~breast] = profile.pedestal
    return codes


def _bend(light: NDArray[np.float32], profile: Profile) -> NDArray[np.float32]:
    """The grey curve of the unit."""
    steep, middle = profile.curve.steepness, profile.curve.middle
    if not steep:
        return light
    bottom, top = (1 / (1 + np.exp(-steep * (end - middle))) for end in (0.0, 1.0))
    bent = np.exp(np.float32(-steep) * (light - np.float32(middle)))
    bent += 1
    np.divide(1, bent, out=bent)
    bent -= np.float32(bottom)
    bent *= np.float32(1 / (top - bottom))
    return np.asarray(bent, np.float32)


def _store(share: NDArray[np.float32], profile: Profile) -> NDArray[np.uint16]:
    """Shares of the stored range as integers, none as dark as air."""
    values = np.rint(share * np.float32(profile.white - profile.pedestal)) + np.float32(profile.pedestal)
    return np.asarray(np.clip(values, profile.darkest, profile.white).astype(np.uint16))


def _burn_letters(
    image: NDArray[Any],
    breast: NDArray[np.bool_],
    view: View,
    profile: Profile,
    *,
    white: float,
    pixel_mm: float,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Writes the view (LCC ...) where there is room, and gives what was written. breast  facing right."""
    height, text = profile.marker_mm, view.value.replace("-", "")
    width, mm = measure_text(text, height), 1 / pixel_mm
    framed = profile.markers == "brackets"
    angle = rng.normal(0, 8.0) if profile.film else 0.0  # lead letters on a cassette are laid by hand
    lean = abs(np.sin(np.deg2rad(angle)))
    box_mm = (1.7 * height, width + 1.9 * height) if framed else (height + width * lean, width + height * lean)
    place = find_place(breast, box_mm, pixel_mm=pixel_mm, rng=rng)
    if place is None:
        return ()
    if view.usual_direction == "left":
        place = place.mirror(image.shape[1])
    if not framed:
        burn_text(image, text, Place(place.row, place.col, height * mm, width * mm, angle), white)
        return (text,)
    burn_brackets(image, place, white)
    burn_text(image, text, Place(place.row, place.col + 0.4 * height * mm, height * mm, width * mm), white)
    for number, letter in enumerate(_INITIALS):  # small, one below the other
        small = 0.45 * height * mm
        row = place.row + (number - 0.5) * 1.5 * small
        burn_text(image, letter, Place(row, place.col - place.width / 2 + 0.8 * small, small, small), white)
    return text, _INITIALS


def _mirror(image: NDArray[Any], flipped: bool) -> NDArray[Any]:
    return image[:, ::-1] if flipped else image
