"""The units of an evaluation as a table: every number of the report can be made again from it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fourview.evaluate.readings_table import Units


def tabulate_units(units: Units, columns: Sequence[str] = ()) -> pl.DataFrame:
    """One row per unit analysed: key, cluster number, truth, score and the subgroup columns. No patient ids."""
    names = units.clusters
    numbers: dict[str, int] = {}
    for label in names.tolist():
        numbers.setdefault(label, len(numbers))
    return pl.DataFrame(
        {
            units.unit: list(units.keys),
            units.cluster + "_number": [numbers[label] for label in names.tolist()],
            "truth": units.truth.astype(int),
            "score": units.scores,
            **{f"by {name}": units.table[name] for name in columns},
        }
    )
