"""Regions as the pixels they cover."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.datasets.record import Circle, MaskFile, Polygon, Region
from fourview.datasets.regions import draw_region
from fourview.exam import Box, ExamError
from tests.ingest.pictures import write_picture


def test_a_disc_covers_the_centres_within_its_radius() -> None:
    mask = draw_region(Circle(3, 5, 2), (8, 9))
    assert np.argwhere(mask[1]).ravel().tolist() == [5]
    assert np.argwhere(mask[3]).ravel().tolist() == [3, 4, 5, 6, 7]
    assert mask.sum() == 13


def test_the_smallest_disc_is_one_pixel() -> None:
    assert np.argwhere(draw_region(Circle(2.4, 3.4, 0.1), (6, 6))).tolist() == [[2, 3]]


@pytest.mark.parametrize(
    "region",
    [
        Circle(-1, 2, 3),
        Box(-4, 3, -4, 5),
        Polygon(((-4.0, -4.0), (-4.0, 4.0), (2.0, 4.0), (2.0, -4.0))),
    ],
)
def test_what_lies_outside_is_cut_off(region: Region) -> None:
    mask = draw_region(region, (6, 7))
    assert mask.shape == (6, 7)
    assert mask[0, 2]
    assert not mask[4:].any()
    assert not mask[:, 6].any()


def test_a_region_beyond_the_image_covers_nothing() -> None:
    assert not draw_region(Polygon(((90.0, 90.0), (90.0, 95.0), (95.0, 95.0))), (6, 7)).any()
    assert not draw_region(Box(-9, -3, 0, 5), (6, 7)).any()


def test_a_polygon_covers_its_outline_and_what_it_encloses() -> None:
    mask = draw_region(Polygon(((1.0, 2.0), (1.0, 6.0), (4.0, 6.0), (4.0, 2.0))), (8, 9))
    expected = np.zeros((8, 9), bool)
    expected[1:5, 2:7] = True
    np.testing.assert_array_equal(mask, expected)


def test_an_outline_that_crosses_itself_leaves_no_hole() -> None:
    twice = [(2.0, 2.0), (2.0, 12.0), (12.0, 12.0), (12.0, 2.0), (2.0, 2.0), (4.0, 4.0), (4.0, 9.0), (9.0, 9.0)]
    mask = draw_region(Polygon((*twice, (9.0, 4.0), (4.0, 4.0))), (15, 15))
    assert mask[2:13, 2:13].all()


def test_a_mask_file_is_thresholded_and_resized_to_an_image_of_its_proportions(tmp_path: Path) -> None:
    picture = np.zeros((20, 30), np.uint8)
    picture[4:8, 6:12] = 200
    path = write_picture(tmp_path / "m.png", picture)
    np.testing.assert_array_equal(draw_region(MaskFile(path, 100), (20, 30)), picture > 0)
    doubled = draw_region(MaskFile(path, 100), (40, 60))
    np.testing.assert_array_equal(doubled, np.kron(picture > 0, np.ones((2, 2), bool)))
    assert not draw_region(MaskFile(path, 201), (20, 30)).any()
    with pytest.raises(ExamError, match=r"found a mask of \(20, 30\), the image has \(30, 20\)"):
        draw_region(MaskFile(path), (30, 20))


def test_a_drawn_contour_is_filled_also_where_the_border_closes_it(tmp_path: Path) -> None:
    picture = np.zeros((40, 40), np.uint8)
    picture[10, :9] = picture[20, :9] = picture[10:21, 8] = 255  # open towards the left border
    picture[25, 20:31] = picture[35, 20:31] = picture[25:36, 20] = picture[25:36, 30] = 255
    rows, cols = np.mgrid[:40, :40]
    diamond = abs(rows - 10) + abs(cols - 30)
    picture[diamond == 6] = 255  # its pixels touch only at their corners
    mask = draw_region(MaskFile(write_picture(tmp_path / "m.png", picture), 128, outline=True), (40, 40))
    expected = diamond <= 6
    expected[10:21, :9] = expected[25:36, 20:31] = True
    np.testing.assert_array_equal(mask, expected)


def test_opacity_is_no_part_of_a_mask(tmp_path: Path) -> None:
    picture = np.zeros((40, 30, 4), np.uint8)
    picture[..., 3] = 255
    picture[10:20, 5:9, :3] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), picture)
    drawn = draw_region(MaskFile(tmp_path / "mask.png"), (40, 30))
    assert drawn[10:20, 5:9].all()
    assert drawn.sum() == 40
    picture[..., :3] = 0
    picture[..., 3] = 0
    picture[10:20, 5:9, 3] = 255
    cv2.imwrite(str(tmp_path / "clear.png"), picture)
    with pytest.raises(ExamError, match="only the opacity"):
        draw_region(MaskFile(tmp_path / "clear.png"), (40, 30))
