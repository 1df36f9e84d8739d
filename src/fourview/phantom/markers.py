"""What lies on the image beside the breast: view letters, and a metal ball on the skin at the nipple.

Letters are drawn from strokes of our own, so that they are the same with every version of OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDE, _HIGH, _STEP = 4.0, 6.0, 5.4  # of a letter, and from one to the next, in units of a sixth of its height
_SUBPIXEL = 4  # bits of cv2's fixed-point coordinates
_GAP_MM = 4.0  # between letters and breast or image border
_STROKES = {  # x to the right 0..4, y down 0..6
    "L": "00 06 46", "R": "06 00 30 41 42 33 03,23 46", "C": "41 30 10 01 05 16 36 45",
    "M": "06 00 23 40 46", "O": "10 30 41 45 36 16 05 01 10", "A": "06 20 46,14 34", "E": "40 00 06 46,03 33",
    "H": "00 06,40 46,03 43", "I": "20 26", "N": "06 00 46 40", "P": "06 00 30 41 42 33 03",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05", "T": "00 40,20 26", "Y": "00 23 40,23 26", "W": "00 16 22 36 40",
    "0": "10 30 41 45 36 16 05 01 10", "1": "11 20 26", "2": "01 10 30 41 42 06 46", "3": "00 40 23 33 44 45 36 16 05",
    "4": "30 04 44,30 36", "5": "40 00 02 32 43 45 36 06", "6": "40 20 02 05 16 36 45 44 33 03", "7": "00 40 16",
    "8": "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33", "9": "43 13 02 01 10 30 41 44 26", "-": "13 33", " ": "",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where letters stand: the middle of their box and its size, in pixels. angle  degrees, counter-clockwise."""

    row: float
    col: float
    height: float
    width: float
    angle: float = 0.0

    def mirror(self, cols: int) -> Place:
        """The same place in the mirrored image of this width; what is written there still reads from left to right."""
        return replace(self, col=cols - 1 - self.col)


def measure_text(text: str, height_mm: float) -> float:
    """The width in mm of a line of letters of this height."""
    return ((len(text) - 1) * _STEP + _WIDE) * height_mm / _HIGH


def find_place(
    breast: NDArray[np.bool_],
    size_mm: tuple[float, float],
    *,
    pixel_mm: float,
    rng: np.random.Generator,
) -> Place | None:
    """A free place for a box of (height, width) mm: away from the chest wall, as high as the breast leaves room.

    breast  (rows, cols) bool, facing right
    None if the breast leaves none. The axilla is at the top of the image, and so is the marker (ACR manual).
    """
    rows, cols = breast.shape
    tall, wide = size_mm[0] / pixel_mm, size_mm[1] / pixel_mm
    gap = _GAP_MM / pixel_mm
    right = cols - gap * rng.uniform(1.0, 3.0)
    down = gap * rng.uniform(1.0, 6.0)
    left = right - wide
    if left < gap:
        return None
    across = np.asarray(breast[:, max(0, int(left - gap)) :].any(axis=1))
    while down + tall + gap < rows:
        if not across[max(0, int(down - gap)) : int(down + tall + gap) + 1].any():
            return Place(down + tall / 2, (left + right) / 2, tall, wide)
        down += gap
    return None


def burn_text(image: NDArray[Any], text: str, place: Place, value: float, *, stroke: float = 0.13) -> None:
    """Writes letters of this value into the image, as large as the place.

    stroke  thickness of the lines as a share of the height. Raises KeyError for a letter without strokes.
    """
    unit = place.height / _HIGH
    start = ((len(text) - 1) * _STEP + _WIDE) / 2
    turn = np.deg2rad(place.angle)
    lines = []
    for number, letter in enumerate(text):
        for line in filter(None, _STROKES[letter].split(",")):
            points = np.array([(int(p[0]), int(p[1])) for p in line.split()], np.float64)
            x, y = (points[:, 0] + number * _STEP - start) * unit, (points[:, 1] - _HIGH / 2) * unit
            lines.append(
                np.stack(
                    [place.col + x * np.cos(turn) + y * np.sin(turn), place.row + y * np.cos(turn) - x * np.sin(turn)],
                    axis=1,
                )
            )
    burn_lines(image, lines, stroke * place.height, value)


def burn_brackets(image: NDArray[Any], place: Place, value: float) -> None:
    """Draws four corners of this value that frame the place."""
    arm = 0.2 * place.height
    corners = []
    for down in (-1, 1):
        for along in (-1, 1):
            row, col = place.row + down * place.height / 2, place.col + along * place.width / 2
            corners.append(np.array([(col - along * arm, row), (col, row), (col, row - down * arm)]))
    burn_lines(image, corners, 0.035 * place.height, value)


def burn_ball(image: NDArray[Any], row: float, col: float, radius: float, value: float) -> None:
    """Draws a disc of this value; all lengths in pixels."""
    reach = int(radius) + 2
    window = _window(image, row - reach, row + reach, col - reach, col + reach)
    y, x = (np.arange(part.start, part.stop) for part in window)
    near = np.hypot(y[:, None] - row, x[None, :] - col)
    _burn(image, window, np.clip(radius - near + 0.5, 0, 1), value)


def burn_lines(image: NDArray[Any], lines: Sequence[NDArray[np.float64]], thickness: float, value: float) -> None:
    """Draws lines through (n, 2) points (col, row), at least one pixel thick."""
    if not lines:
        return
    points = np.concatenate(lines)
    edge = thickness + 2
    low, high = points.min(axis=0) - edge, points.max(axis=0) + edge
    window = _window(image, low[1], high[1], low[0], high[0])
    canvas = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
    if not canvas.size:
        return
    for line in lines:
        fixed = np.round((line - (window[1].start, window[0].start)) * 2**_SUBPIXEL).astype(np.int32)
        cv2.polylines(canvas, [fixed.reshape(-1, 1, 2)], False, 255, max(1, round(thickness)), cv2.LINE_AA, _SUBPIXEL)
    _burn(image, window, canvas / 255, value)


def find_nipple(breast: NDArray[np.bool_]) -> tuple[float, float]:
    """(row, col) of where the breast, facing right, reaches farthest."""
    reach = np.where(breast.any(axis=1), breast.shape[1] - breast[:, ::-1].argmax(axis=1), 0)
    return float(np.flatnonzero(reach == reach.max()).mean()), float(reach.max()) - 0.5


def _window(image: NDArray[Any], top: float, bottom: float, left: float, right: float) -> tuple[slice, slice]:
    rows, cols = image.shape
    first = max(0, min(rows, int(top))), max(0, min(cols, int(left)))
    last = max(first[0], min(rows, int(bottom) + 1)), max(first[1], min(cols, int(right) + 1))
    return slice(first[0], last[0]), slice(first[1], last[1])


def _burn(image: NDArray[Any], window: tuple[slice, slice], share: NDArray[np.float64], value: float) -> None:
    mixed = image[window] * (1 - share) + value * share
    image[window] = np.rint(mixed) if np.issubdtype(image.dtype, np.integer) else mixed
