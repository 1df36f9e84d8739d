"""A lesion as a small picture: the crop of each view in grey, its outline, what the networks say, a scale in mm."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fourview.report.picture import BACKGROUND, CROP, TEXT, WARN, Picture, write_text
from fourview.studies.lesion.crops import LesionCrop

SIDE_PX = 288  # of one view
_GAP, _HEAD, _TEXT_PX = 6, 26, 13
_BAR_MM = (1, 2, 5, 10, 20, 50)  # lengths that a scale may have


def draw_lesion(views: Sequence[tuple[str, LesionCrop]], *, synthetic: bool) -> Picture:
    """The crops side by side, RGB, each below its own line of text, as the networks see them: facing right.

    synthetic  nobody was imaged: the picture says so, wherever it is copied to
    """
    cols = len(views) * (SIDE_PX + _GAP) - _GAP
    canvas = np.empty((_HEAD + SIDE_PX, cols, 3), np.uint8)
    canvas[:] = BACKGROUND
    for number, (words, crop) in enumerate(views):
        left = number * (SIDE_PX + _GAP)
        write_text(canvas, words, row=_HEAD - 8, col=left + 2, size_px=_TEXT_PX)
        canvas[_HEAD:, left : left + SIDE_PX] = draw_crop(crop)
    if synthetic:
        write_text(canvas, "synthetic", row=_HEAD + SIDE_PX - 8, col=4, size_px=_TEXT_PX, colour=WARN)
    return canvas


def draw_crop(crop: LesionCrop) -> Picture:
    """(SIDE_PX, SIDE_PX, 3): the greys as they are, the outline as a thin line, a scale if the pixel size is known."""
    grey = np.clip(cv2.resize(crop.pixels, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC), 0, 1)
    picture: Picture = np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    mask = cv2.resize(crop.mask.astype(np.float32), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR) >= 0.5
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, CROP, 1, cv2.LINE_AA)
    if crop.spacing_mm is not None:
        _draw_scale(picture, crop.spacing_mm * len(crop.pixels) / SIDE_PX)
    return picture


def _draw_scale(picture: Picture, spacing_mm: float) -> None:
    """A bar of whole millimetres, about a quarter of the picture long."""
    length_mm = max((mm for mm in _BAR_MM if mm / spacing_mm <= SIDE_PX / 3), default=_BAR_MM[0])
    length = round(length_mm / spacing_mm)
    row, right = SIDE_PX - 8, SIDE_PX - 6
    cv2.line(picture, (right - length, row), (right, row), TEXT, 2)
    write_text(picture, f"{length_mm} mm", row=row - 6, col=max(2, right - length), size_px=10)
