"""Grey pixels of PNG and PGM files, exactly as they were written: never rescaled."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Decision, ExamError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PHANTOM_KEYWORD, PHANTOM_TEXT = "fourview", b"phantom: drawn, nobody was imaged"  # a tEXt chunk of phantom.write_png
_NEED = "need greyscale PNG of 8 or 16 bits"
_COLOUR_TYPES = {2: "colour", 3: "a colour palette", 4: "grey with transparency", 6: "colour with transparency"}
_LONGEST_SIDE = 32768  # five times the largest detector; more is a broken header
_PGM = re.compile(rb"P5(?:\s+|\s*#[^\n]*\n)+?(\d+)(?:\s+|\s*#[^\n]*\n)+(\d+)(?:\s+|\s*#[^\n]*\n)+(\d+)\s")


def read_png(data: bytes, name: str) -> tuple[NDArray[Any], tuple[Decision, ...]]:
    """(rows, cols) uint8 or uint16 with the values of the file, and what was decided about them.

    data  the whole file
    An sBIT chunk (12 significant bits, say) is a remark about the past of the pixels, not a scale: it is ignored,
    and so are gamma and pixel-size chunks.
    Raises ExamError for anything but whole greyscale PNG of 8 or 16 bits.
    """
    chunks = _check_png(data, name)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ExamError(f"{name}: the PNG cannot be decoded: {_NEED}") from error
    cols, rows, depth = struct.unpack(">IIB", chunks["IHDR"][:9])
    if pixels is None or pixels.shape != (rows, cols) or pixels.dtype.itemsize * 8 != depth:
        raise ExamError(f"{name}: the PNG of {depth} bits, {rows} x {cols}, cannot be decoded: {_NEED}")
    remark = f", sBIT {chunks['sBIT'][0]} ignored" if "sBIT" in chunks else ""
    drawn = chunks.get(f"tEXt {PHANTOM_KEYWORD}") == PHANTOM_TEXT
    origin = (Decision.phantom(f"PNG text {PHANTOM_KEYWORD}"),) if drawn else ()
    return pixels, (Decision("grey scale", f"values of the file, {depth} bits{remark}", "PNG"), *origin)


def _check_png(data: bytes, name: str) -> dict[str, bytes]:
    """The chunks but for the pixels (the last of each kind, texts as "tEXt KEYWORD"); raises ExamError if the file is
    cut, broken or colour.

    The check sums are verified here because OpenCV returns a partly grey image for a cut file.
    """
    if not data.startswith(PNG_SIGNATURE):
        raise ExamError(f"{name}: found {len(data)} bytes that are not PNG, {_NEED}")
    chunks: dict[str, bytes] = {}
    at, kind = len(PNG_SIGNATURE), ""
    while kind != "IEND":
        if at + 12 > len(data):
            raise ExamError(f"{name}: the PNG is cut off after {len(data)} bytes, need the whole file")
        length, kind = struct.unpack(">I", data[at : at + 4])[0], data[at + 4 : at + 8].decode("latin-1")
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(body) < length or len(check) < 4:
            raise ExamError(f"{name}: the PNG is cut off after {len(data)} bytes, need the whole file")
        if zlib.crc32(data[at + 4 : at + 8 + length]) != int.from_bytes(check, "big"):
            raise ExamError(f"{name}: the PNG is damaged (check sum of its {kind!r} chunk), need an intact file")
        if kind == "tEXt":
            keyword, _, said = body.partition(b"\0")
            chunks[f"tEXt {keyword.decode('latin-1')}"] = said
        elif kind != "IDAT":
            chunks[kind] = body
        at += 12 + length
    _check_png_kind(chunks, name)
    return chunks


def _check_png_kind(chunks: dict[str, bytes], name: str) -> None:
    header = chunks.get("IHDR", b"")
    if len(header) != 13:
        raise ExamError(f"{name}: the PNG has no header, {_NEED}")
    cols, rows, depth, colour = struct.unpack(">IIBB", header[:10])
    if not (0 < rows <= _LONGEST_SIDE and 0 < cols <= _LONGEST_SIDE):
        raise ExamError(f"{name}: found a PNG of {rows} x {cols} pixels, need 1 to {_LONGEST_SIDE} per side")
    if colour != 0:
        raise ExamError(f"{name}: found {_COLOUR_TYPES.get(colour, f'PNG colour type {colour}')}, {_NEED}")
    if "tRNS" in chunks:
        raise ExamError(f"{name}: found a transparent grey value, {_NEED} without transparency")
    if depth not in (8, 16):
        raise ExamError(f"{name}: found {depth} bits per pixel, {_NEED}")


def read_pgm(data: bytes, name: str) -> tuple[NDArray[Any], tuple[Decision, ...]]:
    """(rows, cols) uint8 or uint16 with the values of a binary PGM file (P5); raises ExamError."""
    match = _PGM.match(data)
    if match is None:
        raise ExamError(f"{name}: found {len(data)} bytes that are not binary PGM (P5)")
    cols, rows, largest = (int(group) for group in match.groups())
    if not (0 < rows <= _LONGEST_SIDE and 0 < cols <= _LONGEST_SIDE and 0 < largest <= 65535):
        raise ExamError(f"{name}: found a PGM of {rows} x {cols} pixels with values up to {largest}")
    stored = np.dtype("u1") if largest <= 255 else np.dtype(">u2")
    body = data[match.end() :]
    if len(body) < rows * cols * stored.itemsize:
        raise ExamError(f"{name}: the PGM is cut off: found {len(body)} bytes, need {rows * cols * stored.itemsize}")
    pixels = np.frombuffer(body, stored, rows * cols).reshape(rows, cols)
    bits = 8 * stored.itemsize
    return pixels.astype(stored.newbyteorder("=")), (Decision("grey scale", f"values of the file, {bits} bits", "PGM"),)
