"""Crop -> the network's input: best centre, jittered window, standardised pixels.

Randomness is drawn first (`draw_jitter`) and applied by a deterministic twin (`place_window`).
All coordinates are in the crop frame (right-facing) until `place_window` pads the crop to a canvas.
Method: Wu et al. 2019, augmentation window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box

Angle = Literal["CC", "MLO"]
T = TypeVar("T", np.float32, np.float64)


@dataclass(frozen=True)
class JitterNoise:
    """How far windows may wander: location (rows, cols) and size, in pixels. All 0: one exact window."""

    location_px: tuple[int, int] = (0, 0)
    size_px: int = 0


@dataclass(frozen=True)
class Jitter:
    """One draw: where in its range a window goes, each number in [-1, 1].

    location  (down, right), None without location noise; size  movement of the (top, bottom, left, right) edges
    """

    location: tuple[float, float] | None
    size: tuple[float, float, float, float]


@dataclass(frozen=True)
class Placement:
    """Where a window is cut: the crop padded with zeros to a canvas, and the borders in that canvas."""

    canvas_shape: tuple[int, int]
    crop_offset: tuple[int, int]  # where the crop's (0, 0) lies in the canvas
    shifted: Box  # after location noise
    resized: Box  # after size noise as well: what is cut


def find_best_centre(
    pixels: NDArray[Any],
    *,
    angle: Angle,
    window: tuple[int, int],
    rightmost_col: int,
    bottommost_row: int,
) -> tuple[int, int]:
    """The (row, col) around which the window shows most of the breast; may lie outside of the crop.

    pixels  (rows, cols) crop frame, background 0; window  (rows, cols).
    CC: the row that shows most non-zero pixels, tied to the rightmost point in x. MLO: the window's lower right
    corner is tied to the breast. Method: upstream's optimal centres; kept to the pixel, oddities included.
    """
    height, width = window
    half_height, half_width = height // 2, width // 2
    col = rightmost_col - half_width - 1
    if angle == "MLO":
        last_rows = np.flatnonzero((pixels[:, -min(width, pixels.shape[1]) :] > 0).any(axis=1))
        bottom = min(int(last_rows[-1]), bottommost_row) if len(last_rows) else bottommost_row
        return bottom - half_height - 1, col
    rows, cols = pixels.shape
    candidates = np.arange(half_height, rows - (height - half_height) + 1)
    if len(candidates) <= 1:
        return rows // 2, col
    left = max(col - half_width, 0)
    shown = (pixels[:, left : min(left + width, cols)] > 0).sum(axis=1)
    above = np.concatenate([[0], np.cumsum(shown)])
    tops = candidates - half_height
    score = above[tops + height] - above[tops]
    best = candidates[score == score.max()]
    return int(best[np.argmin((best - rows // 2) ** 2)]), col  # argmin takes the smaller row of a tie


def draw_jitter(rng: np.random.RandomState, noise: JitterNoise) -> Jitter:
    """A draw, in upstream's order: location (only if there is location noise), then size (always)."""
    location = None
    if any(noise.location_px):
        down, right = rng.uniform(-1, 1, 2)
        location = (float(down), float(right))
    top, bottom, left, right = (float(v) for v in rng.uniform(-1, 1, 4))
    return Jitter(location, (top, bottom, left, right))


def place_window(
    crop_shape: tuple[int, int],
    *,
    angle: Angle,
    window: tuple[int, int],
    centre: tuple[int, int],
    noise: JitterNoise,
    jitter: Jitter,
) -> Placement:
    """Where the window of this draw lies on the zero-padded canvas."""
    (rows, cols), (height, width) = crop_shape, window
    (noise_rows, noise_cols), size_px = noise.location_px, noise.size_px
    top, left = centre[0] - height // 2, centre[1] - width // 2
    row_offset = 0
    if angle == "CC" and rows < height + 2 * (noise_rows + size_px):
        padding = height - rows + 2 * (noise_rows + size_px)
        row_offset = int(padding / 2)
        rows, top = rows + padding, noise_rows + size_px
    elif angle == "MLO" and rows < height + noise_rows + size_px:
        rows, top = height + noise_rows + size_px, 0
    if cols < width + noise_cols + size_px:
        cols, left = width + noise_cols + size_px, 0
    top, bottom = _pull_inside(top, height, rows)
    left, right = _pull_inside(left, width, cols)
    if jitter.location is not None:
        top, bottom = _shift(top, bottom, rows, jitter.location[0], noise_rows)
        left, right = _shift(left, right, cols, jitter.location[1], noise_cols)
    shifted = Box(top, bottom, left, right)
    resized = _move_edges(shifted, (rows, cols), jitter.size, size_px, width / height)
    return Placement((rows, cols), (row_offset, 0), shifted, resized)


def cut_window(plane: NDArray[np.float32], placement: Placement, window: tuple[int, int]) -> NDArray[np.float32]:
    """The window's content, (rows, cols) float32, bicubic where size noise changed the size.

    plane  (rows, cols) float32, crop frame: the image or one heatmap. Not clipped: bicubic overshoot below 0 and
    above the maximum is part of the method.
    """
    box, (row0, col0) = placement.resized, placement.crop_offset
    cut = np.zeros((box.height, box.width), np.float32)
    top, bottom = max(box.top, row0), min(box.bottom, row0 + plane.shape[0])
    left, right = max(box.left, col0), min(box.right, col0 + plane.shape[1])
    if top < bottom and left < right:
        within = plane[top - row0 : bottom - row0, left - col0 : right - col0]
        cut[top - box.top : bottom - box.top, left - box.left : right - box.left] = within
    if cut.shape != window:  # plane by plane: OpenCV is 7 times as fast as on interleaved channels
        return np.asarray(cv2.resize(cut, (window[1], window[0]), interpolation=cv2.INTER_CUBIC), np.float32)
    return cut


def cut_input(
    planes: Sequence[NDArray[np.float32]], placement: Placement, window: tuple[int, int], *, std_floor: float = 1e-5
) -> NDArray[np.float32]:
    """The network's input, (planes, rows, cols) float32: the window of the image, then of its heatmaps, if any.

    The image has mean 0 and deviation 1 over the window, zero padding and background included; heatmaps stay
    probabilities.
    """
    channels = np.empty((len(planes), *window), np.float32)
    channels[0] = standardise(cut_window(planes[0], placement, window), std_floor=std_floor)
    for channel, plane in zip(channels[1:], planes[1:], strict=True):
        channel[:] = cut_window(plane, placement, window)
    return channels


def standardise(image: NDArray[T], *, std_floor: float = 1e-5) -> NDArray[T]:
    """(image - mean) / max(population deviation, floor), over the whole array, in the array's own precision."""
    spread = np.maximum(np.std(image), std_floor)
    standardised: NDArray[T] = (image - np.mean(image)) / spread.astype(image.dtype)
    return standardised


def standardise_whole(pixels: NDArray[Any], *, std_floor: float = 1e-5) -> NDArray[np.float32]:
    """(rows, cols) float32: `standardise` of integer pixels in double precision, in little memory.

    Mean and deviation come from exact integer sums.
    """
    total = sum(int(band.sum(dtype=np.int64)) for band in _bands(pixels))
    squares = sum(int(np.square(band.astype(np.int64)).sum()) for band in _bands(pixels))
    n = pixels.size
    spread = max(math.sqrt((squares * n - total * total) / (n * n)), std_floor)
    standardised = np.empty(pixels.shape, np.float32)
    for band, out in zip(_bands(pixels), _bands(standardised), strict=True):
        out[:] = (band - total / n) / spread
    return standardised


def _bands(image: NDArray[Any]) -> list[NDArray[Any]]:
    """The image in views of a few rows."""
    return [image[start : start + 64] for start in range(0, len(image), 64)]


def _pull_inside(start: int, size: int, length: int) -> tuple[int, int]:
    if start < 0:
        start = 0
    elif start + size > length:
        start = length - size
    return start, start + size


def _shift(start: int, end: int, length: int, u: float, noise_px: int) -> tuple[int, int]:
    """A window that touches a border moves away from it only."""
    if start == 0:
        u = abs(u)
    elif end == length:
        u = -abs(u)
    room = length - end if u >= 0 else start
    step = round(min(noise_px, room) * u)  # Python rounds halves to even, as upstream does
    return start + step, end + step


def _move_edges(
    box: Box, canvas: tuple[int, int], v: tuple[float, float, float, float], size_px: int, aspect: float
) -> Box:
    """Each edge moves on its own; the horizontal range is narrower, in proportion (aspect = width / height)."""
    most = min(size_px, box.top, canvas[0] - box.bottom, box.left, canvas[1] - box.right)
    across = round(most * aspect)
    return Box(
        box.top + round(most * v[0]),
        box.bottom + round(most * v[1]),
        box.left + round(across * v[2]),
        box.right + round(across * v[3]),
    )
