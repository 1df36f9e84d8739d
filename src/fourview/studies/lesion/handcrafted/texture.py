"""A lesion's texture in numbers: co-occurrence, runs, zones, dependence, and differences to neighbours.

Methods. Runs (GLRLM): Galloway 1975; Chu et al. 1990; Dasarathy and Holder 1991. Zones (GLSZM): Thibault et al. 2009.
Dependence (GLDM): Sun and Wee 1983. Neighbours (NGTDM): Amadasun and King 1989. In two dimensions, 8 neighbours, within
the lesion; levels count from 1 in the formulas.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, label

from fourview.studies.lesion.handcrafted.cooccurrence import (
    DIRECTIONS,
    Floats,
    Levels,
    Mask,
    describe_pairs,
    measure_entropy,
)
from fourview.studies.lesion.handcrafted.regions import Regions

LEVELS = 32
_OUT = -1  # the level of pixels that are not within
_EIGHT = np.ones((3, 3), np.int64)
_AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.int64)
_NOT_OF_DEPENDENCE = ("percentage", "grey non-uniformity, normalised")
_TINY = 1e-12


def measure_texture(regions: Regions) -> dict[str, float]:
    """Name -> number, of the lesion's own greys in LEVELS steps. Turned by 90 degrees or mirrored: the same."""
    within = regions.lesion
    levels = quantise(regions.pixels, within)
    pixels = int(within.sum())
    return {
        **{f"pairs, {name}": value for name, value in describe_pairs(levels, within, count=LEVELS).items()},
        **{f"runs, {name}": value for name, value in describe_runs(levels, within).items()},
        **{f"zones, {name}": value for name, value in describe_sizes(count_zones(levels, within), pixels).items()},
        **{f"dependence, {name}": value for name, value in describe_dependence(levels, within).items()},
        **{f"neighbours, {name}": value for name, value in describe_tones(*sum_tones(levels, within)).items()},
    }


def quantise(pixels: Floats, within: Mask) -> Levels:
    """(rows, cols) from 0 to LEVELS - 1: equal steps from the 1st to the 99th percentile of the pixels within."""
    low, high = np.percentile(pixels[within], (1, 99))
    if high - low <= _TINY:
        return np.zeros(pixels.shape, np.int64)
    return np.asarray(np.clip((pixels - low) / (high - low) * LEVELS, 0, LEVELS - 1), np.int64)


def describe_runs(levels: Levels, within: Mask) -> dict[str, float]:
    """16 numbers, each the mean over the four directions."""
    pixels = int(within.sum())
    each = [describe_sizes(count_runs(levels, within, way), pixels) for way in DIRECTIONS]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def count_runs(levels: Levels, within: Mask, way: tuple[int, int]) -> Floats:
    """(levels, lengths) how many runs of a level (from 0) have a length (from 1), along one of DIRECTIONS."""
    own = np.where(within, levels, _OUT)
    own = own[:, ::-1] if way == (1, -1) else own
    if way[0] and way[1]:
        lines = [own.diagonal(shift) for shift in range(1 - own.shape[0], own.shape[1])]
    else:
        lines = list(own.T if way == (1, 0) else own)
    joined = np.concatenate([np.append(line, _OUT) for line in lines])
    ends = np.flatnonzero(np.diff(joined, append=_OUT - 1))  # the last pixel of each run
    lengths = np.diff(ends, prepend=-1)
    values = joined[ends]
    inside = values != _OUT
    return _tabulate(values[inside], lengths[inside])


def count_zones(levels: Levels, within: Mask) -> Floats:
    """(levels, sizes) how many connected zones of a level (from 0) have a size (from 1), 8 neighbours."""
    values, sizes = [], []
    for level in np.unique(levels[within]):
        zones, count = label(within & (levels == level), _EIGHT)
        sizes.append(np.bincount(zones.ravel(), minlength=count + 1)[1:])
        values.append(np.full(count, level))
    return _tabulate(np.concatenate(values), np.concatenate(sizes))


def count_dependence(levels: Levels, within: Mask) -> Floats:
    """(levels, 9) how many pixels of a level (from 0) have 0 to 8 neighbours of the same level."""
    alike = np.zeros(levels.shape, np.int64)
    for level in np.unique(levels[within]):
        own = within & (levels == level)
        alike[own] = convolve(own.astype(np.int64), _AROUND, mode="constant")[own]
    return _tabulate(levels[within], alike[within] + 1)


def sum_tones(levels: Levels, within: Mask) -> tuple[Floats, Floats]:
    """(levels,) each: pixels of a level that have neighbours, and the sum of their differences to these' mean level."""
    have = convolve(within.astype(np.int64), _AROUND, mode="constant")
    total = convolve(np.where(within, levels, 0), _AROUND, mode="constant")
    where = within & (have > 0)
    gaps = np.abs(levels[where] - total[where] / have[where])
    count = int(levels[within].max()) + 1
    return (
        np.bincount(levels[where], minlength=count).astype(np.float64),
        np.asarray(np.bincount(levels[where], gaps, minlength=count), np.float64),
    )


def describe_sizes(counts: Floats, pixels: int) -> dict[str, float]:
    """16 numbers of runs or zones. counts (levels, sizes), both from 1;  pixels  in all of them"""
    levels, sizes = _axes(counts)
    p = counts / counts.sum()
    of_level, of_size = p.sum(axis=1), p.sum(axis=0)
    number = float(counts.sum())
    return {
        "short emphasis": float((p / sizes**2).sum()),
        "long emphasis": float((p * sizes**2).sum()),
        "grey non-uniformity": number * float((of_level**2).sum()),
        "grey non-uniformity, normalised": float((of_level**2).sum()),
        "size non-uniformity": number * float((of_size**2).sum()),
        "size non-uniformity, normalised": float((of_size**2).sum()),
        "percentage": number / pixels,
        "grey variance": _variance(of_level),
        "size variance": _variance(of_size),
        "entropy": measure_entropy(p),
        "low grey emphasis": float((p / levels**2).sum()),
        "high grey emphasis": float((p * levels**2).sum()),
        "short low grey emphasis": float((p / (levels**2 * sizes**2)).sum()),
        "short high grey emphasis": float((p * levels**2 / sizes**2).sum()),
        "long low grey emphasis": float((p * sizes**2 / levels**2).sum()),
        "long high grey emphasis": float((p * levels**2 * sizes**2).sum()),
    }


def describe_dependence(levels: Levels, within: Mask) -> dict[str, float]:
    """14 numbers of how many neighbours are alike: those of sizes, without two that say nothing here."""
    found = describe_sizes(count_dependence(levels, within), int(within.sum()))
    return {name: value for name, value in found.items() if name not in _NOT_OF_DEPENDENCE}


def describe_tones(pixels: Floats, gaps: Floats) -> dict[str, float]:
    """Coarseness, contrast, busyness, complexity, strength, of sum_tones.

    Of one level alone, coarseness is at its limit of 10^6 and the others are 0.
    """
    number = float(pixels.sum())
    kept = pixels > 0
    level = np.flatnonzero(kept) + 1.0
    p, s = pixels[kept] / max(number, 1.0), gaps[kept]
    total = float((p * s).sum())
    coarseness = min(1 / max(total, _TINY), 1e6)
    if len(level) < 2 or total <= _TINY:
        return {"coarseness": coarseness, "contrast": 0.0, "busyness": 0.0, "complexity": 0.0, "strength": 0.0}
    i, j = level[:, None], level[None]
    a, b = p[:, None], p[None]
    spread = float((a * b * (i - j) ** 2).sum()) / (len(level) * (len(level) - 1))
    moved = float(np.abs(i * a - j * b).sum())
    return {
        "coarseness": coarseness,
        "contrast": spread * float(s.sum()) / number,
        "busyness": total / moved if moved > _TINY else 0.0,
        "complexity": float((np.abs(i - j) * (a * s[:, None] + b * s[None]) / (a + b)).sum()) / number,
        "strength": float(((a + b) * (i - j) ** 2).sum() / s.sum()),
    }


def _tabulate(levels: Levels, sizes: NDArray[np.int64]) -> Floats:
    """(levels, sizes) counts of both, sizes from 1."""
    rows, cols = int(levels.max()) + 1, int(sizes.max())
    return np.asarray(np.bincount(levels * cols + sizes - 1, minlength=rows * cols).reshape(rows, cols), np.float64)


def _axes(counts: Floats) -> tuple[Floats, Floats]:
    return np.arange(1.0, counts.shape[0] + 1)[:, None], np.arange(1.0, counts.shape[1] + 1)[None]


def _variance(shares: Floats) -> float:
    places = np.arange(1.0, len(shares) + 1)
    return float((places - places @ shares) ** 2 @ shares)
