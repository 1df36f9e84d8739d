"""What a lesion run learns from: a store, or a synthetic population that is drawn as one first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fourview.exam import SetupError
from fourview.phantom.folder import ABOUT_FILE, read_about
from fourview.phantom.recipe import load_recipe
from fourview.store.phantom_store import draw_store, is_drawn
from fourview.store.store import Store
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.train.data import PHANTOM

OnStep = Callable[[str, int, int], None]  # what is done, how many, of how many


def open_lesion_data(data: str, recipe: LesionRecipe, *, cache: Path, jobs: int, on_step: OnStep) -> Store:
    """The store.

    data     a store's folder; or "phantom:RECIPE", a population of `fourview phantom`: exams, seed and scale are the
             lesion recipe's, and it is drawn into a folder of `cache` named for all of them, once
    on_step  may raise

    Raises SetupError: no store there, or nothing is said of phantoms.
    """
    if not data.startswith(PHANTOM):
        return Store.open(Path(data))
    asked = recipe.phantoms
    if asked is None:
        raise SetupError(f"{data}: recipe {recipe.name} has no section phantoms; need it, or a store")
    population = load_recipe(data.removeprefix(PHANTOM))
    about = f"{population.name}-{population.difficulty}-{population.hash[:12]}"
    out = cache / f"{about}-seed{asked.seed}-scale{asked.scale:g}-exams{asked.exams}"
    if not is_drawn(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_store(
            population,
            out,
            exams=asked.exams,
            seed=asked.seed,
            scale=asked.scale,
            jobs=jobs,
            resume=True,
            on_drawn=lambda done, total: on_step("drawing exams", done, total),
            on_prepared=lambda step: on_step("preparing images", step.done, step.total),
        )
    return Store.open(out)


def name_data(store: Store) -> str:
    """What the data are called: the set, of a drawn population what was drawn."""
    if not (store.path / ABOUT_FILE).is_file():
        return str(store.about["dataset"])
    drawn = read_about(store.path)
    return (
        f"{drawn['exams']} phantom exams of recipe {drawn['recipe']}, {drawn['difficulty']}, seed {drawn['seed']}, "
        f"scale {drawn['scale']:g}"
    )
