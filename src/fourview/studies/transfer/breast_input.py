"""An image as an extractor reads it: cut as its weights ask, or as the store cut it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fourview.crop import Cropped, crop_breast
from fourview.exam import Box, Frame, Mammogram, View
from fourview.prepare import Prepared, crop_for
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from fourview.train.crops import read_crop
from fourview.weights.card import Card

Row = Mapping[str, Any]  # of the manifest
COLUMNS = ("image", "view", "spacing_mm", "pixel_mode", "faces")  # of a row, that decide what is read


def read_stored(store: Store, row: Row, card: Card | None) -> Prepared:
    """The image of a row: cropped and centred as the card asks, with `None` the stored crop as it is.

    Raises ExamError if the stored file is broken, or cannot be cropped as the card asks.
    """
    if card is not None:
        return read_crop(store, row, card)
    return _take_whole(
        Mammogram(
            store.read_crop(row["image"]),
            View(row["view"]),
            row["image"],
            faces="right",  # as all stored crops
            spacing_mm=row["spacing_mm"],
            pixel_mode=row["pixel_mode"],
        )
    )


def cut_mammogram(mammogram: Mammogram, card: Card | None, *, crop: CropSettings) -> Prepared:
    """The same of an image that no store holds. crop: of the store that the features were made of, where no card says

    Raises ExamError if it cannot be cropped.
    """
    if card is not None:
        return crop_for(mammogram, card)
    cut = crop_breast(mammogram, iterations=crop.iterations, buffer_px=crop.buffer_px)
    return _take_whole(
        Mammogram(
            cut.pixels,
            mammogram.view,
            mammogram.name,
            faces="right",
            spacing_mm=mammogram.spacing_mm,
            pixel_mode=mammogram.pixel_mode,
        )
    )


def _take_whole(mammogram: Mammogram) -> Prepared:
    """A crop that stays as it is, centred in its middle."""
    rows, cols = shape = mammogram.pixels.shape
    frame = Frame(shape, shape, Box(0, rows, 0, cols), mirrored=False)
    cut = Cropped(mammogram.pixels, frame, rightmost=((0, rows - 1), cols - 1), bottommost=(rows - 1, (0, 0)), gap_px=0)
    return Prepared(mammogram, cut, best_centre=(rows // 2, cols // 2))
