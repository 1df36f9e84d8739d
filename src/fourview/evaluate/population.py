"""Which units count, and as what: populations, unknown truths, follow-up, and the flow of exclusions.

Method: Wu et al. 2019, section on the test set (screening and biopsied populations; a breast without a biopsy counts
as negative).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from fourview.evaluate.columns import CsvTable
from fourview.evaluate.unit_rows import TRUTH
from fourview.exam import SetupError


@dataclass(frozen=True)
class Population:
    """The rules by which units of the truth table are taken.

    name            screening: all; biopsied: those with a biopsy (`biopsied`, malignant or benign is 1)
    unknown         truth that is not known counts as negative, as in the paper, or is excluded
    visibility      of positives: all, those that radiologists could see (column `visible` is 1), or occult ones (0)
    follow_up_days  negatives need at least so many days without cancer (column `follow_up_days`); None: no such rule
    """

    name: Literal["screening", "biopsied"] = "screening"
    unknown: Literal["negative", "excluded"] = "negative"
    visibility: Literal["all", "visible", "occult"] = "all"
    follow_up_days: float | None = None

    def __post_init__(self) -> None:
        if self.follow_up_days is not None and not 0 <= self.follow_up_days < math.inf:
            raise SetupError(f"follow-up: found {self.follow_up_days:g} days; need 0 or more")

    def __str__(self) -> str:
        parts = [f"{self.name} population", f"unknown truth {'counts as' if self.unknown == 'negative' else 'is'} "]
        parts[1] += self.unknown
        if self.visibility != "all":
            parts.append(f"only {self.visibility} positives")
        if self.follow_up_days is not None:
            parts.append(f"negatives with at least {self.follow_up_days:g} days of follow-up")
        return ", ".join(parts)


@dataclass(frozen=True)
class FlowStep:
    """One line of the exclusion flow: what happened, to how many units, how many of them positive.

    removed  False for the lines that say what there is: given, analysed
    """

    what: str
    units: int
    positives: int
    removed: bool = True


def take_population(table: CsvTable, truth: pl.DataFrame, population: Population) -> Iterator[tuple[str, pl.Expr]]:
    """(rule, which units it removes) in the order of the flow; `truth` is null where unknown.

    table  as read, to name its columns in complaints;  truth  per unit: TRUTH, biopsied, visible, follow_up_days

    Raises SetupError if a column that a rule needs is missing.
    """
    if population.name == "biopsied":
        if "biopsied" not in truth.columns:
            raise SetupError(
                f"{table.file}: found no column biopsied; need it for the biopsied population, or malignant and benign"
            )
        yield "not biopsied", pl.col("biopsied").fill_null(0) != 1
    if population.unknown == "excluded":
        yield "truth unknown", pl.col(TRUTH).is_null()
    positive = pl.col(TRUTH).fill_null(0) == 1
    if population.visibility != "all":
        table.need("visible")
        wanted = int(population.visibility == "visible")
        yield (
            f"positive, not known to be {population.visibility}",
            positive & (pl.col("visible").fill_null(-1) != wanted),
        )
    if population.follow_up_days is not None:
        table.need("follow_up_days")
        short = pl.col("follow_up_days").fill_null(-1) < population.follow_up_days
        yield f"negative, follow-up unknown or under {population.follow_up_days:g} days", ~positive & short
