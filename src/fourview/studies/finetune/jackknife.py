"""How sure a number of several images is, when each patient is left out once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate, logit_interval

METHOD = "jackknife over patients, logit"


def jackknife(
    statistic: Callable[[NDArray[np.int64]], float],
    patients: NDArray[np.str_],
    *,
    name: str,
    positives: int,
    unit: str = "image",
) -> Estimate:
    """A number from 0 to 1 with its 95 % interval.

    statistic  of the images at these places; NaN where it cannot be said
    patients   (images,) whose each is

    No interval where a patient cannot be left out, or nothing varies. Method: delete-a-group jackknife, Efron 1982.
    """
    groups, numbers = np.unique(patients, return_inverse=True)
    value = statistic(np.arange(len(patients)))
    without = np.array([statistic(np.flatnonzero(numbers != number)) for number in range(len(groups))])
    se = math.nan
    if len(groups) > 1 and np.isfinite(without).all():
        se = math.sqrt((len(groups) - 1) / len(groups) * float(((without - without.mean()) ** 2).sum()))
    low, high = logit_interval(value, se) if se > 0 else (math.nan, math.nan)
    return Estimate(name, value, low, high, se, len(patients), positives, len(groups), unit, METHOD)
