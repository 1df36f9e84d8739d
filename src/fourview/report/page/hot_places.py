"""Where a heatmap is hottest: its local maxima, the largest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Finding, Frame, Heatmap, Reading

SIDE_PX = 256  # of published patches, working pixels
LEAST = 0.1
MOST = 5
_BLOCK = 8
_SAME = 1e-6  # values that differ by less are one plateau


@dataclass(frozen=True)
class HotPlace:
    """A local maximum of one heatmap: its value, and the middle of its plateau in source pixels."""

    finding: Finding
    value: float
    row: int
    col: int


def find_apart_px(reading: Reading) -> int:
    """How far apart two places of its heatmaps are at least, working pixels.

    It is the side of a patch, because what lies nearer was seen by the same patches; that of published ones where a
    reading does not say it, as those of earlier versions do not.
    """
    return reading.patch_side_px or SIDE_PX


def in_source_px(working_px: float, frame: Frame) -> float:
    """A length in source pixels."""
    return working_px * frame.source_shape[0] / frame.working_shape[0]


def find_hot_places(
    heatmap: Heatmap, finding: Finding, *, radius_px: float = SIDE_PX, least: float = LEAST, most: int = MOST
) -> tuple[HotPlace, ...]:
    """The local maxima of one map, largest first, at most `most`.

    radius_px  source pixels: of two maxima that are nearer (in rows and in columns) only the larger is taken
    least      smaller values are no places

    A shoulder, flat or not, that leads up to a higher value is none either. The middle of a plateau is its
    centroid, or the plateau's pixel that is nearest to it.
    """
    values = heatmap.inside[finding]
    if values.size == 0 or float(values.max()) < least:
        return ()
    blocks = _block_maxima(values)
    reach = max(1, round(radius_px / _BLOCK))
    around = cv2.dilate(blocks, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    peaks = (blocks >= around - _SAME) & (blocks >= least)
    count, found_labels = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    labels = np.asarray(found_labels, np.int32)
    largest = np.zeros(count, np.float32)
    np.maximum.at(largest, labels[peaks], blocks[peaks])
    found: list[HotPlace] = []
    for label in np.argsort(-largest[1:], kind="stable") + 1:
        plateau = labels == label
        value = float(largest[label])
        if _leads_higher(blocks, plateau, value):
            continue
        row, col = _middle(values, plateau, value)
        place = HotPlace(finding, value, row + heatmap.box.top, col + heatmap.box.left)
        if all(max(abs(place.row - other.row), abs(place.col - other.col)) > radius_px for other in found):
            found.append(place)
        if len(found) == most:
            break
    return tuple(found)


def _block_maxima(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest value of each block of 8 x 8 pixels; blocks at the lower and right edges may be smaller."""
    rows, cols = (-(-n // _BLOCK) * _BLOCK for n in values.shape)
    padded = np.zeros((rows, cols), np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    in_rows = padded.reshape(rows // _BLOCK, _BLOCK, cols).max(axis=1)
    return np.asarray(in_rows.reshape(rows // _BLOCK, cols // _BLOCK, _BLOCK).max(axis=2))


def _leads_higher(blocks: NDArray[np.float32], plateau: NDArray[Any], value: float) -> bool:
    """Whether a way that never goes below the plateau leads to a higher value."""
    _, labels = cv2.connectedComponents((blocks >= value - _SAME).astype(np.uint8), connectivity=8)
    own = labels == labels[plateau][0]
    return float(blocks[own].max()) > value + _SAME


def _middle(values: NDArray[np.float32], plateau: NDArray[Any], value: float) -> tuple[int, int]:
    """The pixel of the plateau that is nearest to its centroid, in the map."""
    rows, cols = (np.flatnonzero(plateau.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]) * _BLOCK, int(cols[0]) * _BLOCK
    part = values[top : (int(rows[-1]) + 1) * _BLOCK, left : (int(cols[-1]) + 1) * _BLOCK]
    inside = np.kron(plateau[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1], np.ones((_BLOCK, _BLOCK), bool))
    r, c = np.nonzero((part >= value - _SAME) & inside[: part.shape[0], : part.shape[1]])
    nearest = int(np.argmin((r - r.mean()) ** 2 + (c - c.mean()) ** 2))
    return top + int(r[nearest]), left + int(c[nearest])
