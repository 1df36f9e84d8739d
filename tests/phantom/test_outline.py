"""The outline stays in the field, and the same place of the breast is as deep in CC as in MLO."""

from __future__ import annotations

import numpy as np
import pytest

from tests.phantom.draw_side import FIELD_MM, a_breast, a_view

FIELDS = (FIELD_MM, (287.0, 233.0), (229.0, 191.0))


@pytest.mark.parametrize("field_mm", FIELDS)
@pytest.mark.parametrize("angle", ["CC", "MLO"])
def test_the_skin_starts_at_the_chest_wall_and_never_reaches_the_far_side_of_the_field(angle, field_mm) -> None:
    for identity in range(25):
        outline = a_view(a_breast(identity), angle, identity, field_mm=field_mm)
        y = np.arange(0, field_mm[0], 0.3)
        x = outline.skin_x(y)
        assert x.min() >= 0
        assert x.max() < field_mm[1] - 3
        inside = x > 0.1
        assert np.count_nonzero(np.diff(np.r_[0, inside.astype(int), 0])) == 2  # one piece
        assert outline.skin_x(y, nipple=False).max() < 1.12 * outline.depth_mm
        assert abs(float(outline.skin_x(np.array(outline.nipple_y_mm), nipple=False)) - outline.depth_mm) < 1.5
        if angle == "MLO":
            assert inside[0]


def test_few_cc_views_run_out_of_the_field_and_nearly_all_mlo_views_show_muscle() -> None:
    runs_out, muscle, slivers = [], [], []
    for identity in range(60):
        breast = a_breast(identity)
        cc, mlo = a_view(breast, "CC", identity), a_view(breast, "MLO", identity)
        runs_out.append(cc.skin[0] > 1 or cc.skin[-2] > 1)
        slivers.append(cc.muscle.max() > 0)
        muscle.append(mlo.muscle[0] > 10)
        assert mlo.muscle[0] < 0.95 * mlo.skin[0]  # fat before the muscle
        assert (np.diff(mlo.muscle[mlo.muscle > 0]) < 1.5).all()
    assert np.mean(runs_out) < 0.15
    assert all(muscle)
    assert 0.1 < np.mean(slivers) < 0.4


def test_a_place_is_as_far_from_the_nipple_in_cc_as_in_mlo() -> None:
    rng = np.random.default_rng(0)
    for identity in range(30):
        breast = a_breast(identity)
        depth, lateral, upper = rng.uniform(0.1, 0.9, 20), rng.uniform(-0.9, 0.9, 20), rng.uniform(-0.9, 0.9, 20)
        far = []
        for angle in ("CC", "MLO"):
            outline = a_view(breast, angle, identity)
            far.append(outline.depth_mm - outline.place(depth, lateral, upper)[0])
        assert np.abs(far[0] - far[1]).max() < 5


@pytest.mark.parametrize("angle", ["CC", "MLO"])
def test_every_place_of_a_finding_lies_within_the_skin(angle) -> None:
    depth, lateral, upper = (
        axis.ravel() for axis in np.meshgrid(*[np.linspace(0.1, 0.9, 7)] + [np.linspace(-0.9, 0.9, 7)] * 2)
    )
    for identity in range(25):
        outline = a_view(a_breast(identity), angle, identity)
        x, y = outline.place(depth, lateral, upper)
        assert (x < outline.skin_x(y)).all()
        assert y.min() > 0
        assert y.max() < FIELD_MM[0]


@pytest.mark.parametrize("angle", ["CC", "MLO"])
def test_lateral_and_upper_outer_lie_on_top_and_locate_is_the_inverse_of_place(angle) -> None:
    for identity in range(10):
        outline = a_view(a_breast(identity), angle, identity)
        across = np.linspace(-0.95, 0.95, 21)
        for depth in (0.1, 0.4, 0.8):
            x, y = outline.place(np.full(21, depth), across * np.cos(outline.tilt), across * np.sin(outline.tilt))
            assert (np.diff(y) < 0).all()
            found_depth, found_across = outline.locate(x, y)
            np.testing.assert_allclose(found_depth, depth, atol=1e-9)
            np.testing.assert_allclose(found_across, across, atol=1e-6)


def test_the_same_woman_keeps_her_size_on_every_detector() -> None:
    for identity in range(5):
        breast = a_breast(identity, density="c")
        sizes = [a_view(breast, "CC", identity, field_mm=field).depth_mm for field in FIELDS]
        assert sizes[0] == sizes[1] == sizes[2]


def test_mlo_views_show_no_long_axilla_above_a_small_breast_and_round_off_below() -> None:
    shares, widest = [], []
    for identity in range(60):
        breast = a_breast(identity)
        outline = a_view(breast, "MLO", identity)
        y = np.arange(0, FIELD_MM[0], 0.5)
        skin = outline.skin_x(y, nipple=False)
        height = np.count_nonzero(skin > 0.1) * 0.5
        shares.append(outline.nipple_y_mm / height)
        widest.append(height / breast.traits.depth_mm)
        below = y > outline.nipple_y_mm + 10
        turn = np.abs(np.diff(np.diff(skin[below & (skin > 10)])))
        assert turn.max() < 0.5  # no corner: the slope changes by less than 1 in 1 mm
    assert 0.55 < np.mean(shares) < 0.70
    assert min(shares) > 0.45
    assert max(shares) < 0.75
    assert np.mean(widest) < 2.6
