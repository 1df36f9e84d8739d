"""Lesions drawn with known numbers: discs, squares, ellipses, stars, spokes, on a square of 224 pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SIDE = 224
Y, X = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
RADIUS, ANGLE = np.hypot(X, Y), np.arctan2(Y, X)
DISC = RADIUS < 50
SQUARE = (np.abs(X) < 50) & (np.abs(Y) < 50)
ELLIPSE = (X / 60) ** 2 + (Y / 30) ** 2 < 1
STAR = 40 * (1 + 0.4 * np.cos(5 * ANGLE)) > RADIUS
ODD = 40 * (1 + 0.3 * np.cos(3 * ANGLE + 0.4) + 0.1 * np.cos(5 * ANGLE + 1)) > RADIUS  # no symmetry at all


def bright(mask: NDArray[np.bool_], *, blur: float = 2.0) -> NDArray[np.float32]:
    """Brighter inside (0.7) than outside (0.3)."""
    return gaussian_filter(np.where(mask, 0.7, 0.3), blur).astype(np.float32)


def spokes(count: int = 16) -> NDArray[np.float32]:
    """The disc with thin bright lines that run outwards from it."""
    phase = (ANGLE * count / (2 * np.pi)) % 1 - 0.5
    lines = np.exp(-((phase * 2 * np.pi * RADIUS / count / 2) ** 2)) * (RADIUS > 45)
    return np.clip(bright(DISC) + 0.3 * lines, 0, 1).astype(np.float32)


def rings() -> NDArray[np.float32]:
    """The disc with thin bright circles around it."""
    lines = sum(np.exp(-(((RADIUS - r) / 2) ** 2)) for r in range(58, 90, 8))
    return np.clip(bright(DISC) + 0.3 * lines, 0, 1).astype(np.float32)


def rough(seed: int = 0, *, size: float = 3.0) -> NDArray[np.float32]:
    """Noise about 0.5 of this grain."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), size)
    return np.clip(0.5 + 0.1 * noise / noise.std(), 0, 1).astype(np.float32)
