"""Labels in one form: the three BI-RADS classes, and what a label of a whole exam says about its breasts.

BI-RADS classes as the NYU report and its code have them: 0 -> 0 (incomplete), 1 -> 1 (normal), 2 and 3 -> 2 (benign),
4a, 4b, 4c and 5 -> 0. Two are ours: plain 4, of sets that do not divide it, -> 0 like its parts; 6, a cancer that
was known before, is no result of screening -> none. Words of pathology reports: datasets.pathology.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import polars as pl

from fourview.datasets.record import LabelUnit

__all__ = ["UNITS", "UNIT_KEYS", "LabelUnit", "classify_birads", "known_unit", "label_at"]
UNITS: tuple[LabelUnit, ...] = get_args(LabelUnit)  # from the smallest: each lies in one of the next
UNIT_KEYS: Mapping[LabelUnit, tuple[str, ...]] = {  # columns of a manifest that tell one unit from another
    "image": ("dataset", "exam", "image"),
    "breast": ("dataset", "exam", "side"),
    "exam": ("dataset", "exam"),
    "patient": ("dataset", "patient"),
}
_CLASSES = {"0": 0, "1": 1, "2": 2, "3": 2, "4": 0, "4a": 0, "4b": 0, "4c": 0, "5": 0}


def classify_birads(birads: str | None) -> int | None:
    """0, 1 or 2; None for a missing assessment, and for 6."""
    return None if birads is None else _CLASSES.get(birads.lower())


def label_at(column: str, unit: LabelUnit) -> pl.Expr:
    """What a label of a manifest says about the image, breast, exam or patient of each row: the column, or null.

    column  "malignant" or "benign"
    A finding of something smaller is one of the unit too. A finding of something larger may lie elsewhere in it: null.
    Without a finding in the larger one there is none in the unit.
    """
    larger = UNITS[UNITS.index(unit) + 1 :]
    elsewhere = pl.col(column) & pl.col("label_unit").is_in(larger)
    return pl.when(elsewhere).then(None).otherwise(pl.col(column)).alias(column)


def known_unit(rows: pl.DataFrame) -> LabelUnit:
    """The smallest unit for which every label of these rows of a manifest says something; "image" without labels."""
    labelled = rows.filter(pl.col("malignant").is_not_null() | pl.col("benign").is_not_null())
    there = set(labelled["label_unit"])
    return next((unit for unit in reversed(UNITS) if unit in there), UNITS[0])
