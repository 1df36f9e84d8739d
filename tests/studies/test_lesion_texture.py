"""Texture numbers against matrices that are printed in the literature, and against patterns whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.studies.lesion.handcrafted.cooccurrence import count_pairs, describe_matrix, describe_pairs
from fourview.studies.lesion.handcrafted.regions import find_regions
from fourview.studies.lesion.handcrafted.texture import (
    LEVELS,
    count_dependence,
    count_runs,
    count_zones,
    describe_dependence,
    describe_runs,
    describe_sizes,
    describe_tones,
    measure_texture,
    quantise,
    sum_tones,
)
from tests.studies.lesion_shapes import DISC, ODD, SIDE, bright, rough

HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])  # Haralick et al. 1973
EXAMPLE = np.array([[5, 2, 5, 4, 4], [3, 3, 3, 1, 3], [2, 1, 1, 1, 3], [4, 2, 2, 2, 3], [3, 5, 3, 3, 2]]) - 1
TONES = np.array([[1, 2, 5, 2], [3, 5, 1, 3], [1, 3, 5, 5], [3, 1, 1, 1]]) - 1
ALL4, ALL5 = np.ones((4, 4), bool), np.ones((5, 5), bool)


@pytest.mark.parametrize(
    ("step", "counts"),
    [
        ((0, 1), [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]),
        ((1, 0), [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]),
        ((1, 1), [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]),
        ((1, -1), [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]),
    ],
)
def test_pairs_are_counted_as_in_haralicks_example(step: tuple[int, int], counts: list[list[int]]) -> None:
    assert count_pairs(HARALICK, ALL4, step, count=4).tolist() == counts


def test_pairs_that_leave_the_lesion_do_not_count() -> None:
    within = ALL4.copy()
    within[:, 2:] = False
    assert count_pairs(HARALICK, within, (0, 1), count=4).sum() == 8
    assert count_pairs(HARALICK, ALL4, (0, 8), count=4).sum() == 0
    assert set(describe_matrix(np.zeros((4, 4))).values()) == {0.0}


def test_haralicks_numbers_of_his_example() -> None:
    found = describe_matrix(count_pairs(HARALICK, ALL4, (0, 1), count=4))
    assert len(found) == 13
    assert found["angular second moment"] == pytest.approx(84 / 576)
    assert found["contrast"] == pytest.approx(14 / 24)
    assert found["inverse difference moment"] == pytest.approx((16 + 6 / 2 + 2 / 5) / 24)
    own = np.array([7, 6, 8, 3]) / 24
    mean = own @ np.arange(1, 5)
    assert found["sum average"] == pytest.approx(2 * mean)
    assert found["sum of squares"] == pytest.approx(own @ (np.arange(1, 5) - mean) ** 2)
    product = (4 * 1 + 4 * 4 + 6 * 9 + 2 * 16 + 2 * 2 * 2 + 2 * 3 + 2 * 12) / 24
    assert found["correlation"] == pytest.approx((product - mean**2) / found["sum of squares"])
    shares = np.array([4, 2, 1, 2, 4, 1, 6, 1, 1, 2]) / 24
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum())
    gaps = np.array([16, 6, 2]) / 24
    assert found["difference entropy"] == pytest.approx(-(gaps * np.log2(gaps)).sum())
    assert found["difference variance"] == pytest.approx((6 + 8) / 24 - (10 / 24) ** 2)
    sums = np.array([4, 4, 4 + 2, 0, 6, 2, 2]) / 24  # of 2 to 8
    some = sums[sums > 0]
    assert found["sum entropy"] == pytest.approx(-(some * np.log2(some)).sum())
    assert found["sum variance"] == pytest.approx(sums @ (np.arange(2, 9) - 2 * mean) ** 2)


def test_neighbours_that_know_nothing_of_each_other_have_no_information() -> None:
    found = describe_matrix(np.outer([1, 2, 3], [1, 2, 3]).astype(float))
    assert found["information correlation 1"] == pytest.approx(0, abs=1e-9)
    assert found["information correlation 2"] == pytest.approx(0, abs=1e-5)
    assert found["correlation"] == pytest.approx(0, abs=1e-9)
    alike = describe_matrix(np.diag([1.0, 2, 3]))
    assert alike["information correlation 1"] == pytest.approx(-1)
    assert alike["correlation"] == pytest.approx(1)


def test_runs_zones_and_dependence_are_counted_as_in_the_known_example() -> None:
    assert count_runs(EXAMPLE, ALL5, (0, 1)).tolist() == [[1, 0, 1], [3, 0, 1], [4, 1, 1], [1, 1, 0], [3, 0, 0]]
    assert count_zones(EXAMPLE, ALL5).tolist() == [
        [0, 0, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1],
        [1, 1, 0, 0, 0],
        [3, 0, 0, 0, 0],
    ]
    assert count_dependence(EXAMPLE, ALL5).tolist() == [
        [0, 1, 2, 1],
        [1, 2, 3, 0],
        [1, 4, 4, 0],
        [1, 2, 0, 0],
        [3, 0, 0, 0],
    ]


@pytest.mark.parametrize("way", [(0, 1), (1, 1), (1, 0), (1, -1)])
def test_runs_of_any_direction_hold_every_pixel_once(way: tuple[int, int]) -> None:
    within = np.random.default_rng(0).random((7, 9)) > 0.3
    levels = np.random.default_rng(1).integers(0, 3, (7, 9))
    counts = count_runs(levels, within, way)
    assert counts @ np.arange(1, counts.shape[1] + 1) == pytest.approx(np.bincount(levels[within], minlength=3))


def test_a_diagonal_line_is_one_run_along_it_and_many_across() -> None:
    levels = np.eye(5, dtype=np.int64)
    assert count_runs(levels, ALL5, (1, 1))[1].tolist() == [0, 0, 0, 0, 1]
    assert count_runs(levels, ALL5, (1, -1))[1].tolist() == [5, 0, 0, 0]  # the rest has runs of 4
    assert count_runs(levels[:, ::-1], ALL5, (1, -1))[1].tolist() == [0, 0, 0, 0, 1]


def test_numbers_of_sizes_of_a_small_matrix() -> None:
    found = describe_sizes(np.array([[2.0, 0], [1, 1]]), 5)  # two runs of 1 and of 2 pixels
    assert len(found) == 16
    assert found["short emphasis"] == pytest.approx((3 + 1 / 4) / 4)
    assert found["long emphasis"] == pytest.approx((3 + 4) / 4)
    assert found["grey non-uniformity"] == pytest.approx((4 + 4) / 4)
    assert found["size non-uniformity"] == pytest.approx((9 + 1) / 4)
    assert found["size non-uniformity, normalised"] == pytest.approx(10 / 16)
    assert found["percentage"] == pytest.approx(4 / 5)
    assert found["grey variance"] == pytest.approx(0.25)
    assert found["size variance"] == pytest.approx(3 / 16)
    assert found["entropy"] == pytest.approx(1.5)
    assert found["low grey emphasis"] == pytest.approx((2 + 2 / 4) / 4)
    assert found["long high grey emphasis"] == pytest.approx((2 + 4 + 16) / 4)
    assert found["short low grey emphasis"] == pytest.approx((2 + 1 / 4 + 1 / 16) / 4)


def test_tones_are_summed_as_in_the_known_example() -> None:
    pixels, gaps = sum_tones(TONES, ALL4)
    assert pixels.tolist() == [6, 2, 4, 0, 4]
    assert gaps == pytest.approx([13.35, 2.0, 0.6 + 0.6 + 0.5 + 4 / 3, 0, 10.075], abs=1e-6)
    found = describe_tones(pixels, gaps)
    p, s = pixels / 16, gaps
    assert found["coarseness"] == pytest.approx(1 / (p @ s))
    assert found["strength"] == pytest.approx(
        sum((p[i] + p[j]) * (i - j) ** 2 for i in (0, 1, 2, 4) for j in (0, 1, 2, 4)) / s.sum()
    )
    assert found["busyness"] == pytest.approx(
        (p @ s) / sum(abs((i + 1) * p[i] - (j + 1) * p[j]) for i in (0, 1, 2, 4) for j in (0, 1, 2, 4))
    )


def test_one_grey_is_one_level_one_zone_and_no_contrast() -> None:
    found = measure_texture(find_regions(np.full((SIDE, SIDE), 0.5, np.float32), DISC))
    assert found["pairs, contrast, 1 px"] == found["pairs, entropy, 8 px"] == 0
    assert found["pairs, angular second moment, 1 px"] == found["zones, grey non-uniformity"] == 1
    assert found["zones, percentage"] == pytest.approx(1 / DISC.sum())
    assert found["neighbours, contrast"] == 0
    assert np.isfinite(list(found.values())).all()
    assert len(found) == 2 * 4 * 13 + 16 + 16 + 14 + 5


def test_levels_run_over_the_lesions_own_greys() -> None:
    pixels = np.linspace(0.2, 0.4, SIDE * SIDE).reshape(SIDE, SIDE)
    levels = quantise(pixels, DISC)
    assert (levels[DISC].min(), levels[DISC].max()) == (0, LEVELS - 1)
    counts = np.bincount(levels[DISC], minlength=LEVELS)
    assert counts.min() > 0
    assert (quantise(5 * pixels - 1, DISC) == levels).all()


def test_stripes_are_alike_along_and_unlike_across() -> None:
    levels = np.tile([0, 1], (64, 32))
    within = np.ones((64, 64), bool)
    found = describe_pairs(levels, within, count=2)
    assert found["contrast, 1 px, range"] == 1
    assert found["contrast, 2 px"] == found["contrast, 2 px, range"] == 0
    assert describe_runs(levels, within)["long emphasis"] > 64**2 / 4


def test_turned_and_mirrored_lesions_have_the_same_texture() -> None:
    pixels = rough(3) * bright(ODD)
    base = measure_texture(find_regions(pixels, ODD))
    for move in (np.rot90, np.fliplr, np.transpose):
        found = measure_texture(find_regions(np.ascontiguousarray(move(pixels)), np.ascontiguousarray(move(ODD))))
        assert found == pytest.approx(base, rel=1e-9)


def test_dependence_has_fourteen_numbers() -> None:
    assert len(describe_dependence(EXAMPLE, ALL5)) == 14
