"""Regions as the pixels they cover."""

from __future__ import annotations

import math
import tracemalloc
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
    "disc",
    [Circle(20.5, 30.25, 7.3), Circle(-4, 12.5, 9), Circle(39.6, 59.2, 30), Circle(20, 30, 500), Circle(7, 9, 5)],
)
def test_a_disc_is_the_same_however_much_of_the_image_it_fills(disc: Circle) -> None:
    rows, cols = np.ogrid[:40, :60]
    expected = (rows - disc.row) ** 2 + (cols - disc.col) ** 2 <= disc.radius**2
    np.testing.assert_array_equal(draw_region(disc, (40, 60)), expected)


@pytest.mark.parametrize(
    "region",
    [Circle(1000, 700, 8), Polygon(((1000.0, 700.0), (1000.0, 720.0), (1020.0, 710.0)))],
    ids=["disc", "outline"],
)
def test_a_small_region_of_a_large_image_takes_no_memory_beside_its_mask(region: Region) -> None:
    draw_region(region, (100, 100))
    tracemalloc.start()
    try:
        mask = draw_region(region, (3000, 2000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert mask.any()
    assert peak < 1.1 * mask.nbytes


@pytest.mark.parametrize(
    "region",
    [
        Circle(math.nan, 3, 2),
        Circle(3, 3, math.inf),
        Polygon(((1.0, 1.0), (1.0, math.nan), (5.0, 5.0))),
        Polygon(()),
    ],
)
def test_coordinates_that_are_no_numbers_are_refused(region: Region) -> None:
    with pytest.raises(ExamError, match="numbers"):
        draw_region(region, (6, 7))


def test_an_outline_with_a_point_far_away_is_refused_and_takes_no_memory() -> None:
    with pytest.raises(ExamError, match=r"found an outline from \[10\.0, 10\.0\] to \[90000000\.0, 50\.0\]"):
        draw_region(Polygon(((10.0, 10.0), (10.0, 50.0), (9e7, 30.0))), (100, 100))


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


def rectangle(shape: tuple[int, int], rows: slice, cols: slice) -> np.ndarray:
    picture = np.zeros(shape, np.uint8)
    picture[rows, cols] = 255
    return picture


@pytest.mark.parametrize(
    ("picture", "outline", "said"),
    [
        (255 - rectangle((40, 50), slice(10, 20), slice(5, 15)), False, r"over 95.0% of the image and 100.0% of its"),
        (rectangle((40, 50), slice(0, 21), slice(0, 50)), False, r"over 52.5% of the image and 51.1% of its"),
        (np.full((40, 50), 255, np.uint8), False, "over 100.0% of the image"),
        (np.full((40, 50), 255, np.uint8), True, "over 100.0% of the image"),
        (255 - rectangle((40, 50), slice(20, 21), slice(5, 15)), True, "over 99.5% of the image"),
        (  # a drawn line around most of the image: what lies outside of it is the smaller part
            rectangle((40, 50), slice(3, 37), slice(3, 47)) - rectangle((40, 50), slice(4, 36), slice(4, 46)),
            True,
            r"% of the image and 100.0% of its border",
        ),
    ],
)
def test_a_mask_over_more_than_a_lesion_can_cover_is_refused_with_its_share(
    tmp_path: Path, picture: np.ndarray, outline: bool, said: str
) -> None:
    path = write_picture(tmp_path / "m.png", picture)
    with pytest.raises(ExamError, match=rf"m\.png: found a mask .*{said}.*is it inverted\?"):
        draw_region(MaskFile(path, 128, outline=outline), (40, 50))


def test_a_mask_over_half_of_the_image_is_a_lesion_still(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "m.png", rectangle((40, 50), slice(10, 30), slice(0, 50)))
    assert draw_region(MaskFile(path), (40, 50)).mean() == 0.5
