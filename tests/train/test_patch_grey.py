"""The grey scale of training patches: changed within its limits, never in validation, never where nobody asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fourview.train.data import TrainingData
from fourview.train.patch_grey import change_grey
from fourview.train.patch_stage import INPUT, PatchStage
from fourview.train.recipe import Recipe
from fourview.train.recipe_parts import GreyNoise

MEAN, DEVIATION = 60.0, 40.0
PATCH = np.linspace(0, 250, 64).reshape(8, 8)
GREY = "patches.grey={ gamma = 1.5, contrast = 1.2, brightness = 0.3 }"


def change(noise: GreyNoise, seed: int = 0) -> np.ndarray:
    return change_grey(PATCH, noise, mean=MEAN, deviation=DEVIATION, rng=np.random.default_rng(seed))


def test_without_noise_a_patch_is_standardised_by_its_image() -> None:
    np.testing.assert_allclose(change(GreyNoise()), (PATCH - MEAN) / DEVIATION)


def test_a_curve_keeps_black_and_the_typical_grey_of_tissue_and_bends_the_rest() -> None:
    exponents = []
    for seed in range(200):
        grey = change(GreyNoise(gamma=1.5), seed) * DEVIATION + MEAN
        assert grey.flat[0] == pytest.approx(0, abs=1e-9)
        assert np.interp(MEAN + DEVIATION, PATCH.ravel(), grey.ravel()) == pytest.approx(100, abs=0.5)
        assert (np.diff(grey.ravel()) > 0).all()
        exponents.append(np.log(grey.flat[-1] / 100) / np.log(2.5))
    logs = np.log(exponents) / np.log(1.5)
    assert -1 <= logs.min() < -0.9
    assert 0.9 < logs.max() <= 1
    assert abs(logs.mean()) < 0.15  # as often above 1 as below


def test_contrast_and_brightness_are_a_factor_and_an_offset_within_their_limits() -> None:
    plain = (PATCH - MEAN) / DEVIATION
    factors, offsets = zip(
        *(np.polyfit(plain.ravel(), change(GreyNoise(contrast=1.2, brightness=0.3), s).ravel(), 1) for s in range(200)),
        strict=True,
    )
    assert 1 / 1.2 <= min(factors) < 0.87
    assert 1.15 < max(factors) <= 1.2
    assert -0.3 <= min(offsets) < -0.25
    assert 0.25 < max(offsets) <= 0.3


def test_training_patches_change_and_validation_patches_and_their_places_do_not(
    patch_recipe: Recipe, open_phantoms: Callable[[Recipe], TrainingData]
) -> None:
    recipe = patch_recipe.with_values([GREY])
    plain, grey = (PatchStage.open(one, open_phantoms(one)) for one in (patch_recipe, recipe))
    for key in plain.validation()[:6]:
        np.testing.assert_array_equal(plain.load(key).inputs[INPUT], grey.load(key).inputs[INPUT])
    for key in plain.epoch(0)[:6]:
        one, other = plain.load(key), grey.load(key)
        assert one.name == other.name
        order = np.argsort(one.inputs[INPUT], axis=None, kind="stable")
        assert (np.diff(other.inputs[INPUT].ravel()[order]) > -1e-4).all()  # the same patch, on another scale
        assert not np.allclose(one.inputs[INPUT], other.inputs[INPUT], atol=1e-3)
