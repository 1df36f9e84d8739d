"""Several feature sets as one: of the same extractor and weights, images and patients named by their data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureCard, FeatureSet

_SAME = ("extractor", "weights_hash", "preprocessing_hash")


def join_sets(sets: Sequence[FeatureSet]) -> FeatureSet:
    """All images, those of the first set first. Patients are per data set: the same id in two is two patients.

    Raises SetupError: other features (extractor, weights or preparation), or an image that is there twice.
    """
    first = sets[0].card
    for other in (features.card for features in sets[1:]):
        check_same_features(first, other)
    rows = pl.concat([_name_by_set(features.rows) for features in sets], how="diagonal_relaxed")
    if rows["image"].is_duplicated().any():
        name = rows.filter(pl.col("image").is_duplicated())["image"][0]
        raise SetupError(f"features: found the image {name} in two folders; need each once")
    return FeatureSet(np.concatenate([features.values for features in sets]), rows, first)


def check_same_features(first: FeatureCard, second: FeatureCard) -> None:
    """Nothing, if two cards tell of the same features. Raises SetupError."""
    for name in _SAME:
        own, other = getattr(first, name), getattr(second, name)
        if own != other:
            raise SetupError(f"features: found {name} {own!r} and {other!r}; need features made in the same way")


def count_copies(first: FeatureSet, second: FeatureSet) -> int:
    """Images of the first whose features are, number by number, those of an image of the second."""
    there = {row.tobytes() for row in second.values}
    return sum(row.tobytes() in there for row in first.values)


def _name_by_set(rows: pl.DataFrame) -> pl.DataFrame:
    def name(column: str) -> pl.Expr:
        plain = pl.col(column).str.strip_prefix(pl.col("dataset") + "/")
        return pl.when(pl.col(column) == "").then(None).otherwise(pl.col("dataset") + "/" + plain).alias(column)

    if rows["dataset"].is_null().any():
        raise SetupError("features: found images without a dataset; need it: patients are per data set")
    return rows.with_columns(name("image"), name("exam"), name("patient"))
