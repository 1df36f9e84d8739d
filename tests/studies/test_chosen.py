"""The chosen classifier as arrays: they say what its pipeline says, and others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from fourview.calibration import sigmoid
from fourview.exam import SetupError
from fourview.studies.transfer.chosen import export_arrays, name_classifier, score_arrays
from fourview.weights.classifier import check_arrays

LAST = {
    "lr": lambda c: LogisticRegression(C=c, max_iter=2000),
    "balanced lr": lambda c: LogisticRegression(C=c, class_weight="balanced", max_iter=2000),
    "linear": lambda c: SVC(kernel="linear", C=c),
    "rbf": lambda c: SVC(kernel="rbf", C=c, gamma="scale"),
    "wide rbf": lambda c: SVC(kernel="rbf", C=c, gamma=0.003),
}
MIDDLE = {
    "none": lambda: [],
    "lasso": lambda: [("select", SelectFromModel(Lasso(alpha=0.01), threshold=1e-10))],
    "pca": lambda: [("reduce", PCA(4, svd_solver="full"))],
    "whitened": lambda: [("reduce", PCA(3, whiten=True))],
}


def draw(seed: int, *, n: int = 60, features: int = 12) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    y[:4] = (0, 1, 0, 1)
    values = rng.normal(0, 1, (n, features)) * rng.uniform(0.01, 100, features) + rng.normal(0, 50, features)
    return (values + 20 * y[:, None] * (np.arange(features) < 3)).astype(np.float32), y


def fit(last: Any, *, middle: str = "lasso", smote: bool = False, seed: int = 0) -> tuple[Any, Any, Any]:
    values, y = draw(seed)
    back: list[tuple[str, Any]] = [("smote", SMOTE(k_neighbors=2, random_state=0))] if smote else []
    pipeline = Pipeline([("scale", StandardScaler()), *MIDDLE[middle](), *back, ("classify", last)])
    return pipeline.fit(values.astype(np.float64), y), values, y


@settings(max_examples=25, deadline=None)
@given(
    last=st.sampled_from(sorted(LAST)),
    middle=st.sampled_from(sorted(MIDDLE)),
    smote=st.booleans(),
    strength=st.sampled_from([0.01, 1.0, 100.0]),
    seed=st.integers(0, 10_000),
)
def test_arrays_say_what_the_pipeline_says_of_rows_that_it_has_never_seen(
    last: str, middle: str, smote: bool, strength: float, seed: int
) -> None:
    pipeline, _, _ = fit(LAST[last](strength), middle=middle, smote=smote, seed=seed)
    other = draw(seed + 1)[0].astype(np.float64)
    scores = score_arrays(export_arrays(pipeline), other)
    np.testing.assert_allclose(scores, pipeline.decision_function(other), rtol=1e-9, atol=1e-6)
    if "lr" in last:
        np.testing.assert_allclose(sigmoid(scores), pipeline.predict_proba(other)[:, 1], atol=1e-6)


@pytest.mark.parametrize(
    "last", [HistGradientBoostingClassifier(max_iter=2), KNeighborsClassifier(), RidgeClassifier(), SVC(kernel="poly")]
)
def test_a_classifier_that_is_no_sum_of_arrays_is_refused_by_name(last: Any) -> None:
    pipeline, _, _ = fit(last, middle="none")
    for refuses in (export_arrays, name_classifier):
        with pytest.raises(
            SetupError, match=rf"{type(last).__name__}.*cannot be written as plain arrays.*need logistic"
        ):
            refuses(pipeline)


def test_other_steps_and_other_classes_are_refused() -> None:
    values, y = draw(0)
    bare = Pipeline([("classify", LogisticRegression(max_iter=500))]).fit(values * 0.001, y)
    with pytest.raises(SetupError, match="found LogisticRegression; need StandardScaler"):
        export_arrays(bare)
    twice = Pipeline([("scale", StandardScaler()), ("again", MinMaxScaler()), ("classify", LogisticRegression())])
    with pytest.raises(SetupError, match="found MinMaxScaler after the scaler"):
        export_arrays(twice.fit(values, y))
    words = Pipeline([("scale", StandardScaler()), ("classify", LogisticRegression())])
    with pytest.raises(SetupError, match="need 0 and 1"):
        export_arrays(words.fit(values, np.where(y, "yes", "no")))


def test_the_classifier_has_a_name_in_words() -> None:
    names = [name_classifier(fit(LAST[last](1.0), middle="none")[0]) for last in ("lr", "linear", "rbf")]
    assert names == ["logistic regression", "linear SVM", "RBF SVM"]


def test_features_of_another_number_and_broken_arrays_are_refused() -> None:
    pipeline, values, _ = fit(LAST["rbf"](1.0))
    arrays = export_arrays(pipeline)
    with pytest.raises(SetupError, match=r"need \(rows, 12\)"):
        score_arrays(arrays, values[:, :5])
    for name, wrong, said in (
        ("rbf.weights", arrays["rbf.weights"][1:], "array rbf.weights has shape"),
        ("scale.mean", arrays["scale.mean"] * np.nan, "array scale.mean holds NaN"),
        ("select.keep", arrays["select.keep"] + 100, "beyond the 12"),
        ("linear.weights", np.zeros(3), "array linear.weights has shape"),
    ):
        with pytest.raises(SetupError, match=said):
            check_arrays({**arrays, name: wrong}, dimension=12, origin="x")
