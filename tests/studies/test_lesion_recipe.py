"""Lesion recipes: what they may say."""

from __future__ import annotations

import pytest

from fourview.exam import SetupError
from fourview.studies.lesion.recipe import BUILT_IN, load_recipe


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_recipes_load_and_build_their_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.network.build(recipe.crop.side_px).side_px == recipe.crop.side_px
    assert recipe.phantoms is not None


def test_a_value_can_be_set_and_changes_the_hash_if_it_matters() -> None:
    recipe = load_recipe("phantom")
    assert recipe.with_values(["network.gate=attention"]).network.gate == "attention"
    assert recipe.with_values(["network.gate=attention"]).hash != recipe.hash
    assert recipe.with_values(["loop.workers=3", "loop.kept_mb=1"]).hash == recipe.hash
    assert recipe.with_values(['kinds=["mass", "calcification"]']).kinds == ("mass", "calcification")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("network.gate=mask", "need a multiple of 32"),
        ("network.depth=3", "network.depth"),
        ("crop.side_px=111", "multiple of 2"),
        ("crop.scale=whole512", "need 512"),
        ("augmentation.scale=[1.2, 0.8]", "need the smaller one first"),
        ("loop.recomputed=2", "need 0"),
        ("ensemble.views=both", "ensemble.views"),
        ("seed", "need KEY=VALUE"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(setting: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        load_recipe("phantom").with_values([setting])


def test_a_recipe_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match="need googlenet_light, googlenet, phantom"):
        load_recipe("nothing.toml")
