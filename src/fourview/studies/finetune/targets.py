"""What is learned of each image: positive or not, or its BI-RADS category; and what is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.finetune.recipe import BIRADS_CLASSES, FinetuneRecipe
from fourview.studies.transfer.labels import label_rows

_MERGED = {"4a": "4", "4b": "4", "4c": "4"}


@dataclass(frozen=True, eq=False)
class Targets:
    """y (images,) places in `classes`, 0 where not kept; keep (images,).

    classes   two: negative, positive; or BI-RADS categories
    positive  what a positive means, or what the categories are;  left_out  (reason, images)
    """

    classes: tuple[str, ...]
    y: NDArray[np.int64]
    keep: NDArray[np.bool_]
    name: str
    positive: str
    left_out: tuple[tuple[str, int], ...] = ()

    @property
    def is_binary(self) -> bool:
        return len(self.classes) == 2

    @property
    def outputs(self) -> int:
        """Of a network that tells them."""
        return 1 if self.is_binary else len(self.classes)


def read_targets(rows: pl.DataFrame, recipe: FinetuneRecipe) -> Targets:
    """The targets of rows of a manifest, as the recipe asks. Raises SetupError: no such labels, or one class alone."""
    if recipe.labels in BIRADS_CLASSES:
        return _read_categories(rows, BIRADS_CLASSES[recipe.labels])
    found = label_rows(rows, recipe.labels, birads3=recipe.birads3)
    return Targets(("negative", "positive"), found.y, found.keep, found.name, found.positive, found.left_out)


def _read_categories(rows: pl.DataFrame, classes: tuple[str, ...]) -> Targets:
    """4a, 4b and 4c are 4 where the classes have no such parts; a plain 4 has no place where they have."""
    texts = [text or "" for text in rows["birads"].to_list()]
    if "4a" not in classes:
        texts = [_MERGED.get(text, text) for text in texts]
    keep = np.array([text in classes for text in texts])
    y = np.array([classes.index(text) if text in classes else 0 for text in texts], np.int64)
    if len(np.unique(y[keep])) < 2:
        counts = Counter(text or "none" for text in texts)
        raise SetupError(f"labels birads{len(classes)}: found the categories {dict(counts)}; need two or more")
    without = int((~keep).sum())
    left_out = (("no such BI-RADS category", without),) if without else ()
    name = f"BI-RADS in {len(classes)} classes"
    return Targets(classes, y, keep, name, "each category against all others, as the radiologist gave it", left_out)
