"""A learning curve, round by round, until its own uncertainty is small; rounds that an earlier run left are taken."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.spread import spread
from fourview.studies.transfer.cases import Cases, make_cases
from fourview.studies.transfer.curve_measures import error_over_rounds
from fourview.studies.transfer.curve_rounds import Round, RoundTask, choose_sizes, do_round, load_round, save_round
from fourview.studies.transfer.feature_set import FeatureCard, FeatureSet
from fourview.studies.transfer.labels import Labels
from fourview.studies.transfer.steps import Method

Floats = NDArray[np.float64]
FOLDER = "rounds"
SMALL = 0.005  # standard error of a size's mean AUC over rounds at which no more are drawn
BATCH = 5  # rounds between two looks at that error; the fewest


@dataclass(frozen=True)
class CurvePlan:
    """sizes: training patients, () for the usual ones; rounds: at most; folds, inner, seed: as in `transfer`."""

    method: Method
    sizes: tuple[int, ...] = ()
    rounds: int = 25
    folds: int = 5
    inner: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for what, number, least in (("--rounds", self.rounds, 2), ("--folds", self.folds, 2), ("inner", self.inner, 2)):
            if number < least:
                raise SetupError(f"{what}: found {number}; need at least {least}")
        if self.method.imbalance == "smote":
            raise SetupError("learning curve: found SMOTE, which needs more positives than a small size has")


@dataclass(frozen=True, eq=False)
class CurveStudy:
    """Features with their truth, and the plan. sizes: the last is all that folds leave for training."""

    values: Floats
    cases: Cases
    labels: Labels
    card: FeatureCard
    plan: CurvePlan
    sizes: tuple[int, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """What every round depends on."""
        truth = np.concatenate([self.cases.y, self.cases.patients, self.cases.breasts])
        plan = asdict(self.plan) | {"rounds": None}  # more of them: more files
        plan["sizes"] = list(self.sizes)
        return {
            "features": hashlib.sha256(self.values.tobytes()).hexdigest()[:16],
            "truth": hashlib.sha256(truth.tobytes()).hexdigest()[:16],
            "plan": plan,
        }

    def task(self, number: int, sizes: tuple[int, ...]) -> RoundTask:
        plan = self.plan
        return RoundTask(self.values, self.cases, plan.method, number, sizes, plan.folds, plan.inner, plan.seed)


def open_curve(features: FeatureSet, labels: Labels, plan: CurvePlan) -> CurveStudy:
    """The images that have a label. Raises SetupError: no patients, too few of them."""
    cases = make_cases(features, labels)
    sizes = choose_sizes(int(cases.patients.max()) + 1, plan.folds, plan.sizes)
    values = features.values[labels.keep].astype(np.float64)
    return CurveStudy(values, cases, labels, features.card, plan, sizes)


def run_curve(
    study: CurveStudy,
    out: Path,
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> list[Round]:
    """All rounds: at least 5, then more of the sizes whose mean AUC still has a standard error above 0.005.

    Written to OUT/rounds as they are done, and read from there. on_step  rounds done, planned so far. Raises
    KeyboardInterrupt between two rounds if asked to stop.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Round] = []
    sizes = study.sizes
    while sizes and len(done) < study.plan.rounds:
        last = min(len(done) + BATCH, study.plan.rounds)
        tasks = [study.task(number, sizes) for number in range(len(done), last)]
        missing = [task for task in tasks if not (folder / f"{task.key}.npz").is_file()]
        on_step(last - len(missing), last)
        work = partial(do_round, all_sizes=study.sizes)
        with closing(spread(work, missing, jobs=min(jobs, max(1, len(missing))))) as rounds:
            for place, (task, found) in enumerate(zip(missing, rounds, strict=True), start=1):
                save_round(folder / f"{task.key}.npz", found)
                on_step(last - len(missing) + place, last)
                if asked_to_stop() and (place < len(missing) or last < study.plan.rounds):
                    raise KeyboardInterrupt
        for task in tasks:
            found = load_round(folder / f"{task.key}.npz")
            if tuple(found.scores) != sizes:
                raise SetupError(f"{folder / task.key}.npz: found other sizes than {sizes}; remove it")
            done.append(found)
        sizes = tuple(size for size in sizes if error_over_rounds(done, size, study.cases.y) > SMALL)
    return done
