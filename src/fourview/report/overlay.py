"""One mammogram with what the model saw on it: heatmaps in colour, the crop box, scores in a margin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import FINDINGS, Finding, Heatmap, ImageReading, Mammogram, Reading, Score
from fourview.report.meaning import RESEARCH_ONLY
from fourview.report.picture import (
    BACKGROUND,
    FAINT,
    TEXT,
    WARN,
    Colour,
    Picture,
    area_means,
    draw_crop,
    draw_nipple_arrow,
    fit_text,
    grey_picture,
    wrap_text,
    write_text,
)

HEIGHT = 1600  # rows of the whole picture, at most
SHOWN_FROM = 0.1  # heatmap values below are not drawn: normal tissue keeps its look
COLOURS: dict[Finding, Colour] = {"malignant": (255, 40, 40), "benign": (40, 220, 70)}
STRENGTH = 0.7  # share of the colour where a heatmap says 1
_TOP, _PANEL, _MARGIN = 44, 400, 20
_LEAST_ROWS, _MOST_COLS = 620, 1600


def draw_overlay(mammogram: Mammogram, image: ImageReading, reading: Reading) -> Picture:
    """The picture of one image of a reading, (rows <= 1600, cols, 3) uint8 RGB, in the direction of the file.

    mammogram  the image itself, source frame
    image      what the reading says about it

    All text stands in a band above the image and in a panel to its right. Heatmap colours have one fixed
    scale (0 to 1, drawn from 0.1), so pictures can be compared; the panel shows it and the largest values.
    """
    grey = grey_picture(mammogram.pixels, image.frame, rows=HEIGHT - _TOP, cols=_MOST_COLS)
    if image.heatmap is not None:
        grey = blend_heatmap(grey, image.heatmap)
    draw_crop(grey, image)
    rows, cols = grey.shape[:2]
    canvas = np.empty((max(rows, _LEAST_ROWS) + _TOP, cols + _PANEL, 3), np.uint8)
    canvas[:] = BACKGROUND
    canvas[_TOP : _TOP + rows, :cols] = grey
    draw_nipple_arrow(canvas[:, :cols], row=_TOP - 14, faces=image.faces, size_px=14)
    _draw_panel(canvas[:, cols:], image, reading)
    return canvas


def blend_heatmap(grey: Picture, heatmap: Heatmap) -> Picture:
    """The picture with red where the malignant and green where the benign heatmap stands out."""
    rows, cols = grey.shape[:2]
    colour = np.zeros(grey.shape, np.float32)
    share = np.zeros((rows, cols), np.float32)
    for finding in FINDINGS:
        strength = _strength(area_means(heatmap[finding], (rows, cols)))
        colour += strength[..., None] * np.array(COLOURS[finding], np.float32)
        share += strength
    # Where both stand out the colours mix in proportion and the grey keeps its share.
    covered = np.minimum(share, STRENGTH)[..., None]
    mixed = colour / np.maximum(share, 1e-6)[..., None]
    return np.asarray(grey * (1 - covered) + mixed * covered, np.uint8)


def _strength(p: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(STRENGTH * np.clip((p - SHOWN_FROM) / (1 - SHOWN_FROM), 0, 1), np.float32)


@dataclass
class _Pen:
    """Writes lines into the panel, one below the other."""

    panel: Picture
    row: int = _TOP

    def line(self, text: str, *, size_px: int = 13, colour: Colour = TEXT, bold: bool = False) -> None:
        self.row += round(size_px * 1.9)
        fitting = fit_text(text, width_px=_PANEL - 2 * _MARGIN, size_px=size_px, bold=bold)
        write_text(self.panel, fitting, row=self.row, col=_MARGIN, size_px=size_px, colour=colour, bold=bold)

    def gap(self, rows: int = 14) -> None:
        self.row += rows


def _draw_panel(panel: Picture, image: ImageReading, reading: Reading) -> None:
    pen = _Pen(panel)
    pen.line(image.view.value, size_px=26, bold=True)
    pen.line(f"exam {reading.exam_id}", size_px=11, colour=FAINT)
    pen.gap()
    score = image.score if reading.unit == "image" else reading.breasts.get(image.view.side)
    side = {"L": "left", "R": "right"}[image.view.side.value]
    pen.line("this image" if reading.unit == "image" else f"{side} breast, from all its views", colour=FAINT)
    _write_score(pen, score, reading)
    pen.gap()
    if image.heatmap is None:
        pen.line("this model makes no heatmaps", colour=FAINT)
    else:
        pen.line("heatmaps: fixed scale 0 to 1,", colour=FAINT)
        pen.line(f"drawn from {SHOWN_FROM:g}", colour=FAINT)
        for finding in reversed(FINDINGS):
            _draw_scale(pen, finding, image.heatmap.largest(finding))
    pen.gap()
    if image.faces != image.view.usual_direction:
        pen.line("stored mirrored, see its decisions", size_px=13, colour=WARN)
    pen.line("thin line: the crop that was read", size_px=11, colour=FAINT)
    pen.line(f"model {reading.model}", size_px=11, colour=FAINT)
    pen.gap()
    last = panel.shape[0] - 30
    for mark in reading.marks:
        for line in wrap_text(mark, width_px=_PANEL - 2 * _MARGIN, size_px=13, bold=True):
            if pen.row + 60 > last:
                break  # the tables hold every mark in full
            pen.line(line, colour=WARN, bold=True)
        pen.gap(6)
    write_text(panel, RESEARCH_ONLY, row=last + 12, col=_MARGIN, size_px=12)


def _write_score(pen: _Pen, score: Score | None, reading: Reading) -> None:
    if score is None:
        pen.line("no reading", size_px=18, bold=True)
        return
    for finding, p, spread in (
        ("malignant", score.malignant, score.malignant_sd_windows),
        ("benign", score.benign, score.benign_sd_windows),
    ):
        pen.line(f"p {finding:<10}{p:.3f}", size_px=18, colour=COLOURS[finding], bold=True)  # type: ignore[index]
        if reading.windows > 1:
            pen.line(f"sd over {reading.windows} windows {spread:.3f}", size_px=11, colour=FAINT)


def _draw_scale(pen: _Pen, finding: Finding, largest: float) -> None:
    """A bar from 0 to 1 in the colours that the heatmap gives to mid-grey, and the image's largest value."""
    pen.gap(10)
    width, height = 200, 14
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    none = np.zeros_like(ramp)
    bar = blend_heatmap(
        np.full((height, width, 3), 128, np.uint8),
        Heatmap.from_arrays(
            malignant=ramp if finding == "malignant" else none, benign=ramp if finding == "benign" else none
        ),
    )
    left = _MARGIN + 18
    pen.panel[pen.row : pen.row + height, left : left + width] = bar
    write_text(pen.panel, "0", row=pen.row + 12, col=_MARGIN, size_px=11)
    write_text(pen.panel, f"1  {finding}", row=pen.row + 12, col=left + width + 8, size_px=11)
    x = left + round(largest * (width - 1))
    cv2.drawMarker(pen.panel, (x, pen.row + height + 6), TEXT, cv2.MARKER_TRIANGLE_UP, 8, 1)
    pen.row += height + 6
    pen.line(f"largest in this image {largest:.3f}", size_px=11, colour=FAINT)
