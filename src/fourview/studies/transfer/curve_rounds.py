"""A learning curve's rounds: one set of outer folds each, classifiers from ever more patients, the same ones tested.

In a round every image is in the test part of one fold. For every size, patients are drawn anew several times from the
rest of the patients, a classifier is fitted on theirs, and scores the test part. What is tested never depends on the
size, and no patient is on both sides.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.few_patients import Trained, draw_patients, train_few
from fourview.studies.transfer.folds import check_split, draw_folds, walk_folds
from fourview.studies.transfer.steps import Method
from fourview.whole_files import write_whole

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
FEW = (5, 10, 20, 30, 50)  # few-shot: training patients
_NEAR_ALL = 0.8  # sizes above this share of all training patients say what all of them say
_DRAWS, _DRAWS_OF_MANY = 4, 2  # per round and size: up to 50 patients, and beyond
Train = Callable[..., Trained]


@dataclass(frozen=True, eq=False)
class RoundTask:
    """One round. number: which one; sizes: training patients; inner: folds of the tuning"""

    values: Floats
    cases: Cases
    method: Method
    number: int
    sizes: tuple[int, ...]
    folds: int = 5
    inner: int = 5
    seed: int = 0

    @property
    def key(self) -> str:
        return f"round.{self.number}"


@dataclass(frozen=True, eq=False)
class Round:
    """What was said in a round.

    fold    (images,) the test part of each
    scores  size -> (draws, images); comparable within a fold and a draw only;  called  size -> (draws, images) 0 or 1
    untuned size -> share of its classifiers that had too few positives (or negatives) for inner folds
    """

    fold: Places
    scores: dict[int, Floats]
    called: dict[int, Places]
    untuned: dict[int, float]


def choose_sizes(patients: int, folds: int, asked: Sequence[int] = ()) -> tuple[int, ...]:
    """Training patients: 5, 10, 20, 30, 50, 100, 200 ..., and last all that the folds leave for training.

    patients  in the set;  asked  sizes instead of these. Raises SetupError for sizes below 2, or if none is left.
    """
    everything = round(patients * (folds - 1) / folds)
    doubled = [2**power * FEW[-1] for power in range(1, 20)]
    wanted = sorted(set(asked)) or [*FEW, *doubled]
    if wanted[0] < 2:
        raise SetupError(f"--sizes: found {wanted[0]} patients; need at least 2, one of each class")
    kept = [size for size in wanted if size <= _NEAR_ALL * everything]
    if not kept:
        raise SetupError(f"found {everything} patients for training; need more than {wanted[0]} for a curve")
    return (*kept, everything)


def count_draws(size: int, sizes: Sequence[int]) -> int:
    """Draws of patients per round. All of them can be drawn in one way."""
    if size == sizes[-1]:
        return 1
    return _DRAWS if size <= FEW[-1] else _DRAWS_OF_MANY


def do_round(task: RoundTask, *, all_sizes: Sequence[int], train: Train | None = None) -> Round:
    """A round over the sizes of the task. all_sizes  of the curve; train  how a classifier is fitted: `train_few`."""
    cases, values = task.cases, task.values
    fit = train or partial(train_few, method=task.method, inner=task.inner)
    fold = draw_folds(cases.y, cases.patients, folds=task.folds, seed=task.seed * 1000 + task.number)
    draws = {size: count_draws(size, all_sizes) for size in task.sizes}
    scores = {size: np.empty((n, len(cases.y))) for size, n in draws.items()}
    called = {size: np.empty((n, len(cases.y)), np.int64) for size, n in draws.items()}
    untuned = dict.fromkeys(task.sizes, 0.0)
    for number, (rest, test) in enumerate(walk_folds(fold, cases.patients)):
        own = cases.take(rest)
        for size in task.sizes:
            for draw in range(draws[size]):
                rng = np.random.default_rng([task.seed, task.number, number, size, draw])
                chosen = own.patients.max() + 1 if size == all_sizes[-1] else size
                rows = rest[draw_patients(own, int(chosen), rng)]
                check_split(rows, test, cases.patients, images=len(cases.y))
                trained = fit(values[rows], cases.take(rows), seed=draw)
                scores[size][draw, test] = trained.score(values[test])
                called[size][draw, test] = scores[size][draw, test] >= trained.threshold
                untuned[size] += (not trained.tuned) / (draws[size] * task.folds)
    return Round(fold, scores, called, untuned)


def save_round(path: Path, done: Round) -> None:
    """One file, whole or not at all. Raises OSError."""
    arrays: dict[str, Any] = {"fold": done.fold}
    for size in done.scores:
        arrays |= {f"scores.{size}": done.scores[size].astype(np.float32)}
        arrays |= {f"called.{size}": done.called[size].astype(np.int8), f"untuned.{size}": done.untuned[size]}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getvalue())


def load_round(path: Path) -> Round:
    """What save_round wrote. Raises SetupError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        sizes = [int(name.removeprefix("scores.")) for name in arrays if name.startswith("scores.")]
        return Round(
            arrays["fold"].astype(np.int64),
            {size: arrays[f"scores.{size}"].astype(np.float64) for size in sizes},
            {size: arrays[f"called.{size}"].astype(np.int64) for size in sizes},
            {size: float(arrays[f"untuned.{size}"]) for size in sizes},
        )
    except (OSError, ValueError, KeyError) as error:
        raise SetupError(f"{path}: found a round that cannot be read ({error}); remove it") from error
