"""The inside of a breast: as much gland as asked for, siblings left and right, one tissue in both views."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.exam import Side
from fourview.phantom.anatomy import draw_gland, draw_lobules, project
from fourview.phantom.curves import draw_web
from fourview.phantom.woman import Breast
from tests.phantom.draw_side import a_breast

MLO = np.deg2rad(47)


def depth_profile(projected: np.ndarray) -> np.ndarray:
    """Gland at each depth, in 16 steps, whatever its height in the view."""
    weight = np.sqrt(np.clip(1 - np.linspace(-1, 1, projected.shape[1]) ** 2, 0, None))
    return ((projected * weight).sum(axis=1) / weight.sum()).reshape(16, -1).mean(axis=1)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.45])
def test_the_breast_holds_the_share_of_gland_that_was_asked_for(share: float) -> None:
    gland = draw_gland([1, 1], [1, 2], share=share)
    axis = (np.arange(64) + 0.5) / 32 - 1
    disc = axis[:, None] ** 2 + axis[None, :] ** 2 < 1
    narrow = (1 - ((np.arange(64) + 0.5) / 64) ** 2) ** 0.6
    assert abs(narrow @ gland[:, disc].mean(axis=1) / narrow.sum() / share - 1) < 0.05
    assert not gland[:, ~disc].any()
    assert gland.min() >= 0
    assert gland.max() <= 1


def test_gland_lies_behind_the_nipple_with_fat_before_the_chest_wall_and_beneath_the_skin() -> None:
    means = np.mean([a_breast(n, density="b").gland for n in range(6)], axis=0)
    by_depth = means.mean(axis=(1, 2))
    assert by_depth[:8].max() < 0.3 * by_depth[36:52].min()
    axis = (np.arange(64) + 0.5) / 32 - 1
    radius = np.hypot(axis[:, None], axis[None, :])
    assert means[:, (radius > 0.93) & (radius < 1)].mean() < 0.1 * means[:, radius < 0.5].mean()
    assert means[:, axis > 0].mean() > 1.1 * means[:, axis < 0].mean()  # lateral
    assert means[:, :, axis > 0].mean() > 1.1 * means[:, :, axis < 0].mean()  # upper


def test_both_views_see_the_same_gland_at_the_same_depth_and_another_woman_has_another() -> None:
    breasts = [a_breast(n, density="c") for n in range(8)]
    shared = np.mean([depth_profile(project(b.gland, 0.0)) for b in breasts], axis=0)
    cc = [depth_profile(project(b.gland, 0.0)) - shared for b in breasts]
    mlo = [depth_profile(project(b.gland, MLO)) - shared for b in breasts]
    same = [np.corrcoef(a, b)[0, 1] for a, b in zip(cc, mlo, strict=True)]
    other = [np.corrcoef(cc[n], mlo[(n + 1) % 8])[0, 1] for n in range(8)]
    assert min(same) > 0.95
    assert np.mean(other) < 0.4


def test_projection_keeps_the_mean_of_every_depth_whatever_the_tilt() -> None:
    gland = a_breast(3).gland
    for tilt in (0.0, 0.5, MLO):
        # a uniform slab stays uniform along the beam
        np.testing.assert_allclose(project(np.ones_like(gland), tilt)[:, 6:-6], 1, atol=0.02)
        assert abs(depth_profile(project(gland, tilt)).mean() / depth_profile(project(gland, 0.0)).mean() - 1) < 0.03


def test_left_and_right_are_more_alike_than_two_women_and_less_than_copies() -> None:
    def alike(a: Breast, b: Breast) -> float:
        return float(np.corrcoef(a.gland.ravel(), b.gland.ravel())[0, 1])

    siblings = [alike(a_breast(n, density="c"), a_breast(n, Side.RIGHT, density="c")) for n in range(6)]
    strangers = [alike(a_breast(n, density="c"), a_breast(n + 1, Side.RIGHT, density="c")) for n in range(6)]
    assert min(siblings) > max(strangers) + 0.03
    assert max(siblings) < 0.97


def test_lobules_are_more_where_they_are_smaller_and_lie_within_the_breast() -> None:
    fine, coarse = (draw_lobules([1], size_mm=(90, 85), radius_mm=radius) for radius in (5.0, 9.0))
    assert len(fine.places) > 1.8 * len(coarse.places)
    for lobules in (fine, coarse):
        assert np.hypot(lobules.places[:, 1], lobules.places[:, 2]).max() < 1
        assert (lobules.radius_mm > 0).all()
        assert lobules.strength.min() >= 0
        assert lobules.strength.max() <= 1


def test_threads_of_the_web_meet_in_nodes_and_are_longer_where_cells_are_larger() -> None:
    size = np.array([90.0, 85.0, 85.0])
    lengths = []
    for cell_mm in (9.0, 15.0):
        web = draw_web([1], size_mm=(90, 85), cell_mm=cell_mm, amount=1.0)
        ends = np.concatenate([web.places[:, 0], web.places[:, -1]])
        _, met = np.unique(ends.round(9), axis=0, return_counts=True)
        assert np.mean(met >= 3) > 0.6
        lengths.append(np.median(np.linalg.norm((web.places[:, -1] - web.places[:, 0]) * size, axis=1)))
    assert lengths[1] > 1.15 * lengths[0]
