"""A synthetic population as a store: drawn as pictures beside it, prepared, and the pictures removed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from fourview.datasets import DATASETS
from fourview.exam import SetupError
from fourview.phantom.folder import ABOUT_FILE, RECIPE_FILE, TRUTH, PhantomFolder, Step, draw_folder
from fourview.phantom.recipe import Recipe
from fourview.store.prepare import PrepareStep, prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import read_about_store

_CROP_ITERATIONS, _CROP_BUFFER = 100, 50  # of `fourview data prepare`, at full size


def is_drawn(out: Path) -> bool:
    """Whether a population was drawn into this store to its end."""
    return (out / ABOUT_FILE).is_file()


def draw_store(
    recipe: Recipe,
    out: Path,
    *,
    exams: int,
    start: int = 0,
    seed: int = 0,
    scale: float = 0.25,
    jobs: int = 1,
    resume: bool = False,
    on_drawn: Step | None = None,
    on_prepared: Callable[[PrepareStep], None] | None = None,
) -> PhantomFolder:
    """The store `out` of a population (see phantom.folder.draw_folder), with its phantom.json, recipe.toml and truth/.

    resume  what an unfinished run left in `out` and in the pictures beside it (OUT.pictures) is taken
    Raises SetupError if `out` holds something else or is finished, or if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not resume)):
        raise SetupError(f"output {out}: exists and is not an empty folder; name a new one, or add --resume")
    pictures = out.absolute().with_name(f"{out.absolute().name}.pictures")
    if is_drawn(out):
        left = f" ({pictures} is left over from it: remove it)" if pictures.exists() else ""
        raise SetupError(f"--resume: {out} is a finished store{left}; need an unfinished one, or a new folder")
    if out.exists() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        held = read_about_store(out).get("dataset")  # before hours of drawing, not after
        if held != DATASETS["phantom"].name:
            raise SetupError(f"--resume: {out} holds the set {held!r}, not 'phantom'; name another folder")
    out = out.absolute()
    drawn = draw_folder(
        recipe,
        pictures,
        exams=exams,
        start=start,
        seed=seed,
        scale=scale,
        files="png",
        jobs=jobs,
        resume=resume,
        on_step=on_drawn,
    )
    crop = CropSettings(round(_CROP_ITERATIONS * scale), round(_CROP_BUFFER * scale))
    made = prepare(DATASETS["phantom"], pictures, out, crop=crop, jobs=jobs, resume=resume, on_step=on_prepared)
    if made.failed:
        raise SetupError(f"{made.failed} of {made.listed} pictures could not be prepared: see {out / 'failures.csv'}")
    try:
        for name in (TRUTH, RECIPE_FILE, ABOUT_FILE):  # the last one says that all is there
            if (out / name).is_dir():  # of a run that was stopped here; else it would be moved into that one
                shutil.rmtree(out / name)
            shutil.move(pictures / name, out / name)
        shutil.rmtree(pictures)
    except OSError as error:
        raise SetupError(f"cannot write {out}: {error.strerror or error}; need room and a right") from error
    return drawn
