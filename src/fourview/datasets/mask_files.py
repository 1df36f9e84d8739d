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


def read_mask(file: MaskFile, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True where the picture is bright enough: (rows, cols) bool of `shape`, an outline not filled yet.

    A mask of another size is resized (nearest pixel) where its shape is the image's to within 1 %.
    Raises ExamError if it cannot be read or has another shape.
    """
    grey = read_grey(file.path)
    if not aspects_agree(grey.shape, shape):
        raise ExamError(f"{file.path.name}: found a mask of {grey.shape}, the image has {shape} rows and columns")
    drawn = (grey >= file.least).astype(np.uint8)
    if grey.shape != shape:
        drawn = np.asarray(cv2.resize(drawn, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    return drawn > 0


def read_grey(path: Path) -> NDArray[Any]:
    """The grey values of a mask as its file holds them, (rows, cols); of colours the largest, opacity never counts.

    Raises ExamError if there is no picture, or if only its opacity varies.
    """
    if not path.is_file():
        raise ExamError(f"{path.name}: the mask is not there, need a picture")
    data = path.read_bytes()
    if kind_of(data[:PREAMBLE], path.suffix.lower()) == "dicom":
        dataset = read_dataset(path, path.name, pixels=True)
        return read_codes(dataset, read_grey_tags(dataset))[0]
    cut = data.startswith(b"\xff\xd8") and not data.rstrip(b"\0").endswith(b"\xff\xd9")
    try:
        image = None if cut else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ExamError(f"{path.name}: the mask is cut or no picture, need the whole file")
    if image.ndim == 2:
        return np.asarray(image)
    grey = image[..., :3].max(axis=2)
    if image.shape[2] == 4 and grey.min() == grey.max() and image[..., 3].min() < image[..., 3].max():
        raise ExamError(f"{path.name}: only the opacity of this mask varies, need it in grey values")
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
