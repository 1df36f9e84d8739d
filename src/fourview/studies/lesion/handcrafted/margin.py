"""A lesion's margin in numbers: how sharp, how even, and whether what crosses it runs outwards.

Methods. Acutance: Rangayyan et al. 1997, differences across the outline along its normals. Radial gradient index:
Kupinski and Giger 1998. Gradients against the radius: Huo et al. 1995. Lines that run outwards: Karssemeijer and te
Brake 1996, from second derivatives. The outline says where to look; all else is read from the pixels. The skin line
is as sharp as any margin, so what lies close to the background is not searched for lines.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from fourview.studies.lesion.handcrafted.regions import Regions

Floats = NDArray[np.float64]
_EDGE_PX = 1.5  # smoothing before gradients
_LINES_PX = (1.5, 3.0)  # half widths of lines
_REACH = 0.2  # equivalent radii to either side that acutance looks at
_WEAK = 0.25  # of the sharpest tenth of the outline: less is where the margin is lost
_FAINT = 1e-3  # greys per px squared: lines that are weaker than this say little about where lines point
_TINY = 1e-9
CHANCE = 0.5  # share of directions that are radial where none is preferred


def measure_margin(regions: Regions) -> dict[str, float]:
    """Name -> number; turned or mirrored crops give the same, but for the sampling of the border.

    Of a patch with one grey value there is no sharpness and no contrast, and no direction is preferred (CHANCE).
    """
    down, right = _gradient(regions.pixels, _EDGE_PX)
    size = np.hypot(down, right)
    y, x = _directions(regions)  # towards the middle
    inwards, across = down * y + right * x, down * x - right * y
    border = np.abs(regions.depth) <= 1.5  # the pixels that touch it
    outside = regions.ring & (regions.depth < -_EDGE_PX) & _is_far_from_background(regions.pixels, _EDGE_PX)
    return {
        **_measure_sharpness(regions),
        "radial gradient index": float(inwards[border].sum() / max(float(size[border].sum()), _TINY)),
        "radial gradient, margin": float(inwards[regions.margin].sum() / max(float(size[regions.margin].sum()), _TINY)),
        "gradient angle": _mean_angle(inwards[regions.margin], across[regions.margin]),
        "spiculation, gradients": measure_across(across[outside], size[outside]),
        **{f"spiculation, lines of {width:g} px": _share_of_lines(regions, y, x, width) for width in _LINES_PX},
        **_measure_contrast(regions),
    }


def measure_across(across: Floats, size: Floats) -> float:
    """Share of gradients that run along the outline, as those of lines that run outwards do; CHANCE without any."""
    total = float((size**2).sum())
    return float((across**2).sum() / total) if total > _TINY**2 else CHANCE


def find_sharpness(regions: Regions) -> Floats:
    """(points of the outline,) how much brighter it is inside than outside, per pixel, along the normal."""
    points = regions.outline.points
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), _TINY)[:, None]
    swept = float((points[:, 0] * np.roll(points[:, 1], -1) - points[:, 1] * np.roll(points[:, 0], -1)).sum())
    inwards = normals if swept > 0 else -normals
    steps = np.arange(1, max(2, round(_REACH * regions.outline.radius)) + 1)
    pairs = ((_look(regions, points + k * inwards), _look(regions, points - k * inwards), k) for k in steps)
    return np.asarray(np.mean([(inner - outer) / (2 * k) for inner, outer, k in pairs], axis=0), np.float64)


def _measure_sharpness(regions: Regions) -> dict[str, float]:
    sharp = find_sharpness(regions)
    strong = float(np.percentile(np.abs(sharp), 90))
    return {
        "acutance": float(np.sqrt((sharp**2).mean())),
        "sharpness mean": float(sharp.mean()),
        "sharpness sd": float(sharp.std()),
        "lost share": float((np.abs(sharp) < _WEAK * strong).mean()) if strong > _TINY else 1.0,
    }


def _look(regions: Regions, points: Floats) -> Floats:
    """(points,) greys between pixels."""
    return np.asarray(map_coordinates(regions.pixels, points.T[::-1], order=1, mode="nearest"), np.float64)


def _gradient(pixels: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Downwards and to the right, of the smoothed greys."""
    return tuple(gaussian_filter(pixels, sigma, order=order) for order in ((1, 0), (0, 1)))  # type: ignore[return-value]


def _is_far_from_background(pixels: Floats, sigma: float) -> NDArray[np.bool_]:
    """(rows, cols) where greys that are smoothed that much know nothing of the background."""
    tissue = pixels > 0
    if tissue.all():
        return tissue
    return np.asarray(distance_transform_edt(tissue) > 3 * sigma, np.bool_)


def _directions(regions: Regions) -> tuple[Floats, Floats]:
    """Unit vectors (down, right) from every pixel to the lesion's middle."""
    rows, cols = np.indices(regions.pixels.shape)
    x, y = regions.outline.centre[0] - cols, regions.outline.centre[1] - rows
    far = np.maximum(np.hypot(x, y), _TINY)
    return y / far, x / far


def _mean_angle(inwards: Floats, across: Floats) -> float:
    """Between gradient and the direction to the middle, degrees, weighted by the gradient; 90 without any."""
    size = np.hypot(inwards, across)
    if float(size.sum()) <= _TINY:
        return 90.0
    return float(np.degrees(np.average(np.arctan2(np.abs(across), inwards), weights=size)))


def _share_of_lines(regions: Regions, y: Floats, x: Floats, sigma: float) -> float:
    """How far bright lines outside point to the middle: the mean squared cosine, weighted by their strength; CHANCE: as
    often as not. A line's direction is that of the smaller curvature of the smoothed greys."""
    pixels = regions.pixels
    where = regions.ring & (regions.depth < -_EDGE_PX) & _is_far_from_background(pixels, sigma)
    curves = {
        (a, b): gaussian_filter(pixels, sigma, order=(a, b)) for a, b in product(range(3), repeat=2) if a + b == 2
    }
    down, mixed, right = curves[2, 0][where], curves[1, 1][where], curves[0, 2][where]
    middle, half = (down + right) / 2, np.hypot((down - right) / 2, mixed)
    strength = np.maximum(-(middle - half) - np.abs(middle + half), 0)  # bent one way alone, and bright
    if not len(strength):
        return CHANCE
    # curvature along (y, x) is middle + half cos(2 angle to the flat direction)
    own = down * y[where] ** 2 + 2 * mixed * y[where] * x[where] + right * x[where] ** 2
    flat = np.clip((own - middle) / np.maximum(half, _TINY), -1, 1)
    share = strength * (1 + flat) / 2 + _FAINT * CHANCE
    return float(share.sum() / (strength + _FAINT).sum())


def _measure_contrast(regions: Regions) -> dict[str, float]:
    pixels = regions.pixels
    inner, outer = pixels[regions.lesion], pixels[regions.ring]
    rim_in = pixels[regions.margin & regions.lesion]
    rim_out = pixels[regions.margin & regions.ring]
    if not len(outer):
        return dict.fromkeys(("ring contrast", "ring contrast, in sd", "margin contrast"), 0.0)
    difference = float(inner.mean() - outer.mean())
    spread = float(np.hypot(inner.std(), outer.std()))
    at_rim = float(rim_in.mean() - rim_out.mean()) if len(rim_in) and len(rim_out) else 0.0
    return {
        "ring contrast": difference,
        "ring contrast, in sd": difference / spread if spread > _TINY else 0.0,
        "margin contrast": at_rim,
    }
