"""How far a finding stands out from the tissue around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image

_SEEN = 0.6  # of the brightness it was meant to have above its ring, whatever tissue happens to lie there


def measure_ring_contrast(tissue: Image, mask: NDArray[np.bool_]) -> float:
    """Mean brightness in the mask minus the mean in the ring around it, 1.1 to 1.5 equivalent radii from its middle.

    The equivalent radius is that of a disc with the area of the mask. NaN, if either is empty.
    """
    rows, cols = np.nonzero(mask)
    if not len(rows):
        return float("nan")
    row, col, radius = rows.mean(), cols.mean(), (len(rows) / np.pi) ** 0.5
    reach = int(np.ceil(1.5 * radius)) + 1
    box = tuple(
        slice(max(0, int(middle) - reach), min(size, int(middle) + reach + 2))
        for middle, size in zip((row, col), mask.shape, strict=True)
    )
    y, x = np.ogrid[box]
    far = np.hypot(y - row, x - col) / radius
    ring = (far >= 1.1) & (far <= 1.5) & ~mask[box]
    if not ring.any():
        return float("nan")
    return float(tissue[mask].mean() - tissue[box][ring].mean())


def find_factor(window: Image, light: Image, inside: NDArray[np.bool_]) -> np.float32:
    """The factor that makes a finding stand out where the tissue around it is denser than the tissue under it."""
    before, added = measure_ring_contrast(window, inside), measure_ring_contrast(light, inside)
    if not (np.isfinite(before) and added > 0):
        return np.float32(1)
    return np.float32(np.clip((_SEEN * added - before) / added, 1, 3))
