"""The grey scale of a patch, changed at random: films differ in exposure and development more than detectors do."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fourview.train.recipe_parts import GreyNoise

Floats = NDArray[np.float64]


def change_grey(
    patch: Floats, noise: GreyNoise, *, mean: float, deviation: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The patch, standardised by its image's mean and deviation, its curve, contrast and brightness drawn.

    patch  grey values of the image, at least 0

    First the curve: grey to the power of gamma about the level mean + deviation, a typical grey of tissue, which stays
    where it is, as 0 does. Then, standardised, everything times a factor, plus an offset. Gamma and factor are as often
    above 1 as below: uniform in their logarithm.
    """
    gamma, factor = (math.exp(rng.uniform(-1, 1) * math.log(most)) for most in (noise.gamma, noise.contrast))
    offset = rng.uniform(-noise.brightness, noise.brightness)
    level = mean + deviation
    curved = level * (patch / level) ** gamma
    return (curved - mean) / deviation * factor + offset
