"""Features of images in two dimensions, to look at: principal components, or UMAP where it is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError

SEED = 0


@dataclass(frozen=True, eq=False)
class Embedding:
    """Places of images in a plane.

    places  (images, 2);  method  how they were found
    shares  of the variance of the standardised features that each axis explains; None for UMAP, which has no such share
    used    features that vary: the others say nothing
    """

    places: NDArray[np.float64]
    method: str
    shares: tuple[float, float] | None
    used: int


def principal_components(features: NDArray[np.float32]) -> Embedding:
    """The first two principal components of standardised features, by singular value decomposition.

    features  (images, features)

    The sign of an axis is free; here the feature that weighs most on it weighs positively, so the same features give
    the same picture. Raises SetupError for fewer than three images, or if fewer than two features vary.
    """
    standard = _standardise(features)
    left, singular, axes = np.linalg.svd(standard, full_matrices=False)
    sign = np.sign(axes[[0, 1], np.abs(axes[:2]).argmax(axis=1)])
    variances = singular**2 / np.sum(singular**2)
    places = left[:, :2] * singular[:2] * sign
    shares = float(variances[0]), float(variances[1])
    return Embedding(places, "principal components of standardised features", shares, standard.shape[1])


def umap(features: NDArray[np.float32]) -> Embedding:
    """The same features laid out by UMAP (McInnes et al. 2018), its own defaults, seed 0.

    Raises SetupError as principal_components does, or if umap-learn is not installed.
    """
    standard = _standardise(features)
    try:
        library = importlib.import_module("umap")
    except ImportError as error:
        raise SetupError(
            'UMAP: umap-learn is not installed; need `pip install ".[umap]"` in fourview\'s checkout, or PCA'
        ) from error
    neighbours = min(15, len(standard) - 1)
    places = library.UMAP(n_neighbors=neighbours, random_state=SEED, n_jobs=1).fit_transform(standard)
    method = f"UMAP of standardised features, {neighbours} neighbours, seed {SEED}"
    return Embedding(np.asarray(places, np.float64), method, None, standard.shape[1])


def _standardise(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """(images, used) with mean 0 and standard deviation 1; features that do not vary are left out."""
    if features.ndim != 2 or len(features) < 3 or not np.isfinite(features).all():
        raise SetupError(f"embedding: found features of shape {features.shape}; need numbers of three images or more")
    values = features.astype(np.float64)
    varying = values.max(axis=0) > values.min(axis=0)
    if varying.sum() < 2:
        raise SetupError(f"embedding: found {int(varying.sum())} features that vary; need two or more")
    values = values[:, varying]
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))
