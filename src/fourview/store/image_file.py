"""One prepared image as one HDF5 file: the crop in tiles, the masks, and all that its pixels told.

The same content gives the same bytes: fixed file format, no times, and gzip, because LZF keeps a table that it never
clears and so its bytes depend on what was compressed before. Why tiles of 128 x 128 pixels: docs/data.md.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fourview.exam import Box, Direction, ExamError, PixelMode
from fourview.store.masks import CutMask
from fourview.whole_files import write_whole

FORMAT = "fourview image 2"
TILE = 128
_LIBRARY = ("v110", "v110")  # file format of HDF5 1.10, whatever newer library writes
_FILTERS = {
    "compression": "gzip",
    "compression_opts": 1,
    "shuffle": True,
    "fletcher32": True,
}  # a broken tile is an error, not grey
_BROKEN = (OSError, KeyError, ValueError, ValidationError, RuntimeError)  # what h5py raises on broken files


@dataclass(frozen=True)
class Outline:
    """One lesion's mask: the box that it fills, crop pixels; None: no outline, or all of it outside the crop."""

    lesion: str
    box: Box | None


@dataclass(frozen=True)
class About:
    """What preparing told about an image: everything of its manifest row that comes from its pixels.

    box       of the crop, source pixels
    bits      stored bits of the file's pixels
    outlines  in the order of the record's lesions;  muscle  box of the pectoral muscle's mask
    pixels_sha256  of the crop (hash_pixels)
    name      of the file, without its suffix (prepare_image.name_image): under another name it is another image's
    decisions      (topic, value, source) of the reader
    """

    source_rows: int
    source_cols: int
    bits: int
    pixel_mode: PixelMode
    spacing_mm: float | None
    faces: Direction
    box: Box
    mirrored: bool
    gap_px: int
    pixels_sha256: str
    name: str
    outlines: tuple[Outline, ...] = ()
    muscle: Box | None = None
    decisions: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    format: str = FORMAT


_ABOUT = TypeAdapter(About)


def hash_pixels(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
    """SHA-256 of an image: "ROWSxCOLS " and its values, row by row, as little-endian 16 bits."""
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]} ".encode())
    digest.update(np.ascontiguousarray(pixels, "<u2").data)
    return digest.hexdigest()


def encode_image(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    about: About,
    *,
    masks: Sequence[CutMask | None] = (),
    muscle: CutMask | None = None,
) -> bytes:
    """The file's content. pixels: the crop; masks: in the order of about.outlines."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=_LIBRARY) as file:
        _add(file, "pixels", pixels)
        for number, mask in enumerate(masks):
            if mask is not None:
                _add(file, f"masks/{number}", mask.inside.astype(np.uint8))
        if muscle is not None:
            _add(file, "muscle", muscle.inside.astype(np.uint8))
        said = np.frombuffer(_ABOUT.dump_json(about), np.uint8)
        file.create_dataset("about", data=said, chunks=said.shape, track_times=False, fletcher32=True)
        file.flush()
    return buffer.getvalue()


def _add(file: Any, name: str, image: NDArray[Any]) -> None:
    chunks = tuple(min(TILE, size) for size in image.shape)
    file.create_dataset(name, data=image, chunks=chunks, track_times=False, **_FILTERS)
    file.flush()  # else its place in the file hangs on when Python frees the object: a profiler can hold it for a while


def write_image(path: Path, content: bytes) -> None:
    """The content at `path`, whole or not at all; its folder is made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def check_image(path: Path) -> About | None:
    """What the file says about its image; None unless all of it is there as it was written, and under its own name.

    Everything is read, the pixels are compared with their hash: a disk may lose a tile without a word.
    """
    try:
        with _opened(path) as (file, about):
            boxes = {f"masks/{number}": outline.box for number, outline in enumerate(about.outlines)}
            for name, box in (boxes | {"muscle": about.muscle}).items():
                if box is not None:
                    file[name][:]  # their check sums
            same = about.format == FORMAT and hash_pixels(file["pixels"][:]) == about.pixels_sha256
            return about if same else None
    except ExamError:
        return None


def read_pixels(path: Path, box: Box | None = None, *, pixels_sha256: str | None = None) -> NDArray[np.uint16]:
    """(rows, cols) uint16 of the crop, or of a box of it; 0 where the box leaves the crop.

    pixels_sha256  what the file must say of its crop (the pixels themselves are not hashed again); None: anything
    Raises ExamError if the file is missing, broken or another image's. The same holds for masks and muscle.
    """
    with _opened(path, pixels_sha256) as (file, _):
        return _read_box(file["pixels"], box, np.dtype(np.uint16))


def read_masks(path: Path, box: Box | None = None, *, pixels_sha256: str | None = None) -> dict[str, NDArray[np.bool_]]:
    """Per lesion (rows, cols) bool of the crop, or of a box of it. Two outlines of one lesion are one mask."""
    masks: dict[str, NDArray[np.bool_]] = {}
    with _opened(path, pixels_sha256) as (file, about):
        box = box or Box(0, about.box.height, 0, about.box.width)
        for number, outline in enumerate(about.outlines):
            if outline.box is not None:
                mask = _place(file[f"masks/{number}"], outline.box, box)
                masks[outline.lesion] = masks[outline.lesion] | mask if outline.lesion in masks else mask
    return masks


def read_muscle(path: Path, *, pixels_sha256: str | None = None) -> NDArray[np.bool_] | None:
    """(rows, cols) bool of the crop: the pectoral muscle; None without an outline of it."""
    with _opened(path, pixels_sha256) as (file, about):
        if about.muscle is None:
            return None
        return _place(file["muscle"], about.muscle, Box(0, about.box.height, 0, about.box.width))


@contextmanager
def _opened(path: Path, pixels_sha256: str | None = None) -> Iterator[tuple[Any, About]]:
    """The file and what it says; whatever is wrong with it, also on reading it in the block, is an ExamError."""
    try:
        with h5py.File(path, "r") as file:
            about = _ABOUT.validate_json(file["about"][:].tobytes())
            if about.name != path.stem or pixels_sha256 not in (None, about.pixels_sha256):
                raise ExamError(
                    f"{_tail(path)}: another image's file, or its row in the manifest was changed; delete the file and "
                    "prepare the set again with --resume"
                )
            yield file, about
    except _BROKEN as error:
        raise ExamError(
            f"{_tail(path)}: missing or broken, or of an earlier version; delete it and prepare the set again with "
            "--resume"
        ) from error


def _place(mask: Any, own: Box, box: Box) -> NDArray[np.bool_]:
    """The part of a mask, stored for its own box, that lies in `box`."""
    inner = Box(box.top - own.top, box.bottom - own.top, box.left - own.left, box.right - own.left)
    return _read_box(mask, inner, np.dtype(np.uint8)).astype(bool)


def _read_box(stored: Any, box: Box | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    rows, cols = stored.shape
    box = box or Box(0, rows, 0, cols)
    inner = Box(max(box.top, 0), min(box.bottom, rows), max(box.left, 0), min(box.right, cols))
    if inner == box:
        return np.asarray(stored[box.slices], dtype)
    image = np.zeros((box.height, box.width), dtype)
    if inner.height > 0 and inner.width > 0:
        image[inner.top - box.top : inner.bottom - box.top, inner.left - box.left : inner.right - box.left] = stored[
            inner.slices
        ]
    return image


def _tail(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
