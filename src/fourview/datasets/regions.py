"""A region as the pixels it covers, in the image's own frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.mask_files import aspects_agree, read_grey
from fourview.datasets.record import Circle, MaskFile, Polygon, Region
from fourview.exam import Box, ExamError

_SUBPIXEL = 4  # binary digits behind the point that OpenCV keeps of a coordinate


def draw_region(region: Region, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the region covers the image: (rows, cols) bool; what lies outside of the image is cut off.

    shape  (rows, cols) of the source image
    A disc covers the pixels whose centres lie within the radius, and at least the one at its centre. Outlines belong
    to what they enclose, and are filled: a contour that crosses itself leaves no holes.
    A mask file of another size is resized (nearest pixel) where its proportions are the image's to within 1 %.
    Raises ExamError for a mask file that cannot be read or has other proportions.
    """
    if isinstance(region, Circle):
        return _disc(region, shape)
    if isinstance(region, Box):
        mask = np.zeros(shape, bool)
        mask[max(region.top, 0) : max(region.bottom, 0), max(region.left, 0) : max(region.right, 0)] = True
        return mask
    if isinstance(region, Polygon):
        return fill_outline(region.points, shape)
    return _mask_of_file(region, shape)


def _disc(disc: Circle, shape: tuple[int, int]) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    mask: NDArray[np.bool_] = (rows - disc.row) ** 2 + (cols - disc.col) ** 2 <= disc.radius**2
    centre = round(disc.row), round(disc.col)
    if 0 <= centre[0] < shape[0] and 0 <= centre[1] < shape[1]:
        mask[centre] = True
    return mask


def fill_outline(points: tuple[tuple[float, float], ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A closed outline of (row, col) points with all that it encloses, (rows, cols) bool, cut off at the border."""
    corners = np.array(points, float).reshape(-1, 2)
    low = np.floor(corners.min(axis=0)) - 2  # drawn on a canvas of its own, so that the border closes no hole
    high = np.ceil(corners.max(axis=0)) + 3
    canvas: NDArray[np.uint8] = np.zeros((high - low).astype(int), np.uint8)
    xy = np.rint((corners - low)[:, ::-1] * (1 << _SUBPIXEL)).astype(np.int32)
    cv2.polylines(canvas, [xy], isClosed=True, color=1, shift=_SUBPIXEL)
    cv2.floodFill(canvas, None, (0, 0), 2)  # from outside, 4-connected
    filled = canvas != 2
    mask = np.zeros(shape, bool)
    top, left = int(low[0]), int(low[1])
    rows = slice(max(top, 0), min(top + canvas.shape[0], shape[0]))
    cols = slice(max(left, 0), min(left + canvas.shape[1], shape[1]))
    if rows.start < rows.stop and cols.start < cols.stop:
        mask[rows, cols] = filled[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    return mask


def _fill_enclosed(drawn: NDArray[Any]) -> NDArray[np.bool_]:
    """The drawn pixels and every background region but the largest one: also what a border of the image closes off."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((drawn == 0).astype(np.uint8), connectivity=4)
    if len(stats) < 2:  # drawn all over
        return np.ones(drawn.shape, bool)
    outside = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels != outside)


def _mask_of_file(file: MaskFile, shape: tuple[int, int]) -> NDArray[np.bool_]:
    grey = read_grey(file.path)
    if not aspects_agree(grey.shape, shape):
        raise ExamError(f"{file.path.name}: found a mask of {grey.shape}, the image has {shape} rows and columns")
    mask = grey >= file.least
    if file.outline:
        mask = _fill_enclosed(mask)
    if mask.shape == shape:
        return mask
    resized = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized > 0)
