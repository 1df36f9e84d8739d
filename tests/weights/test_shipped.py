"""The weights that are part of fourview: whole, small, ours, of phantoms alone, made by the recipes that are here."""

from __future__ import annotations

import pytest

from fourview.train.recipe import STAGES, Stage, load_recipe
from fourview.weights.ensemble import resolve_members
from fourview.weights.folder import load_weights
from fourview.weights.home import SHIPPED, shipped

MOST_MB = 25


def test_they_are_small_together() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < MOST_MB * 10**6


@pytest.mark.parametrize("name", shipped())
def test_they_load_and_say_what_they_are(name: str) -> None:
    for folder in resolve_members(name):
        card = load_weights(folder).card
        training = card.training
        assert card.licence == "Apache-2.0"
        assert training.phantoms_only
        assert training.trained
        assert card.storage == "fp16"
        assert card.metrics
        stage: Stage = next(stage for stage in STAGES if stage == training.stage)
        assert training.recipe is not None
        recipe = load_recipe(training.recipe, stage=stage)
        seeded = recipe.with_values([f"seed={training.seed}"])
        if stage == "exam" and card.exam is not None and not card.exam.heatmaps:
            seeded = seeded.with_values(["exam.heatmaps=false"])
        assert training.recipe_sha256 == seeded.hash, "the recipe has changed since: train them again (make weights)"
