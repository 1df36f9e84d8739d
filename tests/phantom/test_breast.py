"""A painted view: the same tissue at every scale, denser women brighter, texture as rough as real, findings kept."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from fourview.exam import Side
from fourview.phantom.breast import gland_share
from fourview.phantom.finding import PhantomFinding
from tests.phantom.draw_side import FIELD_MM, a_breast, a_view, painted

REAL_SLOPE = 2.6  # 0.1 to 1 cycles/mm, Hann window on 35 mm squares in four real CC views: 2.53 to 2.67
MASS = PhantomFinding(Side.LEFT, "mass", malignant=True, radius_mm=8)


def shrunk(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("angle", ["CC", "MLO"])
def test_full_scale_shrunk_to_a_quarter_is_the_quarter_scale_view(angle) -> None:
    fine, inside_fine, _, _ = painted(4, angle, pixel_mm=0.07)
    coarse, inside, _, _ = painted(4, angle, pixel_mm=0.28)
    assert fine.shape == (3328, 2560)
    both = (
        cv2.erode(
            (inside & (shrunk(inside_fine.astype(np.float32), inside.shape) > 0.99)).astype(np.uint8), np.ones((5, 5))
        )
        > 0
    )
    small = shrunk(fine, coarse.shape)
    assert np.corrcoef(small[both], coarse[both])[0, 1] > 0.97
    assert abs(small[both].mean() / coarse[both].mean() - 1) < 0.03


@pytest.mark.parametrize("pixel_mm", [0.1, 0.7])
def test_other_pixel_sizes_show_the_same_tissue_too(pixel_mm: float) -> None:
    here, inside_here, _, _ = painted(2, "CC", pixel_mm=pixel_mm)
    coarse, inside, _, _ = painted(2, "CC", pixel_mm=0.28)
    shape = (166, 128)
    both = (
        cv2.erode(
            (
                (shrunk(inside.astype(np.float32), shape) > 0.99)
                & (shrunk(inside_here.astype(np.float32), shape) > 0.99)
            ).astype(np.uint8),
            np.ones((3, 3)),
        )
        > 0
    )
    assert np.corrcoef(shrunk(here, shape)[both], shrunk(coarse, shape)[both])[0, 1] > 0.95


def test_the_same_view_twice_is_the_same_and_the_background_is_exactly_zero() -> None:
    first, inside, masks, _ = painted(7, "MLO")
    again, _, _, _ = painted(7, "MLO")
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert masks == ()
    assert not first[~inside].any()
    assert first[inside].min() + 1e-6 > 0
    assert first.max() <= 1
    assert np.isfinite(first).all()


def test_denser_women_show_more_gland_and_brighter_breasts() -> None:
    shares, lights = [], []
    for density in ("a", "b", "c", "d"):
        share, light = [], []
        for identity in range(4):
            breast = a_breast(identity, density=density)
            outline = a_view(breast, "CC", identity)
            tissue, inside, _, _ = painted(identity, "CC", density=density, pixel_mm=0.7)
            share.append(gland_share(breast, outline, tissue.shape, pixel_mm=0.7)[inside].mean())
            light.append(tissue[inside].mean())
        shares.append(np.mean(share))
        lights.append(np.mean(light))
    assert shares == sorted(shares)
    assert lights == sorted(lights)


def test_cc_and_mlo_of_a_breast_agree_in_their_gland_and_not_with_another_woman() -> None:
    def profile(identity: int, angle: str) -> np.ndarray:
        breast = a_breast(identity, density="c")
        outline = a_view(breast, angle, identity)
        share = gland_share(breast, outline, (166, 128), pixel_mm=1.4)
        inside = (np.arange(128) + 0.5) * 1.4 < outline.skin_x((np.arange(166) + 0.5) * 1.4)[:, None]
        step = outline.depth_mm / 1.4 / 16
        columns = (share * inside).sum(axis=0)
        found = np.array([columns[int(n * step) : int((n + 1) * step) + 1].mean() for n in range(16)])
        return found / found.sum()

    cc, mlo = [profile(n, "CC") for n in range(8)], [profile(n, "MLO") for n in range(8)]
    cc, mlo = cc - np.mean(cc, axis=0), mlo - np.mean(mlo, axis=0)
    agree = [np.corrcoef(cc[n], mlo[n])[0, 1] for n in range(8)]
    disagree = [np.corrcoef(cc[n], mlo[(n + shift) % 8])[0, 1] for n in range(8) for shift in (1, 2, 3)]
    assert np.mean(agree) > 0.6
    assert np.mean(agree) > np.mean(disagree) + 0.5


def test_left_and_right_views_are_more_alike_than_those_of_two_women() -> None:
    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(cv2.GaussianBlur(a, (0, 0), 6).ravel(), cv2.GaussianBlur(b, (0, 0), 6).ravel())[0, 1])

    views = {(n, side): painted(n, "CC", side=side, density="b", pixel_mm=0.7)[0] for n in range(5) for side in Side}
    siblings = [alike(views[n, Side.LEFT], views[n, Side.RIGHT]) for n in range(5)]
    strangers = [alike(views[n, Side.LEFT], views[(n + 1) % 5, Side.RIGHT]) for n in range(5)]
    assert np.mean(siblings) > np.mean(strangers) + 0.05
    assert max(siblings) < 0.995


def test_the_spectrum_inside_the_breast_falls_as_steeply_as_in_real_mammograms() -> None:
    slopes = [slope for identity in range(8) for slope in slopes_inside(identity)]
    assert len(slopes) > 20
    assert abs(np.mean(slopes) - REAL_SLOPE) < 0.3


def slopes_inside(identity: int) -> list[float]:
    tissue, inside, _, _ = painted(identity, "CC")
    far = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1] * 0.28
    size = 125
    window = np.hanning(size)[:, None] * np.hanning(size)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size, 0.28), np.fft.fftfreq(size, 0.28)))
    edges = np.geomspace(0.1, 1.0, 12)
    rings = [(f >= a) & (f < b) for a, b in pairwise(edges)]
    rings = [ring for ring in rings if ring.sum() >= 3]
    found = []
    for top in range(0, tissue.shape[0] - size, 60):
        for left in range(45, tissue.shape[1] - size, 60):  # not where a CC view may show muscle
            if (far[top : top + size, left : left + size] > 12).all():
                square = tissue[top : top + size, left : left + size]
                power = np.abs(np.fft.fft2((square - square.mean()) * window)) ** 2
                x, y = [np.log(f[ring]).mean() for ring in rings], [np.log(power[ring].mean()) for ring in rings]
                found.append(-float(np.polyfit(x, y, 1)[0]))
    return found


def test_a_finding_is_painted_in_both_views_and_an_occult_one_in_none() -> None:
    occult = PhantomFinding(Side.LEFT, "mass", malignant=True, radius_mm=8, visible=False)
    for angle in ("CC", "MLO"):
        bare, inside, _, outline = painted(6, angle)
        seen, _, (mask,), _ = painted(6, angle, findings=(MASS,))
        hidden, _, none, _ = painted(6, angle, findings=(occult,))
        np.testing.assert_array_equal(bare, hidden)
        assert none == ()
        assert mask.any()
        assert not (mask & ~inside).any()
        assert (seen - bare)[mask].mean() > 0.03
        x, y = outline.place(np.array(MASS.depth), np.array(MASS.lateral), np.array(MASS.upper))
        rows, cols = np.nonzero(mask)
        assert np.hypot(rows.mean() * 0.28 - y, cols.mean() * 0.28 - x) < 5


def test_the_skin_is_a_bright_line_and_the_fat_beneath_it_is_dark() -> None:
    tissue, inside, _, outline = painted(3, "CC", density="b")
    far = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1] * 0.28
    away = np.abs((np.arange(tissue.shape[0]) + 0.5) * 0.28 - outline.nipple_y_mm)[:, None] > 20
    skin = tissue[(far > 0.8) & (far < 1.4) & away].mean()
    fat = tissue[(far > 3.5) & (far < 6) & away].mean()
    assert skin > 1.2 * fat


def test_mlo_shows_muscle_brighter_than_the_fat_before_it() -> None:
    for identity in range(4):
        tissue, inside, _, outline = painted(identity, "MLO", density="a", pixel_mm=0.7)
        y, x = (np.indices(tissue.shape) + 0.5) * 0.7
        behind = outline.pectoral_x(y[:, 0])[:, None] - x
        assert (
            tissue[inside & (behind > 5)].mean()
            > 1.5 * tissue[inside & (behind < -5) & (behind > -20) & (y < 100)].mean()
        )


def test_a_breast_keeps_its_tissue_on_another_detector() -> None:
    small, large = painted(2, "CC", pixel_mm=0.7), painted(2, "CC", pixel_mm=0.7, field_mm=(287.0, 233.0))
    assert abs(small[1].sum() / large[1].sum() - 1) < 0.03
    assert abs(small[0][small[1]].mean() / large[0][large[1]].mean() - 1) < 0.06
    assert FIELD_MM[0] < 287


def test_septa_show_more_in_fatty_breasts_and_gland_is_brighter_in_dense_ones() -> None:
    fine, brightest = [], []
    for density in ("a", "d"):
        tissue, inside, _, _ = painted(5, "CC", density=density)
        deep = cv2.erode(np.pad(inside.astype(np.uint8), 1, mode="edge"), np.ones((61, 61)))[1:-1, 1:-1] > 0
        detail = tissue - cv2.GaussianBlur(tissue, (0, 0), 4)
        fine.append(detail[deep].std() / tissue[deep].std())
        brightest.append(np.percentile(tissue[deep], 90))
    assert fine[0] > fine[1]
    assert brightest[1] > 1.3 * brightest[0]
