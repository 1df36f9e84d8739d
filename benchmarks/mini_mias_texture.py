"""What a film looks like, in hand-made numbers of its breast, and a regression on them: the bar for a network.

Greys, textures (Haralick et al. 1973: co-occurrence; Ojala et al. 2002: local binary patterns, the uniform rotation
invariant ones), detail by size, and how much of it there is in the most conspicuous place. Nothing is trained but the
regression's coefficients, without the fold that is scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fourview.ingest import IngestOptions, find_exams
from fourview.prepare import crop_for
from fourview.weights.card import Card

Floats = NDArray[np.float64]
PENALTY = 0.01  # inverse, of standardised features: about as many as malignant films, so a strong one
_LEVELS, _STEPS_PX = 32, (1, 2, 4, 8)  # co-occurrence: grey levels, distances
_RADII_PX = (1, 3)  # local binary patterns
_SIZES_PX = (1.0, 2.0, 4.0, 8.0, 16.0)  # detail lies between neighbours


def measure_films(folder: Path, card: Card, *, spacing_mm: float) -> dict[str, Floats]:
    """film -> (features,) of every film of the set, its breast cut as `card` asks."""
    found = {}
    for source in find_exams([folder], IngestOptions(spacing_mm=spacing_mm)).exams:
        for mammogram in source.read().mammograms:
            found[Path(mammogram.name).stem] = measure_breast(crop_for(mammogram, card).crop.pixels)
    return found


def measure_breast(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Floats:
    """(features,) of a crop with a background of 0; greys are counted from the 1st to the 99th percentile."""
    breast = pixels > 0
    low, high = np.percentile(pixels[breast], (1, 99))
    grey = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1.0), 0, 1)
    within = cv2.erode(np.pad(breast.astype(np.uint8), 1), np.ones((9, 9), np.uint8))[1:-1, 1:-1] > 0
    return np.array([breast.mean(), float(low), float(high), *_greys(grey[within]), *_texture(grey, within)])


def _greys(values: NDArray[np.float32]) -> list[float]:
    mean, sd = float(values.mean()), float(values.std())
    z = (values - mean) / max(sd, 1e-6)
    shares = np.percentile(values, (5, 25, 50, 75, 95))
    return [mean, sd, float((z**3).mean()), float((z**4).mean()), *map(float, shares)]


def _texture(grey: NDArray[np.float32], within: NDArray[np.bool_]) -> Iterator[float]:
    for step in _STEPS_PX:
        yield from _co_occur(grey, within, step)
    for radius in _RADII_PX:
        yield from _patterns(grey, within, radius)
    smooth = [cv2.GaussianBlur(grey, (0, 0), size) for size in _SIZES_PX]
    for fine, coarse in pairwise(smooth):
        detail = (fine - coarse)[within]
        yield float(detail.std())
        yield float(np.percentile(detail, 99.5))  # the most conspicuous place
        yield float((detail**3).mean() / max(float(detail.std()), 1e-6) ** 3)


def _co_occur(grey: NDArray[np.float32], within: NDArray[np.bool_], step: int) -> list[float]:
    """Contrast, homogeneity, energy and correlation, the mean over four directions."""
    levels = np.minimum((grey * _LEVELS).astype(np.int64), _LEVELS - 1)
    i, j = np.mgrid[:_LEVELS, :_LEVELS]
    found = []
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
        rows, cols = grey.shape
        first = slice(0, rows - down), slice(max(0, -right), cols - max(0, right))
        second = slice(down, rows), slice(max(0, right), cols - max(0, -right))
        both = within[first] & within[second]
        counts = np.bincount(levels[first][both] * _LEVELS + levels[second][both], minlength=_LEVELS**2)
        p = (counts.reshape(_LEVELS, _LEVELS) + counts.reshape(_LEVELS, _LEVELS).T) / (2 * counts.sum())
        mean = float((i * p).sum())
        variance = max(float(((i - mean) ** 2 * p).sum()), 1e-9)
        found.append(
            (
                ((i - j) ** 2 * p).sum(),
                (p / (1 + (i - j) ** 2)).sum(),
                (p**2).sum(),
                ((i - mean) * (j - mean) * p).sum() / variance,
            )
        )
    return [float(value) for value in np.mean(found, axis=0)]


def _patterns(grey: NDArray[np.float32], within: NDArray[np.bool_], radius: int) -> list[float]:
    """Shares of the ten patterns of eight neighbours: 0 to 8 brighter ones in one arc, and all others."""
    angles = np.arange(8) * np.pi / 4
    rows, cols = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
    brighter = np.stack(
        [
            cv2.remap(
                grey,
                (cols + np.float32(radius * np.cos(angle))),
                (rows + np.float32(radius * np.sin(angle))),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )[within]
            >= grey[within]
            for angle in angles
        ]
    )
    changes = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, brighter.sum(axis=0), 9)
    return [float(share) for share in np.bincount(pattern, minlength=10) / pattern.size]


def score_fold(
    features: dict[str, Floats], truth: dict[str, bool], *, train: Sequence[str], test: Sequence[str]
) -> dict[str, float]:
    """film of `test` -> log-odds by a regression that saw `train` alone."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=5000, class_weight="balanced"))
    model.fit(np.stack([features[film] for film in train]), [truth[film] for film in train])
    said = model.decision_function(np.stack([features[film] for film in test]))
    return {film: float(value) for film, value in zip(test, said, strict=True)}
