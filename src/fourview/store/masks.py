"""Masks of lesions in the crop frame: cut and mirrored exactly as the breast was (outlines: datasets.regions)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.crop import mirror
from fourview.exam import Box, Frame


@dataclass(frozen=True, eq=False)
class CutMask:
    """A mask in the crop frame: `inside` fills `box`, the smallest box of crop pixels that holds it.

    share  of the outlined pixels that lie inside the crop, above 0 to 1
    """

    box: Box
    inside: NDArray[np.bool_]
    share: float


def cut_mask(mask: NDArray[np.bool_], frame: Frame) -> CutMask | None:
    """The mask in the crop frame; None if nothing of it lies in the crop.

    mask   (rows, cols) bool of the source image
    frame  of the crop, which was not resampled
    """
    if frame.resampled or mask.shape != frame.source_shape:
        raise ValueError(f"found a mask of shape {mask.shape}, need {frame.source_shape}, not resampled")
    part = mask[frame.box.slices]
    part = mirror(part) if frame.mirrored else part
    rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not rows.size:
        return None
    box = Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
    return CutMask(box, np.ascontiguousarray(part[box.slices]), float(part.sum() / mask.sum()))
