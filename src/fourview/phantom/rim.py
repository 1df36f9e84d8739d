"""The zone below the skin, where the breast is thinner: digital units make up for it and more, film shows it dark."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.film import AIR

_GRID_MM = 0.28  # depth is measured at this pixel size: what depends on it is smooth
_MOST_MM = 60.0
# so that grey 3 and 6 mm deep is as in digital images for presentation, and 3 to 15 mm deep as on films (both public)
_LIFT, _LIFT_SPREAD = 0.24, 0.30  # brightness added where it is most; its spread (of the logarithm) from exam to exam
_LIFT_MM = (4.5, 6.5)
_THIN_MM = (22.0, 36.0)


def lift_rim(
    tissue: NDArray[np.float32], breast: NDArray[np.bool_], *, pixel_mm: float, key: Sequence[int]
) -> NDArray[np.float32]:
    """(rows, cols) float32: the tissue, brighter from 1 to 9 mm below the skin, as peripheral equalisation leaves it.

    key  of the exam: how much brighter, and how deep; along the skin it varies
    """
    rng = np.random.default_rng([*key, 62])
    most = np.float32(_LIFT * np.exp(np.clip(rng.normal(0, _LIFT_SPREAD), -0.6, 0.45)))
    reach = np.float32(rng.uniform(*_LIFT_MM))
    rows, cols = tissue.shape
    along = cv2.resize(rng.standard_normal((5, 4)).astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    depth = _measure_depth(breast, pixel_mm=pixel_mm)
    lift = cv2.exp(-((depth / reach) ** 2)) * np.minimum(depth / np.float32(2.2), 1) ** 2
    lift *= most * np.clip(1 + np.float32(0.22) * along, 0.5, 1.4)
    lift += tissue
    return np.asarray(np.minimum(lift, 1, out=lift), np.float32)


def thin_rim(
    tissue: NDArray[np.float32], breast: NDArray[np.bool_], *, pixel_mm: float, key: Sequence[int]
) -> NDArray[np.float32]:
    """(rows, cols) float32: the tissue, falling to the brightness of air towards the skin, as film shows it.

    key  of the exam: over how many mm
    """
    wide = np.float32(np.random.default_rng([*key, 62]).uniform(*_THIN_MM))
    left = np.minimum(_measure_depth(breast, pixel_mm=pixel_mm) / wide, 1)
    left = np.sqrt(left * (np.float32(2) - left))  # a round border
    return np.asarray(np.float32(AIR) + left * (tissue - np.float32(AIR)), np.float32)


def _measure_depth(breast: NDArray[np.bool_], *, pixel_mm: float) -> NDArray[np.float32]:
    """(rows, cols) float32 mm below the skin; 0 outside the breast, which goes on beyond the image; at most 60."""
    times = max(1, round(_GRID_MM / pixel_mm))
    rows, cols = breast.shape
    size = (-(-cols // times), -(-rows // times))
    whole = breast.astype(np.uint8)
    small = whole if times == 1 else cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] * np.float32(pixel_mm * rows / size[1])
    depth = np.minimum(depth, np.float32(_MOST_MM))  # a breast that fills the image has no skin
    return np.asarray(cv2.resize(depth, (cols, rows), interpolation=cv2.INTER_LINEAR) * whole, np.float32)
