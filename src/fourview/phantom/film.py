"""Screen-film mammograms and their scans: optical density, grain, fog, labels, scratches, dust, the scanner's border.

A film is darker the more light it gets: density = fog + (max - fog) / (1 + 10^(-slope x)), x the decimal logarithm of
the exposure (Hurter and Driffield). The scanner writes 8 bits linear in density, bright where the film is clear, as
the public film collections do. Air is black but never 0: it is fogged, unevenly.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.detector import expose
from fourview.phantom.markers import Place, burn_ball, burn_lines, burn_text, find_place, measure_text
from fourview.phantom.profiles import Noise, Profile

FOG, DARKEST = 0.2, 3.8  # optical density of unexposed film, and of film that was exposed to the full
SLOPE = 1.45  # steepest about 3 densities per decade of exposure, as of mammography film
DECADES = 1.24  # of exposure between brightness 0 and 1: fat is a middle grey, as in mini-MIAS and Mini-DDSM
MIDDLE = 0.12  # brightness of medium density
AIR = -0.55  # brightness of air: it attenuates less than any tissue
SCANNER = 3.95  # optical density that the scanner writes as 0
WHITE_DENSITY = FOG  # where lead kept the light away
_NOISE = Noise(quantum_mm2=8e-7, electronic_mm2=0.0, attenuation=2.0)  # photons in the screen
_GRAIN_MM2 = 4e-6  # power of the grain at density 1, density² mm²; it grows with the density (Selwyn)
_UNEVEN = 0.10  # standard deviation of the fog, in densities
_LABEL_MM = 4.0  # height of the label's letters


def develop(
    tissue: NDArray[np.float32], breast: NDArray[np.bool_], *, profile: Profile, pixel_mm: float, key: Sequence[int]
) -> NDArray[np.float32]:
    """(rows, cols) float32 optical density of the film behind this tissue (facing right)."""
    rng = np.random.default_rng([*key, 50])
    light = np.where(breast, tissue, np.float32(AIR))
    light = expose(light, noise=_NOISE, blur_mm=profile.blur_mm, pixel_mm=pixel_mm, fine_mm=profile.pixel_mm, rng=rng)
    density = FOG + (DARKEST - FOG) / (1 + 10 ** (-SLOPE * DECADES * (MIDDLE - light)))
    density += np.float32(_UNEVEN) * _fog(light.shape, rng) * density / np.float32(DARKEST)
    grain = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(_GRAIN_MM2**0.5 / pixel_mm)
    return np.asarray(density + grain * np.sqrt(density), np.float32)


def scan(
    density: NDArray[np.float32],
    breast: NDArray[np.bool_],
    *,
    label: str,
    flipped: bool,
    pixel_mm: float,
    key: Sequence[int],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[str, ...]]:
    """(rows, cols) uint8 as scanned, (rows, cols) bool where the film lies, and the texts that were burned in.

    density, breast  as hung: `flipped` says that the chest wall is on the right; densities are overwritten
    label            what the film is called
    """
    rng = np.random.default_rng([*key, 70])
    mm = 1 / pixel_mm
    texts = _write_label(
        density, breast[:, ::-1] if flipped else breast, label, flipped=flipped, pixel_mm=pixel_mm, rng=rng
    )
    _scratch(density, rng, mm)
    on_film, beyond = _lay(density.shape, rng, mm, chest_wall_right=flipped)
    density[~on_film] = beyond
    grey = np.clip(np.rint(255 * (1 - density / np.float32(SCANNER))), 1, 255)
    return grey.astype(np.uint8), on_film, texts


def _fog(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth unevenness with a standard deviation of about 1 over many films."""
    coarse = rng.standard_normal((4, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _write_label(
    density: NDArray[np.float32],
    breast: NDArray[np.bool_],
    text: str,
    *,
    flipped: bool,
    pixel_mm: float,
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """A clear field with letters in the lower corner, where real films name the patient: here it says what this is."""
    wide = measure_text(text, _LABEL_MM)
    place = find_place(breast[::-1], (2.2 * _LABEL_MM, wide + 2 * _LABEL_MM), pixel_mm=pixel_mm, rng=rng)
    if place is None:
        return ()
    row = density.shape[0] - 1 - place.row
    place = Place(row, place.col, place.height, place.width)
    if flipped:
        place = place.mirror(density.shape[1])
    top, left = round(place.row - place.height / 2), round(place.col - place.width / 2)
    density[top : round(top + place.height), left : round(left + place.width)] *= np.float32(rng.uniform(0.15, 0.5))
    burn_text(density, text, Place(place.row, place.col, _LABEL_MM / pixel_mm, wide / pixel_mm), 2.6)
    return (text,)


def _scratch(density: NDArray[np.float32], rng: np.random.Generator, mm: float) -> None:
    """Scratches, lines of the developer's rollers, and dust: all clearer than the film around them."""
    rows, cols = density.shape
    lost = np.zeros_like(density)  # share of the density that is scratched away
    thin = 0.12 * mm
    for _ in range(rng.poisson(2)):
        start = rng.uniform(0, (cols, rows))
        turn, length = rng.normal(np.pi / 2, 0.5), rng.uniform(10, 80) * mm
        steps = np.linspace(0, 1, 6)[:, None]
        bend = rng.normal(0, 0.004, (6, 1)).cumsum(axis=0)
        way = start + length * (steps * np.array([np.cos(turn), np.sin(turn)]) + bend)
        burn_lines(lost, [way], thin, rng.uniform(0.1, 0.5) * min(1, thin))  # finer than a pixel: fainter
    for _ in range(rng.poisson(15)):
        row, col = rng.uniform(0, (rows - 1, cols - 1))
        burn_ball(lost, row, col, rng.uniform(0.1, 0.35) * mm, rng.uniform(0.2, 0.7))
    if rng.random() < 0.3:
        col = rng.uniform(0, cols)
        burn_lines(lost, [np.array([(col, 0.0), (col, rows)])], thin, 0.1 * min(1, thin))
    density *= 1 - lost


def _lay(
    shape: tuple[int, ...], rng: np.random.Generator, mm: float, *, chest_wall_right: bool
) -> tuple[NDArray[np.bool_], np.float32]:
    """Where the film lies under the scanner, and the density that the scanner sees beside it (clear, or its cover)."""
    rows, cols = shape
    y, x = np.arange(rows)[:, None], np.arange(cols)[None, :]
    wide = np.where(rng.random(4) < (0.7, 0.7, 0.4, 0.1), rng.uniform(0.3, 4, 4), 0) * mm
    wide[3] = min(wide[3], 1.0 * mm)  # the chest wall lies at the edge of the film
    tilt = np.where(wide > 0, rng.normal(0, 0.003, 4), 0)  # radians: films are laid by hand
    left, right = (2, 3) if chest_wall_right else (3, 2)
    inside = (y >= wide[0] + tilt[0] * x) & (rows - 1 - y >= wide[1] + tilt[1] * x)
    inside &= (x >= wide[left] + tilt[left] * y) & (cols - 1 - x >= wide[right] + tilt[right] * y)
    return inside, np.float32(0.0 if rng.random() < 0.7 else SCANNER)
