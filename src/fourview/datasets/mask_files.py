"""A mask as its file holds it, picture or DICOM, and fitted to the image that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.record import MaskFile
from fourview.exam import ExamError
from fourview.ingest.dicom_file import read_dataset
from fourview.ingest.dicom_pixels import read_codes, read_grey_tags
from fourview.ingest.files import PREAMBLE
from fourview.ingest.listed import kind_of

ASPECTS_AGREE = 0.01  # some sets publish masks that are some pixels larger or smaller than their image
JPEG_BLUR = 32  # a two-valued picture in JPEG has values this near to 0 and 255 ...
JPEG_SHARE = 0.995  # ... in at least this share of its pixels
MOST_COVERED = 0.5  # of the image, and of the pixels along its border: no lesion covers more


def read_mask(file: MaskFile, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the lesion is: (rows, cols) bool of `shape`; of a drawn outline, what it encloses.

    A mask of another size is resized (nearest pixel) where its shape is the image's to within 1 %.
    Raises ExamError if it cannot be read, has another shape, or covers more than a lesion can.
    """
    name = file.shown or file.path.name
    grey = read_grey(file.path, name)
    if not aspects_agree(grey.shape, shape):
        raise ExamError(f"{name}: found a mask of {grey.shape}, the image has {shape} rows and columns")
    inside = grey >= file.least
    if file.outline:
        inside = _fill_enclosed(inside)
    check_covered(inside, name)
    if inside.shape == shape:
        return np.asarray(inside)
    return np.asarray(cv2.resize(inside.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)) > 0


def check_covered(inside: NDArray[np.bool_], name: str) -> None:
    """Raises ExamError where a mask covers more of the image, or of its border, than a lesion can: MOST_COVERED.

    inside  (rows, cols) bool of the whole image
    An inverted mask is found so, and an outline with its inside and outside exchanged, however large the lesion is.
    """
    border = np.concatenate([inside[0], inside[-1], inside[1:-1, 0], inside[1:-1, -1]])
    share, along = float(inside.mean()), float(border.mean())
    if share > MOST_COVERED or along > MOST_COVERED:
        raise ExamError(
            f"{name}: found a mask over {share:.1%} of the image and {along:.1%} of its border, need a lesion, at most "
            f"{MOST_COVERED:.0%} of either; is it inverted?"
        )


def _fill_enclosed(drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The drawn pixels and every background region but the largest one: also what a border of the image closes off."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~drawn).astype(np.uint8), connectivity=4)
    if len(stats) < 2:  # drawn all over
        return np.ones(drawn.shape, bool)
    outside = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels != outside)


def read_grey(path: Path, name: str = "") -> NDArray[Any]:
    """The grey values of a mask as its file holds them, (rows, cols); of colours the largest, opacity never counts.

    name  what messages call it; "": its file name
    Raises ExamError if there is no picture, or if only its opacity varies.
    """
    name = name or path.name
    try:
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ExamError(f"{name}: the mask cannot be read ({error.strerror}), need the whole file") from None
    if data is None:
        raise ExamError(f"{name}: the mask is not there, need a picture")
    if kind_of(data[:PREAMBLE], path.suffix.lower()) == "dicom":
        dataset = read_dataset(path, name, pixels=True)
        return read_codes(dataset, read_grey_tags(dataset))[0]
    cut = data.startswith(b"\xff\xd8") and not data.rstrip(b"\0").endswith(b"\xff\xd9")
    try:
        image = None if cut else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ExamError(f"{name}: the mask is cut or no picture, need the whole file")
    if image.ndim == 2:
        return np.asarray(image)
    grey = image[..., :3].max(axis=2)
    if image.shape[2] == 4 and grey.min() == grey.max() and image[..., 3].min() < image[..., 3].max():
        raise ExamError(f"{name}: only the opacity of this mask varies, need it in grey values")
    return np.asarray(grey)


def aspects_agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """True where two pictures have the same shape, whatever their sizes."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= ASPECTS_AGREE


def is_two_valued(grey: NDArray[Any], *, lossy: bool = False) -> bool:
    """True for a mask: at most two grey values; in lossy JPEG, values near 0 and 255 but for a few."""
    if lossy:
        ends = (grey <= JPEG_BLUR) | (grey >= 255 - JPEG_BLUR)
        return bool(ends.mean() >= JPEG_SHARE)
    return bool(((grey == grey.min()) | (grey == grey.max())).all())
