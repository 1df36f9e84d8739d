"""PNG and PGM values come back exactly; everything that is not plain grey is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.exam import ExamError
from fourview.ingest.raster import PNG_SIGNATURE, read_pgm, read_png
from tests.ingest.pictures import chunk


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095)])
def test_values_of_every_depth_come_back_exactly(dtype: type, top: int):
    pixels = np.random.default_rng(0).integers(0, top, (37, 23), endpoint=True).astype(dtype)
    read, decisions = read_png(png(pixels), "a.png")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, pixels)
    assert decisions[0].topic == "grey scale"


def test_an_sbit_chunk_does_not_rescale():
    pixels = np.random.default_rng(0).integers(0, 65535, (9, 7)).astype(np.uint16)
    data = png(pixels)
    after_header = len(PNG_SIGNATURE) + 25
    read, decisions = read_png(data[:after_header] + chunk(b"sBIT", b"\x0c") + data[after_header:], "a.png")
    np.testing.assert_array_equal(read, pixels)
    assert "sBIT 12 ignored" in decisions[0].value


def test_the_sample_with_an_sbit_chunk_keeps_its_full_range(shared: Path):
    data = (shared / "data/nyu_sample_exams/dmv_cnn_partial/1_L_CC.png").read_bytes()
    pixels, decisions = read_png(data, "1_L_CC.png")
    assert b"sBIT" in data
    assert "sBIT 12 ignored" in decisions[0].value
    assert pixels.max() == 65535
    assert set(np.unique(pixels)) <= set(np.rint(np.arange(4096) * (65535 / 4095)).astype(int))


def grey_header(depth: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG of 8 x 8 zeros with any header; whole and with right check sums."""
    body = zlib.compress(b"\0" * 8 * (1 + 8 * 8))
    header = struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (png(np.zeros((5, 5, 3), np.uint8)), "found colour"),
        (png(np.zeros((5, 5, 4), np.uint8)), "found colour with transparency"),
        (grey_header(8, 4), "found grey with transparency"),
        (grey_header(8, 3, chunk(b"PLTE", b"\0\0\0")), "found a colour palette"),
        (grey_header(8, 0, chunk(b"tRNS", b"\0\0")), "found a transparent grey value"),
        (grey_header(4, 0), "found 4 bits per pixel"),
        (grey_header(1, 0), "found 1 bits per pixel"),
        (b"", "0 bytes that are not PNG"),
        (b"\xff\xd8\xff\xe0 a JPEG", "not PNG"),
    ],
)
def test_anything_but_plain_grey_of_8_or_16_bits_is_refused(data: bytes, found: str):
    with pytest.raises(ExamError, match=rf"^a\.png: .*{found}.*need greyscale PNG of 8 or 16 bits"):
        read_png(data, "a.png")


def test_an_absurd_size_is_refused_before_anything_is_reserved():
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 0, 0, 0, 0)
    data = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ExamError, match="need 1 to 32768 per side"):
        read_png(data, "a.png")


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_cut_file_is_refused(kept: float):
    data = png(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    with pytest.raises(ExamError, match="cut off after"):
        read_png(data[: int(kept * len(data))], "a.png")


def test_a_flipped_bit_is_noticed():
    data = bytearray(png(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)))
    data[len(data) // 2] ^= 1
    with pytest.raises(ExamError, match="damaged"):
        read_png(bytes(data), "a.png")


def test_a_compressed_stream_that_ends_early_is_refused():
    body = zlib.compress(b"\0" * 20)
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    data = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(ExamError):
        read_png(data, "a.png")


def test_pgm_of_both_depths_with_comments_comes_back_exactly():
    eight = np.arange(12, dtype=np.uint8).reshape(3, 4)
    read, _ = read_pgm(b"P5\n# made by hand\n4 3\n255\n" + eight.tobytes(), "a.pgm")
    np.testing.assert_array_equal(read, eight)
    sixteen = (np.arange(12) * 5000).astype(np.uint16).reshape(3, 4)
    read, _ = read_pgm(b"P5 4 3 65535\n" + sixteen.astype(">u2").tobytes(), "a.pgm")
    np.testing.assert_array_equal(read, sixteen)
    assert read.dtype == np.uint16


@pytest.mark.parametrize(("data", "found"), [(b"P2 1 1 255\n0", "not binary PGM"), (b"P5 4 3 255\n1234", "cut off")])
def test_other_and_cut_pgm_files_are_refused(data: bytes, found: str):
    with pytest.raises(ExamError, match=found):
        read_pgm(data, "a.pgm")
