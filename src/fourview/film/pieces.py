"""What stands on a film beside its breast: white edges, labels; and what looks so and is a nipple.

Masks here are (rows, cols) uint8 of 0 and 1, as OpenCV takes them; grey is the film as square roots of its grey levels,
255 the brightest; px is working pixels per mm.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

WHITE = 0.9  # of the brightest grey: film that no light reached, lead letters
FRAME_SHARE = 0.25  # of a side: the broadest white edge of the film
LETTER_MM2 = 10.0  # the smallest label at the breast: smaller white spots may be calcium
NEAR_MM, DIM = 6.0, 2.0  # a piece this near to tissue, and at most DIM times as light as its rim, may be tissue


def above(grey: Mask, level: float | NDArray[np.float32]) -> Mask:
    return (grey > level).astype(np.uint8)


def inverse(mask: Mask) -> Mask:
    return np.asarray(1 - mask, np.uint8)


def distance_to(mask: Mask) -> NDArray[np.float32]:
    """Of each pixel to the mask, in pixels."""
    return np.asarray(cv2.distanceTransform(inverse(mask), cv2.DIST_L2, 5), np.float32)


def widen(mask: Mask, pixels: float) -> Mask:
    return (distance_to(mask) <= pixels).astype(np.uint8) if mask.any() else mask


def not_joined(bright: Mask, core: Mask) -> Mask:
    """The pieces of a mask that are not joined to the core."""
    _, labels = cv2.connectedComponents(bright | core, connectivity=4)
    joined = np.zeros(labels.max() + 1, np.uint8)
    joined[labels[core > 0]] = 1
    return np.asarray(bright & (1 - joined[labels]), np.uint8)


def white_frame(grey: Mask, *, least: int) -> Mask:
    """The outermost rows and columns that are white nearly all along, where the film is not so white further in.

    least  lines of a frame; what is narrower never counts as thick (film.find_breast)
    White tissue has no such sharp end. JPEG blurs frames, so that ingest.grey.blank_frame, which wants them constant,
    does not see them.
    """
    frame = np.zeros_like(grey)
    for turned, out in ((grey, frame), (grey[::-1], frame[::-1]), (grey.T, frame.T), (grey.T[::-1], frame.T[::-1])):
        share = above(turned, 255 * WHITE**0.5).mean(axis=1)
        white = share[: int(FRAME_SHARE * len(turned))] > 0.98
        ends = white & (np.cumsum(white) >= 0.8 * np.arange(1, len(white) + 1))  # a few lines are blurred
        width = int(np.flatnonzero(ends).max(initial=-1)) + 1
        if width >= least and (share[width + least :][:1] < 0.8).all():
            out[:width] = 1
    return frame


def white_labels(grey: Mask, core: Mask, px: float) -> Mask:
    """White pieces that do not touch the core: labels over the skin, edges of the film that grey joins to it.

    Those that touch it may be tissue: the fold below the breast is as white in some films.
    """
    white = not_joined(above(grey, 255 * WHITE**0.5), core)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(white, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= LETTER_MM2 * px**2
    large[0] = False
    return np.asarray(large[labels], np.uint8)


def near_tissue(pieces: Mask, grey: Mask, core: Mask, *, tissue: float, px: float) -> Mask:
    """Those of the pieces that may be tissue: near the core, and hardly lighter than its rim or smaller than a letter.

    So are nipples, folds of skin, and calcium in the skin.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces, connectivity=8)
    near, light = np.zeros(len(stats), bool), np.zeros(len(stats), bool)
    near[labels[distance_to(core) <= NEAR_MM * px]] = True
    light[labels[grey > DIM**0.5 * tissue]] = True
    kept = near & (~light | (stats[:, cv2.CC_STAT_AREA] < LETTER_MM2 * px**2))
    kept[0] = False
    return np.asarray(kept[labels], np.uint8)
