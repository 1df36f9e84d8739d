"""Optical density of DDSM films: what the four scanners measured, on one scale.

Every scanner writes high grey values for thin film, but each on its own scale, and the DBA on a logarithmic one. Most
DBA cases of DDSM are normal and the others cancers, so that grey values alone would tell a classifier the answer:
calibrate first, and report by scanner. Calibration curves: Heath et al. 2001, as published with DDSM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError

LOWEST, HIGHEST = 0.05, 3.0  # optical density; beyond, the scanners mostly saw noise
_WHITE = 65535


@dataclass(frozen=True)
class Scanner:
    """One digitizer at one site.

    name      "LUMISYS", or "HOWTEK MGH" and "HOWTEK ISMD", which were calibrated apart
    bits, um  of its pixels, as published; the .ics file of a case has the last word on um
    offset, slope, logarithmic  density = offset + slope * g, or of log10(g + 1) instead of g
    """

    name: str
    bits: int
    um: float
    offset: float
    slope: float
    logarithmic: bool = False


_DBA = Scanner("DBA", 16, 42, offset=4.80662 / 1.07553, slope=-1 / 1.07553, logarithmic=True)
_HOWTEK_MGH = Scanner("HOWTEK MGH", 12, 43.5, offset=3.789, slope=-0.00094568)
_LUMISYS = Scanner("LUMISYS", 12, 50, offset=4096.99 / 1009.01, slope=-1 / 1009.01)
_HOWTEK_ISMD = Scanner("HOWTEK ISMD", 12, 43.5, offset=3.96604095240593, slope=-0.00099055807612)
_SCANNERS = {
    ("A", "DBA"): _DBA,
    ("A", "HOWTEK"): _HOWTEK_MGH,
    ("B", "LUMISYS"): _LUMISYS,
    ("C", "LUMISYS"): _LUMISYS,
    ("D", "HOWTEK"): _HOWTEK_ISMD,
}


def scanner_of(prefix: str, digitizer: str) -> Scanner | None:
    """The scanner of a case; None where DDSM has no calibration for that pair.

    prefix     first letter of the case's file names: A, B, C, D
    digitizer  as the .ics file says it, e.g. "LUMISYS LASER"
    """
    words = digitizer.upper().split()
    return _SCANNERS.get((prefix.upper(), words[0])) if words else None


def optical_density(grey: NDArray[Any], scanner: Scanner) -> NDArray[np.float32]:
    """Optical density of each pixel, float32 in [0.05, 3.0]; dark film (no breast) is high. For training.

    grey  (rows, cols) unsigned integers as the scanner wrote them; see check_values
    """
    check_values(grey, scanner)
    return np.asarray(_density_of_every_value(scanner)[grey], np.float32)


def check_values(grey: NDArray[Any], scanner: Scanner) -> None:
    """Raises ExamError if the values are not the scanner's own: of 8 bits, or more than it has."""
    if grey.dtype != np.uint16:
        raise ExamError(
            f"found pixels of type {grey.dtype}: need the 16-bit values that the scanner {scanner.name} wrote"
        )
    highest = int(grey.max(initial=0))
    if highest >> scanner.bits:
        raise ExamError(
            f"found the value {highest}, the scanner {scanner.name} has {scanner.bits} bits: a rescaled copy; need "
            "the values as it wrote them"
        )


def film_lightness(grey: NDArray[np.uint16], scanner: Scanner) -> NDArray[np.float32]:
    """How much lighter than black each pixel is, in units of density, float32 from 0: where to look for the breast.

    grey  as optical_density takes it. Nothing is cut off: the skin is darker than HIGHEST.
    """
    return np.asarray(_lightness_of_every_value(scanner)[grey], np.float32)


def density_to_pixels(density: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Pixels as the store keeps them, uint16, breast bright: density 3.0 and more -> 0, 0.05 and less -> 65535.

    Linear in between; a step is 0.000045, a twentieth of that of the 12-bit scanners.
    """
    share = (HIGHEST - np.clip(density, LOWEST, HIGHEST)) / (HIGHEST - LOWEST)
    return np.asarray(np.rint(share * _WHITE), np.uint16)


def pixels_to_density(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The way back from stored pixels: optical density, float32."""
    return np.asarray(HIGHEST - pixels.astype(np.float64) * ((HIGHEST - LOWEST) / _WHITE), np.float32)


def _density_of_every_value(scanner: Scanner) -> NDArray[np.float32]:
    return np.clip(scanner.offset - _lightness_of_every_value(scanner), LOWEST, HIGHEST).astype(np.float32)


def _lightness_of_every_value(scanner: Scanner) -> NDArray[np.float64]:
    values = np.arange(1 << 16, dtype=np.float64)
    return -scanner.slope * (np.log10(values + 1) if scanner.logarithmic else values)
