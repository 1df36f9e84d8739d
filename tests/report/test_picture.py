"""Small pictures for galleries: small enough, and as sharp in colour as in grey."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fourview.report.picture import MOST_BYTES, Picture, encode_small


def decode(content: bytes) -> Picture:
    """RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


@pytest.mark.parametrize("shape", [(360, 300), (360, 480), (2000, 1500), (90, 4000)])
def test_even_noise_becomes_a_picture_that_is_small_enough(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    content = encode_small(noise, rows=360, cols=480)
    assert len(content) <= MOST_BYTES
    rows, cols, _ = decode(content).shape
    assert cols / rows == pytest.approx(shape[1] / shape[0], rel=0.1)


def test_an_easy_picture_keeps_its_size_and_a_small_one_is_not_enlarged() -> None:
    assert decode(encode_small(np.full((720, 600, 3), 90, np.uint8), rows=360, cols=480)).shape == (360, 300, 3)
    assert decode(encode_small(np.full((50, 40, 3), 90, np.uint8), rows=360, cols=480)).shape == (50, 40, 3)


def test_a_coloured_line_of_one_pixel_keeps_its_colour() -> None:
    picture = np.full((300, 200, 3), 128, np.uint8)
    picture[:, 101] = (230, 100, 20)
    line = decode(encode_small(picture, rows=360, cols=480))[150, 101].astype(int)
    assert line == pytest.approx((230, 100, 20), abs=25)
