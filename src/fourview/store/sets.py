"""What the name of an image's set says: a drawing of fourview; a digitised film.

Of films `prepare` keeps the breast alone and sets the rest to 0 (film.blank_film).
"""

from __future__ import annotations

import polars as pl

PHANTOM = "phantom"
FILM_SETS = ("cbis-ddsm", "ddsm", "mini-ddsm", "mini-mias")


def is_film() -> pl.Expr:
    """Of rows of a manifest: whether an image is a digitised film; never null. Phantoms are, of the unit "film"."""
    drawn = (pl.col("dataset") == PHANTOM) & (pl.col("vendor") == "film")
    return pl.col("dataset").is_in(FILM_SETS) | drawn.fill_null(value=False)


def count_films(rows: pl.DataFrame) -> int:
    """How many of these images are digitised films."""
    return rows.filter(is_film()).height
