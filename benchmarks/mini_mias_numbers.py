"""Scores of films that were not trained on -> areas with intervals, and what to expect of forty other women."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate import Estimate, auc, auc_difference, rank_in_folds

Floats = NDArray[np.float64]
TASKS = ("malignant", "abnormal")
DRAWS, SEED = 10_000, 0


def measure(films: pl.DataFrame, scores: Mapping[str, Mapping[str, Floats]]) -> list[tuple[str, str, Estimate]]:
    """(arm, task, area) of every arm. films: of prepare_films; scores: arm -> task -> (films,), in their order"""
    folds, women = films["fold"].to_numpy(), films["patient"].to_list()
    return [
        (arm, task, auc(films[task].to_numpy(), rank_in_folds(own, folds), cluster=women, unit="image", name=arm))
        for arm, tasks in scores.items()
        for task, own in tasks.items()
    ]


def compare(
    films: pl.DataFrame, scores: Mapping[str, Mapping[str, Floats]], pairs: Sequence[tuple[str, str]]
) -> list[tuple[str, str, Estimate]]:
    """(first minus second, task, difference of areas) of these pairs of arms, on the same films."""
    folds, women = films["fold"].to_numpy(), films["patient"].to_list()
    found = []
    for first, second in pairs:
        for task in TASKS:
            one, other = (rank_in_folds(scores[arm][task], folds) for arm in (first, second))
            name, truth = f"{first} - {second}", films[task].to_numpy()
            found.append((name, task, auc_difference(truth, one, other, cluster=women, unit="image", name=name)))
    return found


def expect(films: pl.DataFrame, scores: Floats, task: str, *, women: int) -> dict[str, float]:
    """Where the area on `women` other women will lie in 95 of 100 cases, if they are like these.

    Two things are not known: how good the network is (these women are a sample), and which women come (another one).
    So women are drawn with replacement twice: as many as there are, and of those the given number. Percentiles of the
    area over DRAWS such pairs; a draw without both classes is drawn again. `sd_of_sample`: its standard deviation if
    only the second draw varied.
    """
    truth = films[task].to_numpy()
    ranked = rank_in_folds(scores, films["fold"].to_numpy())
    numbers = films["patient"].rank("dense").to_numpy().astype(np.int64) - 1
    places = [np.flatnonzero(numbers == woman) for woman in range(numbers.max() + 1)]
    rng = np.random.default_rng(SEED)

    def draw(*, pools: bool) -> float:
        while True:
            pool = rng.choice(len(places), len(places)) if pools else np.arange(len(places))
            drawn = np.concatenate([places[woman] for woman in rng.choice(pool, women)])
            yes = truth[drawn]
            if yes.any() and not yes.all():
                return _area(yes, ranked[drawn])

    areas, alone = ([draw(pools=pools) for _ in range(DRAWS)] for pools in (True, False))
    low, high = np.percentile(areas, (2.5, 97.5))
    return {"low": float(low), "high": float(high), "sd_of_sample": float(np.std(alone)), "women": women}


def _area(yes: NDArray[np.bool_], scores: Floats) -> float:
    ordered = np.sort(scores[~yes])
    below, upto = (np.searchsorted(ordered, scores[yes], side) for side in ("left", "right"))  # type: ignore[call-overload]
    return float((below + upto).mean() / (2 * len(ordered)))
