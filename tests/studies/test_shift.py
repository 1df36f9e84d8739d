"""Are two sets of images alike: planted differences are found and named, halves of one set are not told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.phantom.recipe import load_recipe
from fourview.store.phantom_store import draw_store
from fourview.studies.transfer.extract import Task, extract_features
from fourview.studies.transfer.feature_set import FeatureSet, save_features
from fourview.studies.transfer.shift import measure_shift
from fourview.studies.transfer.shift_card import compare_with_card
from fourview.studies.transfer.shift_document import warn
from fourview.weights.card import Card, Input, PatchNetwork, Training
from tests.studies.drawn_features import draw_features
from tests.studies.small_weights import write_small


def _site(seed: int, *, vendor: str = "A", patients: int = 20, name: str = "") -> FeatureSet:
    features = draw_features(patients, 5, seed=seed)
    rows = features.rows.with_columns(pl.lit(vendor).alias("vendor"), pl.lit(0.07).alias("spacing_mm"))
    if name:
        rows = rows.with_columns(pl.lit(name).alias("dataset"))
    return replace(features, rows=rows)


def _halves(features: FeatureSet, seed: int) -> tuple[FeatureSet, FeatureSet]:
    """By patient."""
    names = features.rows["patient"].unique(maintain_order=True)
    first = set(np.random.default_rng(seed).permutation(names.to_numpy())[: len(names) // 2].tolist())
    keep = np.array([name in first for name in features.rows["patient"]])
    return features.take(keep), features.take(~keep)


def _count_warned(features: FeatureSet, draws: int) -> int:
    return sum(bool(warn(measure_shift(*_halves(features, seed), seed=seed))) for seed in range(draws))


def test_halves_of_one_set_give_no_warning() -> None:
    assert _count_warned(_site(1), 3) == 0


@pytest.mark.slow
def test_halves_of_one_set_give_no_warning_in_nine_draws_of_ten() -> None:
    assert _count_warned(_site(1, patients=40), 40) <= 4


def test_a_set_that_lies_elsewhere_or_varies_more_is_told_and_a_new_vendor_is_named() -> None:
    first, second = _site(1, vendor="B", name="here"), _site(2, name="there")
    for values in (first.values + 2, 3 * first.values):
        found = measure_shift(replace(first, values=values.astype(np.float32)), second)
        assert found.area.value > 0.8
        said = warn(found)
        assert "clearly unlike" in said[0]
        assert any(
            "Vendor: B 100 % here, A 100 % there. 100 % of these images have one that is not there" in s for s in said
        )


def test_images_that_are_in_both_sets_are_counted() -> None:
    first = _site(1)
    assert measure_shift(first, first.take(np.arange(80) < 60)).copies == 60


def test_patients_are_never_split_so_that_knowing_a_woman_is_no_shift() -> None:
    """Features that are nothing but who it is: told apart with patients split, not without."""
    features = _site(3, patients=30)
    who = np.repeat(np.random.default_rng(0).normal(size=(30, 5)), 4, axis=0).astype(np.float32)
    found = measure_shift(*_halves(replace(features, values=who), 1))
    assert found.area.clusters == 30
    assert not found.told_apart


def test_features_that_were_made_in_another_way_are_refused() -> None:
    with pytest.raises(SetupError, match="extractor 'drawn' and 'other'; need features made in the same way"):
        measure_shift(draw_features(8), draw_features(8, extractor="other"))


def _card(**parts: object) -> Card:
    training = Training(trained=True, data="a hospital", population="women of 40 to 49")
    return Card(name="w", patch=PatchNetwork(), training=training, licence="x").model_copy(update=parts)


def test_a_card_warns_of_pixel_sizes_films_grey_scales_and_phantoms_that_it_does_not_know() -> None:
    rows = _site(1).rows.with_columns(pl.lit("mini-mias").alias("dataset"), pl.lit("presentation").alias("pixel_mode"))
    facts = {fact.what: fact for fact in compare_with_card(rows, _card(input=Input(spacing_range_mm=(0.1, 0.2))))}
    assert (
        facts["pixel size"].warning
        == "80 of 80 images have a pixel size that was not there in training (0.1 to 0.2 mm)."
    )
    assert "80 images are digitised films" in facts["film or digital"].warning
    assert "80 images are in another grey scale" in facts["grey scale"].warning
    assert facts["population"].card == "women of 40 to 49"
    phantoms = _card(training=Training(trained=True, data="drawn", phantoms_only=True))
    assert any("nothing but phantoms" in fact.warning for fact in compare_with_card(rows, phantoms))
    film = compare_with_card(
        rows, _card(input=Input(film=True, pixel_mode="presentation", spacing_range_mm=(0.07, 0.1)))
    )
    assert not any(fact.warning for fact in film)


def test_the_command_writes_a_page_from_features_and_from_a_card_alone(tmp_path: Path) -> None:
    save_features(tmp_path / "a", _site(1))
    save_features(tmp_path / "b", _site(2, vendor="B", name="there"))
    weights = write_small(tmp_path / "weights", wiring="image-wise")
    for more in ((str(tmp_path / "b"),), ("--weights", str(weights))):
        out = tmp_path / f"out{len(more)}"
        words = ["shift", str(tmp_path / "a"), *more, "--out", str(out)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert (result.exit_code, "ATTENTION" in result.output) == (0, True), result.output
        assert json.loads((out / "results.json").read_text())["kind"] == "shift"
        assert pl.read_csv(out / "facts.csv").height >= 5
    with pytest.raises(SetupError, match="found nothing to compare with"):
        CliRunner().invoke(app, ["shift", str(tmp_path / "a"), "--out", str(tmp_path / "c")], catch_exceptions=False)


@pytest.mark.slow
def test_phantoms_of_two_scanners_and_film_beside_digital_are_told_apart(tmp_path: Path) -> None:
    """By texture, at a twentieth of the size."""
    recipe, sets = load_recipe("enriched"), {}
    for place, profile in enumerate(("dimensions", "inspiration", "film")):
        store = tmp_path / profile
        one = recipe.model_copy(update={"profiles": {profile: 1.0}})
        draw_store(one, store, exams=10, start=10 * place, seed=5, scale=0.05 if profile != "film" else 0.2)
        sets[profile] = extract_features(Task(store, "texture"), tmp_path / f"features-{profile}").features
    for other in ("inspiration", "film"):
        assert "unlike" in warn(measure_shift(sets["dimensions"], sets[other]))[0]
