"""Maps of a network's input, put back into the pixels of the file: window -> crop -> source, mirrored back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.crop import return_to_source
from fourview.exam import Box, Frame
from fourview.window import Placement

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SourceMap:
    """A map of one mammogram in the pixels and the direction of its file.

    source_shape  (rows, cols) of the file
    box           the crop; only this part is held in memory
    inside        (rows, cols) of the box, float32, of any sign; 0 where the network did not look
    seen          the part of the box that the network looked at, source pixels
    """

    source_shape: tuple[int, int]
    box: Box
    inside: Array
    seen: Box

    @property
    def full(self) -> Array:
        """(rows, cols) of the file, 0 where nothing was looked at; made anew at every access."""
        whole = np.zeros(self.source_shape, np.float32)
        whole[self.box.slices] = self.inside
        return whole


def place_in_crop(values: Array, placement: Placement, crop_shape: tuple[int, int]) -> tuple[Array, Box]:
    """A map of a window as a map of the crop (0 beside the window), and the part of the crop that the window shows.

    values  (rows, cols) of the network's input that `window.cut_window` cut at `placement`
    """
    box, (row0, col0) = placement.resized, placement.crop_offset
    if values.shape != (box.height, box.width):
        shrinks = box.height < values.shape[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        values = np.asarray(cv2.resize(values, (box.width, box.height), interpolation=method), np.float32)
    top, bottom = max(box.top - row0, 0), min(box.bottom - row0, crop_shape[0])
    left, right = max(box.left - col0, 0), min(box.right - col0, crop_shape[1])
    seen = Box(top, max(top, bottom), left, max(left, right))
    crop = np.zeros(crop_shape, np.float32)
    rows = slice(seen.top - (box.top - row0), seen.bottom - (box.top - row0))
    cols = slice(seen.left - (box.left - col0), seen.right - (box.left - col0))
    crop[seen.slices] = values[rows, cols]
    return crop, seen


def place_in_source(crop: Array, seen: Box, frame: Frame) -> SourceMap:
    """A map of the crop as one of the file. seen: the part of the crop that was looked at"""
    return SourceMap(
        frame.source_shape, frame.box_source, return_to_source(crop, frame), narrow_frame(frame, seen).box_source
    )


def narrow_frame(frame: Frame, part: Box) -> Frame:
    """The frame of a part of the crop."""
    across = (frame.box.width - part.right, frame.box.width - part.left) if frame.mirrored else (part.left, part.right)
    left, right = (frame.box.left + col for col in across)
    return replace(frame, box=Box(frame.box.top + part.top, frame.box.top + part.bottom, left, right))
