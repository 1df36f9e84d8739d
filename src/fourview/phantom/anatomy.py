"""The inside of one breast in three dimensions: where gland is, and the lobules of fat that press on it.

Axes are (depth, lateral, upper) as in PhantomFinding; a slice at one depth is the disc lateral^2 + upper^2 < 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = 64  # along each axis: 1.5 mm in depth, 2.8 mm across a breast of 95 x 180 mm
_EXPONENT = 3.4  # a slice through the 3-D spectrum is the spectrum of the projection: the exponent stays
_OWN = 0.45  # weight of what one breast has for itself, beside what both share
_SOFT = 0.18


@dataclass(frozen=True, eq=False)
class Lobules:
    """Ellipsoids of fat wrapped in septa.

    places     (n, 3) depth, lateral, upper
    radius_mm  (n, 3) along depth, across the view, along the beam
    turn       (n,) of the ellipse in the view, radians
    strength   (n,) share of the gland that the lobule pushes aside where it fills the beam, 0 to 1
    """

    places: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    turn: NDArray[np.float64]
    strength: NDArray[np.float64]


def draw_gland(both_key: Sequence[int], own_key: Sequence[int], *, share: float) -> NDArray[np.float32]:
    """(64, 64, 64) float32 share of gland in 0 to 1, zero outside the disc; its mean over the breast is `share`.

    Noise of power 1/f^3, partly common to both breasts, is added to an envelope (most gland behind the nipple
    and upper-outer, fat beneath the skin and before the chest wall), then thresholded softly.
    """
    rng = np.random.default_rng([*both_key, 1])
    noise = (1 - _OWN) * _power_law([*both_key, 0]) + _OWN * _power_law([*own_key, 0])
    noise /= noise.std()
    depth, lateral, upper = _axes()
    centre_lateral, centre_upper = rng.normal([0.12, 0.10], 0.08)
    radius = np.sqrt((lateral - centre_lateral) ** 2 + (upper - centre_upper) ** 2)
    reach = 0.28 + 0.9 * share + rng.normal(0, 0.06)  # how far back from the nipple it is dense
    back = np.clip((0.92 - reach - depth) / 0.35, 0, None)
    front = np.clip((depth - 0.93) / 0.04, 0, None)
    rim = np.clip((np.sqrt(lateral**2 + upper**2) - 0.80) / 0.12, 0, None)
    level = 0.55 * noise - 1.3 * radius**2 - 1.2 * back - front - 2.0 * rim**2
    inside = np.broadcast_to(lateral**2 + upper**2 < 1, level.shape)
    narrow = (1 - depth[:, 0, 0] ** 2) ** 0.6  # the breast is lower towards the nipple: its cells there count less
    low, high = float(level.min()), float(level.max())
    for _ in range(14):
        middle = (low + high) / 2
        if narrow @ (_soft(level, middle) * inside).mean(axis=(1, 2)) / narrow.sum() > share * np.pi / 4:
            low = middle
        else:
            high = middle
    return np.asarray(_soft(level, (low + high) / 2) * inside, np.float32)


def project(gland: NDArray[np.float32], tilt: float) -> NDArray[np.float32]:
    """(depth, across) float32: mean share of gland along the beam, for across from -1 to 1.

    tilt  radians between the view's across and lateral: 0 in CC, about 45 degrees in MLO, where up is upper outer
    """
    count = gland.shape[1]
    axis = (np.arange(count) + 0.5) * 2 / count - 1
    across = np.cos(tilt) * axis[:, None] + np.sin(tilt) * axis[None, :]
    beam = -np.sin(tilt) * axis[:, None] + np.cos(tilt) * axis[None, :]
    inside = (across**2 + beam**2 < 1).ravel()
    cell = np.clip((across.ravel() + 1) * count / 2 - 0.5, 0, count - 1.001)
    whole = cell.astype(np.intp)
    part = (cell - whole).astype(np.float32)
    to_across = np.zeros((count * count, count), np.float32)
    rows = np.flatnonzero(inside)
    to_across[rows, whole[rows]] = 1 - part[rows]
    to_across[rows, whole[rows] + 1] += part[rows]
    chord = np.maximum(to_across.sum(axis=0), 4.0)
    return np.asarray(gland.reshape(gland.shape[0], -1) @ to_across / chord, np.float32)


def draw_lobules(key: Sequence[int], *, size_mm: tuple[float, float], radius_mm: float) -> Lobules:
    """Lobules over the whole breast, denser packed the smaller they are; longest towards the nipple."""
    rng = np.random.default_rng(key)
    depth_mm, half_mm = size_mm
    count = int(np.clip(1.25 * depth_mm * half_mm / radius_mm**2, 60, 260))
    angle, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count)) * 0.97
    places = np.stack([rng.uniform(0.0, 0.97, count), out * np.cos(angle), out * np.sin(angle)], axis=1)
    size = radius_mm * np.exp(np.clip(rng.normal(0, 0.5, count), -1, 0.6))
    shape = np.exp(rng.normal(0, 0.2, (count, 3))) * [1.2, 0.85, 0.95]
    return Lobules(places, size[:, None] * shape, rng.normal(0, 0.5, count), rng.beta(1.6, 0.9, count))


def _soft(level: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    t = np.clip((level - middle) / (2 * _SOFT) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _axes() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    axis = (np.arange(CELLS) + 0.5) / CELLS
    return axis[:, None, None], 2 * axis[None, :, None] - 1, 2 * axis[None, None, :] - 1


def _power_law(key: Sequence[int]) -> NDArray[np.float64]:
    """(64, 64, 64) noise of standard deviation 1; cells count as long in depth as across."""
    spectrum = np.fft.rfftn(np.random.default_rng(key).standard_normal((CELLS,) * 3))
    f, g = np.fft.fftfreq(CELLS), np.fft.rfftfreq(CELLS)
    # a cell is half as long in depth as across
    square = (2 * f[:, None, None]) ** 2 * 0.6 + f[None, :, None] ** 2 + g[None, None, :] ** 2
    square[0, 0, 0] = np.inf
    field = np.fft.irfftn(spectrum * (square + 1e-3) ** (-_EXPONENT / 4), s=(CELLS,) * 3, axes=(0, 1, 2))
    return np.asarray(field / field.std())
