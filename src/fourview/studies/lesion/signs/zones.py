"""How much of a map lies in a lesion's core, along its margin, and outside; and maps that know no network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude

from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.handcrafted.regions import find_regions

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
_EDGE_PX = 1.5  # smoothing before gradients


@dataclass(frozen=True, eq=False)
class Zones:
    """(rows, cols) bool each, together the whole crop.

    core     in the lesion, deeper than .3 r, r the radius of a disc with its area
    margin   within .3 r of the outline, to either side
    outside  all else
    lesion   the outline, filled;  tissue  not background
    """

    core: Mask
    margin: Mask
    outside: Mask
    lesion: Mask
    tissue: Mask


@dataclass(frozen=True)
class Shares:
    """Of a map's positive values, how much lies in each zone; core, margin and outside add up to 1.

    lesion  within the outline;  all NaN for a map without a positive value
    """

    core: float
    margin: float
    outside: float
    lesion: float


def find_zones(crop: LesionCrop) -> Zones:
    """The zones of a crop's mask (its largest piece). Raises ExamError for an empty mask."""
    regions = find_regions(crop.pixels, crop.mask)
    core = regions.lesion & ~regions.margin
    outside = ~regions.lesion & ~regions.margin
    return Zones(core, regions.margin, outside, crop.mask, crop.pixels > 0)


def measure_shares(values: Array, zones: Zones) -> Shares:
    """values (rows, cols): negative ones count as 0."""
    positive = np.maximum(values, 0).astype(np.float64)
    total = float(positive.sum())
    if not total > 0:
        return Shares(*[float("nan")] * 4)
    return Shares(
        *(float(positive[one].sum()) / total for one in (zones.core, zones.margin, zones.outside, zones.lesion))
    )


def chance_shares(zones: Zones) -> Shares:
    """What a map has that is the same on all tissue."""
    return measure_shares(zones.tissue.astype(np.float32), zones)


def edge_map(crop: LesionCrop) -> Array:
    """How fast the greys change: a map that finds edges and knows no network."""
    return np.asarray(gaussian_gradient_magnitude(crop.pixels.astype(np.float64), _EDGE_PX), np.float32)


def disc_map(crop: LesionCrop, *, share: float) -> Array:
    """1 in a disc about the middle of the crop, of `share` of its side across: where lesions lie in crops."""
    side = len(crop.pixels)
    rows, cols = np.indices((side, side)) - (side - 1) / 2
    return np.asarray(np.hypot(rows, cols) <= share * side / 2, np.float32)
