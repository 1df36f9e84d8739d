"""Can a model tell the label from features that should not know it? Cross-validated by woman.

Features come as names with values, numbers or texts, as a file's tags do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.phantom_observers import Nuisance
from fourview.evaluate import Estimate, auc

FOLDS, REPEATS = 5, 3
FEW_VALUES = 12  # a feature with so many values at most is one-hot for the regression

Floats = NDArray[np.float64]
Columns = dict[str, list[float | str]]


def train_models(
    columns: Columns,
    truth: NDArray[np.bool_],
    patients: NDArray[Any],
    *,
    seed: int,
) -> list[Estimate]:
    """The AUC of both models on these features, out-of-fold scores the mean over REPEATS divisions into folds."""
    models: dict[str, Callable[[], Any]] = {
        "logistic regression": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
        ),
        "gradient boosting": lambda: HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=100, max_leaf_nodes=8, min_samples_leaf=40, random_state=seed
        ),
    }
    found = []
    for name, make in models.items():
        matrix = one_hot(columns) if name == "logistic regression" else code_columns(columns)
        scores = [cross_validate(make, matrix, truth, patients, seed=seed + k) for k in range(REPEATS)]
        found.append(auc(truth, np.mean(scores, axis=0), cluster=patients, name=name))
    return found


def cross_validate(
    make: Callable[[], Any],
    matrix: Floats,
    truth: NDArray[np.bool_],
    patients: NDArray[Any],
    *,
    seed: int,
    folds: int = FOLDS,
) -> Floats:
    """(units,) out-of-fold scores as ranks within their fold, since folds differ in their mean; folds by woman."""
    scores = np.empty(len(truth))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(matrix, truth, patients):
        model = make().fit(matrix[train], truth[train])
        said = model.predict_proba(matrix[test])[:, 1]
        ordered = np.sort(said)
        below, upto = np.searchsorted(ordered, said, "left"), np.searchsorted(ordered, said, "right")
        scores[test] = (below + upto) / (2 * len(said))
    return scores


def list_columns(found: Sequence[Nuisance]) -> Columns:
    """Features that vary, each once. A tag that an image lacks is the text ""."""
    names = sorted({name for one in found for name in one})
    columns: Columns = {}
    seen = set()
    for name in names:
        values = [one.get(name, "") for one in found]
        key = tuple(values)
        if len(set(values)) > 1 and key not in seen:
            seen.add(key)
            columns[name] = values
    return columns


def code_columns(columns: Columns) -> Floats:
    """Numbers as they are, texts as the places in their sorted list; a mixture of both as places."""
    coded = []
    for values in columns.values():
        if all(isinstance(v, float) for v in values):
            coded.append(np.array(values, np.float64))
        else:
            coded.append(np.unique([str(v) for v in values], return_inverse=True)[1].astype(np.float64))
    return np.stack(coded, axis=1)


def one_hot(columns: Columns) -> Floats:
    """Features of few values as indicators, the others as they are."""
    made = []
    codes = code_columns(columns)
    for k in range(codes.shape[1]):
        values = np.unique(codes[:, k])
        made += [codes[:, k] == v for v in values] if len(values) <= FEW_VALUES else [codes[:, k]]
    return np.stack(made, axis=1).astype(np.float64)
