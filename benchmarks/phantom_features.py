"""What can be measured in one mammogram without knowing what is in it: greys, detail at each size, border, outline.

For `python -m benchmarks.phantom_likeness`. Images come in pixels of 0.28 mm; greys are counted from the 1st to the
99th percentile of the breast, so that brightness and contrast of a display do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_views import Light, Mask, erode

PIXEL_MM = 0.28
FIT_PER_MM = (0.15, 0.9)  # cycles per mm where the spectrum of mammograms is a power law
_SIDE, _STEP = 128, 40  # of a region for the spectrum, in pixels: 36 mm
_BINS = np.geomspace(0.06, 1.6, 19)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0)  # pixels, standard deviations: bands of detail lie between neighbours
_DEPTHS_MM = (1.0, 3.0, 6.0, 10.0, 15.0)
HISTOGRAM = np.linspace(-0.1, 1.2, 53)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Features:
    """Of one image.

    values     name -> number; the name begins with its family: "grey", "detail", "border", "outline"
    slope      of the power spectrum: power falls as 1 / f^slope; NaN if no region fits into the breast
    spectrum   mean power in each of FREQUENCIES, of greys as above, mm²; NaN as above
    histogram  shares of the breast's pixels
    """

    values: dict[str, float]
    slope: float
    spectrum: Floats
    histogram: Floats
    area_cm2: float


FREQUENCIES = np.sqrt(_BINS[:-1] * _BINS[1:])


def measure(light: Light, breast: Mask) -> Features:
    """The features of an image that faces right."""
    inside = light[breast]
    low, high = np.percentile(inside, [1, 99])
    grey = ((light - low) / max(high - low, 1e-6)).astype(np.float32)
    within = erode(breast, 6.0, PIXEL_MM)
    within = within if within.sum() > 1000 else breast
    spectrum = measure_spectrum(grey, breast)
    area = float(breast.sum() * PIXEL_MM**2 / 100)
    values = {
        **_greys(grey[within]),
        **_detail(grey, breast, within),
        **_border(grey, breast),
        **_outline(breast, area),
    }
    shares = np.histogram(np.clip(grey[breast], HISTOGRAM[0], HISTOGRAM[-1]), HISTOGRAM)[0] / breast.sum()
    return Features(values, fit_slope(spectrum), spectrum, shares, area)


def measure_spectrum(grey: Light, breast: Mask) -> Floats:
    """(bins,) radial power spectrum, the mean over overlapping regions that lie in the breast, Hann window."""
    within = erode(breast, 4.0, PIXEL_MM)
    window = np.hanning(_SIDE)[:, None] * np.hanning(_SIDE)
    scale = PIXEL_MM**2 / (window**2).sum()
    powers = []
    for top in range(0, grey.shape[0] - _SIDE + 1, _STEP):
        for left in range(0, grey.shape[1] - _SIDE + 1, _STEP):
            box = slice(top, top + _SIDE), slice(left, left + _SIDE)
            if within[box].all():
                region = grey[box] - (grey[box] * window).sum() / window.sum()
                powers.append(np.abs(np.fft.fft2(region * window)) ** 2 * scale)
    if not powers:
        return np.full(len(FREQUENCIES), np.nan)
    f = np.fft.fftfreq(_SIDE, PIXEL_MM)
    place = np.digitize(np.hypot(f[:, None], f), _BINS) - 1
    mean = np.mean(powers, axis=0)
    return np.array([mean[place == k].mean() if (place == k).any() else np.nan for k in range(len(FREQUENCIES))])


def fit_slope(spectrum: Floats) -> float:
    """Minus the slope of log power against log frequency within FIT_PER_MM, every bin with the same weight."""
    low, high = FIT_PER_MM
    fit = (low <= FREQUENCIES) & (high >= FREQUENCIES) & np.isfinite(spectrum)
    return float(-np.polyfit(np.log(FREQUENCIES[fit]), np.log(spectrum[fit]), 1)[0]) if fit.sum() > 2 else float("nan")


def _greys(values: Light) -> dict[str, float]:
    sd = values.std() or 1.0
    centred = (values - values.mean()) / sd
    quantiles = {f"grey at {q} %": float(np.percentile(values, q)) for q in (10, 25, 50, 75, 90)}
    return {**quantiles, "grey skewness": float((centred**3).mean()), "grey kurtosis": float((centred**4).mean())}


def _detail(grey: Light, breast: Mask, within: Mask) -> dict[str, float]:
    """Strength, skewness (bright or dark structures) and kurtosis (few strong or many weak ones) of bands of detail."""
    inside = breast.astype(np.float32)
    blurred = [grey]
    for size in _SIZES:
        near = np.maximum(cv2.GaussianBlur(inside, (0, 0), size), 1e-3)
        blurred.append(np.asarray(cv2.GaussianBlur(grey * inside, (0, 0), size) / near, np.float32))
    found: dict[str, float] = {}
    for number, (fine, coarse) in enumerate(pairwise(blurred)):
        band = (fine - coarse)[within]
        sd = float(band.std()) or 1e-6
        mm = f"{_SIZES[number] * PIXEL_MM:.1f} mm"
        centred = np.clip((band - band.mean()) / sd, -8, 8)
        found |= {
            f"detail strength {mm}": float(np.log(sd)),
            f"detail skewness {mm}": float((centred**3).mean()),
            f"detail kurtosis {mm}": float(np.log((centred**4).mean())),
        }
    for size in (1.0, 3.0):
        found[f"detail line-likeness {size * PIXEL_MM:.1f} mm"] = _lines(grey, within, size)
    return found


def _lines(grey: Light, within: Mask, size: float) -> float:
    """Mean coherence of the structure tensor: 0 for blobs and noise, 1 for parallel lines."""
    smooth = cv2.GaussianBlur(grey, (0, 0), size)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), 3 * size) for product in (dx * dx, dy * dy, dx * dy))
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / np.maximum(xx + yy, 1e-12)
    return float(coherence[within].mean())


def _border(grey: Light, breast: Mask) -> dict[str, float]:
    """How bright the breast is at each depth below its skin."""
    far = cv2.distanceTransform(np.pad(breast.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1] * PIXEL_MM
    found = {}
    for depth in _DEPTHS_MM:
        shell = breast & (np.abs(far - depth) < 0.5)
        found[f"border grey {depth:g} mm deep"] = float(grey[shell].mean()) if shell.any() else 0.0
    return found


def _outline(breast: Mask, area_cm2: float) -> dict[str, float]:
    rows, cols = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    height, width = (float(places[-1] - places[0] + 1) for places in (rows, cols))
    contours, _ = cv2.findContours(breast.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    hull = cv2.contourArea(cv2.convexHull(largest))
    length = cv2.arcLength(largest, closed=True)
    return {
        "outline area": float(np.log(max(area_cm2, 1.0))),
        "outline height to width": height / width,
        "outline fill of its frame": float(breast.sum() / (height * width)),
        "outline solidity": float(cv2.contourArea(largest) / max(hull, 1.0)),
        "outline roughness": float(length / max(cv2.arcLength(cv2.convexHull(largest), closed=True), 1.0)),
    }
