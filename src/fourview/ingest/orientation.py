"""Where the breast points in an image: what its pixels show, and what that means beside its tags.

Nothing is mirrored here. A reader decides the direction once, records it, and everybody downstream trusts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Decision, Direction, ExamError, View

WORKING_SIDE = 512  # outlines need no more pixels than this
EDGE_BAND = 0.03  # of the breast's width: how near a row's end must come to the outermost one to lie on it
STRAIGHT_SHARE = 0.6  # a chest wall holds at least this share of the rows in its band
STRONG_MARGIN = 0.4  # between the shares of the two sides, for evidence that may refuse an exam
WEAK_MARGIN = 0.2  # ... for evidence at all
DARK_BACKGROUND = 0.5  # of the median brightness of tissue, at most, has the background
SMALLEST_BREAST = 0.03  # of the image; smaller components are labels and markers

DecidedDirection = tuple[Direction, tuple[Decision, ...], tuple[str, ...]]


@dataclass(frozen=True)
class PixelDirection:
    """Where the nipple points as far as the pixels show it.

    direction  None where the pixels do not show it
    strong     enough to refuse an exam whose tags say the opposite
    reason     what was measured, in words
    """

    direction: Direction | None
    strong: bool
    reason: str


def direction_in_pixels(pixels: NDArray[Any]) -> PixelDirection:
    """Where the breast points, from its outline alone.

    pixels  (rows, cols), any real type, breast brighter than the background; the background need not be 0

    The chest wall is where the image or the film cuts the breast: on that side most rows end at one column.
    The nipple side is convex: few rows reach its outermost column. Amounts of tissue on either side are no
    guide: a pectoral muscle, a film frame or a breast that fills the film turns them round. Own method; its
    limits were set on the development part of mini-MIAS. Mirrored pixels give the mirrored answer.
    """
    breast = _outline(pixels)
    if breast is None:
        return PixelDirection(None, False, "no breast on a darker background")
    rows = np.flatnonzero(breast.any(axis=1))
    ends_left = breast[rows].argmax(axis=1)
    ends_right = breast.shape[1] - 1 - breast[rows, ::-1].argmax(axis=1)
    outer_left, outer_right = ends_left.min(), ends_right.max()
    band = EDGE_BAND * (outer_right - outer_left + 1)
    left = float((ends_left <= outer_left + band).mean())
    right = float((ends_right >= outer_right - band).mean())
    reason = f"{left:.0%} of the breast's rows end at its left edge, {right:.0%} at its right edge"
    if max(left, right) < STRAIGHT_SHARE or abs(left - right) < WEAK_MARGIN:
        return PixelDirection(None, False, reason)
    return PixelDirection("right" if left > right else "left", abs(left - right) >= STRONG_MARGIN, reason)


def _outline(pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """The largest bright component of the downsampled image, (rows, cols) bool; None if nothing is large."""
    scale = min(1.0, WORKING_SIDE / max(pixels.shape))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    shrunk = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = shrunk - shrunk.min()
    bright = float(np.percentile(small, 99.5))  # labels and frames are brighter than any breast
    if bright <= 0:
        return None
    # The square root brings thin fat and dense tissue together, so that Otsu parts tissue from background.
    grey = np.rint(255 * np.sqrt(np.clip(small / bright, 0, 1))).astype(np.uint8)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    bright_mask = (grey > 0.8 * threshold).astype(np.uint8)  # 0.8: keeps the thin rim of the breast
    tissue, background = shrunk[bright_mask > 0], shrunk[bright_mask == 0]
    if not background.size or np.median(background) > DARK_BACKGROUND * np.median(tissue):
        return None  # Otsu parted tissue from tissue: the breast fills the image
    opened = cv2.morphologyEx(bright_mask, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    if stats[largest, cv2.CC_STAT_AREA] < SMALLEST_BREAST * opened.size:
        return None
    component: NDArray[np.bool_] = labels == largest
    return component


def decide_direction(
    view: View, *, tagged: Direction | None, tag_source: str, pixels: NDArray[Any], name: str
) -> DecidedDirection:
    """Where the nipple points in `pixels`, with the decisions and warnings behind it; tags decide.

    tagged      what the file says, None if it says nothing: then the usual direction of the view is taken
    tag_source  the tag that says so (used only with `tagged`)
    pixels      (rows, cols), breast brighter than the background

    Raises ExamError if the pixels strongly show the opposite.
    """
    decided = tagged or view.usual_direction
    source = tag_source if tagged else f"no tag: the usual direction of {view}"
    shown = direction_in_pixels(pixels)
    decisions = (Decision("orientation", f"faces {decided}", source), _evidence(shown))
    if shown.direction is None or shown.direction == decided:
        return decided, decisions, ()
    found = f"{source} says that the breast faces {decided}, the pixels show it facing {shown.direction}"
    if shown.strong:
        need = "tags that match the pixels" if tagged else "files in the usual orientation, or --mirrored auto"
        raise ExamError(f"{view} {name}: {found} ({shown.reason}); need {need}")
    return decided, decisions, (f"{found}, but weakly ({shown.reason})",)


def decide_direction_auto(view: View, *, pixels: NDArray[Any], name: str) -> DecidedDirection:
    """Where the nipple points in `pixels` of a file without tags, decided by the pixels (`--mirrored auto`).

    Pixels that do not show it leave the usual direction of the view, with a warning.
    """
    usual = view.usual_direction
    shown = direction_in_pixels(pixels)
    if shown.direction is None:
        source = f"--mirrored auto: the pixels do not show it, the usual direction of {view}"
        warning = f"the pixels of {name} do not show where the breast points; took the usual direction, {usual}"
        return usual, (Decision("orientation", f"faces {usual}", source), _evidence(shown)), (warning,)
    usually = "as usual" if shown.direction == usual else f"mirrored: {view} usually faces {usual}"
    value = f"faces {shown.direction} ({usually})"
    warnings: tuple[str, ...] = ()
    if not shown.strong:
        warnings = (f"the pixels of {name} show weakly that the breast faces {shown.direction} ({shown.reason})",)
    return shown.direction, (Decision("orientation", value, "--mirrored auto: the pixels"), _evidence(shown)), warnings


def _evidence(shown: PixelDirection) -> Decision:
    if shown.direction is None:
        value = "not shown"
    else:
        value = f"faces {shown.direction}, {'strong' if shown.strong else 'weak'}"
    return Decision("orientation in the pixels", value, shown.reason)
