"""A lesion with the tissue around it as a square of greys from 0 to 1, its mask, and the way back to source pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, ExamError, Frame
from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView

Scale = float | Literal["pad50", "whole512", "whole1024"]
WHOLE_PX: Mapping[str, int] = {"whole512": 512, "whole1024": 1024}
PERCENTILES = (0.5, 99.5)  # of the breast's greys: 0 and 1 of the crop
_PADDING_PX = 50
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class GreyRange:
    """The grey values of an image that become 0 and 1."""

    low: float
    high: float


@dataclass(frozen=True)
class Square:
    """A square of stored-crop pixels, which may leave the image: rows top.. and columns left.. for `side` pixels."""

    top: int
    left: int
    side: int

    def widened(self, margin: int) -> Square:
        """The same middle, `margin` pixels more on each side."""
        return Square(self.top - margin, self.left - margin, self.side + 2 * margin)


@dataclass(frozen=True, eq=False)
class LesionCrop:
    """One lesion as networks and measurements see it, facing right as all stored crops.

    pixels       (side, side) float32 in [0, 1]: greys between PERCENTILES of the breast, not standardised
    mask         (side, side) bool: the outline, filled
    spacing_mm   of the crop's pixels; None: the image's is unknown
    diameter_mm  of a disc with the outline's area; None: the image's pixel size is unknown
    to_stored    (2, 3): (col, row, 1) of a pixel centre here -> (col, row) in the stored crop
    frame        from the stored crop to the pixels of the file
    """

    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    spacing_mm: float | None
    diameter_mm: float | None
    to_stored: NDArray[np.float64]
    frame: Frame

    @property
    def to_source(self) -> NDArray[np.float64]:
        """(2, 3): (col, row, 1) of a pixel centre here -> (col, row) in the pixels of the file, mirrored back."""
        box = self.frame.box
        flip = np.array([[-1.0, 0, box.right - 1], [0, 1.0, box.top]])
        keep = np.array([[1.0, 0, box.left], [0, 1.0, box.top]])
        found = (flip if self.frame.mirrored else keep) @ np.vstack([self.to_stored, [0, 0, 1]])
        return np.asarray(found, np.float64)


def cut_lesion(
    store: Store, view: LesionView, *, scale: Scale = 2.0, side_px: int = 224, grey: GreyRange | None = None
) -> LesionCrop:
    """The lesion in a square about its outline, resized to side_px.

    scale    side of the square: that many times the longer side of the outline's box; "pad50": 50 pixels of the image
             more on each side of it; "whole512", "whole1024": the whole breast, side_px is then 512 or 1024
    side_px  of the crop, even
    grey     of `read_grey_range`, where it is known already: else the whole image is read for it

    The square is shifted into the stored crop; where it is larger than that, it is padded by reflection (the whole
    breast: by background). The background beside the breast stays dark, as it is.
    Raises ExamError: the stored file is broken, the outline is empty, the breast has one grey value only.
    """
    square = place_square(view.box, shape_of(view.frame), scale)
    wide = surround(square, scale)
    pixels, mask = read_square(store, view, wide, reflected=not is_whole(scale))
    grey = grey or read_grey_range(store, view.image)
    area = float(store.read_masks(view.image, view.box)[view.lesion].sum())
    return make_crop(
        scale_greys(pixels, grey),
        mask,
        square,
        side_px=crop_side(scale, side_px),
        spacing_mm=view.spacing_mm,
        area=area,
        frame=view.frame,
    )


def cut_from(
    pixels: NDArray[Any],
    mask: NDArray[np.bool_],
    *,
    scale: Scale,
    side_px: int,
    spacing_mm: float | None,
    frame: Frame,
    name: str,
) -> LesionCrop:
    """The same of an image in memory: what `cut_lesion` cuts of a store, to the bit.

    pixels, mask  (rows, cols) of the breast as it was cropped, facing right, and of the outline;  frame  of that crop
    name          for messages. Raises ExamError as `cut_lesion` does.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ExamError(f"{name}: found no pixel of the outline on the breast, need some")
    box = Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
    shape = pixels.shape[0], pixels.shape[1]
    square = place_square(box, shape, scale)
    wide = surround(square, scale)
    inside = meet(wide, shape)
    greys = scale_greys(pixels[inside.slices], find_grey_range(pixels, name=name))
    return make_crop(
        fill_square(greys, inside, wide, reflected=not is_whole(scale)),
        fill_square(mask[inside.slices], inside, wide),
        square,
        side_px=crop_side(scale, side_px),
        spacing_mm=spacing_mm,
        area=float(mask.sum()),
        frame=frame,
    )


def make_crop(
    greys: NDArray[np.float32],
    mask: NDArray[np.bool_],
    square: Square,
    *,
    side_px: int,
    spacing_mm: float | None,
    area: float,
    frame: Frame,
) -> LesionCrop:
    """The crop of a square, of greys from 0 to 1 and mask of what surrounds it (`surround`), or of itself.

    side_px  of the crop, even;  area  of the outline, pixels of the image;  the rest as LesionCrop has it
    """
    factor = square.side / side_px
    shift = 0.5 * factor - 0.5
    inner = slice(0, side_px) if len(greys) == square.side else slice(side_px // 2, side_px // 2 + side_px)
    side = side_px if len(greys) == square.side else 2 * side_px
    return LesionCrop(
        pixels=np.ascontiguousarray(resize_square(greys, side)[inner, inner]),
        mask=np.ascontiguousarray(resize_mask(mask, side)[inner, inner]),
        spacing_mm=None if spacing_mm is None else spacing_mm * factor,
        diameter_mm=None if spacing_mm is None else spacing_mm * 2 * math.sqrt(area / math.pi),
        to_stored=np.array([[factor, 0, square.left + shift], [0, factor, square.top + shift]]),
        frame=frame,
    )


def surround(square: Square, scale: Scale) -> Square:
    """Twice the square: what training keeps of it, and what every crop is resized in, its own edge not being an edge.

    Of the whole breast, the square itself.
    """
    return square if is_whole(scale) else square.widened(square.side // 2)


def is_whole(scale: Scale) -> bool:
    """Whether the whole breast is the crop."""
    return str(scale) in WHOLE_PX


def crop_side(scale: Scale, side_px: int) -> int:
    """How many pixels a crop's side has."""
    return WHOLE_PX.get(str(scale), side_px)


def shape_of(frame: Frame) -> tuple[int, int]:
    """(rows, cols) of the stored crop."""
    return frame.box.height, frame.box.width


def place_square(box: Box, shape: tuple[int, int], scale: Scale) -> Square:
    """The square about an outline's box, shifted into an image of this shape (rows, cols).

    Along an axis on which the image is shorter, the square is centred on the image.
    """
    longest = max(box.height, box.width)
    if is_whole(scale):
        side = max(shape) + max(shape) % 2
        return Square((shape[0] - side) // 2, 0, side)  # the chest wall stays at the left edge
    side = longest + 2 * _PADDING_PX if scale == "pad50" else max(2, math.ceil(float(scale) * longest))
    side += side % 2  # so that twice the square is a square of the same pixels
    top = _place(box.top + box.bottom, side, shape[0])
    left = _place(box.left + box.right, side, shape[1])
    return Square(top, left, side)


def read_grey_range(store: Store, image: str) -> GreyRange:
    """The grey values at PERCENTILES of the breast (all that is not background) of a stored image.

    Raises ExamError: a broken file, no breast, or a single grey value.
    """
    return find_grey_range(store.read_crop(image), name=image)


def find_grey_range(pixels: NDArray[Any], *, name: str) -> GreyRange:
    """The same of pixels on a background of 0. Raises ExamError."""
    breast = pixels[pixels > 0]
    if not breast.size:
        raise ExamError(f"{name}: found no pixel brighter than 0, need a breast")
    low, high = np.percentile(breast, PERCENTILES)
    if high <= low:
        raise ExamError(f"{name}: found one grey value ({low:g}) in nearly all of the breast; need more")
    return GreyRange(float(low), float(high))


def resize_square(pixels: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """(side_px, side_px): means over areas where it shrinks, else linear."""
    method = cv2.INTER_AREA if side_px < pixels.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side_px, side_px), interpolation=method), np.float32)


def resize_mask(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.bool_]:
    """(side_px, side_px): the pixels of which half or more is inside; of a small one, those that it fills most."""
    share = resize_square(mask.astype(np.float32), side_px)
    most = float(share.max(initial=0))
    return (share > 0) & (share >= min(0.5, most) - 1e-6)


def read_square(
    store: Store, view: LesionView, square: Square, *, reflected: bool
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """(side, side) greys of the file and mask of a square.

    reflected  beyond the stored crop, it is mirrored at its edge (the mask is not); else background
    Raises ExamError: a broken file, or one without this outline in the square.
    """
    inside = meet(square, shape_of(view.frame))
    masks = store.read_masks(view.image, inside)
    if view.lesion not in masks or not masks[view.lesion].any():
        raise ExamError(f"{view.name}: found no outline in the stored file; prepare the set again")
    pixels = store.read_patch(view.image, inside.top, inside.left, inside.height, inside.width)
    return fill_square(pixels, inside, square, reflected=reflected), fill_square(masks[view.lesion], inside, square)


def meet(square: Square, shape: tuple[int, int]) -> Box:
    """The part of a square that lies in an image of this shape."""
    bottom, right = square.top + square.side, square.left + square.side
    return Box(max(square.top, 0), min(bottom, shape[0]), max(square.left, 0), min(right, shape[1]))


def fill_square(inside: NDArray[T], box: Box, square: Square, *, reflected: bool = False) -> NDArray[T]:
    """The whole square, of its part `inside` that fills `box` of the image."""
    margins = (
        (box.top - square.top, square.top + square.side - box.bottom),
        (box.left - square.left, square.left + square.side - box.right),
    )
    return np.pad(inside, margins, mode="reflect") if reflected else np.pad(inside, margins)


def scale_greys(pixels: NDArray[Any], grey: GreyRange) -> NDArray[np.float32]:
    """The pixels from 0 to 1."""
    return np.asarray(np.clip((pixels.astype(np.float32) - grey.low) / (grey.high - grey.low), 0, 1), np.float32)


def _place(doubled_middle: int, side: int, length: int) -> int:
    """Where the square begins on an axis: about its middle, shifted into the image."""
    if side >= length:
        return (length - side) // 2
    return min(max((doubled_middle - side) // 2, 0), length - side)
