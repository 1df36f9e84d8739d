"""What every metric asks of its columns: truths of both classes, scores that are numbers, a cluster per unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.exam import SetupError

FEW = 60  # women with positives (or with negatives) below which intervals were seen to cover less: docs/statistics.md


def check_truth(truth: ArrayLike) -> NDArray[np.bool_]:
    """(units,) booleans. Raises SetupError if something other than 0 and 1 is found, or only one class."""
    values = np.asarray(truth)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise SetupError(f"truth: found shape {values.shape} with {np.unique(values)[:5]}; need one 0 or 1 per unit")
    yes = values.astype(bool)
    if yes.all() or not yes.any():
        raise SetupError(f"truth: found {int(yes.sum())} positives among {len(yes)} units; need both classes")
    return yes


def check_scores(scores: ArrayLike, n: int) -> NDArray[np.float64]:
    """(scores, units) numbers. Raises SetupError if there are not n of each, or if one is no number."""
    matrix = np.atleast_2d(np.asarray(scores, np.float64))
    if matrix.shape[1] != n:
        raise SetupError(f"found {n} truths and {matrix.shape[1]} scores; need one score per unit")
    if not np.isfinite(matrix).all():
        raise SetupError(f"found {int((~np.isfinite(matrix)).sum())} scores that are no number; need all of them")
    return matrix


def number_clusters(cluster: Sequence[Any] | NDArray[Any], n: int) -> NDArray[np.int64]:
    """(units,) numbers from 0 of the clusters. Raises SetupError if there is not one label per unit."""
    labels = np.asarray(cluster)
    if labels.shape != (n,):
        raise SetupError(f"found {len(labels)} cluster labels for {n} units; need one per unit")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def count_rarer(yes: NDArray[np.bool_], numbers: NDArray[np.int64] | None = None) -> tuple[int, str]:
    """How many clusters hold the rarer class, and in words what was counted: the table is as informative as these.

    numbers  (units,) of the clusters; None: every unit is one
    """
    counts = []
    for which, of_class in (("positives", yes), ("negatives", ~yes)):
        units = int(of_class.sum())
        held_by = units if numbers is None else len(np.unique(numbers[of_class]))
        counts.append((held_by, which if held_by == units else f"clusters with {which}"))
    return min(counts, key=lambda count: count[0])


def few_units(yes: NDArray[np.bool_], numbers: NDArray[np.int64] | None = None) -> tuple[str, ...]:
    """A warning where the clusters that hold positives (or negatives) are so few that intervals cover less than they
    say. See count_rarer."""
    few, what = count_rarer(yes, numbers)
    return () if few >= FEW else (f"only {few} {what}: with fewer than {FEW}, 95 % intervals were seen to cover less",)
