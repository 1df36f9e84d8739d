"""Which rows of a manifest are digitised films: by their set; of phantoms by their unit; nothing else."""

from __future__ import annotations

import polars as pl

from fourview.store.sets import count_films, is_film


def test_films_are_told_by_the_set_and_never_by_a_missing_or_a_scanners_name() -> None:
    rows = pl.DataFrame(
        {
            "dataset": ["mini-mias", "ddsm", "own", "own", "phantom", "phantom", "phantom", "inbreast"],
            "vendor": [None, "lumisys", None, "film", "film", "selenia", None, "Siemens"],
        }
    )
    assert rows.select(found=is_film())["found"].to_list() == [True, True, False, False, True, False, False, False]
    assert count_films(rows) == 3
    assert count_films(rows.filter(pl.col("dataset") == "own").with_columns(vendor=pl.lit(None, pl.String))) == 0
