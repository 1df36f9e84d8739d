"""Mammogram -> the breast alone, facing right, with the way back to source pixels. The only place that mirrors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Direction, ExamError, Frame, Mammogram

T = TypeVar("T", bound=np.generic)
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Cropped:
    """The breast of one mammogram.

    pixels      (rows, cols) crop frame: the breast faces right; type of the source, resampled if frame.resampled
    rightmost   ((first row, last row), col) of the breast's extreme column, below the upper third; crop frame
    bottommost  (row, (first col, last col)) of the breast's last row; crop frame
    gap_px      working pixels between the breast and the chest-wall edge of the file; 0 in a well-made image
    warnings    what a reader of the scores should know about this crop
    """

    pixels: Pixels
    frame: Frame
    rightmost: tuple[tuple[int, int], int]
    bottommost: tuple[int, tuple[int, int]]
    gap_px: int
    warnings: tuple[str, ...] = ()


def crop_breast(
    mammogram: Mammogram,
    *,
    working_spacing_mm: float | None = None,
    iterations: int = 100,
    buffer_px: int = 50,
) -> Cropped:
    """The breast alone, facing right, and the frame that leads back to source pixels.

    mammogram           straight from the reader: whole image, not mirrored
    working_spacing_mm  resample to this pixel size first; None keeps the source's pixels
    iterations          erosions and dilations with the 3x3 cross, in working pixels
    buffer_px           kept above, below and on the nipple side, clipped at the image border

    Raises ExamError if nothing survives erosion. Method: Wu et al. 2019, data report; erosion and dilation are
    computed as thresholds on taxicab distances, which is the same set of pixels.
    Mirrored images keep upstream's x coordinates, which are one larger than those of a true mirror.
    """
    pixels = resample(mammogram, working_spacing_mm) if working_spacing_mm else mammogram.pixels
    breast = _largest_breast_mask(pixels > 0, iterations)
    if breast is None:
        share = float(np.mean(pixels > 0))
        raise ExamError(
            f"{mammogram.view} {mammogram.name}: no breast found: {share:.1%} of {pixels.shape[0]}x{pixels.shape[1]} "
            f"pixels are brighter than 0 and no region is thicker than {2 * iterations} pixels; "
            "need a bright breast on a background of exactly 0"
        )
    points: Direction = mammogram.faces
    rows, cols = pixels.shape
    tight = _bounding_box(breast)
    last_row_cols = np.flatnonzero(breast[tight.bottom - 1])
    gap_px = cols - tight.right if points == "left" else tight.left
    box = Box(
        top=max(tight.top - buffer_px, 0),
        bottom=min(tight.bottom + buffer_px, rows),
        left=max(tight.left - buffer_px, 0) if points == "left" else tight.left,
        right=min(tight.right + buffer_px, cols) if points == "right" else tight.right,
    )
    first, last = int(last_row_cols[0]), int(last_row_cols[-1])
    xs = (first - box.left, last - box.left) if points == "right" else (box.right - last, box.right - first)
    frame = Frame(mammogram.pixels.shape, pixels.shape, box, mirrored=points == "left")
    crop = pixels[box.slices]
    return Cropped(
        pixels=np.ascontiguousarray(mirror(crop) if frame.mirrored else crop),
        frame=frame,
        rightmost=_rightmost(breast[box.slices], points),
        bottommost=(tight.bottom - 1 - box.top, xs),
        gap_px=gap_px,
        warnings=_crop_warnings(breast, gap_px),
    )


def mirror(image: NDArray[T]) -> NDArray[T]:
    """The image flipped left-right, (rows, cols) or (rows, cols, channels)."""
    return image[:, ::-1]


def return_to_source(crop: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """A map of the crop, mirrored back, in source pixels: the size of `frame.box_source`.

    crop  (rows, cols) float32, crop frame. Where the image was resampled, values are taken by area or linearly.
    """
    if crop.shape != (frame.box.height, frame.box.width):
        raise ValueError(f"found a map of shape {crop.shape}, need {(frame.box.height, frame.box.width)}")
    upright = np.ascontiguousarray(mirror(crop)) if frame.mirrored else crop
    if not frame.resampled:
        return upright
    working = np.zeros(frame.working_shape, np.float32)
    working[frame.box.slices] = upright
    return np.ascontiguousarray(_resize(working, frame.source_shape)[frame.box_source.slices])


def resample(mammogram: Mammogram, spacing_mm: float) -> Pixels:
    """The mammogram's pixels at another pixel size; a background of 0 stays exactly 0.

    Raises ExamError if the mammogram does not know its pixel size.
    """
    if mammogram.spacing_mm is None:
        raise ExamError(
            f"{mammogram.view} {mammogram.name}: no pixel size in the file, and these weights need {spacing_mm:g} mm; "
            "give it with --spacing-mm"
        )
    factor = mammogram.spacing_mm / spacing_mm
    rows, cols = mammogram.pixels.shape
    shape = (max(1, round(rows * factor)), max(1, round(cols * factor)))
    if shape == (rows, cols):
        return mammogram.pixels
    resized: Pixels = _resize(mammogram.pixels, shape)
    return resized


def _resize(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    shrinks = shape[0] < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # neither rings, so black stays black
    return cv2.resize(image, (shape[1], shape[0]), interpolation=method)


def _largest_breast_mask(bright: NDArray[np.bool_], iterations: int) -> NDArray[np.bool_] | None:
    """The largest 4-connected region of `bright` that survives erosion, dilated back; None if nothing survives."""
    ringed = np.pad(bright.astype(np.uint8), 1)  # outside of the image counts as dark
    survives = _taxicab(ringed)[1:-1, 1:-1] > iterations
    count, labels, stats, _ = cv2.connectedComponentsWithStats(survives.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = [1 + int(i) for i in np.flatnonzero(areas == areas.max())]
    if len(largest) > 1:  # a tie: the region that comes first in raster order
        flat = labels.ravel()
        largest.sort(key=lambda label: int(np.argmax(flat == label)))
    return _taxicab((labels != largest[0]).astype(np.uint8)) <= iterations


def _taxicab(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The taxicab distance from each pixel to the nearest 0 pixel."""
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L1, 3), np.float32)


def _bounding_box(mask: NDArray[np.bool_]) -> Box:
    rows = np.flatnonzero(mask.any(axis=1))
    cols = np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)


def _rightmost(breast: NDArray[np.bool_], points: Direction) -> tuple[tuple[int, int], int]:
    """The extreme column of the breast on the nipple side, below the upper third (which may show the arm)."""
    skipped = int(breast.shape[0] / 3)
    lower = breast[skipped:]
    cols = np.flatnonzero(lower.any(axis=0))
    col = int(cols[-1] if points == "right" else cols[0])
    ys = np.flatnonzero(lower[:, col])
    x = col if points == "right" else breast.shape[1] - col
    return (int(ys[0]) + skipped, int(ys[-1]) + skipped), x


def _crop_warnings(breast: NDArray[np.bool_], gap_px: int) -> tuple[str, ...]:
    found = []
    if gap_px > 0:
        found.append(
            f"the breast starts {gap_px} pixels from the chest-wall edge: a margin, or a wrong side or orientation"
        )
    if breast.mean() > 0.98:
        found.append("nothing was cropped: the breast fills the image, or the background is not exactly 0")
    return tuple(found)
