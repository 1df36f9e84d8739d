"""Where a lesion's greys are measured: inside, in the ring around it, along its margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from fourview.studies.lesion.handcrafted.shape import Outline, trace_outline

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
MARGIN = 0.3  # equivalent radii to either side of the outline
RING = 0.5  # equivalent radii outside of it
_LEAST_PX = 2.0
_LEAST_SHARE = 0.1  # of a ring that must lie in the breast, else all of it counts


@dataclass(frozen=True, eq=False)
class Regions:
    """A lesion's crop, cut into regions.

    pixels   (rows, cols) float64 in [0, 1];  outline  of the largest piece of the mask
    depth    (rows, cols) px from the outline: positive inside, negative outside
    lesion, ring, margin  (rows, cols) bool
    """

    pixels: Floats
    outline: Outline
    depth: Floats
    lesion: Mask
    ring: Mask
    margin: Mask

    @property
    def around(self) -> Mask:
        """Lesion and ring."""
        return self.lesion | self.ring


def find_regions(pixels: NDArray[np.float32], mask: Mask) -> Regions:
    """The regions of a crop. pixels: background is 0, and no part of the ring. Raises ExamError for an empty mask."""
    outline = trace_outline(mask)
    inside = outline.filled
    depth = np.asarray(distance_transform_edt(np.pad(inside, 1)), np.float64)[1:-1, 1:-1]
    if not inside.all():
        depth = depth - np.asarray(distance_transform_edt(~inside), np.float64)
    depth = np.where(inside, depth - 0.5, depth + 0.5)  # the outline runs between two pixels
    ring = ~inside & (depth >= -max(_LEAST_PX, RING * outline.radius))
    within = ring & (pixels > 0)
    if within.sum() >= _LEAST_SHARE * ring.sum() and within.any():
        ring = within
    margin = np.abs(depth) <= max(_LEAST_PX, MARGIN * outline.radius)
    return Regions(pixels.astype(np.float64), outline, depth, inside, ring, margin)
