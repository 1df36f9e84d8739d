"""A fitted pipeline as plain arrays, and what they say: the pipeline's own decision function without scikit-learn.

scale -> select or PCA -> logistic regression, or an SVM with a linear or RBF kernel. SMOTE plays a part while fitting
alone. Names and shapes of the arrays: weights.classifier.check_arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from imblearn.base import BaseSampler
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from fourview.exam import SetupError
from fourview.weights.classifier import check_arrays

NEED = "logistic regression, or an SVM with a linear or RBF kernel"
_AT_ONCE = 1024  # rows against all support vectors
Array = NDArray[Any]


def export_arrays(pipeline: Any) -> dict[str, Array]:
    """The fitted pipeline (scikit-learn's or imbalanced-learn's) as float64 arrays and the selected places as int64.

    Raises SetupError for steps in another order, steps of another kind, or a classifier that cannot be written so.
    """
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    steps = [step for step in steps if not isinstance(step, BaseSampler)]
    scaler = steps[0] if steps and isinstance(steps[0], StandardScaler) else None
    if scaler is None or len(steps) not in (2, 3):
        names = " -> ".join(type(step).__name__ for step in steps) or "nothing"
        raise SetupError(f"pipeline: found {names}; need StandardScaler -> selection or PCA (or neither) -> {NEED}")
    width = int(scaler.n_features_in_)
    arrays: dict[str, Array] = {
        "scale.mean": np.zeros(width) if scaler.mean_ is None else scaler.mean_,
        "scale.scale": np.ones(width) if scaler.scale_ is None else scaler.scale_,
    }
    if len(steps) == 3:
        arrays |= _export_middle(steps[1])
    arrays |= _export_classifier(steps[-1])
    arrays = {name: _plain(array) for name, array in arrays.items()}
    check_arrays(arrays, dimension=width, origin="pipeline")
    return arrays


def score_arrays(arrays: Mapping[str, Array], values: Array) -> NDArray[np.float64]:
    """(rows,) the decision function. values (rows, features); logistic regression's probability is its sigmoid.

    Raises SetupError for another number of features.
    """
    seen = np.asarray(values, np.float64)
    if seen.ndim != 2 or seen.shape[1] != len(arrays["scale.mean"]):
        raise SetupError(f"found features of shape {seen.shape}; need (rows, {len(arrays['scale.mean'])})")
    seen = (seen - arrays["scale.mean"]) / arrays["scale.scale"]
    if "select.keep" in arrays:
        seen = seen[:, arrays["select.keep"]]
    if "reduce.components" in arrays:
        seen = (seen - arrays["reduce.mean"]) @ arrays["reduce.components"].T / arrays["reduce.scale"]
    if "linear.weights" in arrays:
        return np.asarray(seen @ arrays["linear.weights"] + arrays["intercept"][0], np.float64)
    parts = [_similarity(arrays, seen[start : start + _AT_ONCE]) for start in range(0, len(seen), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty(0)


def name_classifier(pipeline: Any) -> str:
    """The last step in words. Raises SetupError for one that cannot be written as arrays."""
    last = pipeline.steps[-1][1]
    _export_classifier(last)
    if isinstance(last, LogisticRegression):
        return "logistic regression"
    return "RBF SVM" if getattr(last, "kernel", "linear") == "rbf" else "linear SVM"


def _similarity(arrays: Mapping[str, Array], seen: Array) -> Array:
    support = arrays["rbf.support"]
    squares = (seen**2).sum(axis=1)[:, None] + (support**2).sum(axis=1) - 2 * seen @ support.T
    kernel = np.exp(-arrays["rbf.gamma"][0] * np.maximum(squares, 0))
    return np.asarray(kernel @ arrays["rbf.weights"] + arrays["intercept"][0])


def _export_middle(step: Any) -> dict[str, Array]:
    if isinstance(step, SelectFromModel):
        return {"select.keep": np.flatnonzero(step.get_support())}
    if isinstance(step, PCA):
        scale = np.sqrt(step.explained_variance_) if step.whiten else np.ones(len(step.components_))
        return {"reduce.components": step.components_, "reduce.mean": step.mean_, "reduce.scale": scale}
    raise SetupError(f"pipeline: found {type(step).__name__} after the scaler; need SelectFromModel or PCA")


def _export_classifier(step: Any) -> dict[str, Array]:
    """Raises SetupError for classifiers that are no weighted sum, or of other classes than 0 and 1."""
    linear = isinstance(step, LogisticRegression | LinearSVC) or (isinstance(step, SVC) and step.kernel == "linear")
    rbf = isinstance(step, SVC) and step.kernel == "rbf"
    if not linear and not rbf:
        found = f"{type(step).__name__}{f' with kernel {step.kernel}' if isinstance(step, SVC) else ''}"
        raise SetupError(
            f"classifier: found {found}, which cannot be written as plain arrays, so `screen` cannot read it; "
            f"need {NEED}"
        )
    if not np.array_equal(step.classes_, (0, 1)):
        raise SetupError(f"classifier: found the classes {step.classes_.tolist()}; need 0 and 1")
    intercept = np.atleast_1d(np.asarray(step.intercept_, np.float64))
    if linear:
        return {"linear.weights": step.coef_[0], "intercept": intercept}
    gamma = step._gamma  # what "scale" became while fitting has no public name
    return {
        "rbf.support": step.support_vectors_,
        "rbf.weights": step.dual_coef_[0],
        "rbf.gamma": np.array([gamma]),
        "intercept": intercept,
    }


def _plain(array: Array) -> Array:
    kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float64
    return np.ascontiguousarray(array, kind)
