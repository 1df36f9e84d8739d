"""Recipes: what is built in, what is refused, what the hash stands for."""

from __future__ import annotations

import pickle
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.phantom.recipe import BUILT_IN, DIFFICULTIES, load_recipe, parse_recipe

TEXT = (files("fourview.phantom") / "recipes/screening.toml").read_text()


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_recipe_is_called_what_its_file_is_called(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.difficulty == "medium"
    assert len(recipe.hash) == 64


def test_the_hash_follows_values_and_not_the_way_they_are_written() -> None:
    spaced = TEXT.replace(" = ", "   =   ").replace("exams = ", "# the same\nexams = ")
    lines = TEXT.splitlines(keepends=True)
    selenia = next(line for line in lines if line.startswith("selenia"))
    moved = "".join(line for line in lines if line != selenia).replace("inspiration =", f"{selenia}inspiration =", 1)
    recipe = parse_recipe(TEXT)
    assert moved != TEXT
    assert parse_recipe(spaced).hash == recipe.hash == parse_recipe(moved).hash
    assert parse_recipe(TEXT.replace("gain = 4.0", "gain = 4.1")).hash != recipe.hash


def test_a_recipe_at_another_difficulty_has_another_hash_and_leads_back() -> None:
    recipe = load_recipe("screening")
    levels = [recipe.at(difficulty) for difficulty in DIFFICULTIES]
    assert len({level.hash for level in levels}) == 3
    assert levels[1] == recipe
    assert levels[0].at("medium").hash == recipe.hash == load_recipe("screening", difficulty="medium").hash
    strengths = [level.level.strength for level in levels]
    assert strengths == sorted(strengths, reverse=True)


def test_a_recipe_survives_pickling_and_a_file(tmp_path: Path) -> None:
    recipe = load_recipe("enriched")
    assert pickle.loads(pickle.dumps(recipe)).hash == recipe.hash
    path = tmp_path / "mine.toml"
    path.write_text((files("fourview.phantom") / "recipes/enriched.toml").read_text())
    assert load_recipe(path) == recipe
    assert load_recipe(str(path)) == recipe


def test_a_changed_generator_changes_every_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_recipe("screening").hash
    monkeypatch.setattr("fourview.phantom.recipe.GENERATOR", 10_000)
    assert load_recipe("screening").hash != before


@pytest.mark.parametrize(
    ("old", "new", "key", "found", "need"),
    [
        ("malignant = 0.138", "malignant = 1.2", "biopsies.malignant", "1.2", "less than 1"),
        ("malignant = 0.138", 'malignant = "0.1"', "biopsies.malignant", "'0.1'", "number"),
        ("malignant = 0.138", "", "biopsies.malignant", "nothing", "a value"),
        ("malignant = 0.138", "malignant = nan", "recipe", "JSON", "numbers"),
        ("[women]", "[women]\nrounds_ = 2", "women.rounds_", "unknown key", "only those"),
        ("rounds = 3", "rounds = 50", "women.rounds", "50", "20"),
        ("exams = 0.02542", "exams = 0.5", "biopsies.exams", "0.5", "0.333"),
        ('difficulty = "medium"', 'difficulty = "fair"', "difficulty", "'fair'", "easy"),
        ("depth = [0.30, 0.75]", "depth = [0.75, 0.30]", "depth", "[0.75, 0.3]", "low, high"),
        ("share = 0.27", "share = 0.37", "ages", "1.1", "1"),
        ("[0.06, 0.38, 0.44, 0.12]", "[0.06, 0.38, 0.44, 0.22]", "women.ages.0", "1.1", "1"),
        ("selenia = 0.4092", "nobody = 0.4092", "profiles", "nobody", "selenia"),
        ("benign = 2.08", "benign = 0.1", "reader", "0.1", "rising order"),
        ("median = 7.0", "median = 70.0", "sizes.mass", "70", "median in between"),
        ("[sizes]", "[sizes", "recipe", "TOML", "keys"),
    ],
)
def test_a_wrong_recipe_is_refused_by_key_and_value(old: str, new: str, key: str, found: str, need: str) -> None:
    assert old in TEXT
    with pytest.raises(SetupError) as caught:
        parse_recipe(TEXT.replace(old, new, 1))
    for word in (key, found, need):
        assert word in str(caught.value), f"{word!r} is not in {caught.value}"


def test_an_unknown_name_or_difficulty_is_refused() -> None:
    with pytest.raises(SetupError, match="screening, enriched, training"):
        load_recipe("no-such-recipe")
    with pytest.raises(SetupError, match=r"found 'brutal', need one of easy, medium, hard"):
        load_recipe("screening", difficulty="brutal")


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SetupError, match=r"picture\.toml: cannot be read \(no text in UTF-8\); need screening"):
        load_recipe(tmp_path / "picture.toml")
    with pytest.raises(SetupError, match=r"cannot be read \(Is a directory\)"):
        load_recipe(tmp_path)


def test_built_in_recipes_differ_only_in_who_is_taken() -> None:
    found = [tomllib.loads((files("fourview.phantom") / f"recipes/{n}.toml").read_text()) for n in BUILT_IN]
    for values in found:
        del values["name"], values["women"]["rounds"]
        del values["biopsies"]["exams"], values["biopsies"]["age_log_odds"], values["biopsies"]["malignant"]
    assert all(values == found[0] for values in found)
