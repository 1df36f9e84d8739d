"""One image of one breast: gland, fat, septa, curves, muscle, findings and skin -> brightness, facing right."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.anatomy import project
from fourview.phantom.finding import PhantomFinding, paint_finding
from fourview.phantom.muscle import add_muscle
from fourview.phantom.outline import Outline
from fourview.phantom.skin import add_skin
from fourview.phantom.texture import draw_texture, lines
from fourview.phantom.woman import Breast

_GRID_MM = 0.28  # tissue is drawn at this pixel size; finer pixels add finer noise
_CURVE_MM = 0.14
_MAP_MM = 2.0
_FAT = 0.15  # brightness of fat alone
_CURVES = (
    ("web", 0.17, 0.13),
    ("strands", 0.19, 0.13),
    ("ligaments", 0.14, 0.13),
    ("ducts", 0.08, 0.3),
    ("vessels", 0.075, 0.35),
)  # brightness at most, softness in mm
Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def paint_breast(
    breast: Breast,
    outline: Outline,
    findings: Sequence[PhantomFinding],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    key: Sequence[int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[NDArray[np.bool_], ...]]:
    """Brightness (rows, cols) float32 in 0 to 1, the mask of the breast, and a mask for each visible finding.

    Facing right, chest wall at column 0; linear in log exposure, without noise; 0 outside the breast.
    findings  those with visible=False are left out: no paint, no mask
    key       seeds what is seen in this view only
    """
    times = max(1, round(_GRID_MM / pixel_mm))
    grid = (-(-shape[0] // times), -(-shape[1] // times))
    light, seen = (
        _enlarge(m, times, shape) for m in _tissue(breast, outline, grid, pixel_mm=pixel_mm * times, key=key)
    )
    times = max(1, round(_CURVE_MM / pixel_mm))
    grid = (-(-shape[0] // times), -(-shape[1] // times))
    seen *= _enlarge(_curves(breast, outline, grid, pixel_mm=pixel_mm * times), times, shape)
    light += seen
    if pixel_mm < 0.5 * _GRID_MM:
        _add_fine(light, key=[*key, 6])
    y_mm: NDArray[np.float64] = (np.arange(shape[0], dtype=np.float64) + 0.5) * pixel_mm
    x_mm = ((np.arange(shape[1]) + 0.5) * pixel_mm).astype(np.float32)
    inside: NDArray[np.bool_] = x_mm < outline.skin_x(y_mm).astype(np.float32)[:, None]
    masks = [
        paint_finding(light, finding, outline, pixel_mm=pixel_mm, view_key=[*key, 40])
        for finding in findings
        if finding.visible
    ]
    add_skin(light, inside, outline, breast.traits, pixel_mm=pixel_mm, key=[*key, 50])
    np.clip(light, 0, 1, out=light)
    light *= inside
    return light, inside, tuple(mask & inside for mask in masks)


def gland_share(breast: Breast, outline: Outline, shape: tuple[int, int], *, pixel_mm: float) -> NDArray[np.float32]:
    """(rows, cols) float32: the mean share of gland along the beam, without the detail that a view adds."""
    along, across = _locate(outline, shape, pixel_mm=pixel_mm)
    return _look_up(project(breast.gland, outline.tilt), along, across)


def _tissue(
    breast: Breast, outline: Outline, shape: tuple[int, int], *, pixel_mm: float, key: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness of fat, gland, septa and muscle in the full compressed thickness, and how well curves show."""
    along, across = _locate(outline, shape, pixel_mm=pixel_mm, warp_key=[*key, 1])
    depth_mm, half_mm = breast.traits.depth_mm, breast.traits.width_mm / 2
    gland = _look_up(project(breast.gland, outline.tilt), along, across)
    # millimetres along and across the breast, so that patterns turn towards the nipple, half as much as the breast does
    level = (np.arange(shape[0], dtype=np.float32) + np.float32(0.5)) * np.float32(pixel_mm)
    turn = np.clip(np.float32(1.1) - np.float32(1.1) * along, 0.06, 0.5)  # less where it would squeeze them into rays
    v = turn * across * np.float32(half_mm) + (1 - turn) * (np.float32(outline.nipple_y_mm) - level)[:, None]
    u, v = along * np.float32(depth_mm), v + np.float32(1.6 * half_mm)
    extent = (3.2 * half_mm, 1.3 * depth_mm)
    rough = draw_texture([*key, 2], extent, coarse_mm=18, fine_mm=pixel_mm, exponent=2.45).sample(u, v, stretch=1.3)
    medium = draw_texture([*key, 3], extent, coarse_mm=12, fine_mm=1.4).sample(u, v, stretch=1.5)
    small = draw_texture([*key, 4], extent, coarse_mm=4.5, fine_mm=1.0).sample(u, v, stretch=1.4)
    gland *= (along < 1.02) & (np.abs(across) < 1.05)
    before = float(gland.mean())
    gland, arcs, hollow = _press_lobules(gland, breast, outline, medium, pixel_mm=pixel_mm)
    gland *= np.float32(min(before / max(float(gland.mean()), 1e-6), 2.5))  # pushed aside, not taken away
    gland *= np.clip(np.float32(1) + np.float32(0.11) * rough, 0.2, 1.8)
    level_of_gland = np.float32(0.135 + 0.25 * min(breast.traits.share, 0.4))  # little gland is thin gland
    dense = np.float32(1) - np.exp(-(gland * gland) / (np.float32(0.045) + np.float32(0.26) * gland))
    septa = lines(medium, rough, width=0.18) + np.float32(0.6) * lines(small, medium, width=0.45)
    septa *= np.clip((np.float32(0.92) - along) * np.float32(8), 0, 1)  # too close to draw where they meet
    # fibres show best at the borders of gland, less in bare fat and within gland
    seen = np.clip(np.float32(0.6) + np.float32(0.3) * medium + np.float32(0.3) * small, 0.05, 1.4)
    seen *= np.float32(breast.traits.fibrous) * np.clip(np.float32(1) + np.float32(0.25) * rough, 0.3, 2)
    seen *= np.float32(0.85) + np.float32(1.0) * dense * (np.float32(1) - dense)
    light = np.float32(_FAT) + np.float32(0.034) * rough
    light -= np.float32(0.03) * np.minimum(hollow, 1.5)
    light += seen * (np.float32(0.05) * septa + np.float32(0.08) * arcs)
    light += dense * (
        level_of_gland + np.float32(0.035) * rough + np.float32(0.018) * medium + np.float32(0.008) * small
    )
    add_muscle(light, seen, outline, pixel_mm=pixel_mm, key=[*key, 5])
    return light, seen


def _curves(breast: Breast, outline: Outline, shape: tuple[int, int], *, pixel_mm: float) -> NDArray[np.float32]:
    drawn = np.zeros(shape, np.float32)
    fat = 1 - breast.traits.share
    for name, weight, soft_mm in _CURVES:
        # lobules of fat are wrapped in septa; within gland they are hard to tell
        light = np.float32(weight * (1.7 * fat**1.2 if name == "web" else 1))
        drawn += light * breast.curves[name].paint(outline, shape, pixel_mm=pixel_mm, soft_mm=soft_mm)
    return drawn


def _enlarge(coarse: NDArray[np.float32], times: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    if times == 1:
        return coarse
    size = (coarse.shape[1] * times, coarse.shape[0] * times)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]], np.float32)


def _locate(
    outline: Outline, shape: tuple[int, int], *, pixel_mm: float, warp_key: Sequence[int] | None = None
) -> Maps:
    """Depth and across of each pixel, shaken a little so that no border of tissue is smooth."""
    rows, cols = (int(np.ceil(n * pixel_mm / _MAP_MM)) + 1 for n in shape)
    y, x = np.mgrid[:rows, :cols] * _MAP_MM
    depth, across = outline.locate(x, y)
    maps = [depth.astype(np.float32), across.astype(np.float32)]
    if warp_key is not None:
        yy, xx = y.astype(np.float32), x.astype(np.float32)
        for n, size_mm in enumerate((outline.depth_mm, outline.reach_mm)):
            shake = draw_texture([*warp_key, n], (rows * _MAP_MM, cols * _MAP_MM), coarse_mm=16, fine_mm=_MAP_MM)
            maps[n] += np.float32(1.7 / size_mm) * shake.sample(xx, yy)
    to_map = np.array([[pixel_mm, 0, pixel_mm / 2], [0, pixel_mm, pixel_mm / 2]]) / _MAP_MM
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    along, over = (
        cv2.warpAffine(m, to_map, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE) for m in maps
    )
    return np.asarray(along, np.float32), np.asarray(over, np.float32)


def _look_up(
    projected: NDArray[np.float32], along: NDArray[np.float32], across: NDArray[np.float32]
) -> NDArray[np.float32]:
    rows, cols = projected.shape
    found = cv2.remap(
        projected,
        (across + np.float32(1)) * np.float32(cols / 2) - np.float32(0.5),
        along * np.float32(rows) - np.float32(0.5),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(np.clip(found, 0, 1), np.float32)


def _press_lobules(
    gland: NDArray[np.float32], breast: Breast, outline: Outline, uneven: NDArray[np.float32], *, pixel_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The gland with lobules of fat pressed into it, the rims of septa around them, and how much fat they hold.

    uneven  noise that keeps the lobules from being ellipses
    """
    lobules = breast.lobules
    arcs, hollow = np.zeros_like(gland), np.zeros_like(gland)
    x, y = outline.place(*lobules.places.T)
    filled = (3.5 - 3 * min(breast.traits.share, 0.4)) / breast.traits.thickness_mm  # of the gland along the beam
    for n in range(len(x)):
        long, wide, beam = lobules.radius_mm[n] if outline.angle == "CC" else lobules.radius_mm[n][[0, 2, 1]]
        reach = 1.15 * max(long, wide)
        top, left = int((y[n] - reach) / pixel_mm), int((x[n] - reach) / pixel_mm)
        bottom, right = int((y[n] + reach) / pixel_mm) + 2, int((x[n] + reach) / pixel_mm) + 2
        top, left = max(top, 0), max(left, 0)
        bottom, right = min(bottom, gland.shape[0]), min(right, gland.shape[1])
        if top >= bottom or left >= right:
            continue
        dy = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * pixel_mm - y[n]).astype(np.float32)[:, None]
        dx = ((np.arange(left, right, dtype=np.float32) + 0.5) * pixel_mm - x[n]).astype(np.float32)
        cos, sin = np.float32(np.cos(lobules.turn[n])), np.float32(np.sin(lobules.turn[n]))
        along, over = (cos * dx + sin * dy) / np.float32(long), (cos * dy - sin * dx) / np.float32(wide)
        square = along * along + over * over
        square *= np.maximum(1 + np.float32(0.20) * uneven[top:bottom, left:right], np.float32(0.3))
        chord = np.sqrt(np.maximum(1 - square, 0))
        push = np.float32(lobules.strength[n] * min(1, filled * beam))
        gland[top:bottom, left:right] *= 1 - push * chord * chord * (np.float32(2.4) - np.float32(1.4) * chord)
        # a thin rim, brightest where gland lies against it and to one side
        edge = np.maximum(0, 1 - np.abs(np.sqrt(square) - 1) * np.float32(0.5 * (long + wide) / 0.45))
        lit = np.float32(np.cos(7 * lobules.turn[n])), np.float32(np.sin(7 * lobules.turn[n]))
        side = np.clip(np.float32(0.22) + np.float32(0.4) * (along * lit[0] + over * lit[1]), 0, 0.6)
        rims = arcs[top:bottom, left:right]
        np.maximum(rims, edge * side * push, out=rims)
        hollow[top:bottom, left:right] += push * chord
    return gland, arcs, hollow


def _add_fine(light: NDArray[np.float32], *, key: Sequence[int]) -> None:
    """Adds what of the texture is finer than the grid that tissue is drawn on."""
    fresh = np.random.default_rng(key).standard_normal(light.shape, dtype=np.float32)
    rows, cols = light.shape
    half = np.random.default_rng([*key, 1]).standard_normal((-(-rows // 2), -(-cols // 2)), dtype=np.float32)
    fresh += np.float32(2.0) * cv2.resize(half, (cols, rows), interpolation=cv2.INTER_LINEAR)
    fresh *= np.float32(0.003) + np.float32(0.015) * light
    light += fresh
