"""The margin of a mass can be measured in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fourview.exam import Side
from fourview.phantom.finding import PhantomFinding
from tests.phantom.flat_breast import ANGLES, paint

PIXEL_MM = 0.14


def draw_mass(shape: str, margin: str, key: int, *, angle: str = "CC") -> tuple[np.ndarray, np.ndarray]:
    finding = PhantomFinding(
        Side.LEFT, "mass", malignant=False, radius_mm=8, contrast=0.3, shape=shape, margin=margin, key=key
    )
    return paint(finding, ANGLES[ANGLES.index(angle)], pixel_mm=PIXEL_MM)  # type: ignore[arg-type]


def share_outside(painted: np.ndarray, mask: np.ndarray, *, mm: float) -> float:
    """Share of the added brightness that lies more than this far from the body."""
    grown = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) * PIXEL_MM > mm
    return float(painted[grown].sum() / painted.sum())


def steepness(painted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Brightness gained over the outer millimetre of the body, in each of 24 directions, as a share of the middle."""
    rows, cols = np.nonzero(mask)
    row, col = rows.mean(), cols.mean()
    gains = []
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        steps = np.arange(0, 120)
        line = np.round(np.stack([row + steps * np.sin(angle), col + steps * np.cos(angle)])).astype(int)
        inside = mask[line[0], line[1]]
        edge = np.flatnonzero(inside)[-1]
        values = painted[line[0], line[1]]
        gains.append(float(values[max(0, edge - 5) : edge].mean() - values[edge + 3 : edge + 8].mean()))
    return np.array(gains) / painted[mask].mean()


def solidity(mask: np.ndarray) -> float:
    """Area over the area of the convex hull."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    return float(cv2.contourArea(outline) / cv2.contourArea(cv2.convexHull(outline)))


@pytest.mark.parametrize("shape", ["round", "oval", "lobulated", "irregular"])
def test_only_spicules_reach_far_beyond_the_body(shape: str) -> None:
    for key in range(3):
        far = {
            margin: share_outside(*draw_mass(shape, margin, key), mm=5)
            for margin in ("circumscribed", "microlobulated", "ill defined", "spiculated")
        }
        assert far["circumscribed"] == far["microlobulated"] == 0
        assert far["ill defined"] < 0.006 < far["spiculated"]


def test_spicules_are_thin_lines_that_fade_outwards() -> None:
    for key in range(4):
        painted, mask = draw_mass("round", "spiculated", key)
        away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) * PIXEL_MM
        rings = [painted[(away > low) & (away <= low + 2)] for low in (1.5, 5.5, 9.5)]
        assert rings[0].mean() > rings[1].mean() > rings[2].mean() > 0
        # between the lines there is nothing
        assert np.mean(rings[1] > 0.2 * rings[1].max()) < 0.35


def test_circumscribed_borders_are_steep_ill_defined_ones_are_not_and_obscured_ones_only_in_part() -> None:
    for key in range(4):
        sharp, vague, part = (
            steepness(*draw_mass("oval", margin, key)) for margin in ("circumscribed", "ill defined", "obscured")
        )
        assert np.median(sharp) > 0.45
        assert np.median(vague) < 0.25
        assert np.quantile(part, 0.9) > 0.45
        assert np.quantile(part, 0.1) < 0.25


def test_a_microlobulated_border_is_longer_than_a_circumscribed_one() -> None:
    for key in range(4):
        smooth, studded = (
            solidity(draw_mass("round", margin, key)[1]) for margin in ("circumscribed", "microlobulated")
        )
        assert studded < smooth - 0.01
        assert studded > 0.85  # the lobes are small


def test_shapes_are_what_they_are_called() -> None:
    def medians(measure: object) -> dict[str, float]:
        return {
            shape: float(np.median([measure(draw_mass(shape, "circumscribed", key)[1]) for key in range(8)]))  # type: ignore[operator]
            for shape in ("round", "oval", "lobulated", "irregular", "lymph node")
        }

    def elongation(mask: np.ndarray) -> float:
        spread = np.linalg.eigvalsh(np.cov(np.nonzero(mask)))
        return float((spread[1] / spread[0]) ** 0.5)

    long, solid = medians(elongation), medians(solidity)
    assert long["round"] < 1.1
    assert long["oval"] > 1.2
    assert solid["round"] > 0.97
    assert solid["oval"] > 0.97
    assert solid["irregular"] < solid["lobulated"] < solid["round"]


def test_a_lymph_node_has_a_darker_hilum_that_an_oval_has_not() -> None:
    def middle_over_whole(shape: str, key: int) -> float:
        painted, mask = draw_mass(shape, "circumscribed", key)
        inner = cv2.erode(mask.astype(np.uint8), np.ones((25, 25))) > 0
        return float(np.quantile(painted[inner], 0.05) / np.quantile(painted[inner], 0.95))

    nodes, ovals = ([middle_over_whole(shape, key) for key in range(10)] for shape in ("lymph node", "oval"))
    assert np.median(nodes) < np.median(ovals) - 0.15


def test_a_mass_is_brightest_in_the_middle_like_a_body_and_not_flat_like_a_coin() -> None:
    painted, mask = draw_mass("round", "circumscribed", 1)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) * PIXEL_MM
    shells = [painted[(depth > low) & (depth <= low + 1)].mean() for low in (0, 2, 5)]
    assert shells[0] < 0.75 * shells[2]
    assert shells[1] < shells[2]


def test_both_views_show_one_body_from_two_sides() -> None:
    cc, mlo = (draw_mass("irregular", "circumscribed", 3, angle=angle)[1] for angle in ANGLES)
    shown = [np.flatnonzero(mask.any(axis=0)) for mask in (cc, mlo)]
    # as long from chest wall to nipple in one as in the other, but not the same outline
    assert len(shown[0]) == pytest.approx(len(shown[1]), rel=0.15)
    assert shown[0].mean() * PIXEL_MM == pytest.approx(shown[1].mean() * PIXEL_MM, abs=1.5)
    assert (cc.sum(axis=1) > 0).sum() != (mlo.sum(axis=1) > 0).sum()
