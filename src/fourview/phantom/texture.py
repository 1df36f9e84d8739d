"""Tissue texture drawn in millimetres: the same key gives the same pattern at every pixel size.

The power of mammographic texture falls with frequency as about 1/f^3 (Burgess et al., Med Phys 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FINEST_MM = 0.07
_ROW = 4096


@dataclass(frozen=True, eq=False)
class Texture:
    """A sheet of noise: (rows, cols) float32 cells of cell_mm, mean about 0, standard deviation about 1."""

    cells: NDArray[np.float32]
    cell_mm: float

    def sample(
        self, x_mm: NDArray[np.float32], y_mm: NDArray[np.float32], *, stretch: float = 1.0
    ) -> NDArray[np.float32]:
        """float32 noise at these places; patterns are `stretch` times longer along x. Mirrored past its borders."""
        per_mm = np.float32(1 / self.cell_mm)
        if x_mm.ndim == 1:  # cv2.remap takes no row longer than 32767
            padded = [np.resize(places, (-(-len(places) // _ROW), _ROW)) for places in (x_mm, y_mm)]
            return self.sample(padded[0], padded[1], stretch=stretch).ravel()[: len(x_mm)]
        cols = x_mm * (per_mm / np.float32(stretch))
        rows = y_mm * per_mm
        cols -= np.float32(0.5)
        rows -= np.float32(0.5)
        return np.asarray(
            cv2.remap(self.cells, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
        )


def draw_texture(
    key: Sequence[int],
    extent_mm: tuple[float, float],
    *,
    coarse_mm: float,
    fine_mm: float,
    exponent: float = 3.0,
) -> Texture:
    """Noise of power 1/f^exponent over extent_mm (height, width).

    key        seeds the pattern, together with the octave: a finer fine_mm adds detail and changes nothing else
    coarse_mm  the largest cell; cells are halved while they stay at least fine_mm
    """
    cell, octave = coarse_mm, 0
    field = np.zeros((0, 0), np.float32)
    while True:
        rows = int(np.ceil(extent_mm[0] / coarse_mm)) * 2**octave
        cols = int(np.ceil(extent_mm[1] / coarse_mm)) * 2**octave
        rng = np.random.default_rng([*key, octave])
        weight = (cell / coarse_mm) ** ((exponent - 2) / 2)  # an octave of a 2-d field holds f^2 frequencies
        fresh = rng.standard_normal((rows, cols), dtype=np.float32)
        fresh *= np.float32(weight)
        if octave:
            fresh += cv2.resize(field, (cols, rows), interpolation=cv2.INTER_CUBIC)
        field = fresh
        if cell / 2 < 0.999 * fine_mm:
            break
        cell, octave = cell / 2, octave + 1
    # as if drawn down to the finest cell, so that brightness does not depend on the pixel size
    octaves = int(np.log2(coarse_mm / FINEST_MM)) + 1
    field *= np.float32(sum(2.0 ** (-k * (exponent - 2)) for k in range(octaves)) ** -0.5)
    return Texture(field, cell)


def lines(sheets: NDArray[np.float32], strength: NDArray[np.float32], *, width: float) -> NDArray[np.float32]:
    """float32 in [0, 1]: thin curved lines where smooth noise crosses 0, of uneven strength, as fibrous septa look."""
    thin = np.abs(sheets)
    thin *= np.float32(-1 / width)
    thin += np.float32(1)
    np.maximum(thin, 0, out=thin)
    thin *= thin
    thin *= np.clip(np.float32(0.45) + np.float32(0.45) * strength, 0, 1)
    return thin
