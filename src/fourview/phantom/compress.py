"""The transfer syntaxes that the phantom writes, each by one named encoder, whatever else is installed.

All of them keep 8 to 16 bits exactly. A full-size exam of four 14-bit images (68 MB) takes 19 MB in JPEG-LS and
JPEG 2000, 24 MB in JPEG Lossless and deflated, 27 MB in RLE; air is most of what they save. JPEG Lossless is written
with selection value 1, as most archives send it. JPEG 2000 is the slowest to write. Deflated files have to be read
whole to see one tag, and dciodvfy cannot read them. OpenJPEG does not encode High-Throughput JPEG 2000: fourview reads
that syntax, but nothing here writes it.
"""

from __future__ import annotations

from typing import Any

import gdcm
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from fourview.exam import SetupError

_PLUGINS = {RLELossless: "gdcm", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}  # of pydicom
SYNTAXES: dict[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}


def check_syntax(syntax: UID) -> None:
    """Raises SetupError for a transfer syntax that is not in SYNTAXES."""
    if syntax not in SYNTAXES.values():
        names = ", ".join(uid.name for uid in SYNTAXES.values())
        raise SetupError(
            f"phantom: found transfer syntax {syntax.name}, need an uncompressed little-endian one, or one of {names}"
        )


def compress(dataset: Dataset, syntax: UID) -> None:
    """Turns an uncompressed data set (as build_dataset gives it) into one of this transfer syntax; UIDs stay.

    Raises SetupError if the encoder fails.
    """
    check_syntax(syntax)
    if syntax in _PLUGINS:
        dataset.compress(syntax, encoding_plugin=_PLUGINS[syntax], generate_instance_uid=False)
    elif syntax == JPEGLosslessSV1:
        dataset.PixelData = encapsulate([_encode_jpeg_lossless(dataset)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


def _encode_jpeg_lossless(dataset: Dataset) -> bytes:
    """The JPEG stream of an uncompressed data set, process 14, selection value 1."""
    photometric = gdcm.PhotometricInterpretation.GetPIType(dataset.PhotometricInterpretation)
    holder: Any = gdcm.ImageWriter()  # owns the image: it must outlive it
    image = holder.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(photometric))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    image.SetPixelFormat(gdcm.PixelFormat(1, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, 0))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(dataset.PixelData)
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(image)
    if not change.Change():
        raise SetupError(f"phantom: gdcm cannot write {dataset.BitsStored} bits as JPEG Lossless")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    buffer = fragments.GetFragment(0).GetByteValue().GetBuffer()
    return bytes(buffer.encode("utf-8", "surrogateescape"))
