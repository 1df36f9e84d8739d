"""The protocol as published (Table 2), and with some of its leaks closed: a number that needs no signal.

As far as it can be told from the printed numbers: Lasso on all rows, features with a weight other than 0 kept; SMOTE on
all rows; a random third as the test set; unshuffled 10-fold cross-validation; no scaling, default settings. What the
paper calls AUC is the balanced accuracy of hard decisions, and is named balanced_accuracy_hard here.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split
from sklearn.svm import SVC

from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.folds import check_split
from fourview.studies.transfer.stages import Stage
from fourview.studies.transfer.steps import Classifier, make_smote, smallest_alpha

TEST_SHARE, CV_FOLDS = 0.33, 10
KEPT = {"imagenet_resnet50_2048": 217, "nyu_flat4096": 350, "nyu_avg_flat4096": 325}  # of Table 2
_KEPT_SHARE = 350 / 4096  # where Table 2 has no such features
_HALVINGS = 25
PUBLISHED: tuple[Classifier, ...] = ("lr", "linear_svm", "rbf_svm")
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageScores:
    """The hold-out of one run, one per test row, and the cross-validation beside it.

    y, cluster  (rows,) truth, and the patient (of a synthetic row: of the image it was drawn from)
    score       decision function;  called  (rows,) 0 or 1, the classifier's own decision
    synthetic   how many test rows are no images
    kept        features that the classifier of the hold-out saw
    cv          balanced accuracy of hard decisions, fold by fold; empty where selection or patients are kept apart
    """

    y: Places
    cluster: Places
    score: Floats
    called: Places
    synthetic: int
    kept: int
    cv: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is split: images, and behind them synthetic rows, whose patients (rows,) are their nearer parents'."""

    values: Floats
    y: Places
    patients: Places


def default_kept(extractor: str, features: int) -> int:
    """How many features the paper kept of this extractor; of another one as large a share as of the 4096."""
    return KEPT.get(extractor, max(1, round(_KEPT_SHARE * features)))


def run_stage(
    values: Floats, cases: Cases, stage: Stage, classifier: Classifier, *, kept: int, seed: int
) -> StageScores:
    """One hold-out and one cross-validation of the stage.

    values (images, features) as extracted;  kept  features that Lasso shall keep of all rows (in a fold: as large a
    share of its rows); all of them: there is no selection, as in rows 1, 7 and 8 of Table 2

    Raises SetupError for a classifier that the paper did not have, or if a hold-out lacks a class.
    """
    if classifier not in PUBLISHED:
        raise SetupError(f"as_published: found the classifier {classifier}; need one of {', '.join(PUBLISHED)}")
    n = len(values)
    if not 1 <= kept <= values.shape[1]:
        raise SetupError(f"found {kept} features to keep of {values.shape[1]}; need 1 to all of them")
    selects = kept < values.shape[1]
    if selects and not stage.selection_in_fold:
        values = values[:, select_count(values, cases.y, kept)]
    rows = _Rows(values, cases.y, cases.patients)
    if stage.smote and not stage.smote_in_fold:
        rows = _oversample(rows, seed=seed)
    share = kept / n if selects and stage.selection_in_fold else None
    train, test = _hold_out(rows, stage, seed=seed)
    if not stage.leaks:
        check_split(train, test, rows.patients, images=n)
    model, chosen = _fit(rows, train, stage, classifier, share=share, seed=seed)
    seen = rows.values[test][:, chosen]
    score, called = model.decision_function(seen), model.predict(seen).astype(np.int64)
    cv = [] if stage.selection_in_fold or stage.grouped else _cross_validate(rows, stage, classifier, seed=seed)
    synthetic = int((test >= n).sum())
    return StageScores(rows.y[test], rows.patients[test], np.asarray(score), called, synthetic, len(chosen), tuple(cv))


def select_count(values: Floats, y: Places, wanted: int, *, off: int = 0) -> Places:
    """The places of the features that a Lasso keeps, its penalty bisected until it keeps so many, give or take `off`.

    Of the penalties tried, the one that comes nearest. A Lasso keeps at most as many features as there are rows.
    """
    wanted = min(wanted, len(y) - 1)
    low, high = math.log(1e-4), 0.0  # of the share of the smallest penalty that keeps nothing
    largest = smallest_alpha(values, y)
    best: Places = np.empty(0, np.int64)
    lasso = Lasso(tol=1e-4, max_iter=300, warm_start=True)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the count is what is asked for
            lasso.set_params(alpha=math.exp(middle) * largest).fit(values, y)
        found = np.flatnonzero(lasso.coef_).astype(np.int64)
        if len(best) == 0 or abs(len(found) - wanted) < abs(len(best) - wanted):
            best = found
        if abs(len(found) - wanted) <= off:
            break
        low, high = (low, middle) if len(found) < wanted else (middle, high)
    if len(best) == 0:
        raise SetupError(f"Lasso kept none of {values.shape[1]} features; need features that vary")
    return best


def find_parents(synthetic: Floats, images: Floats) -> Places:
    """(synthetic rows,) for each the nearer end of the line between two images that it lies on."""
    ends = cdist(images, images)
    ends[np.diag_indices(len(images))] = -np.inf  # an image and itself are no line, whatever the distance
    away = cdist(synthetic, images)
    found = np.empty(len(synthetic), np.int64)
    for row, own in enumerate(away):
        first, second = np.unravel_index(np.argmin(own[:, None] + own - ends), ends.shape)
        found[row] = first if own[first] <= own[second] else second
    return found


def _oversample(rows: _Rows, *, seed: int) -> _Rows:
    values, y = make_smote(rows.y, seed=seed).fit_resample(rows.values, rows.y)
    n = len(rows.y)
    of_class = np.flatnonzero(rows.y == y[-1])
    parents = of_class[find_parents(values[n:], rows.values[of_class])]
    return _Rows(values, y.astype(np.int64), np.concatenate([rows.patients, rows.patients[parents]]))


def _hold_out(rows: _Rows, stage: Stage, *, seed: int) -> tuple[Places, Places]:
    places = np.arange(len(rows.y))
    if stage.grouped:  # a third of the patients
        splitter = StratifiedGroupKFold(3, shuffle=True, random_state=seed % 2**32)
        train, test = next(splitter.split(places, rows.y, rows.patients))
    else:
        train, test = train_test_split(places, test_size=TEST_SHARE, random_state=seed % 2**32)
    if min(len(np.unique(rows.y[train])), len(np.unique(rows.y[test]))) < 2:
        raise SetupError(
            f"hold-out: found one class alone in {len(test)} test or {len(train)} training rows; need both"
        )
    return train, test


def _cross_validate(rows: _Rows, stage: Stage, classifier: Classifier, *, seed: int) -> list[float]:
    """Balanced accuracies of scikit-learn's cv=10, which does not shuffle. Fewer folds where a class is smaller."""
    folds = min(CV_FOLDS, int(rows.y.sum()), int((1 - rows.y).sum()))
    found = []
    for train, test in StratifiedKFold(folds).split(rows.values, rows.y):
        model, chosen = _fit(rows, train, stage, classifier, share=None, seed=seed)
        right = model.predict(rows.values[test][:, chosen]) == rows.y[test]
        found.append(float((right[rows.y[test] == 1].mean() + right[rows.y[test] == 0].mean()) / 2))
    return found


def _fit(
    rows: _Rows, train: Places, stage: Stage, classifier: Classifier, *, share: float | None, seed: int
) -> tuple[Any, Places]:
    """A classifier fitted on the training rows, and the features that it sees. share: kept per row."""
    values, y = rows.values[train], rows.y[train]
    chosen = np.arange(values.shape[1])
    if share is not None:
        wanted = max(1, min(round(share * len(train)), values.shape[1]))
        chosen = select_count(values, y, wanted, off=wanted // 20)
    values = values[:, chosen]
    if stage.smote and stage.smote_in_fold:
        values, y = make_smote(y, seed=seed).fit_resample(values, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # unscaled features, default settings: as published
        return _classifier(classifier).fit(values, y), chosen


def _classifier(classifier: Classifier) -> Any:
    if classifier == "lr":
        return LogisticRegression(max_iter=1000)
    return SVC(kernel="linear" if classifier == "linear_svm" else "rbf", max_iter=1_000_000)
