"""What a breast looks like, in hand-made numbers: the bar for a network.

Greys, textures (Haralick et al. 1973: co-occurrence; Ojala et al. 2002: local binary patterns, the uniform rotation
invariant ones), detail by size, and how much of it there is in the most conspicuous place. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.studies.transfer.greys import find_grey_range, scale_greys

Floats = NDArray[np.float64]
_LEVELS, _STEPS_PX = 32, (1, 2, 4, 8)  # co-occurrence: grey levels, distances
_RADII_PX = (1, 3)  # local binary patterns
_SIZES_PX = (1.0, 2.0, 4.0, 8.0, 16.0)  # detail lies between neighbours
_RIM_PX = 4  # along the skin, where greys fall off, nothing is measured
_ENOUGH_PX = 100


def measure_breast(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Floats:
    """(60,) of a crop with a background of 0; greys are counted from the 1st to the 99th percentile.

    Raises ExamError if there is next to no breast in it.
    """
    low, high = find_grey_range(pixels)
    breast, grey = pixels > 0, scale_greys(pixels, low, high)
    kernel = np.ones((2 * _RIM_PX + 1, 2 * _RIM_PX + 1), np.uint8)
    within = cv2.erode(np.pad(breast.astype(np.uint8), 1), kernel)[1:-1, 1:-1] > 0
    if (found := int(within.sum())) < _ENOUGH_PX:
        raise ExamError(f"found {found} pixels of breast inside its rim, need {_ENOUGH_PX} to measure textures")
    return np.array([breast.mean(), low, high, *_greys(grey[within]), *_texture(grey, within)])


def _greys(values: Floats) -> list[float]:
    mean, sd = float(values.mean()), float(values.std())
    z = (values - mean) / max(sd, 1e-6)
    shares = np.percentile(values, (5, 25, 50, 75, 95))
    return [mean, sd, float((z**3).mean()), float((z**4).mean()), *map(float, shares)]


def _texture(grey: Floats, within: NDArray[np.bool_]) -> Iterator[float]:
    for step in _STEPS_PX:
        yield from _co_occur(grey, within, step)
    for radius in _RADII_PX:
        yield from _patterns(grey, within, radius)
    smooth = [cv2.GaussianBlur(grey, (0, 0), size) for size in _SIZES_PX]
    for fine, coarse in pairwise(smooth):
        detail = (fine - coarse)[within]
        yield float(detail.std())
        yield float(np.percentile(detail, 99.5))  # the most conspicuous place
        yield float((detail**3).mean() / max(float(detail.std()), 1e-6) ** 3)


def _co_occur(grey: Floats, within: NDArray[np.bool_], step: int) -> list[float]:
    """Contrast, homogeneity, energy and correlation, the mean over four directions."""
    levels = np.minimum((grey * _LEVELS).astype(np.int64), _LEVELS - 1)
    i, j = np.mgrid[:_LEVELS, :_LEVELS]
    found = []
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
        rows, cols = grey.shape
        first = slice(0, rows - down), slice(max(0, -right), cols - max(0, right))
        second = slice(down, rows), slice(max(0, right), cols - max(0, -right))
        both = within[first] & within[second]
        counts = np.bincount(levels[first][both] * _LEVELS + levels[second][both], minlength=_LEVELS**2)
        p = (counts.reshape(_LEVELS, _LEVELS) + counts.reshape(_LEVELS, _LEVELS).T) / (2 * counts.sum())
        mean = float((i * p).sum())
        variance = max(float(((i - mean) ** 2 * p).sum()), 1e-9)
        found.append(
            (
                ((i - j) ** 2 * p).sum(),
                (p / (1 + (i - j) ** 2)).sum(),
                (p**2).sum(),
                ((i - mean) * (j - mean) * p).sum() / variance,
            )
        )
    return [float(value) for value in np.mean(found, axis=0)]


def _patterns(grey: Floats, within: NDArray[np.bool_], radius: int) -> list[float]:
    """Shares of the ten patterns of eight neighbours: 0 to 8 brighter ones in one arc, and all others."""
    angles = np.arange(8) * np.pi / 4
    rows, cols = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    brighter = np.stack(
        [
            cv2.remap(
                grey,
                (cols + np.float32(radius * np.cos(angle))),
                (rows + np.float32(radius * np.sin(angle))),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )[within]
            >= grey[within]
            for angle in angles
        ]
    )
    changes = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, brighter.sum(axis=0), 9)
    return [float(share) for share in np.bincount(pattern, minlength=10) / pattern.size]
