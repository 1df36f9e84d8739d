"""The pectoral muscle of an MLO view (a sliver of it in some CC views), with fibres along its front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.outline import Outline
from fourview.phantom.texture import draw_texture


def add_muscle(
    light: NDArray[np.float32], seen: NDArray[np.float32], outline: Outline, *, pixel_mm: float, key: Sequence[int]
) -> None:
    """Brightens the muscle in `light` (rows, cols; 0 to 1): brightest at the chest wall, soft over 5 mm at its front.

    seen  how well curves show: less before muscle
    """
    rows, cols = light.shape
    y_mm: NDArray[np.float64] = (np.arange(rows, dtype=np.float64) + 0.5) * pixel_mm
    front = outline.pectoral_x(y_mm).astype(np.float32)
    wide = int(min(cols, np.ceil((front.max() + 6) / pixel_mm)))
    high = int(np.flatnonzero(front > -4)[-1]) + 1 if wide > 0 and (front > -4).any() else 0
    if wide <= 0 or not high:
        return
    rng = np.random.default_rng([*key, 0])
    level = np.float32(rng.normal(0.30, 0.045))  # about as bright as gland
    here = light[:high, :wide]
    x_mm = ((np.arange(wide) + 0.5) * pixel_mm).astype(np.float32)
    behind = front[:high, None] - x_mm
    yy = np.broadcast_to(y_mm[:high, None].astype(np.float32), behind.shape)
    extent = (float(y_mm[high - 1]) + 60, 90.0)
    fibres = draw_texture([*key, 1], extent, coarse_mm=12, fine_mm=max(pixel_mm, 0.3), exponent=3.0)
    # fibres run along the front: their coordinate is the distance behind it
    pattern = fibres.sample(np.ascontiguousarray(yy), behind + np.float32(10), stretch=5)
    share = np.clip((behind + np.float32(0.8) * pattern) / np.float32(5) + np.float32(0.5), 0, 1)
    share *= share * (np.float32(3) - np.float32(2) * share)
    depth = np.float32(1) - np.exp(-np.maximum(behind, 0) / np.float32(18))
    above = np.clip(1 - yy / y_mm[high - 1], 0, 1)  # the muscle thickens towards the shoulder
    muscle = (
        level * (np.float32(0.72) + np.float32(0.34) * depth + np.float32(0.16) * above) + np.float32(0.022) * pattern
    )
    here += share * (muscle - np.float32(0.8) * (here - np.float32(0.10)))
    seen[:high, :wide] *= np.float32(1) - np.float32(0.85) * share
