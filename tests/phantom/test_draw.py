"""A drawn exam looks and behaves like one: four views, one woman, findings where they were put."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from fourview.crop import crop_breast
from fourview.exam import VIEWS, SetupError, Side, View
from fourview.phantom import PhantomExam, PhantomFinding, PhantomImage, draw_exam

MASS = PhantomFinding(Side.LEFT, "mass", malignant=True, radius_mm=9)


def draw(seed: int, **options: object) -> PhantomExam:
    return draw_exam(np.random.default_rng(seed), **options)


def facing_right(image: PhantomImage) -> np.ndarray:
    return image.pixels if image.faces == "right" else image.pixels[:, ::-1]


@pytest.mark.parametrize("seed", range(6))
def test_breast_is_one_bright_piece_at_the_chest_wall_on_a_background_of_exactly_zero(seed: int) -> None:
    exam = draw(seed, scale=0.1)
    assert tuple(image.view for image in exam.images) == VIEWS
    for image in exam.images:
        assert image.pixels.shape == (333, 256)
        assert image.pixels.dtype == np.uint16
        assert image.pixels.max() <= 4095
        assert image.faces == image.view.usual_direction
        breast = facing_right(image) > 0
        assert cv2.connectedComponents(breast.astype(np.uint8))[0] == 2
        assert 0.07 < breast.mean() < 0.75
        rows = np.flatnonzero(breast.any(axis=1))
        assert breast[rows, 0].all()  # every row of breast begins at the chest wall
        assert not breast[:, -1].any()
        assert breast[0].any() or image.view.angle == "CC"


def test_hardly_any_cc_view_runs_out_of_the_field() -> None:
    views = [image for seed in range(6) for image in draw(seed, scale=0.1).images if image.view.angle == "CC"]
    assert (
        sum(bool(image.pixels[0].any() or image.pixels[-1].any()) for image in views) <= 2
    )  # large breasts, as in life


@pytest.mark.parametrize("view", VIEWS)
def test_mlo_alone_shows_a_bright_pectoral_wedge_in_its_upper_chest_wall_corner(view: View) -> None:
    ratios = []
    for seed in range(4):
        pixels = facing_right(draw(seed, scale=0.1, findings=(), density="a").images[VIEWS.index(view)])
        breast = pixels[pixels > 0]
        rows = np.flatnonzero((pixels > 0).any(axis=1))
        corner = pixels[rows[0] + 14 : rows[0] + 34, :10]  # deeper than the bright zone below the skin
        ratios.append(corner[corner > 0].mean() / np.median(breast))
    assert (min(ratios) > 1.5) == (view.angle == "MLO")


def test_same_state_of_the_generator_draws_the_same_exam_and_another_state_another_woman() -> None:
    first, again, other = draw(3, scale=0.1), draw(3, scale=0.1), draw(4, scale=0.1)
    for a, b, c in zip(first.images, again.images, other.images, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert not np.array_equal(a.pixels, c.pixels)
    assert first.study_uid == again.study_uid != other.study_uid


def test_a_finer_scale_draws_the_same_woman_with_smaller_pixels() -> None:
    coarse, fine = draw(5, scale=0.125, findings=[MASS]), draw(5, scale=0.25, findings=[MASS])
    for a, b in zip(coarse.images, fine.images, strict=True):
        assert a.spacing_mm == 2 * b.spacing_mm
        shrunk = cv2.resize(b.pixels.astype(np.float32), a.pixels.shape[::-1], interpolation=cv2.INTER_AREA)
        inside = cv2.erode(((a.pixels > 0) & (shrunk > 0)).astype(np.uint8), np.ones((5, 5))) > 0
        assert np.corrcoef(a.pixels[inside], shrunk[inside])[0, 1] > 0.97
        assert abs(a.pixels[inside].mean() / shrunk[inside].mean() - 1) < 0.03
    assert coarse.study_uid != fine.study_uid


@pytest.mark.slow
def test_dense_breasts_are_brighter_than_fatty_ones() -> None:
    def brightness(density: str) -> float:
        images = [draw(seed, scale=0.1, findings=(), density=density).images[0].pixels for seed in range(5)]
        return float(np.mean([pixels[pixels > 0].mean() for pixels in images]))

    a, b, c, d = (brightness(density) for density in "abcd")
    assert a < b < c < d


def test_left_and_right_of_one_woman_are_alike_but_not_mirror_images() -> None:
    for seed in range(3):
        exam = draw(seed, scale=0.1, findings=())
        for left, right in ((0, 1), (2, 3)):
            mirrored = exam.images[right].pixels[:, ::-1]
            overlap = (exam.images[left].pixels > 0) & (mirrored > 0)
            union = (exam.images[left].pixels > 0) | (mirrored > 0)
            assert overlap.sum() / union.sum() > 0.9
            assert not np.array_equal(exam.images[left].pixels[overlap], mirrored[overlap])


@pytest.mark.parametrize("kind", ["mass", "calcifications"])
@pytest.mark.parametrize("malignant", [True, False])
@pytest.mark.parametrize("side", Side)
def test_a_finding_changes_only_its_surroundings_in_both_views_of_its_breast(
    side: Side, malignant: bool, kind: str
) -> None:
    finding = PhantomFinding(side, kind, malignant, radius_mm=7)
    bare, exam = draw(8, findings=()), draw(8, findings=[finding])
    depths = []
    for without, image in zip(bare.images, exam.images, strict=True):
        change = image.pixels.astype(int) - without.pixels
        if image.view.side is not side:
            assert image.masks == image.findings == ()
            assert not change.any()
            continue
        (mask,) = image.masks
        assert image.findings == (finding,)
        assert mask.any()
        assert not (mask & (image.pixels == 0)).any()
        assert change.min() >= 0  # findings add density
        # a cluster is mostly tissue between specks
        assert change[mask].mean() > (300 if kind == "mass" else 10)
        assert change[mask].mean() > 5 * change[~mask & (image.pixels > 0)].mean()
        rows, cols = np.nonzero(mask)
        far = np.hypot(*np.ogrid[-rows.mean() : 832 - rows.mean() - 0.5, -cols.mean() : 640 - cols.mean() - 0.5])
        assert not change[far * image.spacing_mm > 4.5 * finding.radius_mm].any()
        area_mm2 = mask.sum() * image.spacing_mm**2
        assert 0.4 < area_mm2 / (np.pi * finding.radius_mm**2) < 1.8
        edge_to_lesion = cols.mean() if image.faces == "right" else 639 - cols.mean()
        breast_depth = np.flatnonzero((image.pixels > 0).any(axis=0)).size
        depths.append((breast_depth - edge_to_lesion) * image.spacing_mm)
    assert len(depths) == 2
    assert abs(depths[0] - depths[1]) < 8  # as far from the nipple in CC as in MLO


@pytest.mark.slow
def test_lateral_findings_lie_high_in_cc_and_upper_findings_high_in_mlo() -> None:
    def row(view: View, **place: float) -> float:
        finding = PhantomFinding(view.side, "mass", malignant=False, **place)
        image = draw(9, scale=0.1, findings=[finding]).images[VIEWS.index(view)]
        return float(np.nonzero(image.masks[0])[0].mean())

    for side in Side:
        cc, mlo = side.views
        assert row(cc, lateral=0.5) < row(cc, lateral=-0.5)
        assert row(cc, upper=0.5) == row(cc, upper=-0.5)
        assert row(mlo, upper=0.5) < row(mlo, upper=-0.5)


def test_spicules_of_a_malignant_mass_reach_beyond_its_mask_and_a_benign_margin_is_sharp() -> None:
    def share_outside(malignant: bool) -> float:
        finding = PhantomFinding(Side.LEFT, "mass", malignant, radius_mm=9)
        change = draw(8, findings=[finding]).images[0].pixels - draw(8, findings=()).images[0].pixels
        mask = draw(8, findings=[finding]).images[0].masks[0]
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0
        return float(change[~grown].sum() / change.sum())

    assert share_outside(malignant=False) == 0
    assert share_outside(malignant=True) > 0.03


def test_one_sided_exam_is_bright_on_that_side_only() -> None:
    for side in Side:
        exam = draw(2, one_sided=side)
        assert [f.side for f in exam.findings] == [side]
        bright = {view.side: 0 for view in VIEWS}
        for image in exam.images:
            bright[image.view.side] += int((image.pixels > 3000).sum())
        other = Side.RIGHT if side is Side.LEFT else Side.LEFT
        assert bright[side] > 1500
        assert bright[side] > 20 * bright[other]


@pytest.mark.parametrize("seed", range(4))
def test_every_view_survives_the_crop_and_starts_at_the_chest_wall(seed: int) -> None:
    scale = 0.25
    exam = draw(seed, scale=scale)
    for mammogram, image in zip(exam.to_exam().mammograms, exam.images, strict=True):
        cropped = crop_breast(mammogram, iterations=round(100 * scale), buffer_px=round(50 * scale))
        assert cropped.gap_px == 0
        assert (cropped.pixels > 0).sum() > 0.97 * (image.pixels > 0).sum()
        assert cropped.warnings == ()


def test_the_exam_in_memory_holds_the_twelve_bits_stretched_to_sixteen() -> None:
    exam = draw(1, scale=0.1, number=12)
    read = exam.to_exam()
    assert read.label == exam.study_uid
    assert [m.name for m in read.mammograms] == ["12_L_CC.dcm", "12_R_CC.dcm", "12_L_MLO.dcm", "12_R_MLO.dcm"]
    for mammogram, image in zip(read.mammograms, exam.images, strict=True):
        exact = np.round(image.pixels.astype(np.float64) * 65535 / 4095)
        np.testing.assert_array_equal(mammogram.pixels, exact)
        assert mammogram.pixels.dtype == np.uint16
        assert (mammogram.view, mammogram.faces) == (image.view, image.faces)
        assert mammogram.pixel_mode == "stored"
        assert mammogram.spacing_mm == pytest.approx(0.7)


def test_without_findings_given_one_is_drawn_and_an_empty_list_is_a_normal_exam() -> None:
    drawn = draw(6, scale=0.1)
    assert len(drawn.findings) == 1
    assert sum(len(image.masks) for image in drawn.images) == 2
    assert draw(6, scale=0.1, findings=()).findings == ()


@pytest.mark.slow
def test_full_scale_has_the_size_of_a_real_detector() -> None:
    image = draw(1, scale=1.0, findings=()).images[0]
    assert image.pixels.shape == (3328, 2560)
    assert image.spacing_mm == 0.07


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": 0.0}, "scale 0.0"),
        ({"scale": 2.0}, "scale 2.0"),
        ({"findings": [MASS], "one_sided": Side.LEFT}, "both findings and one_sided"),
        ({"density": "e"}, "density 'e'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        draw(1, **options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth": 1.2}, "depth 1.2"),
        ({"lateral": -1.0}, "lateral -1.0"),
        ({"upper": 2.0}, "upper 2.0"),
        ({"radius_mm": 0.0}, "radius_mm 0.0"),
        ({"contrast": 0.0}, "contrast 0.0"),
        ({"kind": "cyst"}, "kind 'cyst'"),
    ],
)
def test_a_finding_outside_the_breast_or_of_unknown_kind_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        PhantomFinding(**{"side": Side.LEFT, "kind": "mass", "malignant": False, **change})


def test_importing_the_phantom_does_not_import_torch() -> None:
    code = "import sys, fourview.phantom; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
