"""Whose an image is, as one text: what two sets of images must not share if one is to judge what the other taught."""

from __future__ import annotations

import polars as pl

from fourview.store.sets import PHANTOM


def key_women(rows: pl.DataFrame) -> list[str]:
    """One text per row of a manifest.

    Of a woman; where nobody knows her, of the exam; of a phantom, whose ids are alike in every population, of the
    pixels.
    """
    woman = pl.coalesce("patient", pl.concat_str("dataset", "exam", separator="/"))
    key = pl.when(pl.col("dataset") == PHANTOM).then(pl.col("pixels_sha256")).otherwise(woman)
    return list(rows.select(key=key)["key"])
