"""Are two sets of images alike? A classifier tries to tell them apart, and what is said of the images is compared.

The classifier two-sample test (Lopez-Paz and Oquab 2017): logistic regression on the features and their squares, by
patients out of fold; an AUC of 0.5 means that it cannot. Facts are compared by the largest difference of distribution
functions (numbers, Kolmogorov and Smirnov's) or half the sum of differences of shares (words); their p values come from
patients dealt anew to the two sets, Holm's over the facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate import Estimate, auc
from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.compare import adjust_holm
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.folds import draw_folds, walk_folds
from fourview.studies.transfer.joined_sets import check_same_features, count_copies
from fourview.studies.transfer.nested import check_fitted_on
from fourview.studies.transfer.steps import Method, fit_back, fit_front, join, score_pipeline

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
FACTS: dict[str, str] = {
    "vendor": "vendor",
    "spacing_mm": "pixel size, mm",
    "pixel_mode": "grey scale",
    "bits": "bits per pixel",
    "view": "view",
    "density": "density",
    "age": "age, years",
    "birads": "BI-RADS",
    "malignant": "malignant",
    "label_source": "truth by",
}
ABOUT_IMAGING = ("vendor", "spacing_mm", "pixel_mode", "bits")
_METHOD = Method("lr", "none", "weights", value=1e-3)
_MOST_IMAGES = 2000  # of a set that the classifier sees
_CLIP = 10.0  # deviations: an outlier's square shall not rule
_DEALS = 999
_FOLDS = 5
SMALL_DIFFERENCE = 0.1  # of a fact's distribution, below which nobody is warned
ALARM = 0.05


@dataclass(frozen=True)
class Fact:
    """One column. difference 0 to 1; p: Holm's; first, second: in words; unseen: share of the first that the second has
    no image of (words), or beyond its range (numbers)."""

    name: str
    kind: Literal["number", "word"]
    difference: float
    p: float
    first: str
    second: str
    unseen: float

    @property
    def differs(self) -> bool:
        return self.p < ALARM and self.difference >= SMALL_DIFFERENCE


@dataclass(frozen=True, eq=False)
class Shift:
    """first: the images in question; second: those to compare with, e.g. the training data.

    area     of telling the two apart, out of fold;  scores, of_first (images,) what it is measured on
    copies   images of the first with the very features of one of the second;  missing  facts that a set does not say
    """

    area: Estimate
    scores: Floats
    of_first: Places
    facts: tuple[Fact, ...]
    copies: int
    missing: tuple[str, ...]

    @property
    def told_apart(self) -> bool:
        return self.area.low > 0.5 or self.area.value == 1.0  # no interval where nothing is called wrongly


def measure_shift(first: FeatureSet, second: FeatureSet, *, seed: int = 0) -> Shift:
    """How alike two sets are. Raises SetupError: other features, no patients, or too few of them."""
    check_same_features(first.card, second.card)
    rng = np.random.default_rng([seed, 11])
    copies = count_copies(first, second)
    known = [facts for facts in FACTS if any(_says(f.rows, facts) for f in (first, second))]
    missing = tuple(name for name in known if not (_says(first.rows, name) and _says(second.rows, name)))
    compared = [_compare(name, first.rows, second.rows, rng) for name in known if name not in missing]
    adjusted = adjust_holm([fact.p for fact in compared])
    facts = tuple(
        Fact(f.name, f.kind, f.difference, p, f.first, f.second, f.unseen)
        for f, p in zip(compared, adjusted, strict=True)
    )
    some = [_take_patients(features, rng) for features in (first, second)]
    patients = _number([name for features in some for name in _patients(features.rows)])
    y = np.repeat([1, 0], [len(features.values) for features in some]).astype(np.int64)
    values = np.concatenate([features.values for features in some]).astype(np.float64)
    scores = tell_apart(values, Cases(y, patients, patients), seed=seed)
    area = auc(y, scores, cluster=patients, unit="image", name="AUC of telling the two sets apart")
    return Shift(area, scores, y, facts, copies, missing)


def tell_apart(values: Floats, cases: Cases, *, seed: int = 0) -> Floats:
    """(images,) out-of-fold scores of belonging to the set with y = 1, patients never split.

    Features and their squares, so that a set that varies more is told as well as one that lies elsewhere.
    """
    centred = values - np.median(values, axis=0)
    width = centred.std(axis=0)
    scaled = np.clip(centred / np.where(width > 0, width, 1.0), -_CLIP, _CLIP)
    both = np.concatenate([scaled, scaled**2], axis=1)
    folds = min(_FOLDS, cases.positive_patients, cases.negative_patients)
    if folds < 2:
        raise SetupError("shift: found a set of one patient; need at least 2 of each")
    numbers = draw_folds(cases.y, cases.patients, folds=folds, seed=seed)
    scores = np.empty(len(values))
    for train, test in walk_folds(numbers, cases.patients):  # a setting for all folds: their log odds are on one scale
        front, seen = fit_front(_METHOD, 0.0, both[train], cases.y[train])
        pipeline = join(front, fit_back(_METHOD, _METHOD.settings[0], seen, cases.y[train], seed=seed))
        check_fitted_on(pipeline, rows=len(train))
        scores[test] = score_pipeline(pipeline, both[test])
    return scores


def _says(rows: pl.DataFrame, name: str) -> bool:
    return name in rows.columns and bool((rows[name].cast(pl.String).fill_null("") != "").any())


def _patients(rows: pl.DataFrame) -> list[str]:
    """One name per image, of its data set. Raises SetupError if an image names none."""
    if (missing := int((rows["patient"].is_null() | (rows["patient"] == "")).sum())) > 0:
        raise SetupError(f"found {missing} images without a patient; need it: patients are never split")
    pairs = zip(rows["dataset"].to_list(), rows["patient"].to_list(), strict=True)
    return [f"{dataset}\n{patient}" for dataset, patient in pairs]


def _take_patients(features: FeatureSet, rng: np.random.Generator) -> FeatureSet:
    """All of a set, or as many of its patients as have the most images that are looked at."""
    numbers = _number(_patients(features.rows))
    order = rng.permutation(int(numbers.max()) + 1)
    within = np.cumsum(np.bincount(numbers)[order]) <= max(_MOST_IMAGES, int(np.bincount(numbers).max()))
    return features.take(np.isin(numbers, order[within]))


def _number(names: Sequence[str]) -> Places:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def _compare(name: str, first: pl.DataFrame, second: pl.DataFrame, rng: np.random.Generator) -> Fact:
    """One fact, its p value not yet adjusted. Both sets say something of it."""
    kept = [rows.filter(pl.col(name).is_not_null() & (pl.col(name).cast(pl.String) != "")) for rows in (first, second)]
    number = kept[0][name].dtype.is_numeric() and kept[1][name].dtype.is_numeric()
    texts = [rows[name].cast(pl.Float64) if number else rows[name].cast(pl.String) for rows in kept]
    values = np.concatenate([np.asarray(part.to_list()) for part in texts])
    of_first = np.repeat([True, False], [len(part) for part in texts])
    patients = _number([patient for rows in kept for patient in _patients(rows)])
    levels = np.unique(values, return_inverse=True)[1]
    difference = partial(_differ, levels, cumulative=number)
    observed = difference(of_first)
    p = _deal(difference, of_first, patients, observed, rng)
    own, other = values[of_first], values[~of_first]
    beyond = (own < other.min()) | (own > other.max()) if number else ~np.isin(own, other)
    words = _tell_numbers if number else _tell_words
    kind: Literal["number", "word"] = "number" if number else "word"
    return Fact(name, kind, observed, p, words(own), words(other), float(beyond.mean()))


def _differ(levels: Places, of_first: NDArray[np.bool_], *, cumulative: bool) -> float:
    """0 to 1. levels (images,) ranks or categories from 0"""
    count = int(levels.max()) + 1
    shares = [np.bincount(levels[part], minlength=count) / max(1, part.sum()) for part in (of_first, ~of_first)]
    apart = shares[0] - shares[1]
    return float(np.abs(np.cumsum(apart)).max() if cumulative else np.abs(apart).sum() / 2)


def _deal(
    difference: partial[float], of_first: NDArray[np.bool_], patients: Places, observed: float, rng: np.random.Generator
) -> float:
    """The share of deals of patients to the two sets, as many to each as now, that differ as much."""
    owners = int(patients.max()) + 1
    first = np.zeros(owners, bool)
    first[patients[of_first]] = True
    as_much = 0
    for _ in range(_DEALS):
        dealt = rng.permutation(first)[patients]
        as_much += difference(dealt) >= observed - 1e-12
    return (1 + as_much) / (1 + _DEALS)


def _tell_numbers(values: NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(values, (0, 50, 100))
    return f"median {middle:.4g} ({low:.4g} to {high:.4g})" if low < high else f"{middle:.4g}"


def _tell_words(values: NDArray[np.str_]) -> str:
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:4]
    shown = ", ".join(f"{found[k]} {100 * counts[k] / len(values):.0f} %" for k in order)
    return shown + (", ..." if len(found) > len(order) else "")
