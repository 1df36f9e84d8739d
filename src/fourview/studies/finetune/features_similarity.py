"""How alike two sets of features of the same images are: linear CKA.

0: one says nothing of the other; 1: the same but for a rotation and a scale. It is not 0 for unrelated features when
there are few images and many features, so the same number of shuffled images stands beside it.
Method: Kornblith et al. 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate
from fourview.exam import SetupError
from fourview.studies.finetune.jackknife import jackknife
from fourview.studies.transfer.feature_set import FeatureSet

SHUFFLES = 20
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Similarity:
    """found: CKA with its interval over patients; chance: the mean over shuffled images."""

    found: Estimate
    chance: float


def linear_cka(first: Floats, second: Floats) -> float:
    """From 0 to 1; NaN if one of them is the same for all images. first, second: (images, features), of any number each

    Computed from the (images, images) products, so features may be many.
    """
    a, b = _products(first), _products(second)
    size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else math.nan


def compare_features(first: FeatureSet, second: FeatureSet, *, seed: int = 0) -> Similarity:
    """Of the images that both have, in any order. Raises SetupError: fewer than three, or one without a patient."""
    places = {image: place for place, image in enumerate(second.rows["image"])}
    both = [(place, places[image]) for place, image in enumerate(first.rows["image"]) if image in places]
    if len(both) < 3:
        raise SetupError(f"features: found {len(both)} images that both sets have; need 3 or more")
    own, other = np.array(both).T
    patients = first.rows["patient"][own.tolist()]
    if unknown := patients.null_count():
        raise SetupError(f"features: found {unknown} images without a patient; need whose each is, for the interval")
    names = f"{first.card.extractor} and {second.card.extractor}"
    return measure_similarity(
        first.values[own], second.values[other], patients.to_numpy().astype(np.str_), name=names, seed=seed
    )


def measure_similarity(
    first: Floats, second: Floats, patients: NDArray[np.str_], *, name: str, seed: int = 0
) -> Similarity:
    """Of features of the same images in the same order. patients: (images,)"""
    found = jackknife(
        lambda places: linear_cka(first[places], second[places]),
        patients,
        name=f"linear CKA, {name}",
        positives=0,
    )
    rng = np.random.default_rng(seed)
    shuffled = [linear_cka(first, second[rng.permutation(len(second))]) for _ in range(SHUFFLES)]
    return Similarity(found, float(np.mean(shuffled)))


def _products(values: Floats) -> NDArray[np.float64]:
    """(images, images) products of the features, each minus its mean."""
    if values.ndim != 2:
        raise ValueError(f"found features of shape {values.shape}, need (images, features)")
    centred = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    return np.asarray(centred @ centred.T, np.float64)
