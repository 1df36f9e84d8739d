"""What a detector makes of tissue: blur and noise, both in mm. See fourview.phantom.profiles for the units."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.profiles import Noise

_SHARP = 0.01  # pixels²: a blur of less variance changes nothing that could be seen
_TAPS = 32  # half the length of the longest kernel: enough for a standard deviation of 6 pixels


def expose(
    tissue: NDArray[np.float32],
    *,
    noise: Noise,
    blur_mm: float,
    pixel_mm: float,
    fine_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(rows, cols) float32: the brightness with the blur of the detector, photon noise and read-out noise.

    fine_mm  pixels of the detector itself; larger pixels are several of them averaged

    The photons' noise is blurred as the tissue is (both pass the detector), read-out noise is white. Model: Siewerdsen
    et al., Med Phys 1997, in the logarithm of the exposure, where the noise of n photons has the standard deviation
    1/sqrt(n) and a constant read-out noise grows as one over the exposure.
    """
    light = _blur(tissue, (blur_mm / pixel_mm) ** 2)
    photons = rng.standard_normal(tissue.shape, dtype=np.float32)
    photons = _blur(photons, _binned_variance((blur_mm / fine_mm) ** 2, pixel_mm / fine_mm))
    photons *= np.float32(noise.quantum_mm2**0.5 / pixel_mm)
    read_out = rng.standard_normal(tissue.shape, dtype=np.float32)
    read_out *= np.float32(noise.electronic_mm2**0.5 / pixel_mm)
    fewer = cv2.exp(light * np.float32(noise.attenuation / 2))  # one over the square root of the share of photons
    read_out *= fewer
    photons += read_out
    photons *= fewer
    photons += light
    return photons


def _blur(image: NDArray[np.float32], variance: float) -> NDArray[np.float32]:
    """Blurred by the discrete Gaussian of this variance (pixels²); a sampled one blurs too little below one pixel."""
    if variance < _SHARP:
        return image
    reach = min(int(np.ceil(4 * variance**0.5)) + 2, _TAPS)
    taps = _gaussian(variance)
    kernel = np.concatenate([taps[reach:0:-1], taps[: reach + 1]])
    kernel = (kernel / kernel.sum()).astype(np.float32)
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)


def _gaussian(variance: float) -> NDArray[np.float64]:
    """The discrete Gaussian (Lindeberg, IEEE PAMI 1990) at 0, 1, 2 ... pixels from its middle."""
    wave = np.pi * np.arange(2 * _TAPS + 1) / (2 * _TAPS)
    return np.asarray(np.fft.irfft(np.exp(variance * (np.cos(wave) - 1)), 4 * _TAPS)[: _TAPS + 1])


def _binned_variance(variance: float, pixels: float) -> float:
    """The blur (pixels²) that gives white noise the strength of finer noise that was blurred and then averaged.

    variance  of the blur of the fine noise, in fine pixels²
    pixels    fine ones along the side of one coarse pixel, 1 or more

    Averages of neighbouring squares share what was blurred across their border, so this is more than
    variance / pixels². Both noises have the same power at low frequencies and the same standard deviation.
    """
    alike = _gaussian(2 * variance)  # correlation of the fine noise
    lost = 1 - np.arange(_TAPS + 1) / pixels
    kept = alike[0] + 2 * (alike[1:] * np.clip(lost[1:], 0, 1)).sum()
    low, high = 0.0, max(variance, 1.0)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian(2 * middle)[0] > kept else (low, middle)
    return (low + high) / 2
