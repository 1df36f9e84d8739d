"""A crop -> a small picture of it that grey scale and size do not change, and numbers to compare many of them by.

Ranks take the place of grey values, so that gamma, window and bit depth make no difference; details are measured
against their surroundings (local contrast normalisation); the coarse ones, as cosine coefficients, are the numbers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LONG_SIDE = 320  # of a small picture, pixels
LEAST_SIDE = 16
_SQUARE = 64  # side of the picture that coefficients are taken from
_GRID = 32
ORDERS = 16  # coefficients per direction
_TISSUE_MARGIN = 4  # pixels of the small picture that the skin line takes
_LEVELS = 65535

Cut = tuple[float, float, float, float]  # shares of the picture cut off at top, bottom, left, right
WHOLE: Cut = (0.0, 0.0, 0.0, 0.0)
# Cuts of up to 5 % per side are met within 1.25 % by one of these.
CUTS: tuple[Cut, ...] = (WHOLE, *((a, b, c, d) for a, b, c, d in itertools.product((0.0125, 0.0375), repeat=4)))
# (mirrored left-right, upside down). A quarter turn is not looked for.
TURNS: tuple[tuple[bool, bool], ...] = ((False, False), (True, False), (False, True), (True, True))


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """A crop at LONG_SIDE pixels.

    ranks   (rows, cols) uint8: the share of pixels that are darker, 0 to 255
    tissue  (rows, cols) bool: breast, without skin and background
    shape   of the crop
    """

    ranks: NDArray[np.uint8]
    tissue: NDArray[np.bool_]
    shape: tuple[int, int]

    def turned(self, *, mirrored: bool, upside_down: bool) -> SmallPicture:
        """The picture mirrored left-right, or top-bottom, or both."""
        step = (slice(None, None, -1 if upside_down else 1), slice(None, None, -1 if mirrored else 1))
        return SmallPicture(np.ascontiguousarray(self.ranks[step]), np.ascontiguousarray(self.tissue[step]), self.shape)


def shrink(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> SmallPicture:
    """The small picture of a crop, (rows, cols)."""
    rows, cols = pixels.shape
    factor = LONG_SIDE / max(rows, cols)
    size = (max(LEAST_SIDE, round(cols * factor)), max(LEAST_SIDE, round(rows * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    grey = np.asarray(cv2.resize(pixels.astype(np.float32), size, interpolation=method), np.float32)
    grey *= 1 / max(float(grey.max()), 1.0)
    return SmallPicture(_rank(grey), _find_tissue(grey), (rows, cols))


def square(picture: SmallPicture) -> NDArray[np.uint8]:
    """(2, 64, 64) uint8, all that `describe` needs of a picture: its ranks, and softly where its tissue is."""
    tissue = picture.tissue.astype(np.float32)
    planes = [cv2.resize(plane, (_SQUARE, _SQUARE), interpolation=cv2.INTER_AREA) for plane in (picture.ranks, tissue)]
    return np.stack([planes[0], np.rint(255 * _blur(np.asarray(planes[1], np.float32), 2.0))]).astype(np.uint8)


def describe(planes: NDArray[np.uint8], cuts: tuple[Cut, ...] = CUTS) -> NDArray[np.float32]:
    """(2, cuts, ORDERS, ORDERS) cosine coefficients, down and across, of a square picture with its sides cut off.

    The first are of the whole picture, the second of its tissue. Copies agree in one of them at least: the whole of
    a film has noise around the breast that a window takes away, and where the tissue ends a window decides.
    Mirroring changes the signs of odd orders only (`sign_of_turn`). The coefficient of the mean is 0, high orders are
    raised as much as breasts lack them; a picture without detail is all 0.
    """
    detail = normalise_contrast(planes[0], fine=1.0, coarse=4.0, floor=4.0)
    of_tissue = detail * (planes[1].astype(np.float32) / 255)
    return np.stack([_describe_plane(plane, cuts) for plane in (detail, of_tissue)])


def _describe_plane(detail: NDArray[np.float32], cuts: tuple[Cut, ...]) -> NDArray[np.float32]:
    found = np.empty((len(cuts), ORDERS, ORDERS), np.float32)
    for place, (top, bottom, left, right) in enumerate(cuts):
        across, down = (1 - left - right) * _SQUARE / _GRID, (1 - top - bottom) * _SQUARE / _GRID
        to_source = np.array(
            [[across, 0, left * _SQUARE + across / 2 - 0.5], [0, down, top * _SQUARE + down / 2 - 0.5]], np.float32
        )
        part = cv2.warpAffine(
            detail,
            to_source,
            (_GRID, _GRID),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        found[place] = cv2.dct(part)[:ORDERS, :ORDERS] * _RAISE
    return found


def sign_of_turn(turn: tuple[bool, bool], orders: int = ORDERS) -> NDArray[np.float32]:
    """(orders, orders) of 1 and -1: what mirroring does to the coefficients."""
    odd = np.where(np.arange(orders) % 2, -1, 1).astype(np.float32)
    even = np.ones(orders, np.float32)
    mirrored, upside_down = turn
    return np.asarray(np.outer(odd if upside_down else even, odd if mirrored else even), np.float32)


def normalise_contrast(picture: NDArray[np.uint8], *, fine: float, coarse: float, floor: float) -> NDArray[np.float32]:
    """(rows, cols) detail between two Gaussian widths (pixels), divided by its own spread around.

    floor  in grey levels, added to the spread, so that flat places stay flat
    """
    smooth = _blur(picture.astype(np.float32), fine)
    detail = smooth - _blur(smooth, coarse)
    return np.asarray(detail / (np.sqrt(_blur(detail * detail, coarse)) + np.float32(floor)), np.float32)


def _blur(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _rank(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Of all pixels, background included: where it ends is not agreed on by copies of different grey scale."""
    levels = np.rint(grey * _LEVELS).astype(np.intp)
    counts = np.bincount(levels.ravel(), minlength=_LEVELS + 1)
    darker = np.cumsum(counts) - counts
    return (darker * 255 // levels.size).astype(np.uint8)[levels]


def _find_tissue(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Brighter than Otsu's threshold on a logarithmic scale, where gamma moves background and breast alike."""
    logarithm = np.log(np.clip(grey * 255, 1, 255)) * np.float32(255 / np.log(255))
    level, _ = cv2.threshold(np.rint(logarithm).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    bright = cv2.medianBlur((logarithm > level).astype(np.uint8), 5)
    side = 2 * _TISSUE_MARGIN + 1
    # the picture's border is no skin: the breast goes on there
    inner = cv2.erode(bright, np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(inner > 0, np.bool_)


def _raise_orders() -> NDArray[np.float32]:
    down, across = np.mgrid[:ORDERS, :ORDERS]
    raised = np.exp(np.hypot(down, across) / 8)
    raised[0, 0] = 0
    return np.asarray(raised, np.float32)


_RAISE = _raise_orders()
