"""Controls: data that hold no signal, or none of the breast. What comes out of them above chance is a fault.

labels permuted by patient   features and the clumping of labels stay, what links them goes
noise                        Gaussian features, half of their variance shared by the images of a breast
majority class               the same answer for all
density alone, view alone    what a category of the breast's density, or the image's view and side, says
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.feature_set import FeatureSet

Floats = NDArray[np.float64]


def permute_labels(cases: Cases, rng: np.random.Generator) -> Cases:
    """The cases with labels dealt anew, whole patients' to patients with as many images: as many, as clumped.

    Of patients whose number of images nobody else has, the images' labels are dealt among all of theirs.
    """
    images = np.bincount(cases.patients)
    places = np.split(np.argsort(cases.patients, kind="stable"), np.cumsum(images)[:-1])
    y, odd = np.empty_like(cases.y), []
    for number in np.unique(images):
        alike = np.flatnonzero(images == number)
        if len(alike) == 1:
            odd.append(places[int(alike[0])])
        for to, giver in zip(alike, rng.permutation(alike), strict=True):
            y[places[to]] = cases.y[places[giver]]
    if odd:
        rest = np.concatenate(odd)
        y[rest] = cases.y[rng.permutation(rest)]
    return replace(cases, y=y)


def draw_noise(cases: Cases, features: int, rng: np.random.Generator, *, shared: float = 0.5) -> Floats:
    """(images, features) of variance 1 that know nothing of y.

    shared  part of the variance that the images of a breast have in common; 0: every image for itself
    """
    if not 0 <= shared <= 1:
        raise SetupError(f"noise: found a shared part of {shared:g}; need 0 to 1")
    own = rng.normal(size=(len(cases.y), features))
    if shared == 0:
        return own
    breasts = rng.normal(size=(int(cases.breasts.max()) + 1, features))
    return np.asarray(np.sqrt(1 - shared) * own + np.sqrt(shared) * breasts[cases.breasts])


def plant_signal(noise: Floats, cases: Cases, *, area: float) -> Floats:
    """The noise with its last feature telling the classes apart with a true AUC of `area`.

    Normal with variance 1 in both classes, their means sqrt(2) probit(area) apart.
    """
    apart = float(np.sqrt(2) * ndtri(area))
    return np.concatenate([noise[:, :-1], noise[:, -1:] + apart * cases.y[:, None]], axis=1)


def density_features(features: FeatureSet) -> Floats | None:
    """(images, categories) which density each image's breast has; None where fewer than two are named."""
    return _one_hot([text or "unknown" for text in features.rows["density"].to_list()])


def view_features(features: FeatureSet) -> Floats | None:
    """(images, views) which view of which side each image is; None where there is one alone."""
    rows = features.rows
    return _one_hot([f"{side}-{view}" for side, view in zip(rows["side"], rows["view"], strict=True)])


def _one_hot(names: Sequence[str]) -> Floats | None:
    found, place = np.unique(np.asarray(names), return_inverse=True)
    return None if len(found) < 2 else np.eye(len(found))[place]
