"""Pixels of working crops, read when they are asked for, in whatever process asks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.crop import resample
from fourview.exam import Box, Mammogram
from fourview.store.store import Store
from fourview.train.kept import Kept
from fourview.train.patch_index import PatchImage, PatchPool


def fits_in_memory(pool: PatchPool, most_bytes: int) -> bool:
    """Whether all working crops of a pool can be kept, so that each is read once."""
    return sum(2 * image.shape[0] * image.shape[1] for image in pool.images) <= most_bytes


class CropPixels:
    """Reads boxes of working crops from a store.

    spacing_mm  pixel size of the working crops, where they are resampled
    whole       read and keep whole crops, the latest ones (patches of one image come near each other); else each box
                alone is read from the stored tiles. Resampled images are read whole in any case
    most_bytes  of the crops that are kept
    """

    def __init__(self, store: Store, *, spacing_mm: float | None, whole: bool, most_bytes: int) -> None:
        self._store = store
        self._spacing_mm = spacing_mm
        self._whole = whole
        self._kept: Kept[NDArray[Any]] = Kept(most_bytes)

    def read(self, image: PatchImage, box: Box) -> NDArray[Any]:
        """(rows, cols) of a box within the working crop, not to be written to. Raises ExamError for a broken file."""
        if self._whole or image.frame.resampled:
            return self._kept.get(image.image, lambda: self._read_whole(image), size=_count_bytes)[box.slices]
        within = image.frame.box
        return self._store.read_patch(image.image, within.top + box.top, within.left + box.left, box.height, box.width)

    def _read_whole(self, image: PatchImage) -> NDArray[Any]:
        pixels: NDArray[Any] = self._store.read_crop(image.image)
        if image.frame.resampled:
            if self._spacing_mm is None:
                raise ValueError(f"{image.image} is resampled, and nobody says to what")
            stored = Mammogram(pixels, image.view, image.image, "right", spacing_mm=image.spacing_mm)
            pixels = resample(stored, self._spacing_mm)
        return np.ascontiguousarray(pixels[image.frame.box.slices])


def _count_bytes(pixels: NDArray[Any]) -> int:
    return pixels.nbytes
