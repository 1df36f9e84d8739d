"""The images of a study in parts: training, validation that chooses the epoch, and the held-out part."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.store.sets import PHANTOM
from fourview.store.splits import PARTS, Split
from fourview.store.store import Store
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.studies.finetune.targets import Targets, read_targets
from fourview.studies.transfer.folds import draw_folds

_KEPT = ("image", "exam", "patient", "dataset", "side", "view", "spacing_mm", "pixel_mode", "faces", "pixels_sha256")
_HASHED = ("image", "patient", "view", "pixels_sha256")


@dataclass(frozen=True, eq=False)
class ImageCases:
    """The images that are learned from and judged by.

    rows   one per image, of the manifest;  y (images,) places in targets.classes;  part (images,) of PARTS
    notes  what was left out, and how the parts came about
    """

    rows: tuple[dict[str, Any], ...]
    y: NDArray[np.int64]
    part: NDArray[np.str_]
    targets: Targets
    notes: tuple[str, ...]

    def of(self, part: str) -> NDArray[np.int64]:
        """Places of the images of a part."""
        return np.flatnonzero(self.part == part)

    def patients(self, places: NDArray[np.int64]) -> NDArray[np.str_]:
        return np.array([self.rows[place]["patient"] for place in places], np.str_)

    @property
    def phantoms(self) -> bool:
        """Whether nothing else is among them."""
        return all(row["dataset"] == PHANTOM for row in self.rows)

    @property
    def hash(self) -> str:
        """SHA-256 of images, pixels, targets and parts: 64 hex digits."""
        said = [
            [*(row[name] for name in _HASHED), int(y), str(part)]
            for row, y, part in zip(self.rows, self.y, self.part, strict=True)
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def list_cases(store: Store, split: str, recipe: FinetuneRecipe) -> ImageCases:
    """The images of a split that have a target.

    split  of the store; of its folds "NAME:fold-2": that fold is held out, the others train. Where the split has no
           validation part, one is drawn from the training patients, as the recipe says

    Raises SetupError: an image without a patient, a patient in two parts, a part without images or with one class.
    """
    table, notes = _assign(store, split)
    targets = read_targets(table, recipe)
    notes += [f"left out: {count} images, {reason}" for reason, count in targets.left_out]
    table = table.with_columns(y=pl.Series(targets.y)).filter(pl.Series(targets.keep)).sort("image")
    if not table.filter(part="validation").height:
        table = _hold_back(table, recipe)
        count = table.filter(part="validation")["patient"].n_unique()
        notes.append(f"validation: {count} patients drawn from the training part (the split has no such part)")
    _check(table, split, targets)
    rows = tuple(table.select(_KEPT).to_dicts())
    y, part = table["y"].to_numpy().astype(np.int64), table["part"].to_numpy().astype(np.str_)
    return ImageCases(rows, y, part, targets, tuple(notes))


def _assign(store: Store, split: str) -> tuple[pl.DataFrame, list[str]]:
    """The prepared rows that a part takes."""
    name, _, fold = split.partition(":")
    loaded = Split.load(store.path, name)
    table = loaded.assign(store.manifest).filter(status="prepared")
    folds = [part for part in loaded.names if part not in PARTS]
    if folds:
        if fold not in folds:
            raise SetupError(f"split {split}: found the folds {', '.join(folds)}; need one, as in {name}:{folds[0]}")
        held_out = pl.when(pl.col("part") == fold).then(pl.lit("test")).otherwise(pl.lit("train"))
        table = table.with_columns(part=pl.when(pl.col("part").is_not_null()).then(held_out))
    elif fold:
        raise SetupError(f"split {split}: found no folds, but {', '.join(loaded.names)}; need {name} alone")
    without = int(table["part"].is_null().sum())
    return table.filter(pl.col("part").is_not_null()), [f"left out: {without} images of no part"] if without else []


def _hold_back(table: pl.DataFrame, recipe: FinetuneRecipe) -> pl.DataFrame:
    """With a part of the training patients as validation: one of as many folds as the share asks for.

    Of categories, the lower and the higher half are spread over the folds.
    """
    rows = table.filter(part="train")
    if rows["patient"].null_count() or not rows.height:
        return table  # which _check refuses
    y = rows["y"].to_numpy()
    high = (y > np.median(y) if (y > np.median(y)).any() else y >= np.median(y)).astype(np.int64)
    patients = np.unique(rows["patient"].to_numpy().astype(np.str_), return_inverse=True)[1].astype(np.int64)
    owners = [len(np.unique(patients[high == half])) for half in (0, 1)]
    folds = max(2, min(round(1 / recipe.validation_share), *owners))
    try:
        numbers = draw_folds(high, patients, folds=folds, seed=recipe.seed)
    except SetupError as error:
        raise SetupError(f"no validation part can be drawn from the training part: {error}") from error
    held = rows["image"].filter(pl.Series(numbers == 0)).to_list()
    drawn = pl.when(pl.col("image").is_in(held)).then(pl.lit("validation"))
    return table.with_columns(part=drawn.otherwise("part"))


def _check(table: pl.DataFrame, split: str, targets: Targets) -> None:
    if unknown := table["patient"].null_count():
        raise SetupError(f"split {split}: {unknown} images have no patient; need whose each is, or one is in two parts")
    twice = table.group_by("patient").agg(pl.col("part").n_unique()).filter(pl.col("part") > 1).height
    if twice:
        raise SetupError(f"split {split}: {twice} patients are in two parts; need each in one: make the split again")
    for part in PARTS:
        own = table.filter(part=part)
        counts = {name: own.filter(y=place).height for place, name in enumerate(targets.classes)}
        if sum(count > 0 for count in counts.values()) < 2:
            said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no image"
            raise SetupError(
                f"split {split}, {part}: found {said} ({targets.name}); need two classes: make a split that spreads "
                "them (data split --stratify)"
            )
