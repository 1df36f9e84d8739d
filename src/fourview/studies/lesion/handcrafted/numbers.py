"""A lesion's crop and outline -> its hand-crafted numbers, by family. Nothing is trained.

Pixels and outline are all that goes in: no word of a radiologist, no assessment, no label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.handcrafted.greys import measure_greys
from fourview.studies.lesion.handcrafted.local import describe_edges, measure_local
from fourview.studies.lesion.handcrafted.margin import measure_margin
from fourview.studies.lesion.handcrafted.regions import Regions, find_regions
from fourview.studies.lesion.handcrafted.shape import measure_shape
from fourview.studies.lesion.handcrafted.texture import measure_texture

Family = Literal["shape", "margin", "greys", "texture", "local"]
FAMILIES: tuple[Family, ...] = get_args(Family)
TITLES: Mapping[Family, str] = {
    "shape": "size and shape",
    "margin": "margin",
    "greys": "greys",
    "texture": "texture",
    "local": "local patterns",
}
VERSION = 3  # of the numbers: raised when one of them changes
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """The numbers of one lesion in one image.

    values  (numbers,) float64, in the order of list_names();  edges  (HOG_SIZE,) float32, which become a few numbers by
    a PCA of the training lesions
    """

    values: Floats
    edges: NDArray[np.float32]


def measure_lesion(crop: LesionCrop, *, in_mm: bool) -> Measured:
    """The numbers of a crop. in_mm: sizes in mm; else in pixels of the file, where nobody says how large they are

    Raises ExamError: an empty mask, or a crop without a pixel size that is to be measured in mm.
    """
    regions = find_regions(crop.pixels, crop.mask)
    named = _measure(regions, unit=_unit_of(crop, in_mm=in_mm))
    values = np.array(list(named.values()))
    return Measured(values, describe_edges(crop.pixels))


@lru_cache(maxsize=1)
def list_names() -> tuple[tuple[Family, str], ...]:
    """(family, name) of each number, in order."""
    disc = np.hypot(*(np.indices((64, 64)) - 31.5)) < 15
    named = _measure(find_regions(np.where(disc, np.float32(0.6), np.float32(0.4)), disc), unit=1.0)
    return tuple(named)


def _measure(regions: Regions, *, unit: float) -> dict[tuple[Family, str], float]:
    of_family: Mapping[Family, Callable[[], dict[str, float]]] = {
        "shape": lambda: measure_shape(regions.outline, unit=unit),
        "margin": lambda: measure_margin(regions),
        "greys": lambda: measure_greys(regions),
        "texture": lambda: measure_texture(regions),
        "local": lambda: measure_local(regions),
    }
    return {(family, name): value for family in FAMILIES for name, value in of_family[family]().items()}


def _unit_of(crop: LesionCrop, *, in_mm: bool) -> float:
    """Length of a crop's pixel: mm, or pixels of the file."""
    if not in_mm:
        return float(crop.to_stored[0, 0])
    if crop.spacing_mm is None:
        raise ExamError("lesion: found no pixel size; need it to measure in mm")
    return crop.spacing_mm
