"""A phantom exam as pictures: a PNG per image with the values that a reader of its DICOM file hands on, and its masks.

    1_L_CC.png                  16 bits (a film: 8 bits, as scanned)
    masks/1_L_CC_finding_1.png  1 bit: where the first finding of that breast is in this view

Pictures point the way the image was stored, masks the same way. Each picture says in a text chunk that it is a phantom,
which a copy under another name keeps.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Direction, SetupError, View
from fourview.phantom.acquisition import read_stored
from fourview.phantom.draw import PhantomExam, PhantomImage
from fourview.phantom.finding import PhantomFinding
from fourview.whole_files import write_whole

MASKS = "masks"  # the folder beside the pictures
_MARK = b"fourview\0phantom: drawn, nobody was imaged"  # a tEXt chunk: what ingest.raster knows a phantom by
_IHDR_END = 33  # of every PNG: 8 bytes of signature, 25 of the first chunk


@dataclass(frozen=True)
class Picture:
    """What a table says about one picture.

    file      below the folder, with / between folders
    faces     where the nipple points
    findings  each finding of this breast, with the file of its mask; None where it is not seen in this view
    """

    file: str
    view: View
    faces: Direction
    spacing_mm: float
    profile: str
    findings: tuple[tuple[PhantomFinding, str | None], ...]


def write_exam_png(exam: PhantomExam, folder: Path) -> tuple[Path, ...]:
    """The paths of the four pictures, in the order of exam.images; the same exam gives the same bytes.

    folder  made if it is not there; files of the same names are replaced, each in one step
    Raises SetupError if the folder cannot be written.
    """
    write_masks(exam, folder)
    paths = []
    for image, picture in zip(exam.images, list_pictures(exam), strict=True):
        path = folder / picture.file
        _write(path, read_stored(image.pixels, image.acquired.profile), [], marked=True)
        paths.append(path)
    return tuple(paths)


def write_masks(exam: PhantomExam, folder: Path) -> None:
    """The masks alone, beside other files of the exam, as write_exam_png writes them. Raises SetupError."""
    for image, picture in zip(exam.images, list_pictures(exam), strict=True):
        for mask, (_, file) in zip(image.masks, picture.findings, strict=True):
            if file is not None:
                _write(folder / file, mask.astype(np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])


def list_pictures(exam: PhantomExam) -> tuple[Picture, ...]:
    """What write_exam_png writes, in the order of exam.images."""
    return tuple(_describe(exam, image) for image in exam.images)


def _describe(exam: PhantomExam, image: PhantomImage) -> Picture:
    stem = exam.file_name(image.view).removesuffix(".dcm")
    masks = [f"{MASKS}/{stem}_finding_{n}.png" if mask.any() else None for n, mask in enumerate(image.masks, 1)]
    findings = tuple(zip(image.findings, masks, strict=True))
    return Picture(f"{stem}.png", image.view, image.faces, image.spacing_mm, image.acquired.profile.name, findings)


def _write(
    path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], options: list[int], *, marked: bool = False
) -> None:
    done, encoded = cv2.imencode(".png", pixels, options)
    content = encoded.tobytes()
    if marked:
        content = content[:_IHDR_END] + _text_chunk(_MARK) + content[_IHDR_END:]
    try:
        if not done:
            raise OSError(0, "OpenCV cannot encode it")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise SetupError(f"phantom: cannot write {path.name}: {error.strerror}") from error


def _text_chunk(body: bytes) -> bytes:
    """A tEXt chunk of a PNG file (ISO/IEC 15948, 11.3.4.3). body  keyword, zero byte, text; all Latin-1."""
    return struct.pack(">I", len(body)) + b"tEXt" + body + struct.pack(">I", zlib.crc32(b"tEXt" + body))
