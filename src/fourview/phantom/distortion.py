"""An architectural distortion: tissue drawn to a point, lines that radiate from it, and no mass in the middle."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView, lay_strokes, push_about, soften, uneven
from fourview.phantom.solid import draw_directions

REACH = 2.6  # radii
_LINES = {"spiculated": 48, "ill defined": 26, None: 14}


def pull_tissue(
    tissue: Image, local: LocalView, *, margin: str | None, radius_mm: float, contrast: float, key: int
) -> tuple[Image, NDArray[np.bool_]]:
    """(the window as it looks afterwards, the pulled core), both (n, n).

    tissue    the window as it was
    margin    "spiculated": many long lines; "ill defined": fewer and fainter ones; None: only what the tissue gives
    contrast  brightness of the added lines near the core
    """
    rng = np.random.default_rng([key, 3])
    radius = local.distance_mm / np.float32(radius_mm)
    pulled = _smear(tissue, local, radius, radius_mm=radius_mm, rng=rng)
    n = _LINES[margin]
    ways = draw_directions(rng, n, jitter=0.6)
    long = rng.uniform(0.7, 2.3, n) * radius_mm
    start = rng.uniform(0.12, 0.7, n) * radius_mm
    bend = np.cross(ways, rng.standard_normal((n, 3))) * (rng.normal(0, 0.18, n) * long)[:, None]
    t = np.linspace(0, 1, 14)
    points = (start[:, None] + t * long[:, None])[:, :, None] * ways[:, None, :] + (t**2)[None, :, None] * bend[:, None]
    points += rng.normal(0, 0.12 * radius_mm, (n, 1, 3))  # they do not meet in one point
    width = rng.uniform(0.25, 0.8, n)[:, None] * (1 - 0.6 * t)
    light = contrast * rng.uniform(0.2, 0.65, n)[:, None] * np.minimum(1, 5 * t) * (1 - t) ** 0.7
    light *= (26 / n) ** 0.3  # many lines are not brighter in sum than few
    light *= np.clip(0.75 + 0.35 * np.repeat(rng.standard_normal((n, 7)), 2, axis=1), 0.2, 1.3)
    lines = np.zeros((local.n, local.n), np.float32)
    lay_strokes(lines, local, points, width_mm=width, light=light)
    # where many lines cross it would look like a mass: the middle of a distortion is not denser than its arms
    crossing = soften(lines, local, sigma_mm=0.3 * radius_mm)
    lines = lines / (1 + crossing / np.float32(0.35 * contrast))
    return pulled + lines, radius <= 1


def _smear(tissue: Image, local: LocalView, radius: Image, *, radius_mm: float, rng: np.random.Generator) -> Image:
    """Fine structure becomes radial: it is smeared along the rays, and gathered towards the middle."""
    coarse = soften(tissue, local, sigma_mm=0.35 * radius_mm)
    fine = tissue - coarse
    reach = local.n / 2
    rays, steps = int(np.clip(4.0 * reach, 180, 1440)), max(24, int(reach))
    polar = cv2.warpPolar(fine, (steps, rays), local.middle, reach, cv2.WARP_POLAR_LINEAR | cv2.INTER_LINEAR)
    along = max(3, 2 * int(0.35 * radius_mm / local.pixel_mm * steps / reach) + 1)
    polar = cv2.blur(np.concatenate([polar[-2:], polar, polar[:2]]), (along, 1))[2:-2]
    flags = cv2.WARP_POLAR_LINEAR | cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    radial: Image = np.asarray(cv2.warpPolar(polar, (local.n, local.n), local.middle, reach, flags), np.float32)
    edge = np.clip((np.float32(REACH) - radius) / np.float32(0.7), 0, 1)
    radial = np.where(edge > 0, radial, np.float32(0))
    radial = push_about(radial, local, rng, by_mm=0.10 * radius_mm, cell_mm=0.9 * radius_mm)
    rough = uneven(local, rng, cell_mm=0.9 * radius_mm)
    share = edge * np.exp(-((radius / (np.float32(1.05) + np.float32(0.3) * np.clip(rough, -1.5, 1.5))) ** 2))
    # the rays end before they meet; a smeared pattern has lost contrast, while pulled strands are as thick as before
    ends = 1 - np.exp(-((radius / np.float32(0.12)) ** 2))
    return np.asarray(
        coarse + fine * (1 - np.float32(0.85) * share) + np.float32(1.3) * share * ends * radial, np.float32
    )
