"""A store's image as the network will read it: cropped and centred as the card asks, its masks in the same frame.

What is trained on is what is read: the crop is made by `prepare.crop_for`, from a mammogram made of the stored crop,
and masks follow it through `place_mask`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import Decision, Frame, Mammogram, View
from fourview.prepare import Prepared, crop_for
from fourview.store.store import Store
from fourview.train.recipe import Recipe
from fourview.weights.card import Card, Input, PatchNetwork, Training
from fourview.window import find_best_centre

Row = Mapping[str, Any]  # of the manifest


def read_crop(store: Store, row: Row, card: Card) -> Prepared:
    """The image of a row of the manifest, cropped and centred for `card`; its frame leads back to the stored crop.

    Stored crops face right. Of a file that faces left, `crop_breast` keeps upstream's x, which is one larger than that
    of a true mirror: so it is here, or windows would lie a pixel beside those that `screen` reads.
    Raises ExamError if the stored file is broken, holds no breast that can be cropped, or has no pixel size where the
    card resamples.
    """
    mammogram = Mammogram(
        store.read_crop(row["image"]),
        View(row["view"]),
        row["image"],
        faces="right",  # as all stored crops
        spacing_mm=row["spacing_mm"],
        pixel_mode=row["pixel_mode"],
        decisions=(Decision("film", "its breast alone, as it was prepared", "store"),),  # once is enough
    )
    prepared = crop_for(mammogram, card)
    if row["faces"] == "right":
        return prepared
    rows, col = prepared.crop.rightmost
    angle = mammogram.view.angle
    centre = find_best_centre(
        prepared.crop.pixels,
        angle=angle,
        window=card.geometry.window_px(angle),
        rightmost_col=col + 1,
        bottommost_row=prepared.crop.bottommost[0],
    )
    return replace(prepared, crop=replace(prepared.crop, rightmost=(rows, col + 1)), best_centre=centre)


def read_masks(store: Store, row: Row, frame: Frame) -> dict[str, NDArray[np.bool_]]:
    """Per lesion with an outline in the working crop, (rows, cols) bool in its frame. frame: of `read_crop`"""
    placed = {lesion: place_mask(mask, frame) for lesion, mask in store.read_masks(row["image"]).items()}
    return {lesion: mask for lesion, mask in placed.items() if mask.any()}


def place_mask(mask: NDArray[np.bool_], frame: Frame) -> NDArray[np.bool_]:
    """A mask of the stored crop, resampled, cut and mirrored as its pixels were.

    A working pixel is inside if half of it or more is; of a lesion too small for that, the pixels that it fills most.
    """
    if mask.shape != frame.source_shape:
        raise ValueError(f"found a mask of shape {mask.shape}, need {frame.source_shape}")
    if frame.resampled:
        rows, cols = frame.working_shape
        method = cv2.INTER_AREA if rows < mask.shape[0] else cv2.INTER_LINEAR  # as crop.resample
        share = np.asarray(cv2.resize(mask.astype(np.float32), (cols, rows), interpolation=method), np.float32)
        most = float(share.max(initial=0))
        mask = (share > 0) & (share >= min(0.5, most) - 1e-6)
    cut = mask[frame.box.slices]
    return np.ascontiguousarray(cut[:, ::-1] if frame.mirrored else cut)


def reading_card(recipe: Recipe, *, patch: PatchNetwork | None = None) -> Card:
    """A card with the recipe's networks, input and geometry: what crops, windows and heatmaps are made by.

    patch  of the weights that the heatmaps are from, where the recipe's network reads heatmaps
    """
    networks = {"birads" if recipe.stage == "birads" else "exam": recipe.exam, "patch": patch or recipe.patch}
    return Card(
        name=recipe.name,
        **{key: network for key, network in networks.items() if network is not None},
        input=recipe.input,
        geometry=recipe.geometry,
        training=Training(trained=True, data=""),
        licence="Apache-2.0",
    )


def seen_input(recipe: Recipe, table: pl.DataFrame) -> Input:
    """The recipe's input with the range of pixel sizes in `table`, where the recipe names none."""
    spacings = table["spacing_mm"].drop_nulls()
    if recipe.input.spacing_range_mm is not None or not len(spacings):
        return recipe.input
    low, high = spacings.min(), spacings.max()
    return Input.model_validate({**recipe.input.model_dump(), "spacing_range_mm": (low, high)})
