"""Masks of GMIC's exam lists as outlines in source pixels.

A mask has the image's size, or it lies in the input window of GMIC: 2944 x 1920 pixels of the right-facing image, cut
around its best centre and padded with 0 (at both ends of the rows in CC, at the bottom in MLO, and on the right).
Coordinates are turned round here, never pixels.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.mask_files import check_covered, read_grey
from fourview.datasets.record import MaskFile, Polygon, Region
from fourview.exam import Direction, ExamError, View
from fourview.ingest.dicom_file import read_dataset
from fourview.ingest.dicom_values import whole_number
from fourview.ingest.raster import PNG_SIGNATURE

WINDOW = (2944, 1920)  # of GMIC, for every view
SPECK_PX = 25  # smaller areas are marks that the drawing tool left along an outline: up to 9 pixels in real masks


def read_regions(
    mask: Path,
    image: Path,
    *,
    view: View,
    faces: Direction,
    shown: str = "",
    centre: tuple[int, ...] | None = None,
    window: tuple[int, ...] | None = None,
) -> tuple[Region, ...]:
    """The outlined areas of a mask, in pixels of the image; none of an empty mask.

    faces   where the nipple points in the image's file
    shown   what messages call the mask; "": its file name
    centre  (row, col) of `best_center`; needed only where the image is larger than GMIC's window
    window  (top, bottom, left, right) of `window_location`, where the list has one
    Raises ExamError for a mask of any other size, or one that cannot be placed or covers more than a lesion can.
    """
    name = shown or mask.name
    shape, grey = _shape(image), read_grey(mask, name)
    if grey.shape == shape:
        check_covered(grey > 0, name)
        return (MaskFile(mask, shown=shown),) if grey.any() else ()
    if grey.shape != WINDOW:
        raise ExamError(f"{name}: found a mask of {grey.shape}, need {shape} as the image, or GMIC's {WINDOW}")
    if window is not None and (window[1] - window[0], window[3] - window[2]) != shape:
        raise ExamError(f"{name}: window_location is not the size of the image: need the cropped image")
    first_row, first_col = _window_corner(shape, view, centre, name)
    part = grey[max(-first_row, 0) : shape[0] - first_row, max(-first_col, 0) : shape[1] - first_col]
    check_covered(part > 0, name)
    regions = []
    for outline in _outlines(grey):
        rows, cols = outline[:, 0] + first_row, outline[:, 1] + first_col
        if rows.min() < 0 or cols.min() < 0 or rows.max() >= shape[0] or cols.max() >= shape[1]:
            raise ExamError(f"{name}: placed in the image, it leaves it: need the image that GMIC cropped")
        regions.append(_polygon(rows, cols if faces == "right" else shape[1] - 1 - cols))
    return tuple(sorted(regions, key=lambda region: region.points))


def _outlines(grey: NDArray[Any]) -> list[NDArray[np.int64]]:
    """The outer pixels of each area that is no speck, (points, 2) of (row, col) in the mask's frame."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((grey > 0).astype(np.uint8), connectivity=8)
    outlines = []
    for area in range(1, count):
        if stats[area, cv2.CC_STAT_AREA] >= SPECK_PX:
            found, _ = cv2.findContours((labels == area).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outlines.append(np.asarray(found[0][:, 0, ::-1], np.int64))
    return outlines


def _polygon(rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Polygon:
    return Polygon(tuple((float(row), float(col)) for row, col in zip(rows, cols, strict=True)))


def _window_corner(shape: tuple[int, int], view: View, centre: tuple[int, ...] | None, name: str) -> tuple[int, int]:
    """(row, col) of the window's first pixel in the right-facing image; negative where it is padded."""
    if centre is None and (shape[0] > WINDOW[0] or shape[1] > WINDOW[1]):
        raise ExamError(f"{name}: the image {shape} is larger than GMIC's window: need best_center in the list")
    padding = WINDOW[0] - shape[0]
    if padding > 0:
        row = -(padding // 2) if view.angle == "CC" else 0
    else:
        row = 0 if centre is None else min(max(centre[0] - WINDOW[0] // 2, 0), -padding)
    beyond = shape[1] - WINDOW[1]
    col = min(max(centre[1] - WINDOW[1] // 2, 0), beyond) if centre is not None and beyond > 0 else 0
    return row, col


def _shape(path: Path) -> tuple[int, int]:
    """(rows, cols) of an image from its header. Raises ExamError."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise ExamError(f"its image cannot be read ({error.strerror}), need the file") from None
    if head.startswith(PNG_SIGNATURE) and len(head) == 24:
        cols, rows = struct.unpack(">II", head[16:24])
        return rows, cols
    dataset = read_dataset(path, "its image", pixels=False)
    return whole_number(dataset, "Rows") or 0, whole_number(dataset, "Columns") or 0
