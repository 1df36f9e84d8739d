"""random_tables.csv: 20 tables with ties, for R and for the test. Run in this folder: python draw_tables.py

Table k is drawn with NumPy's default_rng(k): 20 to 200 units, 5 to 60 % positives (at least 3 of each class), two
correlated scores, rounded to between 2 and 40 steps (few steps: many ties), the second one on other steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

TABLES = 20


def draw_table(number: int) -> pl.DataFrame:
    """(units, 4): table, truth, first, second."""
    rng = np.random.default_rng(number)
    units = int(rng.integers(20, 201))
    positives = min(max(3, round(units * rng.uniform(0.05, 0.6))), units - 3)
    truth = rng.permutation(np.arange(units) < positives).astype(int)
    shared = rng.standard_normal(units) + rng.uniform(0, 2) * truth
    steps = rng.integers(2, 41, 2)
    scores = [np.round((shared + rng.standard_normal(units)) * count / 8) / count for count in steps]
    return pl.DataFrame({"table": number, "truth": truth, "first": scores[0].round(6), "second": scores[1].round(6)})


if __name__ == "__main__":
    pl.concat([draw_table(number) for number in range(1, TABLES + 1)]).write_csv(
        Path(__file__).parent / "random_tables.csv"
    )
