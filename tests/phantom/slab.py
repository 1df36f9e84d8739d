"""A breast for tests of the acquisition: half an ellipse of even or stepped tissue, drawn in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.profiles import Profile


def half_ellipse(profile: Profile, scale: float) -> tuple[NDArray[np.bool_], float]:
    """(rows, cols) bool, facing right, and the pixel size: 60 % of the rows high, half of the columns wide."""
    (rows, cols), pixel_mm = profile.grid(scale)
    y, x = np.ogrid[-1 : 1 : rows * 1j, 0 : 1 : cols * 1j]
    return np.asarray((y / 0.6) ** 2 + (x / 0.5) ** 2 < 1), pixel_mm


def even_tissue(breast: NDArray[np.bool_], brightness: float) -> NDArray[np.float32]:
    return np.full(breast.shape, brightness, np.float32)


def stepped_tissue(breast: NDArray[np.bool_], steps: int = 8) -> NDArray[np.float32]:
    """Brightness 0.1 at the top of the breast to 0.9 at its bottom, in steps."""
    rows = np.flatnonzero(breast.any(axis=1))
    part = np.clip((np.arange(breast.shape[0]) - rows[0]) * steps // rows.size, 0, steps - 1)
    step = 0.1 + 0.8 * part / (steps - 1)
    return np.broadcast_to(step[:, None], breast.shape).astype(np.float32)
