"""The rim of the breast: it thins towards the skin, and the skin is a bright line, thicker at the areola."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.outline import Outline
from fourview.phantom.texture import draw_texture
from fourview.phantom.woman import Woman

_LEFT_OF_RIM = 0.45  # of the brightness, at the skin: presentation processing lifts the rest


def add_skin(
    light: NDArray[np.float32],
    inside: NDArray[np.bool_],
    outline: Outline,
    woman: Woman,
    *,
    pixel_mm: float,
    key: Sequence[int],
) -> None:
    """Darkens the rim of `light` and draws skin and nipple. In place."""
    # chest wall and image borders are no skin: the breast goes on there
    framed = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    skin_mm: NDArray[np.float32] = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] * np.float32(pixel_mm)
    bulge_mm = np.float32(0.30 * woman.thickness_mm)
    t = np.clip(1 - skin_mm / bulge_mm, 0, 1)
    light *= np.float32(_LEFT_OF_RIM) + np.float32(1 - _LEFT_OF_RIM) * np.sqrt(1 - t * t)
    rows, cols = light.shape
    y = ((np.arange(rows) + 0.5) * pixel_mm).astype(np.float32)[:, None]
    x = ((np.arange(cols) + 0.5) * pixel_mm).astype(np.float32)
    _add_fold(light, outline, x, y)
    rim = skin_mm < 14
    rim &= inside
    r, c = np.nonzero(rim)
    if not len(r):
        return
    distance = skin_mm[r, c]
    yy, xx = y[r, 0], x[c]
    areola = np.exp(-(((yy - np.float32(outline.nipple_y_mm)) / np.float32(11)) ** 2)) * np.clip(
        xx / np.float32(0.12 * outline.depth_mm) - np.float32(6), 0, 1
    )
    areola *= np.clip((14 - distance) / np.float32(4), 0, 1)
    back = np.clip(1 - xx / np.float32(outline.depth_mm), 0, 1)
    uneven = draw_texture([*key, 0], (rows * pixel_mm, cols * pixel_mm), coarse_mm=28, fine_mm=1.0, exponent=2.6)
    n = uneven.sample(xx, yy)
    thick = np.float32(woman.skin_mm) * (1 + np.float32(0.55) * areola + np.float32(0.9) * back**2)
    thick *= np.clip(1 + np.float32(0.16) * n, 0.6, 1.5)
    s = distance / thick
    profile = np.clip(s / 0.7, 0, 1) * np.exp(-(np.clip(s - 0.7, 0, None) ** 2) / 0.32)
    gain = (
        np.float32(0.11)
        * (1 + np.float32(0.45) * areola + np.float32(1.6) * back**2)
        * np.clip(1 + np.float32(0.18) * n, 0.5, 1.6)
    )
    edge = np.clip(s / 0.45, 0.12, 1)  # grazing rays: the outermost skin is thin
    light[r, c] = light[r, c] * edge + gain * profile
    radius, height = outline.nipple_mm
    if height:
        across = (yy - np.float32(outline.nipple_y_mm)) / np.float32(radius)
        out = (xx - np.float32(outline.depth_mm)) / np.float32(height)
        light[r, c] += (
            np.float32(0.09)
            * np.clip(1 - across**4, 0, 1)
            * np.clip(1.4 - np.abs(out - 0.1), 0, 1)
            * np.clip(distance / 2.5, 0, 1)
        )
    else:
        round_mm = np.hypot(yy - np.float32(outline.nipple_y_mm), xx - np.float32(outline.depth_mm - 0.9 * radius))
        light[r, c] += np.float32(0.07) * np.clip((np.float32(radius) - round_mm + np.float32(0.4) * n) / 3 + 0.5, 0, 1)


def _add_fold(light: NDArray[np.float32], outline: Outline, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
    """Draws a fold below the armpit: its edge is a line, and beyond it skin and fat lie double."""
    fold = outline.fold_x(y[:, 0].astype(np.float64)).astype(np.float32)
    rows = np.flatnonzero(fold > 0)
    if not len(rows):
        return
    high = int(rows[-1]) + 1
    beyond = x - fold[:high, None]
    fade = np.clip((fold[high - 1] - fold[:high, None]) / np.float32(4), 0, 1)
    line = np.exp(-((beyond / np.float32(0.9)) ** 2))
    double = np.clip(beyond / np.float32(1.5) + np.float32(0.5), 0, 1)
    light[:high] += fade * (np.float32(0.07) * line + np.float32(0.075) * double)
