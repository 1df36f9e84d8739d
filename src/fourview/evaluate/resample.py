"""The bootstrap of clusters: whole exams or patients are drawn, never single breasts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES, RESAMPLES_OF_MANY, MANY = 2000, 200, 100_000  # in tables above MANY units fewer draws say as much
SEED = 0
NO_VARIANCE = "there is no variance to go by: no interval can be given"


def cluster_bootstrap(
    yes: NDArray[np.bool_],
    numbers: NDArray[np.int64],
    statistic: Callable[[Floats], Floats | float],
    *,
    resamples: int | None = None,
    seed: int = SEED,
) -> Floats:
    """(resamples, numbers of the statistic): the statistic of tables made of clusters drawn with replacement.

    yes        (units,) the truth; a draw without both classes is drawn again
    numbers    (units,) clusters from 0
    statistic  of the units counted (units,) times
    """
    rng = np.random.default_rng(seed)
    clusters = int(numbers.max()) + 1
    wanted = resamples or (RESAMPLES if len(yes) <= MANY else RESAMPLES_OF_MANY)
    found: list[Floats] = []
    while len(found) < wanted:
        times = np.bincount(rng.integers(0, clusters, clusters), minlength=clusters)[numbers].astype(np.float64)
        positives = float(times[yes].sum())
        if 0 < positives < times.sum():
            found.append(np.atleast_1d(np.asarray(statistic(times), np.float64)))
    return np.stack(found)


def percentile_intervals(draws: Floats) -> tuple[Floats, Floats, Floats]:
    """(low, high, standard error) of each column of draws; NaN where they do not vary.

    Then nothing was learnt of the spread: a single cluster, or classes that are separated without an error.
    """
    se = draws.std(axis=0, ddof=1)
    low, high = np.where(se > 0, np.percentile(draws, (2.5, 97.5), axis=0), np.nan)
    return low, high, np.where(se > 0, se, np.nan)


def clustered_se(influence: Floats, numbers: NDArray[np.int64]) -> float:
    """The standard error of a number from each unit's influence on it (0 in sum), summed within clusters.

    NaN for a single cluster. Method: the infinitesimal jackknife (Efron 1981).
    """
    clusters = int(numbers.max()) + 1
    if clusters < 2:
        return float("nan")
    sums = np.bincount(numbers, influence, clusters)
    return float(np.sqrt(clusters / (clusters - 1) * (sums @ sums)))
