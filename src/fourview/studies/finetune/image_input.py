"""A stored image -> what a network reads: a square in three channels, or the window of its view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError, View
from fourview.store.store import Store
from fourview.studies.finetune.augment import augment
from fourview.studies.finetune.image_network import IMAGE
from fourview.studies.finetune.recipe_parts import Augmentation
from fourview.studies.transfer.greys import find_grey_range, scale_greys, shrink_to_square
from fourview.studies.transfer.imagenet_features import DEVIATION, MEAN
from fourview.train.crops import read_crop
from fourview.train.kept import Kept
from fourview.weights.card import Card
from fourview.window import JitterNoise, cut_window, draw_jitter, place_window, standardise

Array = NDArray[np.float32]
Row = Mapping[str, Any]  # of the manifest


class ReadImage(Protocol):
    """Reads one image. It pickles, without the pixels that it keeps."""

    def __call__(self, row: Row, rng: np.random.Generator | None) -> dict[str, Array]:
        """Name of the input -> (channels, rows, cols). rng: of its augmentation; None: as it is judged.

        Raises ExamError for a stored file that is broken, or an image without a breast.
        """
        ...


@dataclass(frozen=True, eq=False)
class SquareInput:
    """The whole crop as a square: greys 0 to 1 (transfer.greys), in three channels, minus ImageNet's mean, by its
    deviation, as the frozen features have it."""

    store: Store
    size: int
    augmentation: Augmentation
    kept: Kept[Array] = field(repr=False)

    def __call__(self, row: Row, rng: np.random.Generator | None) -> dict[str, Array]:
        grey = self.kept.get(row["image"], lambda: self._read(row), size=lambda one: one.nbytes)
        if rng is not None:
            grey = augment(grey, self.augmentation, rng)
        channels = [(grey - np.float32(mean)) / np.float32(by) for mean, by in zip(MEAN, DEVIATION, strict=True)]
        return {IMAGE: np.stack(channels)}

    def _read(self, row: Row) -> Array:
        pixels = self.store.read_crop(row["image"])
        try:
            low, high = find_grey_range(pixels)
        except ExamError as error:
            raise ExamError(f"{row['image']}: {error}") from error
        return scale_greys(shrink_to_square(pixels, self.size), low, high).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Seen:
    pixels: NDArray[Any]
    centre: tuple[int, int]


@dataclass(frozen=True, eq=False)
class WindowInput:
    """The window of the image's view, at its own size, mean 0 and deviation 1: what the card of a view's network asks.

    jittered  windows wander in training, as the card says
    """

    store: Store
    card: Card
    augmentation: Augmentation
    jittered: bool
    kept: Kept[_Seen] = field(repr=False)

    def __call__(self, row: Row, rng: np.random.Generator | None) -> dict[str, Array]:
        seen = self.kept.get(row["image"], lambda: self._read(row), size=lambda one: one.pixels.nbytes)
        geometry, view = self.card.geometry, View(row["view"])
        window = geometry.window_px(view.angle)
        moves = rng is not None and self.jittered
        noise = JitterNoise(geometry.location_noise_px, geometry.size_noise_px) if moves else JitterNoise()
        draws = np.random.RandomState(0 if rng is None else rng.integers(2**32))  # what draw_jitter draws from
        placement = place_window(
            (seen.pixels.shape[0], seen.pixels.shape[1]),
            angle=view.angle,
            window=window,
            centre=seen.centre,
            noise=noise,
            jitter=draw_jitter(draws, noise),
        )
        cut = cut_window(seen.pixels.astype(np.float32), placement, window)
        if rng is not None:
            cut = augment(cut, self.augmentation, rng)
        return {view.value: standardise(cut, std_floor=geometry.std_floor)[None]}

    def _read(self, row: Row) -> _Seen:
        prepared = read_crop(self.store, row, self.card)
        return _Seen(np.array(prepared.crop.pixels), prepared.best_centre)


def open_input(
    store: Store, card: Card | None, *, size: int, augmentation: Augmentation, jittered: bool, kept_mb: int
) -> ReadImage:
    """What reads images for a network. card: of a view's network; None: squares of `size` pixels are read"""
    small = replace(store, manifest=store.manifest.clear())  # worker processes get no table of a million rows
    if card is None:
        return SquareInput(small, size, augmentation, Kept(kept_mb * 10**6))
    return WindowInput(small, card, augmentation, jittered, Kept(kept_mb * 10**6))
