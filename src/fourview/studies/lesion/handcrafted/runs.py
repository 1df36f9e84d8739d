"""Classical classifiers of hand-crafted numbers, fold by fold, each on the lesions that the fold's networks may see.

Everything that is learned sees training lesions alone: the PCA of the edges, scaling, selection, the settings (inner
folds by patient, transfer.nested), the map to probabilities. A piece is one classifier in one fold, kept as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from imblearn.pipeline import Pipeline
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from fourview.calibration import sigmoid
from fourview.exam import SetupError
from fourview.spread import spread
from fourview.studies.lesion.folds import LesionFolds
from fourview.studies.lesion.handcrafted.numbers import FAMILIES, TITLES, Family, list_names
from fourview.studies.lesion.handcrafted.store import LesionNumbers
from fourview.studies.lesion.held_out import walk_held_out
from fourview.studies.lesion.pairs import pair_views
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.nested import Tuned, tune
from fourview.studies.transfer.steps import Method, Setting, kept_features
from fourview.whole_files import write_whole

PIECES = "pieces"
ALL = "all"  # families
EDGES = 20  # numbers that the PCA leaves of the edges, or as many as there are
_DRIFT = 3.0  # standard deviations of the inner scores
_DIGITS = 9  # of probabilities in the files
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """Some families of numbers under a classifier. family: ALL, or one alone"""

    family: Family | str
    method: Method

    @property
    def families(self) -> tuple[Family, ...]:
        return FAMILIES if self.family == ALL else tuple(one for one in FAMILIES if one == self.family)


@dataclass(frozen=True, eq=False)
class Task:
    """One reader in one fold.

    values  (views, numbers) of its families;  edges  (views, HOG_SIZE), or None where they are not among these
    names   of the numbers, those of the edges not among them;  train, test  places of views
    """

    reader: Reader
    fold: int
    values: Floats
    edges: NDArray[np.float32] | None
    names: tuple[str, ...]
    cases: Cases
    train: Places
    test: Places
    inner: int
    seed: int

    @property
    def key(self) -> str:
        """The piece's file name without its ending."""
        parts = (self.reader.family, self.reader.method.classifier, f"fold-{self.fold + 1}")
        return ".".join(re.sub(r"[^A-Za-z0-9_+-]", "_", part) for part in parts)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the numbers, the truth and who learns from whom: a piece is taken again for the same only."""
        said = hashlib.sha256()
        for part in (self.values, self.edges, self.cases.y, self.cases.patients, self.train, self.test):
            if part is not None:
                said.update(np.ascontiguousarray(part).tobytes())
        return said.hexdigest()


@dataclass(frozen=True, eq=False)
class Said:
    """What a reader says of the lesions that a fold held out.

    fold       from 0;  rows  (test views,) places;  p  (test views,) probability of malignant
    threshold  the probability that the inner folds chose (largest sensitivity + specificity)
    area       AUC of its setting in the inner folds
    used       names of the numbers that it looks at; None: all, or a forest's
    """

    fold: int
    rows: Places
    p: Floats
    threshold: float
    area: float
    setting: Setting
    used: tuple[str, ...] | None
    unconverged: int


def make_cases(folds: LesionFolds) -> Cases:
    """Truth, patient and lesion of each view: lesions stand where Cases has breasts, whose scores are averaged."""
    lesion_of = {view.name: place for place, pair in enumerate(pair_views(folds.views)) for view in pair.views}
    lesions = np.array([lesion_of[view.name] for view in folds.views])
    patients = np.array([view.patient for view in folds.views])
    numbers = (np.unique(part, return_inverse=True)[1].astype(np.int64) for part in (patients, lesions))
    return Cases(folds.malignant.astype(np.int64), *numbers)


def list_tasks(
    folds: LesionFolds, numbers: LesionNumbers, readers: Sequence[Reader], *, inner: int, seed: int
) -> list[Task]:
    """Every reader in every fold. numbers: of the folds' views, in their order"""
    cases = make_cases(folds)
    all_names = list_names()
    tasks = []
    for reader in readers:
        columns = [place for place, (family, _) in enumerate(all_names) if family in reader.families]
        names = tuple(f"{TITLES[all_names[place][0]]}: {all_names[place][1]}" for place in columns)
        values = numbers.values[:, columns]
        edges = numbers.edges if "local" in reader.families else None
        tasks += [
            Task(reader, fold, values, edges, names, cases, train, test, inner, seed)
            for fold, train, test in walk_held_out(folds)
        ]
    return tasks


def do_task(task: Task) -> dict[str, Any]:
    """The piece, as plain lists. Raises SetupError where inner folds cannot be drawn."""
    learned, seen, names = task.values[task.train], task.values[task.test], task.names
    if task.edges is not None:
        few, more = reduce_edges(task.edges[task.train], task.edges[task.test])
        learned, seen = np.concatenate([learned, few], axis=1), np.concatenate([seen, more], axis=1)
        names += tuple(f"{TITLES['local']}: edges {number}" for number in range(1, few.shape[1] + 1))
    tuned = tune(learned, task.cases.take(task.train), task.reader.method, inner=task.inner, seed=task.seed)
    reading = tuned.readings["image"]
    score = score_steadily(tuned, learned, seen)
    used = find_used(tuned.pipeline)
    return {
        "hash": task.hash,
        "fold": task.fold,
        "rows": task.test.tolist(),
        "p": np.round(sigmoid(reading.slope * score + reading.intercept), _DIGITS).tolist(),
        "threshold": round(float(sigmoid(np.array(reading.slope * reading.threshold + reading.intercept))), _DIGITS),
        "area": round(tuned.area, _DIGITS),
        "setting": [tuned.setting.share, tuned.setting.value, tuned.setting.gamma],
        "used": None if used is None else [names[place] for place in used],
        "unconverged": tuned.unconverged,
    }


def score_steadily(tuned: Tuned, learned: Floats, seen: Floats) -> Floats:
    """(rows of seen,) scores on the scale of the inner folds.

    An SVM whose training lesions are all at their bound, as under a very small C, has no intercept of its own: rounding
    makes it about 1 or -1, hundreds of standard deviations of its scores apart, another one in each fit. Where the
    training lesions lie further than _DRIFT from where the inner folds put them, they are taken back there, the others
    with them. learned: (training rows, numbers)
    """
    drift = float(tuned.score(learned).mean())
    return tuned.score(seen) - (drift if abs(drift) > _DRIFT else 0.0)


def reduce_edges(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """(views, EDGES) of both: the first principal components of the training views."""
    pca = PCA(min(EDGES, len(train) - 1), svd_solver="full")
    few = pca.fit_transform(train.astype(np.float64))
    return np.asarray(few, np.float64), np.asarray(pca.transform(test.astype(np.float64)), np.float64)


def find_used(pipeline: Pipeline) -> Places | None:
    """Places of the numbers that a fitted pipeline looks at, by its selection or its L1 penalty; None: no such step."""
    kept = kept_features(pipeline)
    if kept is not None:
        return kept
    last = pipeline.steps[-1][1]
    if getattr(last, "l1_ratio", 0) == 1:
        return np.flatnonzero(last.coef_[0]).astype(np.int64)
    return None


def do_tasks(
    tasks: Sequence[Task],
    out: Path,
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Reader, tuple[Said, ...]]:
    """What each reader says, fold by fold: pieces that an earlier run left of the same in OUT/pieces are taken, others
    done and kept.

    on_step  done, total; what it raises ends the work, and what is done stays
    Raises SetupError for a piece that cannot be read, or where inner folds cannot be drawn.
    """
    folder = out / PIECES
    folder.mkdir(parents=True, exist_ok=True)
    found = {task.key: piece for task in tasks if (piece := _load(folder / f"{task.key}.json", task)) is not None}
    missing = [task for task in tasks if task.key not in found]
    on_step(len(found), len(tasks))
    with closing(spread(do_task, missing, jobs=min(jobs, max(1, len(missing))))) as pieces:
        for task, piece in zip(missing, pieces, strict=True):
            write_whole(folder / f"{task.key}.json", json.dumps(piece) + "\n")
            found[task.key] = piece
            on_step(len(found), len(tasks))
    readers = dict.fromkeys(task.reader for task in tasks)
    return {reader: tuple(_read(found[t.key]) for t in tasks if t.reader == reader) for reader in readers}


def _read(piece: Mapping[str, Any]) -> Said:
    return Said(
        piece["fold"],
        np.array(piece["rows"], np.int64),
        np.array(piece["p"], np.float64),
        piece["threshold"],
        piece["area"],
        Setting(*piece["setting"]),
        None if piece["used"] is None else tuple(piece["used"]),
        piece["unconverged"],
    )


def _load(path: Path, task: Task) -> dict[str, Any] | None:
    """None where there is none, or one of other lesions: one that could not be measured then may be now."""
    if not path.is_file():
        return None
    try:
        piece: dict[str, Any] = json.loads(path.read_text())
        return piece if piece.get("hash") == task.hash else None
    except (OSError, ValueError, AttributeError) as error:
        raise SetupError(f"{path}: found a piece that cannot be read ({error}); remove it") from error
