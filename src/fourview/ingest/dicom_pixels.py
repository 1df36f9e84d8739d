"""Stored values of a DICOM image, decoded by permissively licensed decoders only.

Every decoder is named here, because pydicom would otherwise take whatever is installed.
"""

from __future__ import annotations

import gdcm
import numpy as np
import pydicom.uid
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from fourview.exam import Decision, ExamError
from fourview.ingest.dicom_values import quiet, text, whole_number
from fourview.ingest.grey import GreyTags

DECODERS = {  # transfer syntax -> plugin of pydicom
    pydicom.uid.RLELossless: "pydicom",
    pydicom.uid.JPEGBaseline8Bit: "gdcm",
    pydicom.uid.JPEGExtended12Bit: "gdcm",  # 8-bit only: there is no permissive decoder for 12 bits
    pydicom.uid.JPEGLossless: "gdcm",
    pydicom.uid.JPEGLosslessSV1: "gdcm",
    pydicom.uid.JPEGLSLossless: "pyjpegls",
    pydicom.uid.JPEGLSNearLossless: "pyjpegls",
    pydicom.uid.JPEG2000Lossless: "pylibjpeg",
    pydicom.uid.JPEG2000: "pylibjpeg",
    pydicom.uid.HTJ2KLossless: "pylibjpeg",
    pydicom.uid.HTJ2KLosslessRPCL: "pylibjpeg",
    pydicom.uid.HTJ2K: "pylibjpeg",
}
NATIVE = {
    pydicom.uid.ImplicitVRLittleEndian,
    pydicom.uid.ExplicitVRLittleEndian,
    pydicom.uid.DeflatedExplicitVRLittleEndian,
    pydicom.uid.ExplicitVRBigEndian,
}
_NEED_EXPORT = "need a file exported again, best uncompressed (Explicit VR Little Endian)"


def read_grey_tags(dataset: Dataset) -> GreyTags:
    """What the tags say about the stored values. Raises ExamError for colour, several frames, odd depths."""
    samples, frames = whole_number(dataset, "SamplesPerPixel") or 1, whole_number(dataset, "NumberOfFrames") or 1
    photometric = text(dataset, "PhotometricInterpretation")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ExamError(f"found {samples} samples per pixel, {photometric or 'unnamed'}: need one, MONOCHROME1 or 2")
    if frames != 1:
        raise ExamError(f"found {frames} frames, need one")
    bits, allocated = whole_number(dataset, "BitsStored"), whole_number(dataset, "BitsAllocated")
    if bits is None or allocated not in (8, 16) or not 8 <= bits <= allocated:
        raise ExamError(f"found {bits} bits stored in {allocated}: need 8 to 16 stored in 8 or 16")
    signed = whole_number(dataset, "PixelRepresentation") == 1
    shape = text(dataset, "PresentationLUTShape")
    said = {
        "PhotometricInterpretation MONOCHROME1": photometric == "MONOCHROME1",
        "PresentationLUTShape INVERSE": shape == "INVERSE",  # beside MONOCHROME1 it says the same once more
    }
    return GreyTags(
        bits, signed, ", ".join(tag for tag, true in said.items() if true), _padding(dataset, signed, allocated)
    )


def _padding(dataset: Dataset, signed: bool, allocated: int) -> tuple[int, int] | None:
    first = whole_number(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = whole_number(dataset, "PixelPaddingRangeLimit")
    wrapped = [
        _as_signed(v, allocated) if signed else v % (1 << allocated) for v in (first, first if last is None else last)
    ]
    return wrapped[0], wrapped[1]


def _as_signed(value: int, bits: int) -> int:
    """The value that the lowest `bits` bits stand for in two's complement."""
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def read_codes(dataset: Dataset, tags: GreyTags) -> tuple[NDArray[np.uint16], tuple[Decision, ...]]:
    """The codes of all pixels, (rows, cols) uint16: stored value minus the lowest value that `tags` allow.

    Bits outside BitsStored (old overlays, sign extension) are removed. Raises ExamError if the pixel data are
    cut, of the wrong length, or in a transfer syntax that cannot be decoded.
    """
    meta = getattr(dataset, "file_meta", None)
    with quiet():  # of a malformed UID, which is refused below
        syntax = UID(text(meta, "TransferSyntaxUID") if meta is not None else "")
    if syntax not in NATIVE and syntax not in DECODERS:
        raise ExamError(f"transfer syntax {syntax.name or 'unnamed'} cannot be decoded; {_NEED_EXPORT}")
    rows, cols = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    if not rows or not cols:
        raise ExamError(f"found {rows} rows and {cols} columns, need an image")
    if syntax in NATIVE:
        stored = _native(dataset, syntax, rows, cols)
    else:
        _refuse_cut(dataset, syntax)
        stored = _decode(dataset, syntax)
    if stored.shape != (rows, cols):
        raise ExamError(f"the pixel data decode to shape {stored.shape}, the tags say {(rows, cols)}")
    decision = Decision("pixel data", syntax.name, "TransferSyntaxUID")
    return _codes(stored, dataset, tags, syntax), (decision,)


def _native(dataset: Dataset, syntax: UID, rows: int, cols: int) -> NDArray[np.integer]:
    """Words as they lie in the file. pydicom would clear the bits above BitsStored, which may hold the value."""
    size, data = (whole_number(dataset, "BitsAllocated") or 0) // 8, dataset.PixelData
    big_endian = syntax == pydicom.uid.ExplicitVRBigEndian
    if big_endian and size == 1:
        raise ExamError(f"found 8-bit pixel data in {syntax.name}, whose byte order is ambiguous; {_NEED_EXPORT}")
    expected = rows * cols * size
    if len(data) not in (expected, expected + expected % 2):
        raise ExamError(f"found {len(data)} bytes of pixel data, need {expected}")
    return np.frombuffer(data, f"{'>' if big_endian else '<'}u{size}", rows * cols).reshape(rows, cols)


def _refuse_cut(dataset: Dataset, syntax: UID) -> None:
    """Raises ExamError if the stream ends early: several decoders fill the rest with grey and say nothing."""
    data = dataset.PixelData
    try:
        frame = get_frame(data, 0, number_of_frames=1)
    except Exception:  # pydicom raises nearly anything on a broken encapsulation
        raise ExamError(f"the pixel data ({syntax.name}) are cut or broken; need the whole file") from None
    # JPEG, JPEG-LS and JPEG 2000 streams all end with the marker FFD9; a zero may pad them to even length.
    if syntax != pydicom.uid.RLELossless and not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ExamError(f"the pixel data ({syntax.name}) are cut: no end marker; need the whole file")


def _decode(dataset: Dataset, syntax: UID) -> NDArray[np.integer]:
    gdcm.Trace.WarningOff()  # gdcm writes its warnings and errors straight to the terminal
    gdcm.Trace.ErrorOff()
    try:
        with quiet():  # what matters of its warnings (length, frames, shape) is checked here
            decoded: NDArray[np.integer] = pixel_array(
                dataset, raw=True, decoding_plugin=DECODERS[syntax], correct_unused_bits=False
            )
    except MemoryError:
        raise
    except Exception:  # each decoder has exceptions of its own
        bits = dataset.get("BitsStored")
        raise ExamError(f"{bits}-bit pixel data in {syntax.name} cannot be decoded; {_NEED_EXPORT}") from None
    return decoded


def _codes(stored: NDArray[np.integer], dataset: Dataset, tags: GreyTags, syntax: UID) -> NDArray[np.uint16]:
    words = stored.astype(np.uint16)  # two's complement of signed values
    high = whole_number(dataset, "HighBit")
    shift = 0 if high is None else high + 1 - tags.bits
    if shift < 0 or shift + tags.bits > 16:
        raise ExamError(f"found HighBit {high} with BitsStored {tags.bits}: need HighBit >= BitsStored - 1")
    if syntax in NATIVE or syntax == pydicom.uid.RLELossless:  # other decoders put the value into the low bits
        words >>= np.uint16(shift)
    elif not tags.signed and tags.bits < 16 and int(words.max()) >> tags.bits:
        raise ExamError(f"found value {int(words.max())}, but BitsStored is {tags.bits}: need values that fit")
    words &= np.uint16((1 << tags.bits) - 1)
    if tags.signed:
        words ^= np.uint16(1 << (tags.bits - 1))  # two's complement to offset from the lowest value
    return words
