"""A lesion of a store -> what a network reads: its crop, standardised; in training another look at it every time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.crops import (
    GreyRange,
    Scale,
    is_whole,
    place_square,
    read_square,
    resize_mask,
    resize_square,
    scale_greys,
    shape_of,
    surround,
)
from fourview.studies.lesion.recipe_parts import Augmentation, Crop
from fourview.train.kept import Kept

Array = NDArray[np.float32]
PATCH, MASK, LOG_DIAMETER, DRAW = "patch", "mask", "log_diameter", "draw"  # inputs of a sample
DRAWS = 2**24  # draws are whole numbers below it, which float32 holds exactly
STD_FLOOR = 1e-3
_WHITE = 65535  # kept greys are whole numbers up to it


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A lesion with twice the crop's tissue around it, so that a turned or shifted crop finds tissue everywhere.

    greys   (side, side) uint16, 0 to _WHITE;  mask  (side, side) bool
    margin  pixels on each side that the crop itself has not
    area    of the outline, pixels of the image
    """

    greys: NDArray[np.uint16]
    mask: NDArray[np.bool_]
    margin: int
    area: float

    @property
    def nbytes(self) -> int:
        return self.greys.nbytes + self.mask.nbytes

    def crop(self) -> tuple[Array, NDArray[np.bool_]]:
        """Greys 0 to 1 and mask of the crop as crops.cut_lesion cuts it (greys to within 1 / 65535)."""
        inner = slice(self.margin, len(self.greys) - self.margin)
        return np.asarray(self.greys[inner, inner] / _WHITE, np.float32), self.mask[inner, inner]


@dataclass(frozen=True, eq=False)
class ReadLesion:
    """Reads lesions of a store. It pickles, without the pixels that it keeps.

    greys     image -> its grey range (measure_greys)
    with_mask the network learns from outlines;  with_size  it wants the diameter
    """

    store: Store
    settings: Crop
    augmentation: Augmentation
    greys: Mapping[str, GreyRange]
    with_mask: bool
    with_size: bool
    kept: Kept[Surroundings] = field(repr=False)

    def __call__(self, view: LesionView, rng: np.random.Generator | None) -> dict[str, Array]:
        """PATCH (1, side, side), mean 0 and deviation 1; as asked MASK, LOG_DIAMETER; with an rng DRAW of dropout.

        rng  of training; None: as it is judged. Raises ExamError for a stored file that is broken.
        """
        seen = self.kept.get(view.name, lambda: self._read(view), size=lambda one: one.nbytes)
        if rng is None:
            greys, mask = seen.crop()
            inputs = {PATCH: standardise(greys)[None]}
        else:
            greys, mask = augment(seen, self.augmentation, rng)
            offset = np.float32(rng.uniform(-self.augmentation.offset, self.augmentation.offset))
            inputs = {PATCH: standardise(greys)[None] + offset}
            inputs[DRAW] = np.array([rng.integers(DRAWS)], np.float32)
        if self.with_mask:
            inputs[MASK] = mask[None].astype(np.float32)
        if self.with_size:
            inputs[LOG_DIAMETER] = np.array([log_diameter(seen.area, view)], np.float32)
        return inputs

    def _read(self, view: LesionView) -> Surroundings:
        return read_surroundings(
            self.store,
            view,
            scale=self.settings.scale,
            side_px=self.settings.side_px,
            grey=self.greys[view.image],
        )


def read_surroundings(store: Store, view: LesionView, *, scale: Scale, side_px: int, grey: GreyRange) -> Surroundings:
    """The crop and, unless it is the whole breast, half its side more all around. Raises ExamError."""
    whole = is_whole(scale)
    square = surround(place_square(view.box, shape_of(view.frame), scale), scale)
    margin_px = 0 if whole else side_px // 2
    side = side_px + 2 * margin_px
    pixels, mask = read_square(store, view, square, reflected=not whole)
    greys = resize_square(scale_greys(pixels, grey), side)
    area = float(store.read_masks(view.image, view.box)[view.lesion].sum())
    return Surroundings(np.rint(greys * _WHITE).astype(np.uint16), resize_mask(mask, side), margin_px, area)


def augment(seen: Surroundings, settings: Augmentation, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Greys 0 to 1 and mask of a crop that is mirrored, turned, scaled and shifted, its greys bent.

    The order of draws: mirrored, flipped, angle, scale, shift right, shift down, gamma. What lies beyond the
    surroundings is their mirror image; of a whole breast it is background.
    """
    mirrored, flipped = rng.random() < settings.mirrored, rng.random() < settings.flipped
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    zoom = rng.uniform(*settings.scale)
    wide = len(seen.greys)
    side = wide - 2 * seen.margin
    right, down = (rng.uniform(-settings.shift, settings.shift) * side for _ in range(2))
    gamma = rng.uniform(*settings.gamma)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) / zoom
    turn = turn @ np.diag([-1.0 if mirrored else 1.0, -1.0 if flipped else 1.0])
    middle = np.array([(wide - 1) / 2 + right, (wide - 1) / 2 + down])
    start = middle - turn @ np.full(2, (side - 1) / 2)
    way = np.hstack([turn, start[:, None]])  # pixel of the crop -> pixel of the surroundings
    border = cv2.BORDER_REFLECT_101 if seen.margin else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    greys = cv2.warpAffine(seen.greys.astype(np.float32) / _WHITE, way, (side, side), flags=flags, borderMode=border)
    inside = cv2.warpAffine(seen.mask.astype(np.float32), way, (side, side), flags=flags)
    return np.asarray(np.clip(greys, 0, 1) ** np.float32(gamma), np.float32), np.asarray(inside >= 0.5)


def standardise(greys: Array) -> Array:
    """Mean 0 and deviation 1; a crop of one grey becomes 0."""
    return np.asarray((greys - greys.mean()) / max(float(greys.std()), STD_FLOOR), np.float32)


def log_diameter(area: float, view: LesionView) -> float:
    """Natural logarithm of the diameter, in mm, of a disc with so many pixels of the image.

    Raises ExamError where the pixel size is unknown.
    """
    if view.spacing_mm is None:
        raise ExamError(f"{view.name}: found no pixel size, and the network reads the size in mm")
    return math.log(view.spacing_mm * 2 * math.sqrt(max(area, 1.0) / math.pi))
