"""Calcifications of each type and distribution, measured in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fourview.exam import Side
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.signs import CALC_TYPES
from tests.phantom.flat_breast import ANGLES, paint


def draw_group(
    calc_type: str,
    distribution: str | None = "clustered",
    *,
    key: int = 1,
    angle: int = 0,
    pixel_mm: float = 0.07,
    **place: float,
) -> tuple[np.ndarray, np.ndarray]:
    finding = PhantomFinding(
        Side.LEFT,
        "calcifications",
        malignant=False,
        radius_mm=6,
        contrast=0.5,
        calc_type=calc_type,
        distribution=distribution,
        key=key,
        **{"depth": 0.5, "lateral": 0.0, "upper": 0.0, **place},
    )
    return paint(finding, ANGLES[angle], pixel_mm=pixel_mm)


def count_specks(painted: np.ndarray, *, level: float = 0.08) -> int:
    return int(cv2.connectedComponents((painted > level).astype(np.uint8))[0] - 1)


@pytest.mark.parametrize("calc_type", CALC_TYPES)
def test_total_brightness_is_the_same_at_every_pixel_size(calc_type: str) -> None:
    fine, coarse, coarser = (draw_group(calc_type, pixel_mm=mm)[0].sum() * mm**2 for mm in (0.07, 0.28, 0.7))
    assert coarse == pytest.approx(fine, rel=0.04)
    assert coarser == pytest.approx(fine, rel=0.1)


def test_specks_are_small_bright_and_many() -> None:
    for calc_type, (low, high) in {"pleomorphic": (6, 50), "punctate": (6, 20), "round and regular": (4, 14)}.items():
        painted, mask = draw_group(calc_type)
        assert low <= count_specks(painted) <= high, calc_type
        assert painted.max() > 0.3
        assert (painted[mask] > 0.08).mean() < 0.15


def test_amorphous_specks_are_fainter_than_all_others() -> None:
    peaks = {
        name: np.median([np.quantile(draw_group(name, key=key)[0], 0.9999) for key in range(4)])
        for name in ("amorphous", "pleomorphic", "punctate", "round and regular")
    }
    assert min(peaks, key=lambda name: peaks[name]) == "amorphous"


@pytest.mark.parametrize("calc_type", ["lucent centered", "eggshell"])
def test_rings_are_darker_inside_than_at_their_rim(calc_type: str) -> None:
    painted, _ = draw_group(calc_type, "clustered", key=3)
    _, labels, stats, middles = cv2.connectedComponentsWithStats((painted > 0.05).astype(np.uint8))
    n = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    col, row = (round(value) for value in middles[n])
    assert painted[row, col] < 0.6 * painted[labels == n].max()


def test_fine_linear_calcifications_are_longer_than_wide() -> None:
    def longest(calc_type: str) -> float:
        painted, _ = draw_group(calc_type, key=2)
        outlines, _ = cv2.findContours((painted > 0.05).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        boxes = [cv2.minAreaRect(outline)[1] for outline in outlines if len(outline) > 8]
        return float(np.median([max(box) / max(min(box), 1) for box in boxes]))

    assert longest("fine linear branching") > 2
    assert longest("round and regular") < 1.4


def test_vascular_calcifications_run_in_two_parallel_lines() -> None:
    painted, mask = draw_group("vascular", None, key=4)
    rows, cols = np.nonzero(mask)
    assert (cols.max() - cols.min()) * 0.07 > 15 or (rows.max() - rows.min()) * 0.07 > 15
    x = np.stack(np.nonzero(painted > 0.1))
    middle = x.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.cov(x))
    along, across = axes[:, 1] @ (x - middle), axes[:, 0] @ (x - middle)
    gaps = []
    for low in np.arange(along.min(), along.max(), 14):
        here = np.sort(across[(along >= low) & (along < low + 14)])
        gaps.append(np.diff(here).max(initial=0) * 0.07)
    assert np.median(gaps) > 0.4  # a lucent channel between the walls


def test_milk_of_calcium_is_vague_from_above_and_cup_shaped_from_the_side() -> None:
    above, side = (draw_group("milk of calcium", angle=angle, key=2)[0] for angle in (0, 1))
    assert side.max() > 1.8 * above.max()
    # a cup is heavier below its middle
    _, labels, stats, _ = cv2.connectedComponentsWithStats((side > 0.1).astype(np.uint8))
    tops, heights = stats[1:, cv2.CC_STAT_TOP], stats[1:, cv2.CC_STAT_HEIGHT]
    means = [np.nonzero(labels == n)[0].mean() for n in range(1, len(stats))]
    assert np.median((means - tops) / (heights - 1)) > 0.53


def spread(distribution: str, key: int, angle: int = 0) -> np.ndarray:
    """Standard deviations (mm) of the specks, along their longer and shorter axis."""
    painted, _ = draw_group("punctate", distribution, key=key, angle=angle, pixel_mm=0.14)
    return np.sqrt(np.linalg.eigvalsh(np.cov(np.nonzero(painted > 0.1))))[::-1] * 0.14


def test_distributions_have_the_extent_and_form_that_their_names_say() -> None:
    found = {
        name: np.median([spread(name, key) for key in range(8)], axis=0)
        for name in ("clustered", "linear", "segmental", "regional", "diffusely scattered")
    }
    assert found["linear"][0] > 3.5 * found["linear"][1]
    assert found["segmental"][0] > 1.5 * found["segmental"][1]
    assert found["clustered"][0] < 1.6 * found["clustered"][1]
    assert found["clustered"][0] < found["regional"][0] < found["diffusely scattered"][0]


def test_a_segmental_group_points_to_the_nipple_and_is_narrow_there() -> None:
    slopes, ratios = [], []
    for key in range(12):
        # upper and far from the nipple: in CC the ducts run along x
        painted, _ = draw_group("punctate", "segmental", key=key, pixel_mm=0.14, depth=0.4)
        rows, cols = np.nonzero(painted > 0.1)
        spreads = np.linalg.eigh(np.cov(np.stack([cols, rows])))[1][:, 1]
        slopes.append(abs(spreads[1] / spreads[0]))
        far, near = rows[cols < np.median(cols)], rows[cols >= np.median(cols)]
        ratios.append(far.std() / near.std())
    assert np.median(slopes) < 0.4
    assert np.median(ratios) > 1.1


def test_the_mask_is_the_disc_of_a_cluster_and_the_hull_of_any_other_group() -> None:
    _, disc = draw_group("pleomorphic", pixel_mm=0.14)
    assert disc.sum() * 0.14**2 == pytest.approx(np.pi * 36, rel=0.03)
    for distribution in ("linear", "segmental", "regional", "diffusely scattered"):
        painted, hull = draw_group("pleomorphic", distribution, pixel_mm=0.14)
        assert painted[hull].sum() > 0.97 * painted.sum()
        (outline, *rest), _ = cv2.findContours(hull.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert not rest
        assert cv2.contourArea(outline) > 0.93 * cv2.contourArea(cv2.convexHull(outline))


def test_both_views_show_the_same_specks_at_the_same_depth() -> None:
    profiles = [draw_group("round and regular", "regional", angle=angle, key=6)[0].sum(axis=0) for angle in (0, 1)]
    np.testing.assert_allclose(*profiles, atol=0.02 * profiles[0].max())
