"""Recipes: what is wrong in one is named, with what is needed; deviations from `paper` are listed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.train.recipe import BUILT_IN, OF_PATCHES, STAGES, Stage, load_recipe, parse_recipe
from fourview.train.recipe_text import format_recipe
from tests.train.toy_stage import TOML, toy_recipe


@pytest.mark.parametrize("stage", STAGES)
def test_the_paper_deviates_from_itself_in_nothing(stage: Stage) -> None:
    assert load_recipe("paper", stage=stage).deviations() == ()


@pytest.mark.parametrize(
    ("name", "stage"), [*itertools.product(BUILT_IN, STAGES), *((name, "patch") for name in OF_PATCHES)]
)
def test_deviations_of_a_built_in_recipe_have_reasons_and_reasons_deviations(name: str, stage: Stage) -> None:
    recipe = load_recipe(name, stage=stage)
    deviations = recipe.deviations()
    assert [d.field for d in deviations if d.reason is None] == []
    fields = [d.field for d in deviations]
    idle = [key for key in recipe.reasons if not any(f == key or f.startswith(f"{key}.") for f in fields)]
    assert idle == []
    assert (recipe.name, recipe.stage) == (name, stage)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[loop]\nbatchsize = 4", r"loop\.batchsize: found an unknown key"),
        ("[looop]\nbatch = 4", "looop: found an unknown key"),
        ("[optimiser]\nname = 'lion'", r"optimiser\.name: found 'lion', need"),
        ("[optimiser]\nlr = -1.0", r"optimiser\.lr: found -1\.0, need"),
        ("[optimiser]\nlr = '0.1'", r"optimiser\.lr: found '0\.1', need"),
        ("[optimiser]\nlr = inf", "found a value that no recipe can have"),
        ("[loop]\nepochs = 0", r"loop\.epochs: found 0, need"),
        ("[loop]\nmicro_batch = 3", "found 8 with micro_batch 3; need a whole number of portions"),
        ("[patches]\nside_px = [9, 8]", r"side_px: found \[9, 8\], need the smaller one first"),
        ("[patches.mix]\nmalignant = 0.9", "found shares that sum to 1.4, need 1"),
        ("[exams]\nnoise = 0.1", "exams: found a section that the stage patch does not use"),
        ("[reasons]\n'loop.bath' = 'why not'", r"found loop\.bath, which are no fields of a recipe"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(line: str, words: str) -> None:
    import tomllib

    values = tomllib.loads(TOML)
    for section, changes in tomllib.loads(line).items():
        values[section] = merge(values.get(section, {}), changes)
    with pytest.raises(SetupError, match=words):
        parse_recipe(dump(values))


def merge(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merge(old.get(key, {}), value) for key, value in new.items()}
    return new


def dump(values: dict[str, object]) -> str:
    from fourview.train.recipe_text import _format_table

    return _format_table(values, "")


def test_a_missing_section_is_named() -> None:
    with pytest.raises(SetupError, match="schedule: found nothing, need a value"):
        parse_recipe(TOML.replace('[schedule]\nkind = "constant"\n', ""))


def test_a_text_that_is_no_toml_is_an_error() -> None:
    with pytest.raises(SetupError, match="found no TOML"):
        parse_recipe("loop = {", where="r.toml")


def test_a_recipe_of_another_stage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(TOML)
    assert load_recipe(tmp_path / "r.toml", stage="patch").name == "toy"
    with pytest.raises(SetupError, match="found one for the stage patch, need one for exam"):
        load_recipe(tmp_path / "r.toml", stage="exam")


def test_a_recipe_that_is_not_there_is_an_error_that_names_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need paper, small, phantom, film or a TOML file"):
        load_recipe(tmp_path / "none.toml", stage="patch")


def test_values_are_set_from_the_command_line() -> None:
    recipe = toy_recipe("loop.epochs=7", "schedule.kind=cosine", "patches.side_px=[4, 8]", "optimiser.clip_norm=1.5")
    assert recipe.loop.epochs == 7
    assert recipe.schedule.kind == "cosine"
    assert recipe.patches is not None
    assert recipe.patches.side_px == (4, 8)
    assert recipe.optimiser.clip_norm == 1.5
    assert recipe.hash != toy_recipe().hash


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loop.epochs", "need KEY=VALUE"),
        ("=3", "need KEY=VALUE"),
        ("loop.epoch=3", r"found the key 'loop\.epoch', need one of epochs, patience"),
        ("lop.epochs=3", "found 'lop', which is no section here"),
        ("exams.noise=0.1", "found 'exams', which is no section here"),
        ("loop.epochs=many", r"loop\.epochs: found 'many', need"),
        ("loop.micro_batch=3", "need a whole number of portions"),
    ],
)
def test_what_cannot_be_set_is_named(text: str, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        toy_recipe(text)


def test_every_deviation_is_listed_with_its_reason_and_others_with_none() -> None:
    recipe = load_recipe("paper", stage="exam").with_values(
        ["exam.width=4", "seed=3", "geometry.window_cc_px=[10, 20]"]
    )
    found = {deviation.field: (deviation.paper, deviation.value, deviation.reason) for deviation in recipe.deviations()}
    assert found == {
        "exam.width": (16, 4, "set on the command line"),
        "geometry.window_cc_px": ([2677, 1942], [10, 20], "set on the command line"),
    }
    silent = recipe.model_copy(update={"reasons": {"geometry": "a laptop"}})
    assert {deviation.field: deviation.reason for deviation in silent.deviations()} == {
        "exam.width": None,
        "geometry.window_cc_px": "a laptop",
    }


def test_reasons_change_no_hash_but_every_value_does() -> None:
    recipe = toy_recipe()
    assert recipe.model_copy(update={"reasons": {"loop": "why"}}).hash == recipe.hash
    assert (
        len({toy_recipe(text).hash for text in ("seed=1", "loop.epochs=4", "patches.mirrored=0.5")} | {recipe.hash})
        == 4
    )


def test_a_recipe_written_as_toml_keeps_odd_texts() -> None:
    recipe = toy_recipe().model_copy(update={"reasons": {"loop.batch": 'a "laptop"\nof 2 cores, 5 µm \\'}})
    assert parse_recipe(format_recipe(recipe)) == recipe
