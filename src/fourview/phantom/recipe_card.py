"""The card of a recipe: its ceilings, exact, and how often everything is, simulated with standard errors.

The cards of the built-in recipes ship beside them (recipes/cards.json). After a change of a recipe or of GENERATOR they
are written anew with format_cards; a test holds them to the recipes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import numpy as np

from fourview.phantom.ceiling import breast_ceiling, lesion_ceiling
from fourview.phantom.logits import Floats
from fourview.phantom.population import PlannedExam, plan_exam
from fourview.phantom.recipe import BUILT_IN, DIFFICULTIES, GENERATOR, Recipe, load_recipe
from fourview.phantom.signs import KINDS


def describe_recipe(recipe: Recipe, *, plans: int = 20_000, seed: int = 0) -> dict[str, Any]:
    """The recipe's card: exact ceilings, and how often everything is, from `plans` simulated exams.

    {"name", "difficulty", "hash", "generator", "plans", "seed", "ceilings": {task: AUC},
    "frequencies": {what: {"value", "se", "n"}}}; se takes women as independent, not their exams. A task without
    positives has no ceiling.
    """
    kinds = {kind: getattr(recipe.biopsies.kinds, kind) for kind in KINDS}
    ceilings = {"lesion malignant vs benign": lesion_ceiling(recipe)}
    ceilings |= {f"lesion malignant vs benign, {k}": lesion_ceiling(recipe, k) for k, share in kinds.items() if share}
    ceilings |= {f"breast {finding} vs rest": breast_ceiling(recipe, finding) for finding in ("malignant", "benign")}
    return {
        "name": recipe.name,
        "difficulty": recipe.difficulty,
        "hash": recipe.hash,
        "generator": GENERATOR,
        "plans": plans,
        "seed": seed,
        "ceilings": {task: round(area, 6) for task, area in ceilings.items() if not math.isnan(area)},
        "frequencies": count_plans(plan_exam(recipe, seed=seed, index=index) for index in range(plans)),
    }


def count_plans(plans: Iterable[PlannedExam]) -> dict[str, dict[str, float]]:
    """How often everything is in these exams: value, standard error and n (what the value is a share or mean of)."""
    sums: dict[str, dict[str, list[float]]] = {}  # what -> woman -> [total, of how many]
    for plan in plans:
        for what, value in _count_exam(plan):
            entry = sums.setdefault(what, {}).setdefault(plan.patient, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
    return {what: _ratio(np.array(list(women.values()))) for what, women in sums.items()}


def _count_exam(plan: PlannedExam) -> Iterable[tuple[str, float]]:
    """(what, number) of one exam: numbers of the same name are averaged."""
    breasts = list(plan.breasts.values())
    yield "age", plan.age
    yield "exams biopsied", any(b.biopsied for b in breasts)
    yield "exams recalled (BI-RADS 0, 4, 5)", any(b.birads in "045" for b in breasts)
    yield from ((f"density {d}", plan.density == d) for d in "abcd")
    for side, breast in plan.breasts.items():
        own = [f for f in plan.findings if f.side is side]
        biopsied = plan.biopsied_findings(side)
        yield "breasts biopsied", breast.biopsied
        yield "breasts malignant", breast.malignant
        yield "breasts benign", breast.benign
        yield "breasts both", breast.malignant and breast.benign
        yield "breasts with a cancer found later", breast.later_malignant
        yield from ((f"breasts BI-RADS {c}", breast.birads == c) for c in "0123456")
        yield "visible findings in a breast", sum(f.visible for f in own)
        yield "distractors in a breast", sum(f.p_malignant is None for f in own)
        for label in ("malignant", "benign"):
            if getattr(breast, label):
                seen = any(f.visible for f in biopsied if f.malignant == (label == "malignant"))
                yield f"{label} breasts occult", not seen
        if breast.benign:
            yield "benign breasts high risk", breast.high_risk
        yield from (("biopsied findings malignant", f.malignant) for f in biopsied)


def _ratio(women: Floats) -> dict[str, float]:
    """Sum over sum, with the standard error that takes women as independent (linearised ratio)."""
    total, of = women.sum(axis=0)
    value = total / of
    residuals = women[:, 0] - value * women[:, 1]
    count = len(women)
    se = float(np.sqrt(count / max(count - 1, 1) * (residuals**2).sum()) / of)
    return {"value": round(float(value), 7), "se": round(se, 7), "n": float(of)}


def find_card(recipe: Recipe) -> dict[str, Any]:
    """The card that ships with a built-in recipe; for any other one it is made, which takes some seconds."""
    shipped = json.loads((files("fourview.phantom") / "recipes/cards.json").read_text(encoding="utf-8"))
    return next((card for card in shipped if card["hash"] == recipe.hash), None) or describe_recipe(recipe)


def read_likeness() -> list[dict[str, Any]]:
    """How well a small classifier tells real images from this generator's phantoms, per public sample of real ones.

    Rows of {"name", "real_exams", "phantom_exams", "auc", "low", "high"} (95 % interval, None where there is none);
    none if the generator has changed since it was measured. Method: benchmarks/phantom_likeness.py.
    """
    found = json.loads((files("fourview.phantom") / "recipes/likeness.json").read_text(encoding="utf-8"))
    return list(found["samples"]) if found["generator"] == GENERATOR else []


def format_cards(*, plans: int = 20_000) -> str:
    """The content of recipes/cards.json: the cards of every built-in recipe at every difficulty."""
    recipes = [load_recipe(name, difficulty=difficulty) for name in BUILT_IN for difficulty in DIFFICULTIES]
    return json.dumps([describe_recipe(recipe, plans=plans) for recipe in recipes], indent=1) + "\n"
