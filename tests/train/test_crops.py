"""A store's image as the network reads it, and masks that stay on its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fourview.exam import Box, Frame
from fourview.store.store import Store
from fourview.train.crops import place_mask, read_crop, read_masks, reading_card, seen_input
from fourview.train.recipe import Recipe
from fourview.weights.card import PatchNetwork
from tests.train.planted_set import LEVELS, on_planted


def overlap(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((mask & other).sum() / (mask | other).sum())


def near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask's box and 4 pixels around it: other lesions lie further away."""
    found = np.zeros_like(mask)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    found[rows[0] - 4 : rows[-1] + 5, cols[0] - 4 : cols[-1] + 5] = True
    return found


@pytest.mark.parametrize("settings", [(), ("input.spacing_mm=0.13",), ("input.resample=never",)])
def test_masks_lie_on_their_lesions_when_an_image_is_resampled_and_cropped_again(
    planted: Store, patch_recipe: Recipe, settings: tuple[str, ...]
) -> None:
    card = reading_card(on_planted(patch_recipe, *settings))
    shapes = set()
    for row in planted.images.iter_rows(named=True):
        crop = read_crop(planted, row, card).crop
        shapes.add(crop.pixels.shape)
        masks = read_masks(planted, row, crop.frame)
        assert masks.keys() == {lesion["lesion"] for lesion in row["lesions"]}
        for kind, mask in masks.items():
            bright = (crop.pixels > (10000 + LEVELS[kind]) / 2) & near(mask)
            assert overlap(mask, bright) > 0.97
            assert overlap(np.roll(mask, 2, axis=1), bright) < 0.92  # a test that sees a shift
            cols = np.flatnonzero(mask.any(axis=0))
            mirrored = mask.copy()
            mirrored[:, cols[0] : cols[-1] + 1] = mask[:, cols[0] : cols[-1] + 1][:, ::-1]
            assert overlap(mirrored, bright) < 0.6  # and a mirror image in its place
    assert all(shape != (row["rows"], row["cols"]) for shape in shapes)  # they were cut anew


def test_without_resampling_and_with_the_stores_own_settings_the_stored_crop_comes_back(
    phantom_store: Path, patch_recipe: Recipe
) -> None:
    store, card = Store.open(phantom_store), reading_card(patch_recipe)
    for row in store.images.head(4).iter_rows(named=True):
        prepared = read_crop(store, row, card)
        np.testing.assert_array_equal(prepared.crop.pixels, store.read_crop(row["image"]))
        assert not prepared.crop.frame.mirrored
        assert prepared.mammogram.view == row["view"]
        stored = store.read_masks(row["image"])
        placed = read_masks(store, row, prepared.crop.frame)
        assert placed.keys() == stored.keys()
        for name, mask in placed.items():
            np.testing.assert_array_equal(mask, stored[name])


def test_a_lesion_smaller_than_a_working_pixel_keeps_its_place() -> None:
    mask = np.zeros((100, 80), bool)
    mask[41, 23] = True
    placed = place_mask(mask, Frame((100, 80), (25, 20), Box(5, 25, 0, 18), mirrored=False))
    assert np.argwhere(placed).tolist() == [[10 - 5, 5]]


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="need \\(100, 80\\)"):
        place_mask(np.zeros((80, 100), bool), Frame((100, 80), (100, 80), Box(0, 100, 0, 80), mirrored=False))


def test_the_card_of_a_recipe_has_its_network_and_geometry(patch_recipe: Recipe) -> None:
    card = reading_card(patch_recipe)
    assert card.patch == patch_recipe.patch
    assert card.geometry == patch_recipe.geometry
    other = PatchNetwork(side_px=40)
    assert reading_card(patch_recipe, patch=other).patch == other


def test_a_card_says_which_pixel_sizes_were_seen_unless_the_recipe_does(patch_recipe: Recipe) -> None:
    table = pl.DataFrame({"spacing_mm": [0.2, None, 0.1]})
    assert seen_input(patch_recipe, table).spacing_range_mm == (0.1, 0.2)
    said = patch_recipe.with_values(["input.spacing_range_mm=[0.05, 0.3]"])
    assert seen_input(said, table).spacing_range_mm == (0.05, 0.3)
    assert seen_input(patch_recipe, table.clear()).spacing_range_mm is None
