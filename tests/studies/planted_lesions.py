"""Drawn breasts with one lesion each in both views, as a store and as files; a recipe for them."""

from __future__ import annotations

import shutil
from pathlib import Path

from fourview.store.store import Store
from fourview.studies.lesion.recipe import LesionRecipe, parse_recipe
from tests.train.planted_set import Planted, make_store

RECIPE = """
name = "planted"
folds = 3
[crop]
side_px = 32
[network]
architecture = "googlenet_light"
[augmentation]
rotation_deg = 20.0
[ensemble]
seeds = 1
[optimiser]
name = "adamw"
lr = 5e-3
weight_decay = 1e-4
[schedule]
kind = "cosine"
[loop]
epochs = 8
patience = 8
batch = 4
micro_batch = 4
workers = 0
"""


def planted_images(patients: int = 9) -> tuple[Planted, ...]:
    """Malignant and benign in turn; left and right; the last one has no MLO."""
    images = []
    for number in range(patients):
        kind = ("malignant", "benign")[number % 2]
        side = "LR"[number // 2 % 2]
        for angle, place in (("CC", (120 + 9 * number, 40 + 8 * number)), ("MLO", (200, 30 + 10 * number))):
            if not (angle == "MLO" and number == patients - 1):
                images.append(Planted(f"p{number}", f"{side}-{angle}", {kind: place}))
    return tuple(images)


def plant_lesions(folder: Path) -> Store:
    """The store; the pictures stay beside it, in `pictures`."""
    return make_store(folder / "store", folder / "pictures", planted_images())


def copy_images(folder: Path, *, pictures: Path) -> Path:
    """The images alone, named as ingest knows them: FOLDER/files/p0_L_CC.png ..."""
    files = folder / "files"
    files.mkdir()
    for image in planted_images():
        shutil.copy(
            pictures / f"{image.exam}_{image.view}.png",
            files / f"{image.exam}_{image.view.replace('-', '_')}.png",
        )
    return files


def planted_recipe(*settings: str) -> LesionRecipe:
    return parse_recipe(RECIPE).with_values(settings)
