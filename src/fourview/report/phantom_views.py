"""Pictures of a synthetic exam: four views hung as a reader hangs them, masks outlined, each finding from near."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Side, View
from fourview.phantom import PhantomFinding, PhantomImage, Truth
from fourview.phantom.acquisition import read_stored
from fourview.report.picture import FAINT, TEXT, Colour, Picture, area_means, text_width, write_text

HANGING = ((View.R_CC, View.L_CC), (View.R_MLO, View.L_MLO))  # right breast on the left, chest walls together
ROWS, COLS = 1000, 720  # of one view in the hanging, at most
NEAR_PX, NEAR = 300, 2.6  # sides of a detail: of the picture, and of the finding's box
LEAST_NEAR_MM = 24.0
# Okabe and Ito's colours, which colour-blind readers tell apart
WHAT: Mapping[str, Colour] = {
    "malignant, biopsied": (230, 100, 20),
    "benign, biopsied": (86, 180, 233),
    "biopsied at another exam": (204, 121, 167),
    "never biopsied (distractor)": (240, 228, 66),
}
_SHOWN = (1.0, 99.7)  # percentiles of the breast that are black and white
_QUALITY = 90
_DARK = 8  # of 255: the darkest of a breast that is looked for
_MARGIN = 0.012  # of the rows, around the breasts
_NUMBER_PX = 18
_COVERED = 0.3  # share of a pixel of the picture


def what_is(finding: PhantomFinding) -> str:
    """Which sort of finding this is at this exam, in the words of the legend."""
    if finding.biopsied:
        return "malignant, biopsied" if finding.malignant else "benign, biopsied"
    return "never biopsied (distractor)" if finding.p_malignant is None else "biopsied at another exam"


@dataclass(frozen=True, eq=False)
class Shown:
    """One view as it is looked at: bright is dense, windowed, left breasts facing right and right ones left.

    grey   (rows, cols) uint8
    masks  place in the plan's findings -> (rows, cols) bool
    """

    view: View
    grey: NDArray[np.uint8]
    masks: Mapping[int, NDArray[np.bool_]]
    spacing_mm: float


def show_view(truth: Truth, image: PhantomImage) -> Shown:
    """The window of each view is its own: the 1st and 99.7th percentile of the breast are black and white."""
    pixels = read_stored(image.pixels, image.acquired.profile)
    masks = {number: mask for (view, number), mask in truth.masks.items() if view is image.view}
    if image.faces != image.view.usual_direction:
        pixels, masks = pixels[:, ::-1], {number: mask[:, ::-1] for number, mask in masks.items()}
    breast = pixels[pixels > 0][::7]
    low, high = (float(v) for v in np.percentile(breast, _SHOWN)) if breast.size else (0.0, 1.0)
    grey = np.clip((pixels.astype(np.float32) - low) / max(high - low, 1), 0, 1) * 255
    return Shown(image.view, np.ascontiguousarray(grey.astype(np.uint8)), masks, image.spacing_mm)


def trim_views(shown: Mapping[View, Shown]) -> dict[View, Shown]:
    """The views without what lies beside the breasts: the same columns of all four, the same rows of both sides."""
    extents = {view: _extent(one.grey, view) for view, one in shown.items()}
    depth = max(cols for _, cols in extents.values())
    trimmed = {}
    for row in HANGING:
        rows = slice(min(extents[view][0].start for view in row), max(extents[view][0].stop for view in row))
        for view in row:
            cols = slice(0, depth) if view.usual_direction == "right" else slice(-depth, None)
            one = shown[view]
            masks = {number: mask[rows, cols] for number, mask in one.masks.items()}
            trimmed[view] = Shown(view, one.grey[rows, cols], masks, one.spacing_mm)
    return trimmed


def _extent(grey: NDArray[np.uint8], view: View) -> tuple[slice, int]:
    """Rows of the largest bright piece, and how far it reaches from the chest wall, with a margin."""
    stats = cv2.connectedComponentsWithStats((grey > _DARK).astype(np.uint8), connectivity=4)[2]
    if len(stats) < 2:
        return slice(0, grey.shape[0]), grey.shape[1]
    left, top, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    rows, cols = grey.shape
    margin = round(_MARGIN * rows)
    reach = left + width if view.usual_direction == "right" else cols - left
    return slice(max(0, top - margin), min(rows, top + height + margin)), min(cols, reach + margin)


def hang_views(trimmed: Mapping[View, Shown], findings: tuple[PhantomFinding, ...], *, outlined: bool) -> bytes:
    """The four views as one JPEG: CC above MLO, right breast on the left, the chest walls together in the middle.

    trimmed   as trim_views gives them
    outlined  with the outline and the number of every finding that can be seen, and what the colours mean
    """
    factor = min(min(ROWS / one.grey.shape[0], COLS / one.grey.shape[1]) for one in trimmed.values())
    tiles = {view: _draw(one, findings, factor=factor, outlined=outlined) for view, one in trimmed.items()}
    width = max(tile.shape[1] for tile in tiles.values())
    heights = [max(tiles[view].shape[0] for view in row) for row in HANGING]
    gap, size_px = 4, max(10, 2 * width // 75)
    foot = 2 * size_px
    canvas = np.zeros((sum(heights) + gap + foot, 2 * width + gap, 3), np.uint8)
    top = 0
    for row, height in zip(HANGING, heights, strict=True):
        for view in row:
            right, tile = view.side is Side.RIGHT, tiles[view]
            left = width - tile.shape[1] if right else width + gap
            canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            text = view.value.replace("-", " ")
            col = size_px if right else canvas.shape[1] - size_px - text_width(text, size_px=size_px)
            write_text(canvas, text, row=top + 2 * size_px, col=col, size_px=size_px)
        top += height + gap
    if outlined:
        _write_legend(canvas, {what_is(f) for f in findings if f.visible}, size_px=size_px)
    return _jpeg(canvas)


def show_near(shown: Shown, number: int, colour: Colour, *, outlined: bool) -> bytes:
    """One finding in one view from near, as JPEG, in the pixels of the image or larger."""
    mask = shown.masks[number]
    places = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    size = max(int(found[-1] - found[0]) + 1 for found in places)
    side = max(math.ceil(NEAR * size), math.ceil(LEAST_NEAR_MM / shown.spacing_mm))
    cut = []
    for found, length in zip(places, mask.shape, strict=True):
        start = min(max(0, (int(found[0]) + int(found[-1])) // 2 - side // 2), max(0, length - side))
        cut.append(slice(start, min(length, start + side)))
    picture = _resize(shown.grey[cut[0], cut[1]], NEAR_PX / side)
    if outlined:
        _outline(picture, mask[cut[0], cut[1]], colour, thick=1)
    return _jpeg(picture)


def _draw(shown: Shown, findings: tuple[PhantomFinding, ...], *, factor: float, outlined: bool) -> Picture:
    picture = _resize(shown.grey, factor)
    if outlined:
        for number, mask in shown.masks.items():
            colour, text = WHAT[what_is(findings[number])], str(number + 1)
            right, row = _outline(picture, mask, colour, thick=2)
            col = min(right + 6, picture.shape[1] - 6 - text_width(text, size_px=_NUMBER_PX, bold=True))
            for shift in (-2, 2):  # dark around the number: it may lie on bright tissue
                write_text(picture, text, row=row, col=col + shift, size_px=_NUMBER_PX, colour=(0, 0, 0), bold=True)
            write_text(picture, text, row=row, col=col, size_px=_NUMBER_PX, colour=colour, bold=True)
    return picture


def _resize(grey: NDArray[np.uint8], factor: float) -> Picture:
    """Area means where it shrinks, smooth where it grows; (rows, cols, 3)."""
    shape = (max(1, round(grey.shape[0] * factor)), max(1, round(grey.shape[1] * factor)))
    sized = area_means(grey, shape) if factor <= 1 else cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.asarray(sized, np.uint8)[..., None], 3, axis=2)


def _outline(picture: Picture, mask: NDArray[np.bool_], colour: Colour, *, thick: int) -> tuple[int, int]:
    """Drawn just outside of the finding; where a text may begin right of it, (col, row) of the picture."""
    covered = np.asarray(cv2.resize(mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA))
    least = min(_COVERED, float(covered.max()))  # a finding may be smaller than a pixel of the picture
    grown = cv2.dilate((covered >= least).astype(np.uint8), np.ones((7, 7), np.uint8))
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, thick, cv2.LINE_AA)
    every = np.concatenate(contours)[:, 0]
    return int(every[:, 0].max()), int(every[:, 1].mean()) + 5


def _write_legend(canvas: Picture, there: set[str], *, size_px: int) -> None:
    """Colour, word; colour, word; in the last rows."""
    row, col = canvas.shape[0] - size_px // 2, size_px
    for what, colour in WHAT.items():
        if what in there:
            cv2.rectangle(canvas, (col, row - size_px), (col + size_px, row), colour, 2, cv2.LINE_AA)
            col += round(1.6 * size_px)
            write_text(canvas, what, row=row, col=col, size_px=size_px, colour=TEXT)
            col += text_width(what, size_px=size_px) + 2 * size_px
    if not there:
        write_text(canvas, "nothing that can be seen was planted", row=row, col=col, size_px=size_px, colour=FAINT)


def _jpeg(picture: Picture) -> bytes:
    done, content = cv2.imencode(
        ".jpg",
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    )
    if not done:
        raise OSError(f"a picture of shape {picture.shape} could not be coded as JPEG")
    return bytes(content)
