"""Runs without validation: they learn from everything, and keep the last epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fourview.exam import SetupError
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.train.data import TrainingData, open_data
from fourview.train.devices import open_fabric
from fourview.train.dry_run import measure_run
from fourview.train.initialise import start_from
from fourview.train.loop import train
from fourview.train.open_stage import open_stage
from fourview.train.recipe import Recipe, load_recipe
from fourview.weights.card import Card, Training
from fourview.weights.folder import Weights, build_patch
from tests.train.toy_stage import open_toy_run

UNJUDGED = "patches.validation=0"


def open_with(recipe: Recipe, store: Path, split: str) -> TrainingData:
    return open_data(str(store), split=split, recipe=recipe, cache=store)


def test_the_last_epoch_is_kept_and_nothing_is_judged(
    patch_recipe: Recipe, open_phantoms: Callable[[Recipe], TrainingData], tmp_path: Path
) -> None:
    recipe = patch_recipe.with_values([UNJUDGED, "loop.epochs=3", "loop.patience=1"])
    stage = open_stage(recipe, open_phantoms(recipe))
    assert stage.validation() == ()
    fabric = open_fabric(recipe, accelerator="cpu")
    assert measure_run(stage, fabric=fabric).judged == 0
    run = open_toy_run(tmp_path / "run", recipe, resume=False)
    trained = train(stage, run, fabric=fabric, resume=False)
    assert (trained.best_epoch, trained.stopped, len(trained.history)) == (3, "epochs", 3)
    assert trained.best.table.is_empty()
    assert not (tmp_path / "run" / "predictions.csv").exists()
    again = train(stage, open_toy_run(tmp_path / "run", recipe, resume=True), fabric=fabric, resume=True)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in trained.tensors.items())
    assert stage.card(name="x", judgement=trained.best, data="y").metrics == ()


def test_all_needs_no_split_and_of_folds_the_next_one_trains_too(patch_recipe: Recipe, phantom_store: Path) -> None:
    unjudged = patch_recipe.with_values([UNJUDGED])
    everything = open_with(unjudged, phantom_store, "all")
    assert everything.table["part"].to_list() == ["train"] * 48
    store = Store.open(phantom_store)
    make_split(store.manifest, folds=3, stratify="label", seed=1).write(phantom_store, "three")
    counts = [
        {part: rows.rows(part)["exam"].n_unique() for part in ("train", "validation", "test")}
        for rows in (open_with(recipe, phantom_store, "three:fold-3") for recipe in (patch_recipe, unjudged))
    ]
    assert counts == [{"train": 4, "validation": 4, "test": 4}, {"train": 8, "validation": 0, "test": 4}]
    assert everything.hash != open_with(unjudged, phantom_store, "three:fold-3").hash
    with pytest.raises(SetupError, match=r"all\.json: no such split"):
        open_with(patch_recipe, phantom_store, "all")


def test_a_recipe_of_an_earlier_version_keeps_its_hash() -> None:
    for name in ("paper", "small"):
        recipe = load_recipe(name, stage="patch")
        values = recipe.model_dump(mode="json", exclude={"reasons": True, "loop": {"kept_mb"}})
        assert values["patches"].pop("grey") is None
        assert values["patch"].pop("score_patches") is None
        assert values["patch"].pop("spreading") is None
        assert values["patches"].pop("words") is None
        assert values["input"].pop("film") is False
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        assert recipe.hash == hashlib.sha256(text.encode()).hexdigest()
    for value in (
        "patches.grey={ gamma = 2.0 }",
        "patch.score_patches=3",
        "input.film=true",
        "patch.spreading={ smooth_px = 6.0 }",
    ):
        assert recipe.with_values([value]).hash != recipe.hash


def test_the_network_of_films_starts_from_that_of_phantoms() -> None:
    phantom, film = (load_recipe(name, stage="patch") for name in ("phantom", "film"))
    assert phantom.patch is not None
    assert film.patch is not None
    source, network = build_patch(phantom.patch), build_patch(film.patch)
    card = Card(name="p", patch=phantom.patch, training=Training(trained=True, data="d"), licence="l")
    said = start_from(network, Weights(card, None, source), classes=film.patch.classes)
    assert said == ("all of the patch network of p",)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in source.state_dict().items())
