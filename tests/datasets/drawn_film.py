"""A digitised film, drawn: the breast and its fading skin, and what else is on such a scan."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

ROWS, COLS, SPACING_MM = 480, 360, 0.5  # 240 x 180 mm
BACKGROUND, TISSUE, WHITE = 10, 90, 250
LABEL = slice(40, 60), slice(290, 336)  # lead letters in the corner, 10 x 23 mm
LETTER = slice(104, 116), slice(133, 143)  # one near the breast, 6 x 5 mm
NAME = slice(430, 460), slice(280, 340)  # a name that was blacked out
EDGE = 8  # rows of white at the top: 4 mm of film that no light reached


@dataclass(frozen=True, eq=False)
class DrawnFilm:
    """pixels  (rows, cols) uint8, the breast faces right

    breast  where it is lighter than the background, but for LETTER and its blur
    """

    pixels: NDArray[np.uint8]
    breast: NDArray[np.bool_]


def draw_film(*, background: int = BACKGROUND, fades_mm: float = 12, seed: int = 0) -> DrawnFilm:
    """A film with label, tape, blacked-out name, white edge, bands and noise in its background, and a nipple.

    background  grey level
    fades_mm    from the last full tissue to the background
    """
    y, x = np.mgrid[:ROWS, :COLS]
    inside = (((y - 250) / 150) ** 2 + (x / 170) ** 2 < 1).astype(np.uint8)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) * SPACING_MM
    share = np.clip(1 - distance / fades_mm, 0, 1) ** 2
    nipple = (y - 250) ** 2 + (x - 182) ** 2 < 10**2
    share[nipple] = np.maximum(share[nipple], 0.4)
    bands = 2 * ((x // 40) % 2)
    image = background + bands * (background > 0) + (TISSUE - background) * share
    image[20:30, 200:340] += 8  # tape
    image[LABEL] = image[LETTER] = WHITE
    image[NAME] = 0
    image[:EDGE] = WHITE
    image += np.random.default_rng(seed).normal(0, 1, image.shape) * (background > 0)
    breast = share * (TISSUE - background) > 2
    breast[LETTER[0].start - 4 : LETTER[0].stop + 4, LETTER[1].start - 4 : LETTER[1].stop + 4] = False
    return DrawnFilm(np.clip(np.rint(image), 0, 255).astype(np.uint8), breast)
