"""Small pictures of crops: where a network looked, the zones of its lesion, and the places that a unit likes best."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.explain.cells import Cells
from fourview.report.map_picture import LOWERS, OUTLINE, RAISES, SHOWN_FROM, STRENGTH
from fourview.report.picture import BACKGROUND, Colour, Picture, write_text
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.signs.zones import Zones

Array = NDArray[np.float32]
SIDE_PX = 300  # of one crop
PATCH_PX = 108  # of one place of a unit
PATCH_SHARE = 0.42  # side of the place, of the crop's
_GAP, _HEAD, _TEXT_PX = 6, 22, 11
MALIGNANT_COLOUR, BENIGN_COLOUR = RAISES, LOWERS


def draw_crop_map(crop: LesionCrop, maps: Sequence[tuple[str, Array]], zones: Zones) -> Picture:
    """The crop as it is with its outline; then with each map on it and the borders of its zones, side by side.

    maps  (words, (side, side)): positive values are shown, each map to the end of its own scale
    """
    plain = _grey(crop.pixels, SIDE_PX)
    pictures = [("as it is, with the outline", _trace(plain.copy(), [zones.lesion], OUTLINE))]
    for words, values in maps:
        coloured = _paint(plain, values)
        pictures.append((words, _trace(coloured, [zones.core, zones.core | zones.margin], OUTLINE)))
    return _in_a_row(pictures, SIDE_PX)


def draw_places(places: Sequence[tuple[LesionCrop, int, bool]], cells: Cells) -> Picture:
    """The surroundings of a cell of each crop, side by side; their frame tells malignant (orange) from benign (blue).

    places  (crop, row * cols + col of the map, malignant)
    """
    sheet = np.empty((PATCH_PX, len(places) * (PATCH_PX + _GAP) - _GAP, 3), np.uint8)
    sheet[:] = BACKGROUND
    for number, (crop, cell, malignant) in enumerate(places):
        patch = cut_place(crop.pixels, cells, cell)
        picture = _grey(patch, PATCH_PX)
        colour = MALIGNANT_COLOUR if malignant else BENIGN_COLOUR
        cv2.rectangle(picture, (0, 0), (PATCH_PX - 1, PATCH_PX - 1), colour, 2)
        left = number * (PATCH_PX + _GAP)
        sheet[:, left : left + PATCH_PX] = picture
    return sheet


def cut_place(pixels: Array, cells: Cells, cell: int) -> Array:
    """The square of the crop about the middle of a cell, shifted into the crop."""
    side = max(2, round(PATCH_SHARE * len(pixels)))
    row, col = divmod(cell, len(cells.cols))
    top, left = (
        int(np.clip(round(float(middle) - side / 2), 0, len(pixels) - side))
        for middle in (cells.rows[row], cells.cols[col])
    )
    return pixels[top : top + side, left : left + side]


def draw_prototype(crops: Sequence[tuple[str, Array]], difference: Array) -> Picture:
    """Standardised inputs side by side, all in the same greys, and then the difference of two, orange up, blue down."""
    low, high = np.percentile(np.stack([values for _, values in crops]), (0.5, 99.5))
    pictures = [
        (words, _grey(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1), SIDE_PX)) for words, values in crops
    ]
    return _in_a_row([*pictures, ("malignant minus benign", _signed(difference))], SIDE_PX)


def _in_a_row(pictures: Sequence[tuple[str, Picture]], side: int) -> Picture:
    canvas = np.empty((_HEAD + side, len(pictures) * (side + _GAP) - _GAP, 3), np.uint8)
    canvas[:] = BACKGROUND
    for number, (words, picture) in enumerate(pictures):
        left = number * (side + _GAP)
        write_text(canvas, words, row=_HEAD - 7, col=left + 2, size_px=_TEXT_PX)
        canvas[_HEAD:, left : left + side] = picture
    return canvas


def _grey(values: Array, side: int) -> Picture:
    """values 0 to 1"""
    method = cv2.INTER_CUBIC if len(values) < side else cv2.INTER_AREA
    large = np.clip(cv2.resize(values, (side, side), interpolation=method), 0, 1)
    return np.repeat(np.asarray(large * 255, np.uint8)[..., None], 3, axis=2)


def _paint(grey: Picture, values: Array) -> Picture:
    side = len(grey)
    positive = np.asarray(cv2.resize(np.maximum(values, 0), (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    end = float(np.percentile(positive, 99.5))
    share = positive / end if end > 0 else positive
    strength = STRENGTH * np.clip((share - SHOWN_FROM) / (1 - SHOWN_FROM), 0, 1)[..., None]
    return np.asarray(np.rint(grey * (1 - strength) + np.array(RAISES, np.float32) * strength), np.uint8)


def _signed(values: Array) -> Picture:
    side = SIDE_PX
    large = np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    end = max(float(np.percentile(np.abs(large), 99.5)), 1e-9)
    share = np.clip(large / end, -1, 1)[..., None]
    middle = np.full((side, side, 3), 40, np.float32)
    up, down = np.maximum(share, 0), np.maximum(-share, 0)
    mixed = middle * (1 - up - down) + np.array(RAISES, np.float32) * up + np.array(LOWERS, np.float32) * down
    return np.asarray(np.rint(mixed), np.uint8)


def _trace(picture: Picture, masks: Sequence[NDArray[np.bool_]], colour: Colour) -> Picture:
    side = len(picture)
    for mask in masks:
        large = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR) >= 0.5
        lines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(picture, lines, True, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.polylines(picture, lines, True, colour, 1, cv2.LINE_AA)
    return picture
