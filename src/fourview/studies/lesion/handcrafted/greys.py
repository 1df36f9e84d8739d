"""A lesion's greys in numbers: first-order statistics inside, in the ring around it, and their difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.studies.lesion.handcrafted.regions import Regions

Floats = NDArray[np.float64]
_BINS = 32  # of greys from 0 to 1, for entropy and uniformity
_TINY = 1e-9


def measure_greys(regions: Regions) -> dict[str, float]:
    """Name -> number: 19 of the lesion, 19 of its ring, 19 differences (lesion minus ring)."""
    inside, outside = describe_greys(regions.pixels[regions.lesion]), describe_greys(regions.pixels[regions.ring])
    return {
        **{f"lesion {name}": value for name, value in inside.items()},
        **{f"ring {name}": value for name, value in outside.items()},
        **{f"difference {name}": inside[name] - outside[name] for name in inside},
    }


def describe_greys(values: Floats) -> dict[str, float]:
    """Of greys from 0 to 1: order, spread and form of their distribution. All 0 of no greys at all."""
    if not len(values):
        return dict.fromkeys(describe_greys(np.zeros(1)), 0.0)
    mean, sd = float(values.mean()), float(values.std())
    z = (values - mean) / max(sd, _TINY)
    p10, p25, p50, p75, p90 = (float(value) for value in np.percentile(values, (10, 25, 50, 75, 90)))
    middle = values[(values >= p10) & (values <= p90)]
    shares = np.histogram(values, _BINS, (0, 1))[0] / len(values)
    some = shares[shares > 0]
    low, high = float(values.min()), float(values.max())
    return {
        "minimum": low,
        "10th percentile": p10,
        "25th percentile": p25,
        "median": p50,
        "75th percentile": p75,
        "90th percentile": p90,
        "maximum": high,
        "mean": mean,
        "sd": sd,
        "variance": sd**2,
        "skewness": float((z**3).mean()) if sd > _TINY else 0.0,
        "kurtosis": float((z**4).mean()) if sd > _TINY else 0.0,
        "range": high - low,
        "interquartile range": p75 - p25,
        "mean absolute deviation": float(np.abs(values - mean).mean()),
        "robust mean absolute deviation": float(np.abs(middle - middle.mean()).mean()),
        "root mean square": float(np.sqrt((values**2).mean())),
        "entropy": float(-(some * np.log2(some)).sum()),
        "uniformity": float((shares**2).sum()),
    }
