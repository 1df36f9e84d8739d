"""What a network in training sees, as small pictures: the image in grey, heatmaps in their colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.exam import FINDINGS, Finding
from fourview.report.document import Gallery, GalleryItem
from fourview.report.overlay import COLOURS
from fourview.report.picture import Picture, encode_small, shrink, write_text

PATCH = "patch"  # what a patch is called where views are named
_LARGEST_PX = 340  # rows and columns of one image
_GAP, _SIZE_PX = 4, 12
_SHOWN = (1.0, 99.7)  # percentiles that are black and white


@dataclass(frozen=True, eq=False)
class TrainingInput:
    """One input as the network gets it.

    title   which exam or image;  lines  what its truth is
    planes  view, or "patch" -> (channels, rows, cols) float: the standardised image, then benign and malignant heatmap
    """

    title: str
    lines: tuple[str, ...]
    planes: Mapping[str, NDArray[np.float32]]


def draw_inputs(inputs: tuple[TrainingInput, ...], *, synthetic: bool = False) -> Gallery:
    """The gallery of a run's page: a picture per view, or one of a patch.

    synthetic  nobody was imaged: each picture says so, wherever it is copied to
    """
    heatmaps = any(len(planes) > 1 for one in inputs for planes in one.planes.values())
    note = "As it comes out of augmentation and standardisation; black and white are percentiles of each image."
    if heatmaps:
        note += " Below each image its heatmaps, benign (green) and malignant (red), from black 0 to bright 1."
    items = tuple(
        GalleryItem(
            one.title,
            one.lines,
            images=tuple(_encode(one.title, *view, synthetic=synthetic) for view in one.planes.items()),
        )
        for one in inputs
    )
    return Gallery("inputs", "Inputs as the network sees them", items, note, large=heatmaps or not _are_patches(inputs))


def draw_view(name: str, planes: NDArray[np.float32]) -> Picture:
    """One view, RGB: its name or another text, the image, and below it, at half its size, the heatmaps side by side.

    planes  (channels, rows, cols), see TrainingInput
    """
    image = _paint_image(planes[0])
    maps = [
        _paint_map(plane, finding, image.shape[1] // 2) for plane, finding in zip(planes[1:], FINDINGS, strict=False)
    ]
    head, foot = 2 * _SIZE_PX, _GAP + maps[0].shape[0] if maps else 0
    canvas = np.zeros((head + image.shape[0] + foot, image.shape[1], 3), np.uint8)
    write_text(canvas, name, row=round(1.5 * _SIZE_PX), col=_GAP, size_px=_SIZE_PX)
    canvas[head : head + image.shape[0]] = image
    for number, picture in enumerate(maps):
        left = number * (image.shape[1] - picture.shape[1])
        canvas[-picture.shape[0] :, left : left + picture.shape[1]] = picture
    return canvas


def _are_patches(inputs: tuple[TrainingInput, ...]) -> bool:
    return all(set(one.planes) == {PATCH} for one in inputs)


def _paint_image(plane: NDArray[np.float32]) -> Picture:
    """In grey, at most _LARGEST_PX high and wide."""
    small = shrink(np.ascontiguousarray(plane, np.float32), rows=_LARGEST_PX, cols=_LARGEST_PX)
    low, high = (float(value) for value in np.percentile(small, _SHOWN))
    grey = np.clip((small - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _paint_map(plane: NDArray[np.float32], finding: Finding, cols: int) -> Picture:
    """In the finding's colour, `cols` - 1 wide or less."""
    rows = max(1, round(plane.shape[0] * (cols - 1) / plane.shape[1]))
    small = shrink(np.ascontiguousarray(plane, np.float32), rows=rows, cols=max(1, cols - 1))
    return np.asarray(np.clip(small, 0, 1)[..., None] * np.array(COLOURS[finding], np.float32), np.uint8)


def _encode(title: str, name: str, planes: NDArray[np.float32], *, synthetic: bool) -> tuple[str, bytes]:
    """(alternative text, JPEG)."""
    words = [*([] if name == PATCH else [name]), *(["synthetic"] if synthetic else [])]
    picture = draw_view(", ".join(words), planes) if words else _paint_image(planes[0])
    return f"{title}, {name}{', synthetic' if synthetic else ''}", encode_small(
        picture, rows=picture.shape[0], cols=picture.shape[1]
    )
