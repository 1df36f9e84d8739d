"""Which grey levels lie beside each other (GLCM), in Haralick's 13 numbers.

Method: Haralick, Shanmugam and Dinstein 1973; entropies in bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
STEPS_PX = (1, 2, 4, 8)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))  # down, right: 0, 45, 90, 135 degrees
_TINY = 1e-12


def describe_pairs(levels: Levels, within: Mask, *, count: int) -> dict[str, float]:
    """Name -> number: of each distance the mean and the range (largest - smallest) over the four directions.

    levels  (rows, cols) from 0 to count - 1;  within  both pixels of a pair must lie in it
    Turned by 90 degrees or mirrored, the numbers are the same.
    """
    found: dict[str, float] = {}
    for step in STEPS_PX:
        each = [describe_matrix(count_pairs(levels, within, (d * step, r * step), count=count)) for d, r in DIRECTIONS]
        for name in each[0]:
            values = [one[name] for one in each]
            found[f"{name}, {step} px"] = float(np.mean(values))
            found[f"{name}, {step} px, range"] = float(np.ptp(values))
    return found


def count_pairs(levels: Levels, within: Mask, step: tuple[int, int], *, count: int) -> Floats:
    """(count, count) how many pairs of pixels a step (down, right) apart have two levels, both ways round."""
    (down, right), (rows, cols) = step, levels.shape
    first = slice(0, max(0, rows - down)), slice(max(0, -right), max(0, cols - max(0, right)))
    second = slice(down, rows), slice(max(0, right), max(0, cols - max(0, -right)))
    both = within[first] & within[second]
    one_way = np.bincount(levels[first][both] * count + levels[second][both], minlength=count**2).reshape(count, count)
    return np.asarray(one_way + one_way.T, np.float64)


def describe_matrix(counts: Floats) -> dict[str, float]:
    """Haralick's 13 numbers of a symmetric matrix of counts; all 0 without a pair.

    Of pairs that are all alike, where correlation is undefined, it is 1.
    """
    total = float(counts.sum())
    p = counts / total if total else counts
    levels = np.arange(1, len(p) + 1, dtype=np.float64)
    i, j = levels[:, None], levels[None]
    own = p.sum(axis=1)
    mean = float(levels @ own)
    variance = float((levels - mean) ** 2 @ own)
    sums = _gather(i + j, p)
    gaps = _gather(np.abs(i - j), p)
    sum_mean, gap_mean = float(np.arange(len(sums)) @ sums), float(np.arange(len(gaps)) @ gaps)
    product = own[:, None] * own[None]
    entropy, single = measure_entropy(p), measure_entropy(own)
    crossed = -float((p * np.log2(product + _TINY)).sum())
    chance = -float((product * np.log2(product + _TINY)).sum())
    found = {
        "angular second moment": float((p**2).sum()),
        "contrast": float(((i - j) ** 2 * p).sum()),
        "correlation": float(((i - mean) * (j - mean) * p).sum()) / variance if variance > _TINY else 1.0,
        "sum of squares": variance,
        "inverse difference moment": float((p / (1 + (i - j) ** 2)).sum()),
        "sum average": sum_mean,
        "sum variance": float((np.arange(len(sums)) - sum_mean) ** 2 @ sums),
        "sum entropy": measure_entropy(sums),
        "entropy": entropy,
        "difference variance": float((np.arange(len(gaps)) - gap_mean) ** 2 @ gaps),
        "difference entropy": measure_entropy(gaps),
        "information correlation 1": (entropy - crossed) / single if single > _TINY else 0.0,
        "information correlation 2": float(np.sqrt(max(0.0, 1 - np.exp(-2 * (chance - entropy) * np.log(2))))),
    }
    return found if total else dict.fromkeys(found, 0.0)


def _gather(places: Floats, p: Floats) -> Floats:
    """(largest place + 1,) the sum of p at each place."""
    return np.asarray(np.bincount(places.astype(np.int64).ravel(), p.ravel()), np.float64)


def measure_entropy(shares: Floats) -> float:
    """In bits, of shares that add up to 1."""
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
