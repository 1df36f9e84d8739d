"""Pixels of working crops, read when they are asked for, in whatever process asks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.crop import resample
from fourview.exam import Box, Mammogram
from fourview.store.store import Store
from fourview.train.patch_index import PatchImage, PatchPool

KEPT_BYTES = 512 * 2**20  # of whole crops, per part of the split and process: 64 of full size


def fits_in_memory(pool: PatchPool) -> bool:
    """Whether all working crops of a pool can be kept, so that each is read once."""
    return sum(2 * image.shape[0] * image.shape[1] for image in pool.images) <= KEPT_BYTES


class CropPixels:
    """Reads boxes of working crops from a store.

    spacing_mm  pixel size of the working crops, where they are resampled
    whole       read and keep whole crops, the latest ones (patches of one image come near each other); else each box
                alone is read from the stored tiles. Resampled images are read whole in any case
    """

    def __init__(self, store: Store, *, spacing_mm: float | None, whole: bool) -> None:
        self._store = store
        self._spacing_mm = spacing_mm
        self._whole = whole
        self._kept: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing that was read goes to another process."""
        return {**self.__dict__, "_kept": OrderedDict(), "_bytes": 0}

    def read(self, image: PatchImage, box: Box) -> NDArray[Any]:
        """(rows, cols) of a box within the working crop, not to be written to. Raises ExamError for a broken file."""
        if self._whole or image.frame.resampled:
            return self._keep(image)[box.slices]
        within = image.frame.box
        return self._store.read_patch(image.image, within.top + box.top, within.left + box.left, box.height, box.width)

    def _keep(self, image: PatchImage) -> NDArray[Any]:
        if image.image in self._kept:
            self._kept.move_to_end(image.image)
            return self._kept[image.image]
        pixels: NDArray[Any] = self._store.read_crop(image.image)
        if image.frame.resampled:
            if self._spacing_mm is None:
                raise ValueError(f"{image.image} is resampled, and nobody says to what")
            stored = Mammogram(pixels, image.view, image.image, "right", spacing_mm=image.spacing_mm)
            pixels = resample(stored, self._spacing_mm)
        pixels = np.ascontiguousarray(pixels[image.frame.box.slices])
        self._kept[image.image] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels
