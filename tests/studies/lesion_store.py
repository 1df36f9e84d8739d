"""A few phantom exams whose findings are large enough to be lesions, as a store."""

from __future__ import annotations

from pathlib import Path

from fourview.phantom.recipe import load_recipe, read_recipe_file
from fourview.store.phantom_store import draw_store
from fourview.store.store import Store

SCALE = 0.1


def draw_lesions(folder: Path, *, exams: int, seed: int = 12) -> Store:
    """All exams biopsied, half of the biopsies malignant."""
    text = read_recipe_file("enriched")
    for old, new in (
        ('name = "enriched"', 'name = "mixed"'),
        ("malignant = 0.138", "malignant = 0.5"),
    ):
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "mixed.toml"
    recipe.write_text(text)
    draw_store(load_recipe(str(recipe)), folder / "store", exams=exams, seed=seed, scale=SCALE)
    return Store.open(folder / "store")
