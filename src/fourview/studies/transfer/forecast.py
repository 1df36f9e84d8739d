"""What more patients would give: an inverse power law through the learning curve, or why there is no forecast.

AUC(n) = a - b n^-c (Figueroa et al. 2012), by weighted least squares with weight j / m for the j-th of m sizes, as
there: the far end counts most. For each c of a grid a and b follow in closed form (variable projection, Golub and
Pereyra 1973). The interval fits the law anew with patients under test and rounds drawn with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate import Estimate
from fourview.evaluate.resample import percentile_intervals
from fourview.studies.transfer.curve_measures import Curve

Floats = NDArray[np.float64]
TIMES = (2, 4)  # as many patients
_DECAYS = np.geomspace(0.05, 2.0, 60)
_FEWEST_SIZES = 4
_MOST_FALL = 0.02  # of the mean AUC from a size to a larger one
_WIDEST = 0.25  # half of what lies between chance and perfection


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """AUC(n) = ceiling - drop n^-decay, one of each per curve (curves,). 0 <= drop, ceiling <= 1."""

    ceiling: Floats
    drop: Floats
    decay: Floats

    def at(self, patients: float) -> Floats:
        """(curves,)"""
        return np.asarray(self.ceiling - self.drop * patients**-self.decay)


@dataclass(frozen=True, eq=False)
class Forecast:
    """law of the curve itself; resampled laws; estimates for TIMES as many patients as now, none if refused.

    refused  why there is no forecast; "" if there is one
    """

    law: PowerLaw
    resampled: PowerLaw
    estimates: tuple[Estimate, ...]
    refused: str


def fit_power_law(sizes: Floats, areas: Floats) -> PowerLaw:
    """The law of each curve. sizes (m,) patients; areas (curves, m)"""
    m = len(sizes)
    weights = np.arange(1, m + 1) / m
    weights /= weights.sum()
    best = np.full(len(areas), np.inf)
    found = np.zeros((3, len(areas)))
    middle = areas @ weights
    for decay in _DECAYS:
        x = sizes**-decay
        x_middle = float(weights @ x)
        drop = -((areas * weights) @ (x - x_middle)) / float(weights @ (x - x_middle) ** 2)
        ceiling = middle + drop * x_middle
        capped = ceiling > 1
        drop = np.where(capped, ((1 - areas) * weights) @ x / float(weights @ x**2), drop)
        ceiling = np.where(capped, 1.0, ceiling)
        falling = drop < 0
        drop, ceiling = np.where(falling, 0.0, drop), np.where(falling, middle, ceiling)
        misses = ((areas - ceiling[:, None] + drop[:, None] * x) ** 2) @ weights
        better = misses < best
        best = np.where(better, misses, best)
        found = np.where(better, np.stack([ceiling, drop, np.full(len(areas), decay)]), found)
    return PowerLaw(*found)


def forecast(curve: Curve) -> Forecast:
    """What the curve's law gives at TIMES its largest size, or why that is not to be trusted."""
    law, resampled = fit_power_law(curve.sizes, curve.areas[None]), fit_power_law(curve.sizes, curve.resampled.T)
    largest = curve.points[-1]
    estimates = []
    for times in TIMES:
        patients = times * largest.patients
        draws = resampled.at(patients)
        low, high, se = (float(part[0]) for part in percentile_intervals(draws[:, None]))
        name = f"AUC forecast for {patients} training patients, {times} times as many"
        method = "inverse power law, patients and rounds resampled, percentiles"
        value = float(law.at(patients)[0])
        estimates.append(replace(largest.auc, name=name, value=value, low=low, high=high, se=se, method=method))
    refused = _refuse(curve, estimates[0])
    kept = () if refused else tuple(e for e in estimates if e.high - e.low <= _WIDEST)
    return Forecast(law, resampled, kept, refused)


def _refuse(curve: Curve, first: Estimate) -> str:
    """Why there is no forecast, "" if nothing speaks against it. first: the nearest one"""
    areas, sizes = curve.areas, curve.sizes.astype(int)
    if len(areas) < _FEWEST_SIZES:
        return f"found {len(areas)} sizes; a law with three numbers needs {_FEWEST_SIZES}"
    falls = np.maximum.accumulate(areas) - areas
    if falls.max() > _MOST_FALL:
        at = int(falls.argmax())
        return f"the curve falls by {falls[at]:.3f} before {sizes[at]} patients; a law that rises does not describe it"
    rise = curve.resampled[-1] - curve.resampled[0]
    if np.percentile(rise, 2.5) <= 0:
        return (
            f"the curve is flat: from {sizes[0]} to {sizes[-1]} patients the AUC rises by {areas[-1] - areas[0]:.3f}, "
            "not told from 0; what cannot be seen to rise cannot be extended"
        )
    if not first.high - first.low <= _WIDEST:
        return (
            f"the interval of the nearest forecast would be {first.low:.2f} to {first.high:.2f}, too wide to plan "
            "anything by"
        )
    return ""
