"""A region as the pixels it covers, in the image's own frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.mask_files import read_mask
from fourview.datasets.record import Circle, Polygon, Region
from fourview.exam import Box, ExamError

_SUBPIXEL = 4  # binary digits behind the point that OpenCV keeps of a coordinate


def draw_region(region: Region, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the region covers the image: (rows, cols) bool; what lies outside of the image is cut off.

    shape  (rows, cols) of the source image
    A disc covers the pixels whose centres lie within the radius, and at least the one at its centre. Outlines belong
    to what they enclose, and are filled: a contour that crosses itself leaves no holes.
    A mask file of another size is resized (nearest pixel) where its proportions are the image's to within 1 %.
    Raises ExamError for a mask file that cannot be read, has other proportions or covers more than a lesion can, for
    coordinates that are no numbers, and for an outline that reaches into the image from far outside of it.
    """
    if isinstance(region, Circle):
        return _disc(region, shape)
    if isinstance(region, Box):
        mask = np.zeros(shape, bool)
        mask[max(region.top, 0) : max(region.bottom, 0), max(region.left, 0) : max(region.right, 0)] = True
        return mask
    if isinstance(region, Polygon):
        return fill_outline(region.points, shape)
    return read_mask(region, shape)


def _disc(disc: Circle, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if not np.isfinite((disc.row, disc.col, disc.radius)).all():
        raise ExamError(f"found a disc at ({disc.row}, {disc.col}) of radius {disc.radius}, need numbers")
    mask = np.zeros(shape, bool)
    rows, cols = (
        np.arange(max(math.floor(centre - disc.radius), 0), min(math.ceil(centre + disc.radius) + 1, size))
        for centre, size in zip((disc.row, disc.col), shape, strict=True)
    )
    if rows.size and cols.size:
        inside = (rows[:, None] - disc.row) ** 2 + (cols - disc.col) ** 2 <= disc.radius**2
        mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] = inside
    centre = round(disc.row), round(disc.col)
    if 0 <= centre[0] < shape[0] and 0 <= centre[1] < shape[1]:
        mask[centre] = True
    return mask


def fill_outline(points: tuple[tuple[float, float], ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A closed outline of (row, col) points with all that it encloses, (rows, cols) bool, cut off at the border.

    Raises ExamError for points that are no numbers, or as far outside as the image is long, with others inside.
    """
    corners = np.array(points, float).reshape(-1, 2)
    if not (corners.size and np.isfinite(corners).all()):
        raise ExamError("found an outline without points, or with some that are no numbers; need (row, col)")
    mask = np.zeros(shape, bool)
    low = np.floor(corners.min(axis=0)) - 2  # drawn on a canvas of its own, so that the border closes no hole
    high = np.ceil(corners.max(axis=0)) + 3
    if (low >= shape).any() or (high <= 0).any():
        return mask
    if (low < np.negative(shape)).any() or (high > np.multiply(shape, 2)).any():
        raise ExamError(
            f"found an outline from {corners.min(axis=0).tolist()} to {corners.max(axis=0).tolist()}, the image has "
            f"{shape} rows and columns; need one that does not leave it as far"
        )
    canvas: NDArray[np.uint8] = np.zeros((high - low).astype(int), np.uint8)
    xy = np.rint((corners - low)[:, ::-1] * (1 << _SUBPIXEL)).astype(np.int32)
    cv2.polylines(canvas, [xy], isClosed=True, color=1, shift=_SUBPIXEL)
    cv2.floodFill(canvas, None, (0, 0), 2)  # from outside, 4-connected
    filled = canvas != 2
    top, left = int(low[0]), int(low[1])
    rows = slice(max(top, 0), min(top + canvas.shape[0], shape[0]))
    cols = slice(max(left, 0), min(left + canvas.shape[1], shape[1]))
    mask[rows, cols] = filled[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    return mask
