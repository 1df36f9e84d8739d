"""What the patch stage knows of each image without its pixels: frame, mean and deviation, and where its lesions are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import Box, Frame, SetupError, View
from fourview.spread import spread
from fourview.store.store import Store
from fourview.train.crops import read_crop, read_masks
from fourview.train.lesion_classes import ImageUse, Role, use_images
from fourview.train.recipe import CLASSES, Recipe
from fourview.weights.card import Card

WHOLE = -1  # a case without a lesion of its own: anywhere in the image


@dataclass(frozen=True, eq=False)
class LesionRegion:
    """One lesion: `inside` fills `box`, working crop frame. Kept as bits, because an index holds thousands.

    words  descriptor -> the set's own word, of those that are learned
    """

    role: Role
    box: Box
    bits: bytes
    words: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_mask(cls, role: Role, mask: NDArray[np.bool_], words: Mapping[str, str]) -> LesionRegion:
        """The region of a mask of the whole working crop, which holds at least one pixel."""
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
        return cls(role, box, np.packbits(mask[box.slices]).tobytes(), words)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(rows, cols) bool of the box."""
        shape = self.box.height, self.box.width
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=shape[0] * shape[1])
        return bits.reshape(shape).astype(bool)


@dataclass(frozen=True, eq=False)
class PatchImage:
    """One image. frame: working crop -> stored crop; mean, deviation: of all pixels of the working crop."""

    image: str
    view: View
    spacing_mm: float | None
    frame: Frame
    mean: float
    deviation: float
    regions: tuple[LesionRegion, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the working crop."""
        return self.frame.box.height, self.frame.box.width


@dataclass(frozen=True, eq=False)
class PatchPool:
    """What patches of one part of a split are drawn from.

    cases  class -> (cases, 2): place in `images`, and of the lesion in its regions, or WHOLE
    """

    images: tuple[PatchImage, ...]
    cases: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class _Measure:
    """The work: (store of this image, its row, roles of its lesions) -> PatchImage. Sent with each item."""

    card: Card
    descriptors: tuple[str, ...]

    def __call__(self, item: tuple[Store, Mapping[str, Any], ImageUse]) -> PatchImage:
        store, row, use = item
        crop = read_crop(store, row, self.card).crop
        masks = read_masks(store, row, crop.frame) if use.roles else {}
        mean, deviation = measure_pixels(crop.pixels)
        regions = (
            LesionRegion.of_mask(use.roles[name], mask, self._learned(use.words.get(name, {})))
            for name, mask in masks.items()
            if name in use.roles
        )
        return PatchImage(
            row["image"],
            View(row["view"]),
            row["spacing_mm"],
            crop.frame,
            mean,
            max(deviation, self.card.geometry.std_floor),
            tuple(regions),
        )

    def _learned(self, words: Mapping[str, str]) -> dict[str, str]:
        return {name: words[name] for name in self.descriptors if name in words}


def index_part(
    store: Store,
    table: pl.DataFrame,
    part: str,
    *,
    recipe: Recipe,
    card: Card,
    jobs: int = 1,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> PatchPool:
    """The images of one part that give patches, each read once.

    table     of TrainingData
    on_image  called after each one with how many are done, and how many there are; may raise

    Raises SetupError where a class of the recipe's mix has no case, or crops are smaller than the smallest patch.
    """
    rows = table.filter(part=part).to_dicts()
    sampling = recipe.patches
    if sampling is None:
        raise SetupError(f"recipe {recipe.name}: found no section patches, need one")
    used = [
        (row, use)
        for row, use in zip(rows, use_images(rows, distractors=sampling.distractors), strict=True)
        if use.roles or use.negative
    ]
    descriptors = () if sampling.words is None else sampling.words.descriptors
    items = ((store.only(row["image"]), row, use) for row, use in used)
    images = []
    with closing(spread(_Measure(card, descriptors), items, jobs=jobs)) as measured:
        for image in measured:
            images.append(image)
            on_image(len(images), len(used))
    small = [image for image in images if min(image.shape) < sampling.side_px[0]]
    if small:
        raise SetupError(
            f"{len(small)} of {len(images)} images of {part} are smaller than the smallest patch, the first "
            f"{small[0].image} with {small[0].shape[0]}x{small[0].shape[1]} pixels; need {sampling.side_px[0]} or more "
            "(patches.side_px), or a split without them"
        )
    cases = _find_cases(images, [use for _, use in used])
    empty = [name for name, share in sampling.mix.model_dump().items() if share and not len(cases[name])]
    if empty:
        raise SetupError(f"{part}: found no place for patches of the class {', '.join(empty)}; {NEEDED}")
    return PatchPool(tuple(images), cases)


NEEDED = (
    "need outlines of biopsied malignant and of biopsied benign lesions, and exams without a biopsy (or a share of 0 "
    "for outside and negative in patches.mix)"
)


def count_cases(rows: Iterable[Mapping[str, Any]], *, recipe: Recipe) -> dict[str, int]:
    """By class, how many lesions with an outline (malignant, benign) or images (outside, negative) the rows have."""
    if recipe.patches is None:
        raise SetupError(f"recipe {recipe.name}: found no section patches, need one")
    counts = dict.fromkeys(CLASSES, 0)
    for use in use_images(rows, distractors=recipe.patches.distractors):
        for role in use.roles.values():
            if role != "never":
                counts[role] += 1
        counts["outside"] += use.outside
        counts["negative"] += use.negative
    return counts


def measure_pixels(pixels: NDArray[Any]) -> tuple[float, float]:
    """Mean and population deviation from exact integer sums, as window.standardise_whole takes them."""
    total = int(pixels.sum(dtype=np.int64))
    squares = sum(int(np.square(band, dtype=np.int64).sum()) for band in np.array_split(pixels, len(pixels) // 64 + 1))
    n = pixels.size
    return total / n, math.sqrt((squares * n - total * total) / (n * n))


def _find_cases(images: Sequence[PatchImage], uses: Sequence[ImageUse]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in CLASSES}
    for name, case in _cases(images, uses):
        found[name].append(case)
    return {name: np.array(cases, np.int64).reshape(-1, 2) for name, cases in found.items()}


def _cases(images: Sequence[PatchImage], uses: Sequence[ImageUse]) -> Iterator[tuple[str, tuple[int, int]]]:
    for place, (image, use) in enumerate(zip(images, uses, strict=True)):
        for number, region in enumerate(image.regions):
            if region.role != "never":
                yield region.role, (place, number)
        if use.outside:
            yield "outside", (place, WHOLE)
        if use.negative:
            yield "negative", (place, WHOLE)
