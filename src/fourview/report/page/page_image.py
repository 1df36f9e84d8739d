"""Mammograms and heatmaps as a page holds them: 8-bit JPEG within a budget of bytes, maps as small byte arrays."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Mammogram
from fourview.report.picture import area_means

_HELD = (0.5, 99.95)  # percentiles of the breast that become 0 and 255: room for the window to move
_SHOWN = (1.0, 99.5)  # percentiles that are black and white at first, as in the overlays
_QUALITIES = (92, 82)
_LEAST_SHARE = 0.05
_CELL_PX = 8  # of the source, per cell of a heatmap, at most
_CELLS = 400  # along a map's longer side, before cells grow


@dataclass(frozen=True, eq=False)
class PageImage:
    """One mammogram in 8 bits.

    grey   (rows, cols) uint8, source frame
    held   the file's values that became 0 and 255
    shown  the file's values that are black and white at first
    """

    grey: NDArray[np.uint8]
    held: tuple[float, float]
    shown: tuple[float, float]


def make_page_image(mammogram: Mammogram, crop: Box | None) -> PageImage:
    """The whole mammogram in 8 bits, its grey scale set by the breast.

    crop  source pixels; None takes the non-zero pixels of the whole image
    """
    pixels = mammogram.pixels
    inside = pixels if crop is None else pixels[crop.slices]
    step = max(1, round((inside.size / 400_000) ** 0.5))  # percentiles of a regular sample
    sample = inside[::step, ::step]
    breast = sample[sample > 0]
    if breast.size == 0:
        breast = np.array([0.0, 1.0])
    low, dark, bright, high = (float(v) for v in np.percentile(breast, (_HELD[0], *_SHOWN, _HELD[1])))
    high = max(high, low + 1)
    bright = max(bright, dark + 1)
    ramp = (np.arange(np.iinfo(pixels.dtype).max + 1) - low) / (high - low)
    grey = np.rint(np.clip(ramp, 0, 1) * 255).astype(np.uint8)[pixels]
    return PageImage(grey, (low, high), (dark, bright))


def encode_images(images: Sequence[NDArray[np.uint8]], *, budget_bytes: int) -> tuple[list[bytes], float]:
    """The images as JPEG and the share of their rows and columns that is left, 1 where the budget allows.

    All images get the same share. First quality gives way, then resolution (area means).
    """
    jpegs: list[bytes] = []
    for quality in _QUALITIES:
        jpegs = [_jpeg(image, quality) for image in images]
        if sum(map(len, jpegs)) <= budget_bytes:
            return jpegs, 1.0
    share = 1.0
    while sum(map(len, jpegs)) > budget_bytes and share > _LEAST_SHARE:
        share *= 0.97 * (max(budget_bytes, 1) / sum(map(len, jpegs))) ** 0.5
        share = max(share, _LEAST_SHARE)
        jpegs = [_jpeg(_reduce(image, share), _QUALITIES[-1]) for image in images]
    return jpegs, share


def make_cells(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A heatmap in cells of at most 8 x 8 source pixels, 255 for 1: area means."""
    rows, cols = values.shape
    side = min(_CELL_PX, max(1, max(rows, cols) // _CELLS))
    small: NDArray[np.float32] = area_means(values, (-(-rows // side), -(-cols // side)))
    return np.asarray(np.rint(np.clip(small, 0, 1) * 255), np.uint8)


def to_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def pack_bytes(values: NDArray[np.uint8]) -> str:
    """The array, row by row, as base64 of a zlib stream (a browser's DecompressionStream("deflate") undoes it)."""
    return to_base64(zlib.compress(np.ascontiguousarray(values).tobytes(), 6))


def _reduce(image: NDArray[np.uint8], share: float) -> NDArray[Any]:
    rows, cols = (max(1, round(n * share)) for n in image.shape)
    return area_means(image, (rows, cols))


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    ok, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise OSError(f"the image of shape {image.shape} could not be coded as JPEG")
    return bytes(encoded)
