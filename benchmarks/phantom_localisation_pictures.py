"""Pictures to look at: a breast with its findings outlined, the malignant map, and where the observers point.

One PNG per exam: the breast's views in the direction of their files, plain above, with the map below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_localisation_exams import find_cancer
from benchmarks.phantom_localisation_maps import BLOBS, TRAINED
from benchmarks.phantom_localisation_marks import Mark, Observe, ObservedExam
from fourview.exam import Heatmap, Mammogram, SetupError, View
from fourview.phantom import Truth
from fourview.report.overlay import blend_heatmap
from fourview.report.picture import BACKGROUND, TEXT, WARN, Colour, Picture, png_bytes, shrink, write_text
from fourview.whole_files import whole_folder

PICTURES = 8  # exams
ROWS, COLS = 640, 520  # of one view, at most
CANCER, BENIGN = (255, 140, 30), (86, 180, 233)
HIT, MISS = (60, 230, 90), (255, 60, 60)
_HEAD, _FOOT, _GAP = 56, 28, 6
_SHOWN = (1.0, 99.7)  # percentiles of the breast that are black and white


def draw_pictures(folder: Path, work: Observe, exams: Sequence[ObservedExam]) -> None:
    """exam_INDEX_hit.png or exam_INDEX_miss.png for each, in a new or empty folder. Raises SetupError."""
    try:
        with whole_folder(folder.absolute()) as part:
            for exam in exams:
                truth = work.draw(exam.index)
                maps = work.map_exam(truth)[TRAINED]
                said = "hit" if exam.is_hit(TRAINED) else "miss"
                picture = draw_breast(exam, truth, {} if isinstance(maps, str) else maps)
                (part / f"exam_{exam.index:05d}_{said}.png").write_bytes(png_bytes(picture))
    except OSError as error:
        raise SetupError(f"{folder}: cannot be written ({error.strerror}); need a new or empty folder") from error


def draw_breast(exam: ObservedExam, truth: Truth, maps: Mapping[View, Heatmap]) -> Picture:
    """The views of the finding's breast; the circle is the network's largest value, the cross the blob detector's."""
    mammograms = {m.view: m for m in truth.drawn.to_exam().mammograms}
    tiles = []
    for view in exam.side.views:
        plain = show_grey(mammograms[view])
        mapped = blend_heatmap(plain, maps[view]) if view in maps else plain.copy()
        for picture in (plain, mapped):
            outline_findings(picture, truth, view)
            for name, draw in ((BLOBS, _cross), (TRAINED, _circle)):
                peak = exam.find_peak(name)
                if peak is not None and peak.view is view:
                    draw(picture, peak, mammograms[view].pixels.shape)
        tiles.append((view, plain, mapped))
    width = sum(plain.shape[1] + _GAP for _, plain, _ in tiles)
    height = max(plain.shape[0] for _, plain, _ in tiles)
    canvas = np.empty((_HEAD + 2 * (height + _GAP) + _FOOT, max(width, 560), 3), np.uint8)
    canvas[:] = BACKGROUND
    left = 0
    for view, plain, mapped in tiles:
        for row, picture in enumerate((plain, mapped)):
            top = _HEAD + row * (height + _GAP)
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        write_text(canvas, view.value, row=_HEAD - 6, col=left + 4, size_px=13)
        left += plain.shape[1] + _GAP
    _caption(canvas, exam)
    return canvas


def show_grey(mammogram: Mammogram) -> Picture:
    """The whole image in grey, small; black and white are percentiles of what is not 0."""
    small = shrink(mammogram.pixels, rows=ROWS, cols=COLS).astype(np.float32)
    low, high = np.percentile(small[small > 0], _SHOWN) if small.any() else (0.0, 1.0)
    grey = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def outline_findings(picture: Picture, truth: Truth, view: View) -> None:
    """In place: the malignant finding thick, what is benign thin."""
    cancer = find_cancer(truth.plan)
    for (at, number), mask in truth.masks.items():
        if at is view:
            colour, thick = (CANCER, 2) if number == cancer else (BENIGN, 1)
            _outline(picture, mask, colour, thick)


def _outline(picture: Picture, mask: NDArray[np.bool_], colour: Colour, thick: int) -> None:
    small = cv2.resize(mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    covered = (small >= min(0.5, float(small.max()))).astype(np.uint8)
    contours, _ = cv2.findContours(covered, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, thick, cv2.LINE_AA)


def _place(picture: Picture, mark: Mark, shape: tuple[int, ...]) -> tuple[int, int]:
    """(x, y) of a mark in the small picture."""
    y, x = ((at + 0.5) * n / full for at, n, full in zip((mark.row, mark.col), picture.shape, shape, strict=False))
    return round(x), round(y)


def _circle(picture: Picture, mark: Mark, shape: tuple[int, ...]) -> None:
    cv2.circle(picture, _place(picture, mark, shape), 9, HIT if mark.hits else MISS, 2, cv2.LINE_AA)


def _cross(picture: Picture, mark: Mark, shape: tuple[int, ...]) -> None:
    cv2.drawMarker(picture, _place(picture, mark, shape), HIT if mark.hits else MISS, cv2.MARKER_CROSS, 12, 1)


def _caption(canvas: Picture, exam: ObservedExam) -> None:
    peak = exam.find_peak(TRAINED)
    said = "no map" if peak is None else f"{'HIT' if peak.hits else 'MISS'}, largest value {peak.value:.3f}"
    colour = WARN if peak is None else HIT if peak.hits else MISS
    write_text(canvas, f"{said} in {peak.view}" if peak else said, row=20, col=4, size_px=14, colour=colour, bold=True)
    text = f"exam {exam.index}: malignant {exam.kind}, radius {exam.radius_mm:g} mm; {exam.benign} benign beside it"
    write_text(canvas, text, row=36, col=4, size_px=11, colour=TEXT)
    legend = "orange: malignant  blue: benign  red: malignant map  circle: network  cross: blobs  (green hits)"
    write_text(canvas, legend, row=canvas.shape[0] - 10, col=4, size_px=11, colour=TEXT)
