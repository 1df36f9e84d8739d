"""What a lesion run learns from: a store, or a synthetic population that is drawn as one first."""

from __future__ import annotations

from pathlib import Path

from fourview.store.store import Store
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.train.data import DRAW, OnStep, draw_population


def open_lesion_data(data: str, recipe: LesionRecipe, *, cache: Path, jobs: int, on_step: OnStep) -> Store:
    """The store.

    data     a store's folder; or "phantom:RECIPE", a population of `fourview phantom`: exams, seed and scale are the
             lesion recipe's, and it is drawn into a folder of `cache` named for all of them, once
    on_step  may raise

    Raises SetupError: no store there, or nothing is said of phantoms.
    """
    if not data.startswith(DRAW):
        return Store.open(Path(data))
    return draw_population(data, recipe.phantoms, recipe=recipe.name, cache=cache, jobs=jobs, on_step=on_step)
