"""The steps of a classifier, in the only order that leaks nothing: scale -> select (or PCA) -> SMOTE -> classify.

Selection is the Lasso of the paper or an L1 logistic regression. Their penalty is a share of the smallest one that
keeps nothing, so that one grid fits any features: 1 keeps none, 0 keeps all. SMOTE: Chawla et al. 2002, from training
rows alone and switched off when scoring (imbalanced-learn's Pipeline).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, l1_min_c

from fourview.exam import SetupError

Classifier = Literal["lr", "l1_lr", "linear_svm", "rbf_svm", "ridge", "random_forest", "boosting", "knn", "majority"]
Selection = Literal["lasso", "l1", "none"]
Imbalance = Literal["none", "weights", "smote"]
CLASSIFIERS: tuple[Classifier, ...] = get_args(Classifier)
NAMES: dict[Classifier, str] = {
    "lr": "logistic regression",
    "l1_lr": "L1 logistic regression",
    "linear_svm": "linear SVM",
    "rbf_svm": "RBF SVM",
    "ridge": "ridge",
    "random_forest": "random forest",
    "boosting": "gradient boosting",
    "knn": "nearest neighbours",
    "majority": "majority class",
}
STEPS = ("scale", "select", "reduce", "smote", "classify")  # in this order, those that a method has
NEIGHBOURS = 5  # of SMOTE, or as many as there are others of the class
SHARES = (0.6, 0.3, 0.15, 0.05)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
GAMMAS = (0.1, 1.0, 10.0)
_OTHER_VALUES: dict[str, tuple[float, ...]] = {
    "l1_lr": SHARES,
    "rbf_svm": (1e-4, 1e-2, 1.0, 1e2),  # fewer, because of the gammas
    "random_forest": (0.05, 0.2),
    "boosting": (0.1,),
    "knn": (31, 15, 5),
    "majority": (1.0,),
}
_NOTHING = 1e-12  # covariance with the truth below which there is none
_MOST_STEPS = 200_000  # of an SVM that does not converge
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """What the inner folds choose.

    share  of the selection's penalty; 0: no selection
    value  C (ridge: 1 / alpha), or the share of L1's penalty (l1_lr), of features that a split may choose from
           (random_forest), the learning rate (boosting), neighbours (knn)
    gamma  of the RBF kernel, times 1 / (features x their variance); 0: no such kernel
    """

    share: float = 0.0
    value: float = 1.0
    gamma: float = 0.0


@dataclass(frozen=True)
class Method:
    """A classifier and what goes before it.

    components    of a PCA in place of the selection; None: none
    share, value  fixed instead of chosen by the inner folds (see Setting)
    """

    classifier: Classifier = "lr"
    selection: Selection = "lasso"
    imbalance: Imbalance = "weights"
    components: int | None = None
    share: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise SetupError(f"classifier: found {self.classifier!r}; need one of {', '.join(CLASSIFIERS)}")
        if self.components is not None and (self.selection != "none" or self.components < 1):
            raise SetupError(
                f"found PCA of {self.components} components with selection {self.selection}; need one of the two"
            )
        if self.classifier == "l1_lr" and self.selection != "none":
            raise SetupError(f"classifier l1_lr: selects by itself; found selection {self.selection}, need none")
        if self.imbalance == "weights" and self.classifier == "knn":
            raise SetupError("classifier knn: has no class weights; need imbalance none or smote")
        if self.share is not None and not 0 < self.share < 1:
            raise SetupError(f"penalty: found {self.share:g}; need a share between 0 and 1")
        if self.value is not None and not self.value > 0:
            raise SetupError(f"C: found {self.value:g}; need more than 0")

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The grid, from the strictest setting to the loosest."""
        shares = SHARES if self.share is None else (self.share,)
        if self.selection == "none":
            shares = (0.0,)
        values = _OTHER_VALUES.get(self.classifier, STRENGTHS) if self.value is None else (self.value,)
        gammas = GAMMAS if self.classifier == "rbf_svm" else (0.0,)
        return tuple(Setting(share, value, gamma) for share in shares for value in values for gamma in gammas)

    def __str__(self) -> str:
        before = {"lasso": "Lasso selection, ", "l1": "L1 selection, ", "none": ""}[self.selection]
        before += "" if self.components is None else f"PCA of {self.components}, "
        before += {"none": "", "weights": "class weights, ", "smote": "SMOTE, "}[self.imbalance]
        return before + NAMES[self.classifier]


def read_methods(
    names: str, *, selection: Selection, imbalance: Imbalance, components: int | None = None, share: float | None = None
) -> tuple[Method, ...]:
    """The methods of classifiers named with commas between. What a classifier cannot have, it goes without:

    l1_lr selects by itself, nearest neighbours have no class weights, the majority class needs nothing.
    """
    found = []
    for name in (part.strip() for part in names.split(",")):
        if name not in CLASSIFIERS:
            raise SetupError(f"--classifier: found {name!r}; need some of {', '.join(CLASSIFIERS)}")
        own_selection: Selection = "none" if name in ("l1_lr", "majority") else selection
        own_imbalance: Imbalance = "none" if name == "knn" and imbalance == "weights" else imbalance
        own_share = None if own_selection == "none" else share
        found.append(Method(name, own_selection, own_imbalance, components, own_share))
    return tuple(found)


def fit_front(method: Method, share: float, values: Floats, y: Places) -> tuple[Pipeline, Floats]:
    """The steps before SMOTE, fitted on these rows, and what they make of them.

    values (rows, features);  y (rows,) 0 or 1. Raises SetupError if no feature is left.
    """
    steps: list[tuple[str, Any]] = [("scale", StandardScaler())]
    if method.selection != "none":
        scaled = StandardScaler().fit_transform(values)
        steps.append(("select", SelectFromModel(_selector(method.selection, share, scaled, y), threshold=1e-10)))
    elif method.components is not None:
        most = min(method.components, *values.shape)
        steps.append(("reduce", PCA(most, svd_solver="full")))
    front = Pipeline(steps)
    seen = front.fit_transform(values, y)
    if seen.shape[1] == 0:
        raise SetupError(f"selection kept none of {values.shape[1]} features; need features that vary")
    return front, np.asarray(seen, np.float64)


def fit_back(method: Method, setting: Setting, seen: Floats, y: Places, *, seed: int) -> Pipeline:
    """SMOTE and the classifier, fitted on what the front made of the training rows."""
    steps: list[tuple[str, Any]] = []
    if method.imbalance == "smote" and method.classifier != "majority":
        steps.append(("smote", make_smote(y, seed=seed)))
    steps.append(("classify", _make_classifier(method, setting, seen, y, seed=seed)))
    return Pipeline(steps).fit(seen, y)


def join(front: Pipeline, back: Pipeline) -> Pipeline:
    """One fitted pipeline of both. Raises SetupError if its steps are not in the order that leaks nothing."""
    whole = Pipeline([*front.steps, *back.steps])
    check_order(whole)
    return whole


def check_order(pipeline: Pipeline) -> None:
    """Nothing, if scaling and selection come before SMOTE and the classifier is last. Raises SetupError."""
    names = [name for name, _ in pipeline.steps]
    if strange := [name for name in names if name not in STEPS]:
        raise SetupError(f"pipeline: found the step {', '.join(strange)}; need {' -> '.join(STEPS)}")
    places = [STEPS.index(name) for name in names]
    if places != sorted(set(places)) or names[-1] != "classify":
        raise SetupError(
            f"pipeline: found {' -> '.join(names)}; need {' -> '.join(STEPS)}: synthetic rows may not decide what is "
            "selected, nor how it is scaled"
        )


def make_smote(y: Places, *, seed: int) -> SMOTE:
    """SMOTE for training rows with these labels. Raises SetupError if a class has one row alone."""
    fewest = int(min(y.sum(), len(y) - y.sum()))
    if fewest < 2:
        raise SetupError(f"SMOTE: found {fewest} training rows of a class; need 2 to draw lines between")
    return SMOTE(k_neighbors=min(NEIGHBOURS, fewest - 1), random_state=seed % 2**32)


def score_pipeline(pipeline: Pipeline, values: Floats) -> Floats:
    """(rows,) larger is more suspicious: the decision function, or the probability where there is none."""
    last = pipeline.steps[-1][1]
    if hasattr(last, "decision_function"):
        return np.asarray(pipeline.decision_function(values), np.float64)
    return np.asarray(pipeline.predict_proba(values)[:, 1], np.float64)


def kept_features(pipeline: Pipeline) -> Places | None:
    """The places of the features that a fitted pipeline looks at; None: all, or mixtures of all."""
    selector = dict(pipeline.steps).get("select")
    return None if selector is None else np.flatnonzero(selector.get_support()).astype(np.int64)


def smallest_alpha(values: Floats, y: Places) -> float:
    """The smallest Lasso penalty that keeps nothing. values (rows, features)"""
    centred = y - y.mean()
    return float(np.abs((values - values.mean(axis=0)).T @ centred).max() / len(y))


def _selector(selection: Selection, share: float, scaled: Floats, y: Places) -> Any:
    largest = smallest_alpha(scaled, y)
    if largest < _NOTHING:
        raise SetupError(f"selection: found {scaled.shape[1]} features that do not vary with the truth; need others")
    if selection == "lasso":
        return Lasso(alpha=share * largest, tol=1e-3, max_iter=5000)
    least = l1_min_c(scaled, y, loss="log")
    return LogisticRegression(C=least / share, l1_ratio=1, solver="liblinear", tol=1e-3, max_iter=1000, random_state=0)


def _make_classifier(method: Method, setting: Setting, seen: Floats, y: Places, *, seed: int) -> Any:
    value = setting.value
    weights = "balanced" if method.imbalance == "weights" else None
    width = max(seen.shape[1] * float(seen.var()), np.finfo(np.float64).tiny)  # as scikit-learn's "scale"
    liblinear: dict[str, Any] = {"solver": "liblinear", "tol": 1e-3, "max_iter": 1000, "random_state": 0}
    svm: dict[str, Any] = {"C": value, "class_weight": weights, "max_iter": _MOST_STEPS}
    trees: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 10, "early_stopping": False}
    make: dict[Classifier, Callable[[], Any]] = {
        "lr": lambda: LogisticRegression(C=value, class_weight=weights, max_iter=2000),
        "l1_lr": lambda: LogisticRegression(
            C=l1_min_c(seen, y, loss="log") / value, l1_ratio=1, class_weight=weights, **liblinear
        ),
        "linear_svm": lambda: SVC(kernel="linear", **svm),
        "rbf_svm": lambda: SVC(kernel="rbf", gamma=setting.gamma / width, **svm),
        "ridge": lambda: RidgeClassifier(alpha=1 / value, class_weight=weights),
        "random_forest": lambda: RandomForestClassifier(
            200, max_features=value, min_samples_leaf=3, class_weight=weights, random_state=seed % 2**32
        ),
        "boosting": lambda: HistGradientBoostingClassifier(
            learning_rate=value, class_weight=weights, random_state=seed % 2**32, **trees
        ),
        "knn": lambda: KNeighborsClassifier(n_neighbors=int(min(value, len(seen) // 2))),
        "majority": lambda: DummyClassifier(strategy="most_frequent"),
    }
    return make[method.classifier]()
