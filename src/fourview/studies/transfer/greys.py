"""The greys of one breast on a scale from 0 to 1, and images as squares."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError

PERCENTILES = (1, 99)  # of the breast's greys: 0 and 1 of the scale


def find_grey_range(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> tuple[float, float]:
    """The grey values that become 0 and 1, of a crop with a background of 0.

    They are percentiles of the breast alone, so neither the background's size nor exposure and bit depth count.
    Raises ExamError if nothing is brighter than 0.
    """
    breast = pixels[pixels > 0]
    if not len(breast):
        raise ExamError("found no pixel brighter than 0, need a breast")
    low, high = np.percentile(breast, PERCENTILES)
    return float(low), float(high)


def scale_greys(image: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """The image from 0 to 1; what is darker than `low` is 0, so the background is."""
    return np.clip((image.astype(np.float64) - low) / max(high - low, 1.0), 0, 1)


def shrink_to_square(image: NDArray[Any], side_px: int) -> NDArray[np.float32]:
    """(side, side): the whole image, rows and columns each on their own, as the paper must have done."""
    rows, cols = image.shape
    tall = _resize(image.astype(np.float32), (side_px, cols), shrinks=side_px < rows)
    return _resize(tall, (side_px, side_px), shrinks=side_px < cols)


def _resize(image: NDArray[np.float32], shape: tuple[int, int], *, shrinks: bool) -> NDArray[np.float32]:
    """One axis at a time: OpenCV takes the mean over areas only where no axis grows."""
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # as crop.resample: neither rings
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=method), np.float32)
