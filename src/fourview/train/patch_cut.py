"""A patch, cut: a square of a crop, turned about its middle and resized. Where it is was drawn before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box


@dataclass(frozen=True)
class PatchCut:
    """Which square of a working crop: where it is before it is turned about its middle.

    angle_deg  clockwise;  mirrored  then, up-down
    """

    top: int
    left: int
    side_px: int
    angle_deg: float = 0.0
    mirrored: bool = False

    def reach(self, shape: tuple[int, int]) -> Box:
        """The box of a crop of `shape` that the square needs."""
        if self.angle_deg == 0:
            return Box(self.top, self.top + self.side_px, self.left, self.left + self.side_px)
        angle = math.radians(self.angle_deg)
        half = (self.side_px - 1) / 2
        far = half * (abs(math.cos(angle)) + abs(math.sin(angle))) + 1  # and the neighbours to interpolate with
        row, col = self.top + half, self.left + half
        return Box(
            max(math.floor(row - far), 0),
            min(math.ceil(row + far) + 1, shape[0]),
            max(math.floor(col - far), 0),
            min(math.ceil(col + far) + 1, shape[1]),
        )


def cut_pixels(part: NDArray[Any], cut: PatchCut, box: Box) -> NDArray[np.float32]:
    """(side, side) float32 of the cut; corners that leave the crop show its mirror image, not a black edge.

    part  the pixels of `box`, which is `cut.reach(shape of the crop)`
    """
    return np.asarray(_turn(part.astype(np.float32), cut, box, cv2.INTER_LINEAR), np.float32)


def cut_marks(part: NDArray[np.uint8], cut: PatchCut, box: Box) -> NDArray[np.uint8]:
    """The same of marks: each pixel has the nearest one's."""
    return np.asarray(_turn(part, cut, box, cv2.INTER_NEAREST), np.uint8)


def resize_patch(patch: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """The patch with another side: by area where it shrinks, else linearly."""
    if len(patch) == side_px:
        return patch
    method = cv2.INTER_AREA if len(patch) > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(patch, (side_px, side_px), interpolation=method), np.float32)


def _turn(part: NDArray[Any], cut: PatchCut, box: Box, method: int) -> NDArray[Any]:
    side = cut.side_px
    if cut.angle_deg != 0:
        angle, half = math.radians(cut.angle_deg), (side - 1) / 2
        cos, sin = math.cos(angle), math.sin(angle)
        x, y = cut.left + half - box.left, cut.top + half - box.top
        # of the patch's (col, row) to the part's; image rows run down, so the picture turns clockwise
        matrix = np.array([[cos, sin, x - half * (cos + sin)], [-sin, cos, y - half * (cos - sin)]])
        part = cv2.warpAffine(
            np.ascontiguousarray(part),
            matrix,
            (side, side),
            flags=method | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return part[::-1] if cut.mirrored else part
