"""What a lesion and its surroundings look like up close: binary patterns, oriented waves, detail by size, edges.

Methods. Local binary patterns, uniform and rotation invariant: Ojala et al. 2002. Gabor filters: Manjunath and Ma
1996. Wavelet energies: Haar's, Mallat 1989. Histograms of oriented gradients: Dalal and Triggs 2005, unsigned, blocks
of 2 x 2 cells, L2 with clipping at 0.2.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from fourview.studies.lesion.handcrafted.regions import Regions

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
RINGS = ((8, 1.0), (16, 2.0), (24, 3.0))  # local binary patterns: neighbours, radius px
WAVES_PX = (4.0, 8.0, 16.0, 32.0)  # lengths of Gabor's waves
ANGLES = 6
WAVELET_STEPS = 4
HOG_PX, CELL_PX, BINS = 64, 8, 9
HOG_SIZE = (HOG_PX // CELL_PX - 1) ** 2 * 4 * BINS
_SHORT_PX = 8.0  # waves that are filtered at full size, and what longer ones are shrunk to
_SAME = 1e-6  # greys that differ by less are equal
_WIDTH = 0.56  # of a Gabor filter's window in wavelengths: a bandwidth of one octave
_TINY = 1e-9


def measure_local(regions: Regions) -> dict[str, float]:
    """Name -> number. Turned by 90 degrees or mirrored crops give the same."""
    found: dict[str, float] = {}
    for neighbours, radius in RINGS:
        shares = find_patterns(regions.pixels, regions.lesion, neighbours=neighbours, radius=radius)
        found |= {f"binary pattern {neighbours}-{place}": float(share) for place, share in enumerate(shares)}
    for wave in WAVES_PX:
        found |= {f"wave {wave:g} px, {k}": v for k, v in measure_waves(regions.pixels, regions.around, wave).items()}
    return found | measure_wavelets(regions.pixels)


def find_patterns(pixels: Floats, within: Mask, *, neighbours: int, radius: float) -> Floats:
    """(neighbours + 2,) shares of the patterns of pixels within: 0 to all neighbours at least as bright, in one arc;
    last, all that are in more arcs."""
    rows, cols = np.nonzero(within)
    angles = 2 * np.pi * np.arange(neighbours) / neighbours
    own = pixels[within]
    around = np.stack(
        [
            map_coordinates(pixels, [rows + radius * np.sin(a), cols + radius * np.cos(a)], order=1, mode="mirror")
            for a in angles
        ]
    )
    bright = around >= own - _SAME
    changes = (bright != np.roll(bright, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, bright.sum(axis=0), neighbours + 1)
    return np.bincount(pattern, minlength=neighbours + 2) / max(len(own), 1)


def measure_waves(pixels: Floats, within: Mask, wave: float) -> dict[str, float]:
    """How strongly greys wave at a length (px): mean and sd over the pixels within, means over the angles; and how much
    the angles differ, (largest - smallest) / mean. Long waves are looked for in a smaller picture."""
    times = max(1, int(wave // _SHORT_PX))
    pixels, within = _shrink(pixels, within, times)
    means, deviations = [], []
    for angle in np.pi * np.arange(ANGLES) / ANGLES:
        even, odd = (cv2.filter2D(pixels, cv2.CV_64F, kernel) for kernel in _gabor(wave / times, angle))
        size = np.hypot(even, odd)[within]
        means.append(float(size.mean()))
        deviations.append(float(size.std()))
    mean = float(np.mean(means))
    return {
        "mean": mean,
        "sd": float(np.mean(deviations)),
        "anisotropy": float(np.ptp(means)) / mean if mean > _TINY else 0.0,
    }


def _shrink(pixels: Floats, within: Mask, times: int) -> tuple[Floats, Mask]:
    """Both that many times smaller; a pixel is within if half of it is, or as much as of any."""
    if times == 1:
        return pixels, within
    size = pixels.shape[1] // times, pixels.shape[0] // times
    small, share = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float64)
        for one in (pixels, within.astype(np.float64))
    )
    return small, share >= min(0.5, float(share.max())) - _SAME


def _gabor(wave: float, angle: float) -> tuple[Floats, Floats]:
    """An even and an odd filter. Flat greys do not excite them; a wave along their direction gives its amplitude."""
    sigma = _WIDTH * wave
    side = 2 * round(3 * sigma) + 1
    even, odd = (
        np.asarray(cv2.getGaborKernel((side, side), sigma, angle, wave, 1.0, phase, cv2.CV_64F))
        for phase in (0.0, np.pi / 2)
    )
    weight = np.asarray(cv2.getGaussianKernel(side, sigma, cv2.CV_64F))
    window = weight @ weight.T
    scale = even[side // 2, side // 2] / window.max()  # their common window sums to this
    even = even - window * scale * (even.sum() / scale)
    return 2 * even / scale, 2 * (odd - odd.mean()) / scale


def measure_wavelets(pixels: Floats) -> dict[str, float]:
    """Energy of Haar's wavelets by size: along rows or columns together, diagonally, and how much rows and columns
    differ, 0 to 1. The squares of a crop's middle whose side divides by the largest size."""
    size = 2**WAVELET_STEPS
    rows, cols = (length // size * size for length in pixels.shape)
    top, left = ((whole - part) // 2 for whole, part in zip(pixels.shape, (rows, cols), strict=True))
    rest = pixels[top : top + rows, left : left + cols]
    found: dict[str, float] = {}
    for step in range(WAVELET_STEPS):
        a, b, c, d = rest[::2, ::2], rest[::2, 1::2], rest[1::2, ::2], rest[1::2, 1::2]
        across, down, diagonal = ((x**2).mean() / 4 for x in (a - b + c - d, a + b - c - d, a - b - c + d))
        both = float(across + down)
        found[f"detail {2**step} px"] = both
        found[f"detail {2**step} px, diagonal"] = float(diagonal)
        found[f"detail {2**step} px, anisotropy"] = abs(float(across - down)) / both if both > _TINY**2 else 0.0
        rest = (a + b + c + d) / 2
    return found


def describe_edges(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(HOG_SIZE,) histograms of oriented gradients of a crop, shrunk to 64 pixels. They know which way is up."""
    small = cv2.resize(pixels.astype(np.float64), (HOG_PX, HOG_PX), interpolation=cv2.INTER_AREA)
    down, right = np.gradient(small)
    size, angle = np.hypot(down, right), np.arctan2(down, right) % np.pi
    place = angle / np.pi * BINS - 0.5  # each gradient goes to the two nearest of the bins' middles
    lower = np.floor(place).astype(np.int64)
    share = place - lower
    cells = HOG_PX // CELL_PX
    rows, cols = np.indices(small.shape) // CELL_PX
    counts = np.zeros((cells, cells, BINS))
    np.add.at(counts, (rows, cols, lower % BINS), size * (1 - share))
    np.add.at(counts, (rows, cols, (lower + 1) % BINS), size * share)
    blocks = np.lib.stride_tricks.sliding_window_view(counts, (2, 2), axis=(0, 1)).reshape((cells - 1) ** 2, -1)
    blocks = np.minimum(blocks / np.sqrt((blocks**2).sum(axis=1, keepdims=True) + _TINY), 0.2)
    blocks = blocks / np.sqrt((blocks**2).sum(axis=1, keepdims=True) + _TINY)
    return np.asarray(blocks.ravel(), np.float32)
