"""Which images a study has, in which part, with which target; and what a network sees of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fourview.engine import choose_engine
from fourview.exam import SetupError
from fourview.prepare import Prepared
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.studies.finetune.augment import augment
from fourview.studies.finetune.cases import list_cases
from fourview.studies.finetune.figure2 import check_patch, draw_panel, open_panel, read_view
from fourview.studies.finetune.image_input import open_input
from fourview.studies.finetune.recipe import FinetuneRecipe, load_recipe
from fourview.studies.finetune.recipe_parts import Augmentation
from fourview.studies.finetune.study import Study, open_study
from fourview.studies.finetune.targets import read_targets
from fourview.studies.transfer.imagenet_features import show_photograph
from fourview.studies.transfer.view_features import open_view_features
from fourview.train.crops import read_crop
from fourview.train.stage import collate
from fourview.weights.folder import load_weights
from tests.studies.inbreast_miniature import make_store
from tests.studies.small_weights import write_small

RECIPE = load_recipe("phantom").with_values(["labels=birads4+"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = make_store(tmp_path_factory.mktemp("inbreast"), women=8)
    make_split(made.manifest, fractions=(0.5, 0.25, 0.25), stratify="birads", seed=0).write(made.path, "three")
    make_split(made.manifest, fractions=(0.6, 0.4), stratify="birads", seed=0).write(made.path, "two")
    make_split(made.manifest, folds=2, stratify="birads", seed=0).write(made.path, "folds")
    return made


def open_small(store: Store, recipe: FinetuneRecipe = RECIPE) -> Study:
    return open_study(store, "three", recipe, "scratch", None)


@pytest.mark.parametrize("split", ["three", "two", "folds:fold-2"])
def test_no_patient_is_in_two_parts_whatever_the_split(store: Store, split: str) -> None:
    cases = list_cases(store, split, RECIPE)
    owners = {part: set(cases.patients(cases.of(part)).tolist()) for part in ("train", "validation", "test")}
    assert all(owners.values())
    assert sum(map(len, owners.values())) == len(set.union(*owners.values())) == 8
    drawn = [note for note in cases.notes if note.startswith("validation")]
    assert bool(drawn) == (split != "three")


def test_a_fold_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(SetupError, match="need one, as in folds:fold-1"):
        list_cases(store, "folds:fold-9", RECIPE)
    with pytest.raises(SetupError, match="found no folds"):
        list_cases(store, "three:fold-1", RECIPE)


def test_a_part_with_one_class_is_an_error(store: Store) -> None:
    made = make_split(store.manifest, fractions=(0.5, 0.25, 0.25), seed=0)
    patients = dict(store.images.select("image", "patient").iter_rows())
    calm = {row[0] for row in store.images.filter(pl.col("birads").is_in(["1", "2"])).select("patient").iter_rows()}
    calm -= {row[0] for row in store.images.filter(~pl.col("birads").is_in(["1", "2"])).select("patient").iter_rows()}
    parts = {
        image: "test" if patients[image] in calm else ("validation" if patients[image].endswith("1") else "train")
        for image in made.parts
    }
    replace(made, parts=parts).write(store.path, "lopsided")
    with pytest.raises(SetupError, match=r"lopsided, test: found \d+ negative .*need two classes"):
        list_cases(store, "lopsided", RECIPE)


def test_categories_are_merged_or_told_apart_as_asked(store: Store) -> None:
    rows = store.images
    six = read_targets(rows, RECIPE.with_values(["labels=birads6"]))
    eight = read_targets(rows, RECIPE.with_values(["labels=birads8"]))
    for place, birads in enumerate(rows["birads"]):
        assert six.classes[six.y[place]] == birads[0]
        assert eight.classes[eight.y[place]] == birads
    assert (six.outputs, eight.outputs) == (6, 8)


def test_a_plain_4_has_no_place_among_eight_categories(store: Store) -> None:
    rows = store.images.with_columns(birads=pl.when(pl.col("birads") == "4a").then(pl.lit("4")).otherwise("birads"))
    found = read_targets(rows, RECIPE.with_values(["labels=birads8"]))
    assert found.left_out == (("no such BI-RADS category", int((rows["birads"] == "4").sum())),)


def test_a_square_is_what_frozen_features_see(store: Store) -> None:
    read = open_input(store, None, size=48, augmentation=Augmentation(), jittered=True, kept_mb=10)
    row = store.images.to_dicts()[0]
    seen = read(row, None)["image"]
    np.testing.assert_allclose(seen, show_photograph(store.read_crop(row["image"]), 48), atol=1e-6)
    drawn = [read(row, np.random.default_rng(seed))["image"] for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_a_window_is_what_frozen_features_of_a_view_see(store: Store, tmp_path: Path) -> None:
    weights = load_weights(write_small(tmp_path / "w"))
    row = store.images.filter(view="R-MLO").to_dicts()[0]
    read = open_input(store, weights.card, size=48, augmentation=Augmentation(), jittered=True, kept_mb=10)
    ((view, seen),) = read(row, None).items()
    prepared: Prepared = read_crop(store, row, weights.card)
    features = open_view_features(
        weights, choose_engine("torch"), trunk="matched", layer="gap", view=prepared.mammogram.view, size=None
    )
    assert view == "R-MLO"
    np.testing.assert_allclose(seen, features._show(prepared), atol=1e-6)
    assert not np.array_equal(read(row, np.random.default_rng(0))[view], seen)


def test_an_image_is_mirrored_flipped_turned_and_scaled_as_drawn() -> None:
    image = np.zeros((21, 21), np.float32)
    image[4:9, 3:12] = 1
    still = Augmentation(mirrored=0, flipped=0, rotation_deg=0, scale=(1, 1))
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(augment(image, still, rng), image, atol=1e-6)
    both = still.model_copy(update={"mirrored": 1.0, "flipped": 1.0})
    np.testing.assert_allclose(augment(image, both, rng), image[::-1, ::-1], atol=1e-6)
    larger = still.model_copy(update={"scale": (1.1, 1.1)})
    assert augment(image, larger, rng).sum() == pytest.approx(1.21 * image.sum(), rel=0.06)
    turned = augment(image, still.model_copy(update={"rotation_deg": 15.0}), rng)
    assert turned.sum() == pytest.approx(image.sum(), rel=0.02)
    assert np.abs(turned - image).max() > 0.1


def test_every_training_image_comes_once_an_epoch_and_with_the_sampler_each_class_as_often(store: Store) -> None:
    study = open_small(store)
    stage = study.stage(study.phases[0], study.start.network.state_dict())
    train = sorted(stage.cases.of("train").tolist())
    assert sorted(key.case for key in stage.epoch(0)) == train
    assert [key.case for key in stage.epoch(0)] != [key.case for key in stage.epoch(1)]
    sampled = replace(stage, finetune=RECIPE.with_values(["balance=sampler"]))
    drawn = [stage.cases.y[key.case] for number in range(60) for key in sampled.epoch(number)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.06)
    assert stage.cases.y[stage.cases.of("train")].mean() < 0.45


def test_portions_of_a_batch_add_up_to_its_weighted_loss(store: Store) -> None:
    study = open_small(store)
    stage = study.stage(study.phases[0], study.start.network.state_dict())
    stage.network.eval()
    samples = [stage.load(key) for key in stage.epoch(0)[:6]]
    with torch.no_grad():
        whole = float(stage.loss(stage.network, collate(samples)))
        parts = [float(stage.loss(stage.network, collate(samples[first : first + 2]))) for first in (0, 2, 4)]
    assert whole == pytest.approx(sum(parts) / 3, abs=1e-6)
    weights = stage.class_weights()[stage.cases.y[stage.cases.of("train")]]
    assert weights.mean() == pytest.approx(1)


def test_a_view_is_put_together_as_the_file_had_it(store: Store) -> None:
    row = store.images.filter(view="R-CC").to_dicts()[0]
    view = read_view(store, row)
    assert view.shape == (row["source_rows"], row["source_cols"])
    assert row["mirrored"]
    assert view[:, -1].any()  # a right breast, its chest wall on the right
    assert not view[:, 0].any()


def test_a_panel_shows_view_crop_input_and_where_there_is_a_patch_network_both_heatmaps(
    store: Store, tmp_path: Path
) -> None:
    weights = load_weights(write_small(tmp_path / "w", wiring="view-wise", heatmaps=True))
    row = store.images.filter(view="L-CC").to_dicts()[0]
    seen, engine = np.zeros((64, 64), np.float32), choose_engine("torch")
    without = draw_panel(open_panel(store, row, seen, patch=None, engine=engine, synthetic=False))
    panel = open_panel(store, row, seen, patch=weights, engine=engine, synthetic=True)
    picture = draw_panel(panel)
    assert picture.shape[1] > 1.4 * without.shape[1]
    assert panel.heatmaps is not None
    assert panel.mapped is not None
    assert panel.heatmaps["malignant"].shape == panel.mapped.shape
    assert "Synthetic" in panel.notes[0]
    assert "(untrained)" in panel.notes[1]


def test_heatmaps_need_a_patch_network_and_one_of_phantoms_is_for_phantoms(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need weights with a patch network"):
        check_patch(load_weights(write_small(tmp_path / "alone")), synthetic=True)
    drawn = load_weights(write_small(tmp_path / "drawn", wiring="view-wise", heatmaps=True, phantoms_only=True))
    check_patch(drawn, synthetic=True)
    with pytest.raises(SetupError, match="not for real images"):
        check_patch(drawn, synthetic=False)
