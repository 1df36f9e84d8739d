"""Cards: those that ship are of the recipes that ship, and numbers come with their errors."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from fourview.phantom.ceiling import breast_ceiling, lesion_ceiling
from fourview.phantom.population import plan_exam
from fourview.phantom.recipe import BUILT_IN, DIFFICULTIES, load_recipe
from fourview.phantom.recipe_card import count_plans, describe_recipe, find_card

SHIPPED = json.loads((files("fourview.phantom") / "recipes/cards.json").read_text())


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_every_built_in_recipe_ships_its_card(name: str, difficulty: str) -> None:
    recipe = load_recipe(name, difficulty=difficulty)
    card = find_card(recipe)
    assert card in SHIPPED, "recipe or GENERATOR changed: write recipes/cards.json anew with recipe_card.format_cards"
    assert (card["name"], card["difficulty"], card["hash"]) == (name, difficulty, recipe.hash)
    assert card["plans"] == 20_000
    assert card["ceilings"]["breast malignant vs rest"] == pytest.approx(breast_ceiling(recipe), abs=1e-6)
    assert card["ceilings"]["breast benign vs rest"] == pytest.approx(breast_ceiling(recipe, "benign"), abs=1e-6)
    assert card["ceilings"]["lesion malignant vs benign"] == pytest.approx(lesion_ceiling(recipe), abs=1e-6)
    assert card["ceilings"]["lesion malignant vs benign, mass"] == pytest.approx(
        lesion_ceiling(recipe, "mass"), abs=1e-6
    )


def test_the_shipped_numbers_are_those_of_the_first_plans() -> None:
    recipe = load_recipe("screening")
    card, shipped = describe_recipe(recipe, plans=3_000), find_card(recipe)
    assert card["ceilings"] == shipped["ceilings"]
    for what in ("age", "exams biopsied", "breasts BI-RADS 1", "distractors in a breast"):
        found, known = card["frequencies"][what], shipped["frequencies"][what]
        assert found["value"] == pytest.approx(known["value"], abs=4 * found["se"] + 1e-9), what
        assert found["se"] > known["se"] > 0, what


def test_errors_take_the_exams_of_a_woman_as_one() -> None:
    recipe = load_recipe("screening")
    plans = [plan_exam(recipe, seed=0, index=index) for index in range(3_000)]
    found = count_plans(plans)["density b"]
    share = found["value"]
    assert found["n"] == 3_000
    # three exams of one density each: as many women as exams / 3
    assert found["se"] == pytest.approx((share * (1 - share) / 1_000) ** 0.5, rel=0.01)


def test_another_recipe_gets_its_card_made() -> None:
    recipe = load_recipe("enriched").model_copy(update={"name": "mine"})
    card = describe_recipe(recipe, plans=50, seed=3)
    assert (card["name"], card["plans"], card["seed"], card["hash"]) == ("mine", 50, 3, recipe.hash)
    assert card["frequencies"]["exams biopsied"] == {"value": 1.0, "se": 0.0, "n": 50.0}


def test_extreme_recipes_have_cards_too() -> None:
    enriched = load_recipe("enriched")
    normal = enriched.model_copy(update={"biopsies": enriched.biopsies.model_copy(update={"exams": 0.0})})
    card = describe_recipe(normal, plans=40)
    assert not any(task.startswith("breast") for task in card["ceilings"])
    assert card["frequencies"]["exams biopsied"]["value"] == 0
    medium = enriched.level.model_copy(update={"occult_malignant": 0.0, "occult_benign": 0.0})
    levels = enriched.difficulties.model_copy(update={"medium": medium})
    seen = describe_recipe(enriched.model_copy(update={"difficulties": levels}), plans=200)
    assert seen["frequencies"]["malignant breasts occult"]["value"] == 0
    assert (
        seen["ceilings"]["breast malignant vs rest"]
        > describe_recipe(enriched, plans=1)["ceilings"]["breast malignant vs rest"]
    )
