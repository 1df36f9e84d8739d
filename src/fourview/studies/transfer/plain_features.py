"""Features without a network: hand-made textures, and noise as a control."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from fourview.crop import resample
from fourview.prepare import Prepared
from fourview.studies.transfer.texture import measure_breast

Array = NDArray[np.float32]
TEXTURE_SPACING_MM = 0.2  # textures are of so many millimetres, whatever the detector: one pixel size for all


def measure_texture(image: Prepared) -> Array:
    """(60,) float32 of the crop at 0.2 mm. Raises ExamError for an image without a pixel size, or without a breast."""
    return measure_breast(resample(image.mammogram, TEXTURE_SPACING_MM)).astype(np.float32)


def draw_noise(image: Prepared, *, count: int) -> Array:
    """(count,) float32 from the standard normal distribution; the same for the same name of an image."""
    seed = int.from_bytes(hashlib.sha256(image.mammogram.name.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)
