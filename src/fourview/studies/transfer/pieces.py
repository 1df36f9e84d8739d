"""Pieces of a study: one feature set x classifier x protocol x repeat each, done anywhere, kept as JSON.

A study that was interrupted goes on with the pieces that it lacks; a piece holds scores, and every number is derived.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.spread import spread
from fourview.studies.transfer.cases import UNITS, Cases
from fourview.studies.transfer.controls import draw_noise, permute_labels
from fourview.studies.transfer.folds import draw_folds
from fourview.studies.transfer.measures import Scored
from fourview.studies.transfer.nested import Repeat, UnitScores, run_repeat, tune
from fourview.studies.transfer.published import StageScores, run_stage
from fourview.studies.transfer.stages import RIGOROUS, Stage
from fourview.studies.transfer.steps import Method, Setting
from fourview.whole_files import write_whole

Floats = NDArray[np.float64]
Altered = Literal["", "permuted", "noise"]
FOLDER, WHOLE = "pieces", "all_images"
FORMAT = (
    3  # raised when earlier pieces lack something or would come out otherwise; 3: how equal settings are told apart
)
_DIGITS = 9  # of scores in the files
Piece = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """One piece to do.

    name     of what is read, e.g. the extractor;  altered  what a control does to it first
    stage    None: rigorous
    whole    no outer folds: how well the inner folds of all images speak of the method, by which it may be chosen
    kept     features that the published selection keeps
    folds, inner  of the rigorous run
    """

    name: str
    values: Floats
    cases: Cases
    method: Method
    repeat: int
    seed: int
    stage: Stage | None = None
    altered: Altered = ""
    kept: int = 1
    folds: int = 5
    inner: int = 5
    whole: bool = False

    @property
    def random_seed(self) -> int:
        """Of folds, SMOTE, classifiers and controls: another one in each repeat."""
        return self.seed * 1000 + self.repeat

    @property
    def key(self) -> str:
        """The piece's file name without its ending."""
        protocol = RIGOROUS if self.stage is None else self.stage.name
        last = (WHOLE,) if self.whole else (protocol, str(self.repeat))
        parts = (self.name, self.altered, self.method.classifier, *last)
        return ".".join(re.sub(r"[^A-Za-z0-9_+-]", "_", part) for part in parts if part)


def do_task(task: Task) -> dict[str, Any]:
    """The piece: scores as plain lists. Of a control that cannot be done: {"problem": why}."""
    seed = task.random_seed
    values, cases = task.values, task.cases
    rng = np.random.default_rng([seed, 1])
    if task.altered == "permuted":
        cases = permute_labels(cases, rng)
    elif task.altered == "noise":
        values = draw_noise(cases, values.shape[1], rng)
    try:
        if task.stage is not None:
            return _write_stage(run_stage(values, cases, task.stage, task.method.classifier, kept=task.kept, seed=seed))
        if task.whole:
            return {"inner_auc": round(tune(values, cases, task.method, inner=task.inner, seed=seed).area, _DIGITS)}
        folds = draw_folds(cases.y, cases.patients, folds=task.folds, seed=seed)
        done = run_repeat(values, cases, task.method, folds=folds, inner=task.inner, seed=seed)
    except SetupError as error:
        if not task.altered:
            raise
        return {"problem": str(error)}
    return _write_repeat(done, cases)


def do_tasks(
    tasks: Sequence[Task],
    out: Path,
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Piece]:
    """Key -> piece of every task: read where an earlier run left it in OUT/pieces, else done and written there.

    on_step  done, total. Raises KeyboardInterrupt between two pieces if asked to stop; SetupError for a piece that
    cannot be read.
    """
    keys = [task.key for task in tasks]
    if len(set(keys)) < len(keys):
        raise SetupError(f"found {len(keys) - len(set(keys))} pieces twice; need other names for the feature sets")
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Piece] = {key: _load(folder / f"{key}.json") for key in keys if (folder / f"{key}.json").is_file()}
    missing = [task for task in tasks if task.key not in found]
    on_step(len(found), len(tasks))
    with closing(spread(do_task, missing, jobs=min(jobs, max(1, len(missing))))) as pieces:
        for task, piece in zip(missing, pieces, strict=True):
            write_whole(folder / f"{task.key}.json", json.dumps(piece) + "\n")
            found[task.key] = piece
            on_step(len(found), len(tasks))
            if asked_to_stop() and len(found) < len(tasks):
                raise KeyboardInterrupt
    return found


def read_repeat(piece: Piece) -> Repeat:
    """The pass over the outer folds that a rigorous piece holds."""
    units = {
        unit: UnitScores(
            np.array(part["fold"]), np.array(part["score"]), np.array(part["probability"]), np.array(part["called"])
        )
        for unit, part in piece["units"].items()
    }
    kept = tuple(None if places is None else np.array(places, np.int64) for places in piece["kept"])
    settings = tuple(Setting(*values) for values in piece["settings"])
    return Repeat(units, kept, settings, piece["unconverged"], tuple(piece["inner_auc"]))


def read_scored(piece: Piece, unit: str = "image") -> Scored:
    """The scores of one kind of unit with the truth that they were measured against (a control's is its own)."""
    if "units" not in piece:
        truth, part = piece["truth"], piece
    else:
        truth, part = piece["truth"][unit], piece["units"][unit]
    p = part.get("probability")
    return Scored(
        np.array(truth["y"]),
        np.array(truth["cluster"]),
        np.array(part["score"]),
        np.array(part["called"]),
        None if p is None else np.array(p),
    )


def _write_repeat(done: Repeat, cases: Cases) -> dict[str, Any]:
    return {
        "truth": {unit: {"y": cases.truth(unit).tolist(), "cluster": cases.clusters(unit).tolist()} for unit in UNITS},
        "units": {
            unit: {
                "fold": part.fold.tolist(),
                "score": np.round(part.score, _DIGITS).tolist(),
                "probability": np.round(part.probability, _DIGITS).tolist(),
                "called": part.called.tolist(),
            }
            for unit, part in done.units.items()
        },
        "kept": [None if places is None else places.tolist() for places in done.kept],
        "settings": [[s.share, s.value, s.gamma] for s in done.settings],
        "unconverged": done.unconverged,
        "inner_auc": [round(area, _DIGITS) for area in done.areas],
    }


def _write_stage(scores: StageScores) -> dict[str, Any]:
    return {
        "truth": {"y": scores.y.tolist(), "cluster": scores.cluster.tolist()},
        "score": np.round(scores.score, _DIGITS).tolist(),
        "called": scores.called.tolist(),
        "synthetic": scores.synthetic,
        "kept": scores.kept,
        "cv": list(scores.cv),
    }


def _load(path: Path) -> Piece:
    try:
        piece: Piece = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path}: found a piece that cannot be read ({error}); remove it") from error
    return piece
