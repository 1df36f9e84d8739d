"""Tissue texture drawn in millimetres: the same key gives the same pattern at every pixel size.

The power of mammographic texture falls with frequency as about 1/f^3 (Burgess et al., Med Phys 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.outline import HEIGHT_MM, WIDTH_MM

FINEST_MM = 0.07


def noise(
    key: Sequence[int],
    shape: tuple[int, int],
    *,
    pixel_mm: float,
    coarse_mm: float,
    fine_mm: float = 0.0,
    exponent: float = 3.0,
    stretch: float = 1.0,
) -> NDArray[np.float32]:
    """(rows, cols) float32 noise of mean about 0, standard deviation about 0.8 and power 1/f^exponent.

    key        seeds the pattern, together with the octave
    coarse_mm  the largest cell; cells are halved down to fine_mm or the pixel size, whichever is larger
    stretch    patterns are this many times longer from chest wall to nipple than across
    """
    cell = coarse_mm
    octave = 0
    field = np.zeros((0, 0), np.float32)
    while True:
        rows = max(1, round(np.ceil(HEIGHT_MM / coarse_mm))) * 2**octave
        cols = max(1, round(np.ceil(WIDTH_MM / coarse_mm / stretch))) * 2**octave
        rng = np.random.default_rng([*key, octave])
        weight = (cell / coarse_mm) ** ((exponent - 2) / 2)  # an octave of a 2-d field holds f^2 frequencies
        fresh = rng.standard_normal((rows, cols), dtype=np.float32) * np.float32(weight)
        field = fresh + (cv2.resize(field, (cols, rows), interpolation=cv2.INTER_CUBIC) if octave else 0)
        if cell / 2 < max(fine_mm, pixel_mm):
            break
        cell /= 2
        octave += 1
    # as if drawn down to the finest cell, so that brightness does not depend on the pixel size
    octaves = int(np.log2(coarse_mm / max(fine_mm, FINEST_MM))) + 1
    variance = sum(2.0 ** (-k * (exponent - 2)) for k in range(octaves))
    step = pixel_mm / cell
    to_cells = np.array([[step / stretch, 0, step / stretch / 2 - 0.5], [0, step, step / 2 - 0.5]])
    scaled = cv2.warpAffine(
        field,
        to_cells,
        (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(scaled / np.float32(variance**0.5), np.float32)


def strands(
    key: Sequence[int],
    shape: tuple[int, int],
    *,
    pixel_mm: float,
    cell_mm: float,
    width: float,
    stretch: float,
) -> NDArray[np.float32]:
    """(rows, cols) float32 in [0, 1]: thin curved lines of uneven strength, as fibrous septa look.

    cell_mm  typical distance of the lines
    width    share of the cell that a line takes
    """
    sheets = noise(key, shape, pixel_mm=pixel_mm, coarse_mm=cell_mm, fine_mm=cell_mm / 9, stretch=stretch)
    strength = noise([*key, 77], shape, pixel_mm=pixel_mm, coarse_mm=2 * cell_mm, fine_mm=cell_mm)
    lines = np.exp(-((sheets / np.float32(width)) ** 2))
    return np.asarray(lines * np.clip(0.5 + 0.4 * strength, 0, 1), np.float32)
