"""One image: outline, fat, gland, muscle, skin and findings -> 12-bit pixels, facing right."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.finding import PhantomFinding, paint_finding
from fourview.phantom.outline import HEIGHT_MM, WIDTH_MM, Outline
from fourview.phantom.texture import noise, strands
from fourview.phantom.woman import DENSITIES, Woman

WHITE = 4095  # of 12 bits
_COARSE_MM = 1.5  # pixels of the map of gland, which is smooth
_SKIN_MM = 1.0


def paint_breast(
    woman: Woman,
    outline: Outline,
    findings: Sequence[PhantomFinding],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    key: Sequence[int],
    lesion_key: Sequence[int],
) -> tuple[NDArray[np.uint16], tuple[NDArray[np.bool_], ...]]:
    """(rows, cols) uint16, 1 to 4095 in the breast and exactly 0 outside it, and a mask for each finding.

    Facing right, chest wall at column 0.
    """
    y_mm: NDArray[np.float64] = (np.arange(shape[0], dtype=np.float64) + 0.5) * pixel_mm
    x_mm = ((np.arange(shape[1]) + 0.5) * pixel_mm).astype(np.float32)
    breast = x_mm < outline.skin_x(y_mm).astype(np.float32)[:, None]
    light = _tissue(woman, outline, shape=shape, pixel_mm=pixel_mm, key=key)
    _add_muscle(light, outline, x_mm, y_mm, pixel_mm=pixel_mm, key=key)
    masks = [
        paint_finding(light, f, outline, pixel_mm=pixel_mm, lesion_key=[*lesion_key, n], view_key=[*key, 40, n])
        for n, f in enumerate(findings)
    ]
    _thin_towards_skin(light, breast, woman, pixel_mm=pixel_mm)
    rng = np.random.default_rng([*key, 50])
    light *= 1 + np.float32(0.03) * rng.standard_normal(shape, dtype=np.float32)
    pixels = np.clip(np.rint(light * WHITE), 1, WHITE).astype(np.uint16)
    pixels[~breast] = 0
    return pixels, tuple(mask & breast for mask in masks)


def _tissue(
    woman: Woman, outline: Outline, *, shape: tuple[int, int], pixel_mm: float, key: Sequence[int]
) -> NDArray[np.float32]:
    """Brightness of fat with its septa, and of gland, in the full compressed thickness."""
    dense = DENSITIES.index(woman.density) / 3
    rough = noise([*key, 1], shape, pixel_mm=pixel_mm, coarse_mm=24, stretch=1.4, exponent=3.3)
    gland = _gland(woman, outline, shape)
    gland += np.float32(0.16) * rough - np.float32(0.78 - 0.38 * dense)
    np.clip(gland / np.float32(0.75) + np.float32(0.5), 0, 1, out=gland)
    septa = strands([*key, 2], shape, pixel_mm=pixel_mm, cell_mm=26, width=0.08, stretch=1.7)
    septa += strands([*key, 3], shape, pixel_mm=pixel_mm, cell_mm=11, width=0.12, stretch=1.7)
    septa += np.float32(0.8) * strands([*key, 6], shape, pixel_mm=pixel_mm, cell_mm=5, width=0.16, stretch=1.6)
    fine = noise([*key, 4], shape, pixel_mm=pixel_mm, coarse_mm=5, stretch=1.5, exponent=2.6)
    fat = np.float32(0.17) + np.float32(0.012) * rough + np.float32(0.018) * fine + np.float32(0.11) * septa
    return np.asarray(
        fat
        + gland * (np.float32(0.30) + np.float32(0.05) * rough + np.float32(0.035) * fine + np.float32(0.05) * septa),
        np.float32,
    )


def _gland(woman: Woman, outline: Outline, shape: tuple[int, int]) -> NDArray[np.float32]:
    """How much gland lies along the beam: the sum of the woman's balls of gland, seen in this view."""
    rows, cols = round(HEIGHT_MM / _COARSE_MM), round(WIDTH_MM / _COARSE_MM)
    y = (np.arange(rows) + 0.5) * HEIGHT_MM / rows
    x = (np.arange(cols) + 0.5) * WIDTH_MM / cols
    depth, lateral, upper, spread_mm, amount = woman.lobes.T
    centre_x, centre_y = outline.place(depth, lateral, upper)
    across = np.exp(-(((x[None, :] - centre_x[:, None]) / spread_mm[:, None]) ** 2) / 2)
    down = np.exp(-(((y[None, :] - centre_y[:, None]) / spread_mm[:, None]) ** 2) / 2)
    coarse = np.einsum("ny,nx,n->yx", down, across, amount).astype(np.float32)
    coarse = 1.3 * coarse / (coarse + 1)  # overlapping balls saturate: the paddles press them apart
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _add_muscle(
    light: NDArray[np.float32],
    outline: Outline,
    x_mm: NDArray[np.float32],
    y_mm: NDArray[np.float64],
    *,
    pixel_mm: float,
    key: Sequence[int],
) -> None:
    """Brightens the pectoral wedge of an MLO view, with a border that is soft over 4 mm."""
    if outline.angle == "CC":
        return
    border = outline.pectoral_x(y_mm).astype(np.float32)[:, None] - x_mm
    ragged = noise([*key, 5], light.shape, pixel_mm=pixel_mm, coarse_mm=30, fine_mm=4)
    share = np.clip((border + ragged) / 4 + np.float32(0.5), 0, 1)
    light += share * (np.float32(0.30) + np.float32(0.03) * ragged - np.float32(0.35) * (light - np.float32(0.2)))


def _thin_towards_skin(light: NDArray[np.float32], breast: NDArray[np.bool_], woman: Woman, *, pixel_mm: float) -> None:
    """Darkens the rim, where the breast bulges between the paddles, and draws the skin as a brighter line."""
    # chest wall and image borders are no skin: the breast goes on there
    framed = cv2.copyMakeBorder(breast.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    skin_mm = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] * np.float32(pixel_mm)
    bulge_mm = np.float32(0.42 * woman.thickness_mm)
    t = np.clip(1 - skin_mm / bulge_mm, 0, 1)
    light *= np.sqrt(1 - np.float32(0.93) * t * t)
    light += np.float32(0.07) * np.exp(-(((skin_mm - np.float32(0.8)) / np.float32(_SKIN_MM)) ** 2))
