"""Local patterns, waves, wavelets and edges of images whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.studies.lesion.handcrafted.local import (
    BINS,
    HOG_SIZE,
    RINGS,
    describe_edges,
    find_patterns,
    measure_local,
    measure_wavelets,
    measure_waves,
)
from fourview.studies.lesion.handcrafted.numbers import FAMILIES, list_names, measure_lesion
from fourview.studies.lesion.handcrafted.regions import find_regions
from tests.studies.lesion_shapes import DISC, ODD, SIDE, X, Y, bright, rough

ALL = np.ones((SIDE, SIDE), bool)
FLAT = np.full((SIDE, SIDE), 0.5)


@pytest.mark.parametrize(("neighbours", "radius"), RINGS)
def test_flat_greys_have_one_pattern_and_bright_points_the_other_end(neighbours: int, radius: float) -> None:
    flat = find_patterns(FLAT, ALL, neighbours=neighbours, radius=radius)
    assert len(flat) == neighbours + 2
    assert flat[neighbours] == 1  # all neighbours at least as bright
    point = FLAT.copy()
    point[100, 100] = 0.9
    there = np.zeros_like(ALL)
    there[100, 100] = True
    assert find_patterns(point, there, neighbours=neighbours, radius=radius)[0] == 1


def test_an_edge_has_half_of_its_neighbours_bright_in_one_arc() -> None:
    edge = np.where(X > 0, 0.8, 0.2)
    column = np.zeros_like(ALL)
    column[:, SIDE // 2] = True  # the first bright one: it and those beside and right of it are as bright
    assert find_patterns(edge, column, neighbours=8, radius=1.0)[5] == 1


def test_a_wave_answers_at_its_own_length_with_its_amplitude() -> None:
    pixels = 0.5 + 0.2 * np.cos(2 * np.pi * X / 16)
    middle = DISC
    found = {wave: measure_waves(pixels, middle, wave) for wave in (4.0, 8.0, 16.0, 32.0)}
    assert max(found, key=lambda wave: found[wave]["mean"]) == 16
    assert found[16]["mean"] * 6 > 0.2 * 0.95  # one of six angles sees all of it
    assert found[16]["anisotropy"] > 3
    assert measure_waves(FLAT, middle, 16.0) == pytest.approx({"mean": 0, "sd": 0, "anisotropy": 0}, abs=1e-9)


def test_waves_turned_by_a_right_angle_answer_alike() -> None:
    pixels = 0.5 + 0.2 * np.cos(2 * np.pi * (X + 0.4 * Y) / 10)
    assert measure_waves(pixels.T.copy(), DISC, 8.0) == pytest.approx(measure_waves(pixels, DISC, 8.0), rel=1e-6)


def test_a_chequered_board_is_diagonal_detail_and_stripes_are_not() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2.0
    found = measure_wavelets(board)
    assert found["detail 1 px, diagonal"] == 1
    assert found["detail 1 px"] == found["detail 2 px"] == found["detail 8 px, diagonal"] == 0
    stripes = np.tile([0.0, 1.0], (64, 32))
    found = measure_wavelets(stripes)
    assert found["detail 1 px"] == 1
    assert found["detail 1 px, diagonal"] == 0
    assert found["detail 1 px, anisotropy"] == 1
    assert measure_wavelets(stripes.T) == found
    wide = measure_wavelets(np.tile([0.0, 0, 1, 1], (64, 16)))
    assert wide["detail 1 px"] == 0
    assert wide["detail 2 px"] > 0
    assert set(measure_wavelets(FLAT).values()) == {0.0}


def test_energy_of_white_noise_is_that_of_its_pixels() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    found = measure_wavelets(noise)
    for size in (1, 2, 4, 8):  # an orthonormal transform keeps the variance of white noise in each band
        assert found[f"detail {size} px, diagonal"] == pytest.approx(1, abs=0.15)
        assert found[f"detail {size} px"] == pytest.approx(2, abs=0.25)


def test_gradients_fall_into_the_bin_of_their_direction() -> None:
    ramp = (0.5 + X / SIDE / 2).astype(np.float32)
    of_right = describe_edges(ramp).reshape(-1, BINS, 4)  # blocks, bins, cells
    assert of_right.size == HOG_SIZE == 1764
    assert of_right[:, [0, BINS - 1]] == pytest.approx(np.full((49, 2, 4), np.sqrt(1 / 8)), abs=0.01)  # 0 lies between
    of_down = describe_edges(np.ascontiguousarray(ramp.T)).reshape(-1, BINS, 4)
    assert (of_down.argmax(axis=1) == BINS // 2).all()
    assert np.linalg.norm(of_down.reshape(-1, 4 * BINS), axis=1) == pytest.approx(np.ones(49), abs=0.01)
    assert not describe_edges(FLAT.astype(np.float32)).any()


def test_turned_and_mirrored_lesions_have_the_same_local_numbers() -> None:
    pixels = rough(4) * bright(ODD)
    base = measure_local(find_regions(pixels, ODD))
    for move in (np.rot90, np.fliplr, np.transpose):
        found = measure_local(find_regions(np.ascontiguousarray(move(pixels)), np.ascontiguousarray(move(ODD))))
        assert found == pytest.approx(base, rel=1e-4, abs=1e-6)


def test_every_number_has_a_family_and_a_name_of_its_own() -> None:
    names = list_names()
    assert len(set(names)) == len(names) == 334
    assert {family for family, _ in names} == set(FAMILIES)
    assert measure_lesion.__doc__
