"""What probabilities of lesions are worth: areas and accuracy by CC, MLO and both, and what the second view adds.

A row of the table (ensemble.LESION_COLUMNS) is a lesion; intervals know which lesions are of one woman. Each fold has
networks of its own, whose probabilities have no common scale: areas go by a lesion's rank within its fold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate import Estimate, auc, auc_difference, choose_threshold, operate, rank_in_folds
from fourview.evaluate.operating import Rule

UNIT = "lesion"
HALF = 0.5
ANSWERS: Mapping[str, str] = {"p_cc": "CC", "p_mlo": "MLO", "p": "CC and MLO"}
_YOUDEN = Rule(name="validation", kind="youden")
_WANTED = ("accuracy", "balanced accuracy", "sensitivity", "specificity")
Thresholds = Mapping[str, float]  # column of ANSWERS -> threshold


@dataclass(frozen=True, eq=False)
class Worth:
    """One kind of answer on some lesions. None: it cannot be said (no lesion of a class, or no threshold).

    name   e.g. "CC, lesions with both views"
    at_half, at_chosen  accuracy, balanced accuracy, sensitivity, specificity at 1/2 and at the validation threshold
    """

    name: str
    lesions: int
    area: Estimate | None
    at_half: Mapping[str, Estimate]
    at_chosen: Mapping[str, Estimate]


def measure_lesions(table: pl.DataFrame, thresholds: Mapping[int, Thresholds]) -> tuple[Worth, ...]:
    """CC alone, MLO alone, their mean (of one view where there is one), and the same of lesions with both views.

    thresholds  fold of the table -> what its validation lesions chose
    """
    paired = table.filter(pl.col("p_cc").is_not_null() & pl.col("p_mlo").is_not_null())
    found = [_measure(table, column, name, thresholds) for column, name in ANSWERS.items()]
    found += [
        _measure(paired, column, f"{name}, lesions with both views", thresholds) for column, name in ANSWERS.items()
    ]
    return tuple(found)


def compare_views(table: pl.DataFrame) -> tuple[Estimate, ...]:
    """The AUC of both views minus that of one, on the lesions that have both: paired, clustered by patient."""
    paired = table.filter(pl.col("p_cc").is_not_null() & pl.col("p_mlo").is_not_null())
    if not _has_both(paired):
        return ()
    return tuple(
        compare_columns(paired, "p", column, name=f"AUC of both views minus {ANSWERS[column]}")
        for column in ("p_cc", "p_mlo")
    )


def compare_columns(table: pl.DataFrame, first: str, second: str, *, name: str) -> Estimate:
    """The AUC of one column of probabilities minus another's, paired, clustered by patient. Both classes, no nulls."""
    fold = table["fold"].to_numpy()
    ranked = (rank_in_folds(table[column].to_numpy(), fold) for column in (first, second))
    return auc_difference(
        table["malignant"].to_numpy(), *ranked, cluster=table["patient"].to_numpy(), unit=UNIT, name=name
    )


def choose_thresholds(table: pl.DataFrame) -> dict[str, float]:
    """Per kind of answer, the threshold with the largest sensitivity + specificity on validation lesions.

    A kind whose lesions are of one class has none.
    """
    found = {}
    for column in ANSWERS:
        rows = table.filter(pl.col(column).is_not_null())
        if _has_both(rows):
            found[column] = choose_threshold(rows["malignant"].to_numpy(), rows[column].to_numpy(), _YOUDEN)
    return found


def _measure(table: pl.DataFrame, column: str, name: str, thresholds: Mapping[int, Thresholds]) -> Worth:
    rows = table.filter(pl.col(column).is_not_null())
    if not _has_both(rows):
        return Worth(name, rows.height, None, {}, {})
    y, p = rows["malignant"].to_numpy(), rows[column].to_numpy()
    patients = rows["patient"].to_numpy()
    area = auc(y, rank_in_folds(p, rows["fold"].to_numpy()), cluster=patients, unit=UNIT, name=f"AUC, {name}")
    limits = np.array([thresholds.get(fold, {}).get(column, math.nan) for fold in rows["fold"]])
    chosen = {} if np.isnan(limits).any() else _operate(y, p >= limits, patients)
    return Worth(name, rows.height, area, _operate(y, p >= HALF, patients), chosen)


def _operate(y: NDArray[np.bool_], called: NDArray[np.bool_], patients: NDArray[np.str_]) -> dict[str, Estimate]:
    found = operate(y, called.astype(np.float64), HALF, cluster=patients, unit=UNIT)
    return {one.name: one for one in found if one.name in _WANTED}


def _has_both(rows: pl.DataFrame) -> bool:
    return 0 < int(rows["malignant"].sum()) < rows.height


def mean_tables(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The same lesions with the mean of several answers: of networks of several architectures. Rows in one order."""
    first = tables[0]
    columns = {
        column: pl.Series(column, np.mean([table[column].to_numpy() for table in tables], axis=0), nan_to_null=True)
        for column in ANSWERS
    }
    return first.with_columns(**columns)
