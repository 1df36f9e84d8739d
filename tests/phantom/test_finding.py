"""A finding is painted where it lies, from one truth in both views, and its brightness and size tell no label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fourview.exam import SetupError, Side
from fourview.phantom.distractor import draw_distractor
from fourview.phantom.finding import PhantomFinding, draw_finding
from fourview.phantom.ring import measure_ring_contrast
from fourview.phantom.signs import KINDS, SIGNS, Kind
from tests.phantom.flat_breast import ANGLES, draw_tissue, paint


def every_sign() -> list[PhantomFinding]:
    """One finding for each pair of words that is ever drawn."""
    found = []
    for n, (kind, own) in enumerate(SIGNS.items()):
        for m, words in enumerate(own.counts):
            named = {axis: word for axis, word in zip(own.axes, words, strict=True) if word is not None}
            found.append(replace(PhantomFinding(Side.LEFT, kind, malignant=False, key=1000 * n + m), **named))
    return found


@pytest.mark.parametrize(
    "finding", every_sign(), ids=lambda f: f"{f.shape or f.calc_type}, {f.margin or f.distribution}"
)
def test_every_pair_of_words_is_painted_in_both_views_with_a_mask_where_it_lies(finding: PhantomFinding) -> None:
    tissue = draw_tissue(1, pixel_mm=0.56)
    for angle in ANGLES:
        painted, mask = paint(finding, angle, pixel_mm=0.56, tissue=tissue)
        change = painted - tissue
        assert np.isfinite(painted).all()
        assert mask.any()
        assert np.abs(change[mask]).max() > 0.03
        assert np.abs(change[mask]).mean() > 3 * np.abs(change[~mask]).mean()
        if finding.kind != "distortion":
            assert change.min() > -1e-6  # density is added


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_finding_is_painted_the_same_and_another_key_differently(kind: Kind) -> None:
    finding = PhantomFinding(Side.LEFT, kind, malignant=True, key=3)
    tissue = draw_tissue(2)
    first, again, other = (paint(f, tissue=tissue)[0] for f in (finding, finding, replace(finding, key=4)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("malignant", [True, False])
def test_a_finer_scale_shows_the_same_finding(kind: Kind, malignant: bool) -> None:
    finding = PhantomFinding(Side.LEFT, kind, malignant, radius_mm=9, key=5)
    tissue = draw_tissue(3, pixel_mm=0.1)
    half = cv2.resize(tissue, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    fine, fine_mask = paint(finding, pixel_mm=0.1, tissue=tissue)
    coarse, coarse_mask = paint(finding, pixel_mm=0.2, tissue=half)
    shrunk = cv2.resize(fine - tissue, coarse.shape[::-1], interpolation=cv2.INTER_AREA)
    change = coarse - half
    assert np.corrcoef(shrunk.ravel(), change.ravel())[0, 1] > (0.8 if kind == "distortion" else 0.97)
    if kind != "distortion":  # it moves tissue about and adds little
        assert change.sum() == pytest.approx(shrunk.sum(), rel=0.04)
    assert coarse_mask.sum() * 4 == pytest.approx(fine_mask.sum(), rel=0.04)


def test_masks_of_two_hundred_findings_lie_equally_deep_in_cc_and_mlo() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        finding = draw_finding(rng)
        depths = []
        for angle in ANGLES:
            _, mask = paint(finding, angle, pixel_mm=1.0)
            assert mask.any()
            depths.append(float(np.nonzero(mask)[1].mean()))
        assert abs(depths[0] - depths[1]) <= finding.radius_mm + 5


def test_masks_have_the_area_that_the_radius_promises() -> None:
    rng = np.random.default_rng(8)
    ratios: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(100):
        finding = draw_finding(rng)
        area = np.mean([paint(finding, angle, pixel_mm=0.5)[1].sum() * 0.25 for angle in ANGLES])
        ratios[finding.kind].append(area / (np.pi * finding.radius_mm**2))
    for kind in ("mass", "distortion"):
        assert min(ratios[kind]) > 0.75
        assert max(ratios[kind]) < 1.35
    assert 0.5 < np.median(ratios["calcifications"]) < 1.8
    assert 0.4 < np.median(ratios["asymmetry"]) < 1.5


def test_visible_masses_and_asymmetries_are_brighter_than_their_ring() -> None:
    rng = np.random.default_rng(9)
    tissues = [draw_tissue(seed) for seed in range(6)]
    seen = []
    while len(seen) < 120:
        finding = draw_finding(rng)
        if finding.kind in ("mass", "asymmetry"):
            seen.append(measure_ring_contrast(*paint(finding, tissue=tissues[len(seen) % 6])))
    assert np.mean(np.array(seen) > 0) >= 0.95


def test_an_occult_finding_is_never_painted_and_has_no_mask() -> None:
    for kind in KINDS:
        painted, mask = paint(PhantomFinding(Side.LEFT, kind, malignant=True, visible=False))
        assert not painted.any()
        assert not mask.any()


def test_a_finding_at_the_border_of_the_image_is_cut_off_there() -> None:
    for kind in KINDS:
        finding = PhantomFinding(Side.LEFT, kind, malignant=False, depth=0.1, radius_mm=20)
        painted, mask = paint(finding, tissue=draw_tissue(4))
        assert mask[:, 0].any()
        assert np.isfinite(painted).all()


def test_a_growing_finding_keeps_its_form() -> None:
    for kind in ("mass", "asymmetry"):
        small, large = (
            paint(PhantomFinding(Side.LEFT, kind, malignant=True, radius_mm=radius, key=6), pixel_mm=radius / 40)[1]
            for radius in (6.0, 9.0)
        )
        outlines = [mask[np.ix_(np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0)))] for mask in (small, large)]
        resized = cv2.resize(outlines[1].astype(np.uint8), outlines[0].shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        assert (resized & outlines[0]).sum() / (resized | outlines[0]).sum() > 0.93


def observe(painted: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """What observers without any training say about a lesion whose place they were told."""
    rows, cols = np.nonzero(mask)
    box = tuple(slice(max(0, int(i.min()) - 20), int(i.max()) + 20) for i in (rows, cols))
    image, inside = painted[box], mask[box]
    blobs = []
    for sigma in (2, 4, 8, 16, 26):
        smooth = cv2.GaussianBlur(image, (0, 0), sigma)
        blobs.append(float(-cv2.Laplacian(smooth, cv2.CV_32F)[inside].min()) * sigma**2)
    return {
        "blob": max(blobs),
        "brightest": float(cv2.GaussianBlur(image, (0, 0), 0.8)[inside].max()),
        "mean": float(image[inside].mean()),
        "size": float(inside.sum()),
    }


def test_untrained_observers_cannot_tell_malignant_from_benign() -> None:
    rng = np.random.default_rng(10)
    tissues = [draw_tissue(seed) for seed in range(12)]
    labels, said = [], []
    for n in range(400):
        finding = draw_finding(rng)
        painted, mask = paint(finding, ANGLES[n % 2], tissue=tissues[n % 12], view_key=(n,))
        labels.append(finding.malignant)
        said.append(observe(painted, mask))
    for observer in said[0]:
        assert 0.35 < roc_auc_score(labels, [answer[observer] for answer in said]) < 0.65, observer


def test_half_of_random_findings_are_malignant_with_a_label_drawn_from_their_words() -> None:
    rng = np.random.default_rng(11)
    drawn = [draw_finding(rng) for _ in range(2000)]
    assert np.mean([f.malignant for f in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([f.p_malignant for f in drawn]) == pytest.approx(0.5, abs=0.03)
    assert {f.kind for f in drawn} == set(KINDS)
    assert {f.side for f in drawn} == set(Side)
    assert all(f.biopsied and f.visible and f.pathology for f in drawn)
    assert not any(f.malignant and f.high_risk for f in drawn)
    assert any(f.high_risk for f in drawn)
    assert {draw_finding(rng, side=Side.LEFT).side for _ in range(20)} == {Side.LEFT}


def test_size_and_contrast_of_random_findings_are_drawn_without_the_label() -> None:
    rng = np.random.default_rng(12)
    drawn = [f for f in (draw_finding(rng) for _ in range(4000)) if f.kind == "mass"]
    read: tuple[Callable[[PhantomFinding], float], ...] = (
        lambda f: f.radius_mm,
        lambda f: f.contrast,
        lambda f: f.depth,
    )
    for value in read:
        assert roc_auc_score([f.malignant for f in drawn], [value(f) for f in drawn]) == pytest.approx(0.5, abs=0.04)


def test_distractors_are_benign_without_a_label_and_lymph_nodes_lie_upper_and_outer() -> None:
    rng = np.random.default_rng(13)
    drawn = [draw_distractor(rng, Side.RIGHT) for _ in range(600)]
    assert not any(f.malignant or f.biopsied or f.pathology for f in drawn)
    assert {f.side for f in drawn} == {Side.RIGHT}
    nodes = [f for f in drawn if f.shape == "lymph node"]
    assert 80 < len(nodes) < 200
    assert np.mean([f.lateral > 0.3 and f.upper > 0.3 for f in nodes]) > 0.9
    assert {"vascular", "skin", "eggshell", "coarse", "lucent centered"} <= {f.calc_type for f in drawn}
    for finding in drawn[:60]:
        painted, mask = paint(finding, pixel_mm=0.5)
        assert painted.max() > 0.03
        assert mask.any()


def test_a_mass_may_hold_calcifications() -> None:
    plain = PhantomFinding(Side.LEFT, "mass", malignant=False, shape="oval", margin="circumscribed", key=2)
    with_specks = replace(plain, calc_type="coarse")
    (bare, mask), (filled, filled_mask) = paint(plain), paint(with_specks)
    np.testing.assert_array_equal(mask, filled_mask)
    assert filled.max() > 1.5 * bare.max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "cyst"}, "kind 'cyst'"),
        ({"shape": "square"}, "shape 'square' of a mass"),
        ({"margin": "fuzzy"}, "margin 'fuzzy'"),
        ({"kind": "calcifications", "margin": "spiculated"}, "margin 'spiculated' of a calcifications, need None"),
        ({"kind": "calcifications", "calc_type": "gravel"}, "calc_type 'gravel'"),
        ({"kind": "calcifications", "distribution": "here"}, "distribution 'here'"),
        ({"kind": "asymmetry", "shape": "oval"}, "shape 'oval' of a asymmetry"),
        ({"malignant": True, "high_risk": True}, "both malignant and high_risk"),
        ({"p_malignant": 1.5}, "p_malignant 1.5"),
    ],
)
def test_words_outside_the_vocabulary_and_contradictions_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        PhantomFinding(**{"side": Side.LEFT, "kind": "mass", "malignant": False, **change})  # type: ignore[arg-type]
