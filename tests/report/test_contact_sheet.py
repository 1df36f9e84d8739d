"""Contact sheets."""

from __future__ import annotations

import numpy as np

from fourview.exam import Exam
from fourview.report.contact_sheet import TILE, Tile, draw_contact_sheet, draw_thumbnail
from fourview.report.picture import CROP
from tests.fake_screener import FakeScreener, small_exam


def test_tiles_stand_in_reading_order_in_a_grid() -> None:
    tiles = [Tile(np.full((TILE, 50, 3), 10 * n, np.uint8), f"image {n}") for n in range(1, 6)]
    sheet = draw_contact_sheet(tiles, columns=3)
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 3
    middles = [sheet[height * (n // 3) + 50, width * (n % 3) + width // 2, 0] for n in range(5)]
    assert middles == [10, 20, 30, 40, 50]


def test_fewer_tiles_than_columns_make_a_narrower_sheet() -> None:
    tile = Tile(np.zeros((20, 20, 3), np.uint8), "x")
    assert draw_contact_sheet([tile]).shape[1] < draw_contact_sheet([tile] * 4).shape[1]


def test_a_thumbnail_is_small_and_shows_the_crop_box() -> None:
    pixels = np.zeros((2000, 1000), np.uint16)
    pixels[500:1500, :600] = 30000
    exam = Exam.from_arrays({"L-MLO": pixels})
    image = FakeScreener(needs_all=False).read(exam).images[0]
    picture = draw_thumbnail(exam.mammograms[0], image)
    assert picture.shape == (TILE, TILE // 2, 3)
    rows, cols = np.nonzero((picture == CROP).all(axis=2))
    assert (rows.min(), rows.max() + 1, cols.min(), cols.max() + 1) == (50, 150, 0, 60)


def test_a_tiny_image_is_not_enlarged() -> None:
    exam = small_exam()
    image = FakeScreener().read(exam).images[0]
    assert draw_thumbnail(exam.mammograms[0], image).shape == (120, 90, 3)
