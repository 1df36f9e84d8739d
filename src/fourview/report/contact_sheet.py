"""Many mammograms at a glance: thumbnails with crop boxes and names, in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fourview.exam import ImageReading, Mammogram
from fourview.report.picture import (
    BACKGROUND,
    FAINT,
    Picture,
    draw_crop,
    fit_text,
    grey_picture,
    write_text,
)

TILE = 200  # rows and columns that a thumbnail has at most
_GAP, _CAPTION = 6, 36


@dataclass(frozen=True, eq=False)
class Tile:
    """One thumbnail: a picture of at most TILE x TILE, and two lines below it."""

    picture: Picture
    title: str
    detail: str = ""


def draw_thumbnail(mammogram: Mammogram, image: ImageReading) -> Picture:
    """The whole image, small, with its crop box: at most TILE x TILE."""
    picture = grey_picture(mammogram.pixels, image.frame, rows=TILE, cols=TILE)
    draw_crop(picture, image)
    return picture


def draw_contact_sheet(tiles: Sequence[Tile], *, columns: int = 10) -> Picture:
    """The tiles in rows of `columns`, in the given order, (rows, cols, 3) uint8 RGB."""
    columns = max(1, min(columns, len(tiles)))
    height, width = TILE + _CAPTION + _GAP, TILE + _GAP
    rows = -(-len(tiles) // columns)
    sheet = np.empty((rows * height + _GAP, columns * width + _GAP, 3), np.uint8)
    sheet[:] = BACKGROUND
    for number, tile in enumerate(tiles):
        top = _GAP + number // columns * height
        left = _GAP + number % columns * width
        h, w = tile.picture.shape[:2]
        inset = (TILE - w) // 2
        sheet[top : top + h, left + inset : left + inset + w] = tile.picture
        title = fit_text(tile.title, width_px=TILE, size_px=10)
        write_text(sheet, title, row=top + TILE + 14, col=left, size_px=10)
        detail = fit_text(tile.detail, width_px=TILE, size_px=9)
        write_text(sheet, detail, row=top + TILE + 30, col=left, size_px=9, colour=FAINT)
    return sheet
