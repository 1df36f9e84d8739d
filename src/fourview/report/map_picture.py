"""One mammogram and where in it a score comes from: as it is, with the map on it, and the strongest place from near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Frame, Mammogram
from fourview.report.meaning import RESEARCH_ONLY
from fourview.report.picture import (
    BACKGROUND,
    FAINT,
    TEXT,
    WARN,
    Colour,
    Picture,
    area_means,
    draw_nipple_arrow,
    fit_text,
    grey_picture,
    text_width,
    wrap_text,
    write_text,
)

# Okabe and Ito's vermilion and sky blue: told apart on grey by those who cannot see red and green
RAISES: Colour = (255, 110, 20)
LOWERS: Colour = (70, 170, 255)
OUTLINE: Colour = (250, 250, 250)
STRENGTH = 0.75  # share of the colour at the end of the scale
SHOWN_FROM = 0.08  # of the scale: what is weaker keeps the look of the tissue
SCALE_PERCENTILE = 99.5  # of the positive values of all maps of a score, at the size of a picture: the scale's end
SMOOTH_SHARE = 0.01
_ROWS, _MOST_COLS, _DETAIL = 860, 620, 430
_HEAD, _FOOT, _GAP, _PANEL, _MARGIN = 62, 34, 10, 430, 20
_DETAIL_SHARE = 0.28  # side of the detail, of the crop's shorter side
PASSED: Colour = (120, 205, 140)
_BAR_MM = (1, 2, 5, 10, 20, 50)  # lengths that a scale may have


@dataclass(frozen=True, eq=False)
class MapFact:
    """One line beside the picture. passed: of a test; None: a fact"""

    text: str
    passed: bool | None = None


@dataclass(frozen=True, eq=False)
class MapShown:
    """What a picture is drawn from.

    title     "Left breast, CC view";  subtitle  what the map shows, in words
    box       the crop in the pixels of the file;  values  (rows, cols) of the box, any sign
    seen      the part that the network looked at, pixels of the file
    signed    whether negative values are shown
    limit     value at the end of the scale (`scale_limit`); 0: nothing is shown
    outline   (rows, cols) bool of the file, of known lesions; None: none are known
    facts     lines of the panel;  marks  reasons to distrust the network
    ends      of the scale, in words;  note  below it
    """

    title: str
    subtitle: str
    box: Box
    values: NDArray[np.float32]
    seen: Box
    signed: bool
    limit: float
    outline: NDArray[np.bool_] | None
    facts: tuple[MapFact, ...]
    marks: tuple[str, ...] = ()
    ends: tuple[str, str] | None = None
    note: str = "one scale for all images of this score"


def scale_limit(values: Sequence[NDArray[np.float32]]) -> float:
    """The end of the scale that maps of one score share: a high percentile of their positive values as drawn."""
    small = np.concatenate([_reduce(np.maximum(one, 0)).ravel() for one in values])
    positive = small[small > 0]
    return float(np.percentile(positive, SCALE_PERCENTILE)) if positive.size else 0.0


def smooth_values(values: NDArray[np.float32], seen: Box) -> NDArray[np.float32]:
    """A map of single pixels for looking at: blurred by SMOOTH_SHARE of the shorter side of what was looked at."""
    sigma = SMOOTH_SHARE * min(seen.height, seen.width)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), max(sigma, 0.5), borderType=cv2.BORDER_REFLECT), np.float32)


def draw_map(mammogram: Mammogram, shown: MapShown) -> Picture:
    """(rows, cols, 3) uint8 RGB in the direction of the file: plain, with the map, and the strongest place from near.

    mammogram  source frame, direction of its file

    All text stands beside the image. A map that failed a test says so above it.
    """
    box = shown.box
    pixels = np.ascontiguousarray(mammogram.pixels[box.slices])
    frame = Frame(pixels.shape, pixels.shape, Box(0, pixels.shape[0], 0, pixels.shape[1]), mirrored=False)
    plain = _enlarge(grey_picture(pixels, frame, rows=_ROWS, cols=_MOST_COLS))
    coloured = _colour(plain, shown)
    outline = None if shown.outline is None else shown.outline[box.slices]
    if outline is not None:
        for picture in (plain, coloured):
            _draw_outline(picture, outline)
    near: tuple[Picture, ...] = ()
    if (shown.values > 0).any():  # an empty map has no strongest place
        detail = _place_detail(shown)
        near = _draw_detail(pixels, shown, detail, outline)
        for picture in (plain, coloured):
            _draw_box(picture, detail, pixels.shape, TEXT)
        if mammogram.spacing_mm is not None:
            _draw_bar(near[0], mammogram.spacing_mm * detail.width / _DETAIL)
    if mammogram.spacing_mm is not None:
        _draw_bar(plain, mammogram.spacing_mm * pixels.shape[1] / plain.shape[1])
    if shown.seen != box:
        inner = Box(
            shown.seen.top - box.top,
            shown.seen.bottom - box.top,
            shown.seen.left - box.left,
            shown.seen.right - box.left,
        )
        _draw_box(coloured, inner, pixels.shape, FAINT)
    return _compose(mammogram, shown, (plain, coloured), near)


def _compose(
    mammogram: Mammogram, shown: MapShown, pictures: tuple[Picture, Picture], near: tuple[Picture, ...]
) -> Picture:
    failed = [fact.text for fact in shown.facts if fact.passed is False]
    rows, cols = pictures[0].shape[:2]
    height = max(rows, 2 * _DETAIL + _GAP)
    width = 2 * cols + _DETAIL + 3 * _GAP + _PANEL
    banner = _wrap_failures(failed, width)
    top = _HEAD + (14 + 20 * len(banner) if banner else 0)
    canvas = np.empty((top + height + _FOOT, width + _GAP, 3), np.uint8)
    canvas[:] = BACKGROUND
    _write_head(canvas, shown, banner)
    for number, picture in enumerate(pictures):
        left = _GAP + number * (cols + _GAP)
        canvas[top : top + rows, left : left + cols] = picture
        words = ("as it is", "with the map")[number]
        if number == 0 and mammogram.faces == "left":  # the arrow stands at the left end of that line
            left += cols - text_width(words, size_px=12)
        write_text(canvas, words, row=top + rows + 22, col=left, size_px=12, colour=FAINT)
    arrow = canvas[:, _GAP : _GAP + cols]
    draw_nipple_arrow(arrow, row=top + rows + 22, faces=mammogram.faces, size_px=11)
    left = _GAP + 2 * (cols + _GAP)
    for number, picture in enumerate(near):
        start = top + number * (_DETAIL + _GAP)
        canvas[start : start + _DETAIL, left : left + _DETAIL] = picture
    words = "where the map is strongest" if near else "the map is empty: it has no strongest place"
    row = top + height + 22 if near else top + 22
    write_text(canvas, words, row=row, col=left, size_px=12, colour=FAINT)
    _draw_panel(canvas[top:, left + _DETAIL + _GAP :], shown)
    return canvas


def _write_head(canvas: Picture, shown: MapShown, banner: Sequence[str]) -> None:
    width = canvas.shape[1] - 2 * _GAP
    title = fit_text(shown.title, width_px=width, size_px=22, bold=True)
    write_text(canvas, title, row=28, col=_GAP, size_px=20, bold=True)
    subtitle = fit_text(shown.subtitle, width_px=width, size_px=13)
    write_text(canvas, subtitle, row=52, col=_GAP, size_px=13, colour=FAINT)
    if banner:
        bottom = _HEAD + 8 + 20 * len(banner)
        canvas[_HEAD:bottom] = (78, 54, 4)
        for number, line in enumerate(banner):
            write_text(canvas, line, row=_HEAD + 20 + 20 * number, col=_GAP + 6, size_px=13, colour=WARN, bold=True)


def _wrap_failures(failed: Sequence[str], width: int) -> list[str]:
    if not failed:
        return []
    text = f"THIS MAP FAILS: {'; '.join(failed)}"
    return wrap_text(text, width_px=width - 4 * _GAP, size_px=13, bold=True)


def _draw_panel(panel: Picture, shown: MapShown) -> None:
    row = 4
    _draw_scale(panel, shown, row=row)
    row += 74
    room = panel.shape[1] - 2 * _MARGIN
    for fact in shown.facts:
        colour = {True: PASSED, False: WARN, None: TEXT}[fact.passed]
        lines = wrap_text(fact.text, width_px=room - 14, size_px=12)
        if row + 19 * len(lines) > panel.shape[0] - 90:
            break  # the page and the JSON hold all
        if fact.passed is not None:
            cv2.circle(panel, (_MARGIN + 3, row + 9), 4, colour, -1, cv2.LINE_AA)
        for line in lines:
            row += 19
            write_text(panel, line, row=row - 5, col=_MARGIN + 14, size_px=12, colour=colour)
        row += 9
    last = panel.shape[0] - 12
    for mark in reversed(shown.marks):
        for line in reversed(wrap_text(mark, width_px=room, size_px=12, bold=True)):
            if last - 18 < row + 10:
                break
            last -= 18
            write_text(panel, line, row=last - 8, col=_MARGIN, size_px=12, colour=WARN, bold=True)
    write_text(panel, RESEARCH_ONLY, row=panel.shape[0] - 12, col=_MARGIN, size_px=12)


def _draw_scale(panel: Picture, shown: MapShown, *, row: int) -> None:
    width, height = panel.shape[1] - 2 * _MARGIN, 16
    ramp = np.linspace(-1 if shown.signed else 0, 1, width, dtype=np.float32)
    grey = np.full((height, width, 3), 110, np.uint8)
    bar = _blend(grey, np.tile(np.maximum(ramp, 0), (height, 1)), np.tile(np.maximum(-ramp, 0), (height, 1)))
    panel[row : row + height, _MARGIN : _MARGIN + width] = bar
    left, right = shown.ends or ("lowers the score" if shown.signed else "nothing", "raises the score")
    write_text(panel, left, row=row + height + 18, col=_MARGIN, size_px=12)
    end = _MARGIN + width - text_width(right, size_px=12)
    write_text(panel, right, row=row + height + 18, col=end, size_px=12)
    note = shown.note if shown.limit > 0 else "no place raises the score"
    write_text(panel, note, row=row + height + 38, col=_MARGIN, size_px=11, colour=FAINT)


def _enlarge(picture: Picture) -> Picture:
    """As large as there is room for: images of small phantoms and of thumbnails have few pixels."""
    factor = min(_ROWS / picture.shape[0], _MOST_COLS / picture.shape[1])
    shape = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    if factor <= 1:
        return picture
    return np.asarray(np.clip(cv2.resize(picture, shape, interpolation=cv2.INTER_CUBIC), 0, 255), np.uint8)


def _colour(grey: Picture, shown: MapShown) -> Picture:
    shape = grey.shape[0], grey.shape[1]
    return _blend(grey, *_strengths(shown.values, shown, shape))


def _strengths(
    values: NDArray[np.float32], shown: MapShown, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much of the scale each place of a picture of this shape has, up and down."""
    if shown.limit <= 0:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    up, down = (_fit(np.maximum(sign * values, 0), shape) for sign in (1, -1))
    if shown.signed:
        net = up - down
        return np.maximum(net, 0) / shown.limit, np.maximum(-net, 0) / shown.limit
    return up / shown.limit, np.zeros(shape, np.float32)


def _blend(grey: Picture, up: NDArray[np.float32], down: NDArray[np.float32]) -> Picture:
    """Colours from SHOWN_FROM of the scale on, STRENGTH of them at its end."""
    mixed = grey.astype(np.float32)
    for share, colour in ((up, RAISES), (down, LOWERS)):
        strength = STRENGTH * np.clip((share - SHOWN_FROM) / (1 - SHOWN_FROM), 0, 1)[..., None]
        mixed = mixed * (1 - strength) + np.array(colour, np.float32) * strength
    return np.asarray(np.rint(mixed), np.uint8)


def _place_detail(shown: MapShown) -> Box:
    """The square about the strongest place, in pixels of the box."""
    rows, cols = shown.values.shape
    side = min(rows, cols, max(16, round(_DETAIL_SHARE * min(rows, cols))))
    positive = _reduce(np.maximum(shown.values, 0))
    blurred = cv2.GaussianBlur(positive, (0, 0), max(1.0, _DETAIL_SHARE * min(positive.shape) / 6))
    row, col = np.unravel_index(int(np.argmax(blurred)), blurred.shape)
    top = round((row + 0.5) * rows / blurred.shape[0] - side / 2)
    left = round((col + 0.5) * cols / blurred.shape[1] - side / 2)
    top, left = min(max(top, 0), rows - side), min(max(left, 0), cols - side)
    return Box(top, top + side, left, left + side)


def _draw_detail(
    pixels: NDArray[np.generic], shown: MapShown, detail: Box, outline: NDArray[np.bool_] | None
) -> tuple[Picture, Picture]:
    """The square plain and with the map, both _DETAIL wide; its greys are set by itself."""
    part = pixels[detail.slices].astype(np.float32)
    low, high = np.percentile(part[part > 0], (0.5, 99.8)) if (part > 0).any() else (0.0, 1.0)
    scaled = np.clip((part - low) / max(float(high - low), 1e-6), 0, 1) * 255
    method = cv2.INTER_CUBIC if part.shape[0] < _DETAIL else cv2.INTER_AREA
    large = np.clip(cv2.resize(scaled, (_DETAIL, _DETAIL), interpolation=method), 0, 255)
    plain = np.repeat(np.asarray(large, np.uint8)[..., None], 3, axis=2)
    coloured = _blend(plain, *_strengths(shown.values[detail.slices], shown, (_DETAIL, _DETAIL)))
    if outline is not None:
        for picture in (plain, coloured):
            _draw_outline(picture, outline, detail)
    return plain, coloured


def _draw_outline(picture: Picture, mask: NDArray[np.bool_], part: Box | None = None) -> None:
    """part: of the mask, that the picture shows; its edges are no outline"""
    part = part or Box(0, mask.shape[0], 0, mask.shape[1])
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = np.array([picture.shape[1] / part.width, picture.shape[0] / part.height])
    corner = np.array([part.left, part.top])
    lines = [np.round((contour[:, 0, :] - corner + 0.5) * scale - 0.5).astype(np.int32) for contour in contours]
    cv2.polylines(picture, lines, True, (0, 0, 0), 3, cv2.LINE_AA)  # seen on bright tissue too
    cv2.polylines(picture, lines, True, OUTLINE, 1, cv2.LINE_AA)


def _draw_box(picture: Picture, box: Box, shape: tuple[int, ...], colour: Colour) -> None:
    y, x = picture.shape[0] / shape[0], picture.shape[1] / shape[1]
    first = max(0, round(box.left * x)), max(0, round(box.top * y))
    last = min(picture.shape[1], round(box.right * x)) - 1, min(picture.shape[0], round(box.bottom * y)) - 1
    cv2.rectangle(picture, first, last, colour, 1)


def _draw_bar(picture: Picture, spacing_mm: float) -> None:
    """A bar of whole millimetres in the lower right corner, at most a third of the picture long."""
    room = picture.shape[1] / 3
    length_mm = max((mm for mm in _BAR_MM if mm / spacing_mm <= room), default=_BAR_MM[0])
    length = min(round(length_mm / spacing_mm), picture.shape[1] - 16)
    row, right = picture.shape[0] - 12, picture.shape[1] - 10
    for thick, colour in ((5, (0, 0, 0)), (2, TEXT)):
        cv2.line(picture, (right - length, row), (right, row), colour, thick)
    words, start = f"{length_mm} mm", max(2, right - length)
    cv2.rectangle(picture, (start - 2, row - 24), (start + 2 + text_width(words, size_px=12), row - 4), (0, 0, 0), -1)
    write_text(picture, words, row=row - 8, col=start, size_px=12)  # on black: tissue can be as bright


def _reduce(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At the size of a picture: area means, never enlarged."""
    factor = min(1.0, _ROWS / values.shape[0], _MOST_COLS / values.shape[1])
    shape = max(1, round(values.shape[0] * factor)), max(1, round(values.shape[1] * factor))
    return np.asarray(area_means(values, shape), np.float32)


def _fit(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """In exactly this shape: area means where it shrinks, linear where it grows."""
    method = cv2.INTER_AREA if shape[0] <= values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (shape[1], shape[0]), interpolation=method), np.float32)
