"""What a run learns from: parts that hold, labels that are there, phantoms drawn once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fourview.exam import SetupError
from fourview.store.manifest import read_manifest, write_manifest
from fourview.store.splits import Split, hash_images, make_split
from fourview.store.store import Store
from fourview.train.data import TrainingData, open_data
from fourview.train.recipe import Recipe
from tests.train.conftest import SPLIT


@pytest.fixture
def store(phantom_store: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(phantom_store, tmp_path / "store"))


@pytest.fixture
def open_(patch_recipe: Recipe, tmp_path: Path) -> Callable[..., TrainingData]:
    def call(
        data: Path | str, split: str | None = SPLIT, *settings: str, recipe: Recipe = patch_recipe, **options: Any
    ) -> TrainingData:
        cache = tmp_path / "cache"
        return open_data(str(data), split=split, recipe=recipe.with_values(settings), cache=cache, **options)

    return call


@pytest.fixture
def exam_recipe(patch_recipe: Recipe) -> Recipe:
    values = {**patch_recipe.model_dump(mode="json"), "stage": "exam", "patch": None, "patches": None}
    exams = {"others_per_positive": 1.0}
    network = {"wiring": "view-wise", "heatmaps": False, "width": 2}
    return Recipe.model_validate_json(json.dumps({**values, "exam": network, "exams": exams}))


def edit(store: Path, **columns: pl.Expr) -> None:
    """Other values in the manifest."""
    write_manifest(store, read_manifest(store).with_columns(**columns))


def test_a_store_is_opened_with_the_parts_of_its_split(store: Path, open_: Callable[..., TrainingData]) -> None:
    data = open_(store)
    assert {part: data.rows(part).height for part in ("train", "validation", "test")} == {
        "train": 24,
        "validation": 12,
        "test": 12,
    }
    assert data.phantoms_only
    assert data.split == SPLIT
    assert data.name == "12 phantom exams of recipe mixed, medium, seed 12, scale 0.1"
    assert len(data.hash) == 64
    assert open_(store).hash == data.hash
    make_split(Store.open(store).manifest, fractions=(0.5, 0.3, 0.2), stratify="label", seed=1).write(store, "other")
    assert open_(store, "other").hash != data.hash


def test_labels_are_part_of_the_hash(store: Path, open_: Callable[..., TrainingData]) -> None:
    before = open_(store).hash
    edit(store, birads=pl.lit("1"), birads_class=pl.lit(1, pl.Int8))
    assert open_(store).hash != before


def test_one_fold_is_test_the_next_one_validation_and_the_others_train(
    store: Path, open_: Callable[..., TrainingData]
) -> None:
    folds = make_split(Store.open(store).manifest, folds=3, stratify="label")
    folds.write(store, "thirds")
    data = open_(store, "thirds:fold-3")
    for part, fold in (("test", "fold-3"), ("validation", "fold-1"), ("train", "fold-2")):
        assert set(data.rows(part)["image"]) == {image for image, name in folds.parts.items() if name == fold}
    with pytest.raises(SetupError, match="found 3 folds; need one to test on, as in thirds:fold-1"):
        open_(store, "thirds")
    with pytest.raises(SetupError, match="fold-1, fold-2, fold-3; need one of its folds"):
        open_(store, "thirds:fold-4")
    make_split(Store.open(store).manifest, folds=2, stratify="label").write(store, "halves")
    with pytest.raises(SetupError, match="found no image in train"):
        open_(store, "halves:fold-1")


def test_a_split_that_is_missing_or_of_other_images_is_refused(
    store: Path, open_: Callable[..., TrainingData], tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="no such split; this store has parts"):
        open_(store, "quarters")
    with pytest.raises(SetupError, match="found no --split; need one of parts"):
        open_(store, None)
    with pytest.raises(SetupError, match="no store"):
        open_(tmp_path / "elsewhere")
    shutil.rmtree(store / "splits")
    with pytest.raises(SetupError, match="make one with `fourview data split`"):
        open_(store, None)
    shutil.copytree(store, tmp_path / "other")
    made = make_split(Store.open(store).manifest, fractions=(0.5, 0.3, 0.2), stratify="label")
    edit(tmp_path / "other", patient=pl.col("patient").str.replace("0", "9"))
    made.write(tmp_path / "other", "parts")
    with pytest.raises(SetupError, match="made for another manifest"):
        open_(tmp_path / "other")


def test_a_split_that_leaks_is_refused(store: Path, open_: Callable[..., TrainingData]) -> None:
    path = store / "splits/parts.json"
    said = json.loads(path.read_text())
    image = next(image for image, part in said["parts"].items() if part == "train")
    path.write_text(json.dumps({**said, "parts": {**said["parts"], image: "test"}}))
    with pytest.raises(SetupError, match="1 patients are in two parts; need each in one"):
        open_(store)


def test_a_woman_who_is_unknown_is_in_no_part(store: Path, open_: Callable[..., TrainingData]) -> None:
    edit(store, patient=pl.lit(None, pl.String))
    made = Split.load(store, SPLIT)
    manifest = Store.open(store).manifest
    hashes = hash_images(manifest), hash_images(manifest, pixels=False)
    Split(made.parts, made.left_out, made.options, made.seed, *hashes).write(store, "unknown")
    with pytest.raises(SetupError, match="48 images have no patient"):
        open_(store, "unknown")


def test_without_a_validation_part_nothing_is_trained(store: Path, open_: Callable[..., TrainingData]) -> None:
    make_split(Store.open(store).manifest, fractions=(0.6, 0.4)).write(store, "two")
    with pytest.raises(SetupError, match=r"no image in validation \(\d+ in train, 0 in validation, \d+ in test\)"):
        open_(store, "two")


def test_patches_need_outlines_of_both_kinds_and_exams_without_a_biopsy(
    store: Path, open_: Callable[..., TrainingData], exam_recipe: Recipe
) -> None:
    lesion = pl.element().struct
    before = read_manifest(store)
    edit(store, lesions=pl.col("lesions").list.eval(lesion.with_fields(pathology=pl.lit("malignant"))))
    with pytest.raises(
        SetupError, match=r"train: found \d+ lesions, \d+ of them with .* and 0 benign; .*; need outlines"
    ):
        open_(store)
    write_manifest(store, before.with_columns(lesions=pl.lit([], before.schema["lesions"])))
    with pytest.raises(SetupError, match="train: found 0 lesions, 0 of them with an outline"):
        open_(store)
    assert open_(store, recipe=exam_recipe).rows("train").height == 24  # which needs none
    write_manifest(store, before)
    edit(store, benign=pl.col("benign").fill_null(value=True))
    with pytest.raises(SetupError, match="lesions, 0 without a biopsy; need"):
        open_(store)
    mix = "{ malignant = 0.5, benign = 0.5, outside = 0.0, negative = 0.0 }"
    assert open_(store, SPLIT, f"patches.mix={mix}").rows("train").height == 24


def test_exams_need_malignant_ones_and_others_and_birads_two_classes(
    store: Path, open_: Callable[..., TrainingData], exam_recipe: Recipe
) -> None:
    birads = Recipe.model_validate({**exam_recipe.model_dump(), "stage": "birads"})
    assert open_(store, recipe=birads).rows("train").height == 24
    edit(store, malignant=pl.lit(value=False), birads=pl.lit("1"), birads_class=pl.lit(1, pl.Int8))
    with pytest.raises(SetupError, match=r"train: found 0 malignant images, .*; need malignant ones and others"):
        open_(store, recipe=exam_recipe)
    with pytest.raises(SetupError, match="train: found the BI-RADS classes 1; need images of two or more"):
        open_(store, recipe=birads)


def test_a_population_is_drawn_once_and_divided_by_the_recipe(
    population: Path, open_: Callable[..., TrainingData], phantom_store: Path
) -> None:
    steps: list[tuple[str, int, int]] = []

    def note(*step: Any) -> None:
        steps.append(step)

    few = ("phantoms.scale=0.05", "patches.side_px=[8, 16]", "patch.side_px=16")
    data = open_(f"phantom:{population}", None, *few, on_step=note)
    assert ("drawing exams", 12, 12) in steps
    assert ("preparing images", 48, 48) in steps
    assert data.phantoms_only
    assert data.split == "fractions-0.5-0.3-0.2"
    assert data.name.startswith("12 phantom exams of recipe mixed, medium, seed 12, scale 0.05")
    assert data.store.path.name.startswith("mixed-medium-")
    assert data.store.path.name.endswith("-seed12-scale0.05-exams12")
    assert data.rows("train")["patient"].n_unique() == 6
    women = open_(phantom_store).table["patient"]
    assert set(women) == set(data.table["patient"])  # the same women at another scale
    steps.clear()
    again = open_(f"phantom:{population}", None, *few, on_step=note)
    assert not steps
    assert again.hash == data.hash
    assert open_(f"phantom:{population}", data.split, *few).hash == data.hash


def test_drawing_that_was_stopped_is_gone_on_with(population: Path, open_: Callable[..., TrainingData]) -> None:
    few = ("phantoms.scale=0.05", "patches.side_px=[8, 16]", "patch.side_px=16")
    for stop in (("drawing exams", 4, 12), ("preparing images", 9, 48)):

        def raise_at(*step: Any, stop: tuple[str, int, int] = stop) -> None:
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            open_(f"phantom:{population}", None, *few, on_step=raise_at)
    data = open_(f"phantom:{population}", None, *few)
    assert data.rows("train").height == 24


def test_phantoms_need_their_section_and_a_population_that_exists(
    patch_recipe: Recipe, open_: Callable[..., TrainingData]
) -> None:
    without = patch_recipe.model_copy(update={"phantoms": None})
    with pytest.raises(SetupError, match="no section phantoms"):
        open_("phantom:enriched", None, recipe=without)
    with pytest.raises(SetupError, match="nowhere"):
        open_("phantom:nowhere", None)


def test_what_decides_a_breasts_label_and_where_the_nipple_points_are_part_of_the_hash(
    store: Path, open_: Callable[..., TrainingData]
) -> None:
    before = open_(store).hash
    edit(store, more=pl.lit('{"pathology": "MALIGNANT"}'))
    after = open_(store).hash
    assert after != before
    edit(
        store,
        faces=pl.when(pl.col("mirrored")).then(pl.lit("right")).otherwise(pl.lit("left")),
        mirrored=~pl.col("mirrored"),
    )
    assert open_(store).hash not in (before, after)


def test_films_and_recipe_must_agree_because_screen_goes_by_the_card(
    store: Path, open_: Callable[..., TrainingData]
) -> None:
    with pytest.raises(
        SetupError, match=r"found input\.film true and no digitised films; need --set input\.film=false"
    ):
        open_(store, SPLIT, "input.film=true")
    edit(store, vendor=pl.lit("film"))
    with pytest.raises(SetupError, match=r"found input\.film false and digitised films; need --set input\.film=true"):
        open_(store)
    assert open_(store, SPLIT, "input.film=true").table.height == 48
    half = read_manifest(store)["exam"].unique().sort()[:6].to_list()  # nine of twelve exams are learned from
    edit(store, vendor=pl.when(pl.col("exam").is_in(half)).then(pl.lit("selenia")).otherwise(pl.lit("film")))
    with pytest.raises(SetupError, match=r"found \d+ digitised films among \d+ images"):
        open_(store, SPLIT, "input.film=true")
