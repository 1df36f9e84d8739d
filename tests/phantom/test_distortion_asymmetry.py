"""A distortion pulls tissue without a mass; an asymmetry is a mass without a border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fourview.exam import Side
from fourview.phantom.finding import PhantomFinding
from tests.phantom.flat_breast import ANGLES, draw_tissue, paint

PIXEL_MM = 0.2


def draw_distortion(key: int, margin: str | None = "spiculated") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tissue = draw_tissue(key, pixel_mm=PIXEL_MM)
    finding = PhantomFinding(
        Side.LEFT,
        "distortion",
        malignant=False,
        radius_mm=10,
        contrast=0.18,
        shape="architectural distortion",
        margin=margin,
        key=key,
        lateral=0,
        upper=0,
    )
    painted, mask = paint(finding, pixel_mm=PIXEL_MM, tissue=tissue)
    return tissue, painted, mask


def radial_share(image: np.ndarray, mask: np.ndarray) -> float:
    """Variance of fine structure around the middle over that along the rays: 1 in plain tissue, more if radial."""
    rows, cols = np.nonzero(mask)
    polar = cv2.warpPolar(image, (60, 360), (cols.mean(), rows.mean()), 60, cv2.WARP_POLAR_LINEAR)[:, 12:48]
    around, along = np.diff(polar, axis=0), np.diff(polar, axis=1)
    around = around / (2 * np.pi / 360 * np.arange(12, 48))  # per pixel, as along the rays
    return float(around.var() / along.var())


@pytest.mark.parametrize("margin", ["spiculated", "ill defined", None])
def test_tissue_becomes_radial(margin: str | None) -> None:
    before, after = [], []
    for key in range(5):
        tissue, painted, mask = draw_distortion(key, margin)
        before.append(radial_share(tissue, mask))
        after.append(radial_share(painted, mask))
    assert np.median(after) > 1.5 * np.median(before)


def test_a_distortion_has_no_mass_in_its_middle() -> None:
    for key in range(6):
        tissue, painted, mask = draw_distortion(key)
        rows, cols = np.nonzero(mask)
        y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
        core = np.hypot(y - rows.mean(), x - cols.mean()) < 0.35 * 10 / PIXEL_MM
        assert (painted - tissue)[core].mean() < 0.06


def test_a_distortion_leaves_no_seam_where_it_ends() -> None:
    for key in range(3):
        tissue, painted, mask = draw_distortion(key, None)
        rows, cols = np.nonzero(mask)
        y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
        away = np.hypot(y - rows.mean(), x - cols.mean()) * PIXEL_MM / 10
        change = np.abs(painted - tissue)
        assert np.quantile(change[away < 1], 0.5) > 0.004
        assert np.quantile(change[(away > 2.2) & (away < 2.7)], 0.95) < 0.002


def test_more_lines_radiate_from_a_spiculated_than_from_a_plain_distortion() -> None:
    def lines(margin: str | None) -> float:
        finding = PhantomFinding(
            Side.LEFT,
            "distortion",
            malignant=False,
            radius_mm=10,
            shape="architectural distortion",
            margin=margin,
            key=1,
        )
        return float((paint(finding, pixel_mm=PIXEL_MM)[0] > 0.01).sum())

    assert lines("spiculated") > lines("ill defined") > lines(None) > 0


@pytest.mark.parametrize("shape", ["focal asymmetric density", "asymmetric breast tissue"])
def test_an_asymmetry_is_seen_in_both_views_and_has_a_softer_border_than_a_mass(shape: str) -> None:
    def steepest(kind: str, **words: str) -> float:
        finding = PhantomFinding(Side.LEFT, kind, malignant=False, radius_mm=10, key=4, **words)  # type: ignore[arg-type]
        gains = []
        for angle in ANGLES:
            painted, mask = paint(finding, angle, pixel_mm=PIXEL_MM)
            assert mask.any()
            edge = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) - cv2.erode(
                mask.astype(np.uint8), np.ones((5, 5))
            )
            slope = np.hypot(*np.gradient(painted))
            gains.append(np.quantile(slope[edge > 0], 0.9) / painted[mask].mean())
        return float(np.mean(gains))

    assert steepest("asymmetry", shape=shape) < 0.4 * steepest("mass", shape="oval", margin="circumscribed")
