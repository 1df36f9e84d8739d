"""Crop, centre and window against what the upstream program returned: integers exact."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fourview.crop import Cropped, crop_breast, mirror
from fourview.exam import View
from fourview.window import (
    JitterNoise,
    cut_input,
    draw_jitter,
    find_best_centre,
    place_window,
)
from tests.goldens import Goldens, formula_heatmaps, mammogram, read_png, recorded_mammogram

WINDOWS = {"CC": (2677, 1942), "MLO": (2974, 1748)}
UPSTREAM_NOISE = JitterNoise((100, 100), 100)
EXAM_1 = [f"1_{side}_{rest}" for side in "LR" for rest in ("CC", "MLO", "CC_flipped", "CC_wrongflag")]
NAMES = [*EXAM_1, "syn_small_L-CC", "syn_small_R-CC", "syn_large_L-CC", "syn_large_L-MLO", "syn_flip_R-MLO"]


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Goldens:
    return Goldens.read(shared)


def centre_of(crop: Cropped, view: View) -> tuple[int, int]:
    return find_best_centre(
        crop.pixels,
        angle=view.angle,
        window=WINDOWS[view.angle],
        rightmost_col=crop.rightmost[1],
        bottommost_row=crop.bottommost[0],
    )


def record_of(crop: Cropped, view: View) -> dict[str, object]:
    """The crop in upstream's words."""
    box = crop.frame.box
    (y0, y1), x = crop.rightmost
    y, (x0, x1) = crop.bottommost
    return {
        "window_location": [box.top, box.bottom, box.left, box.right],
        "rightmost_points": [[y0, y1], x],
        "bottommost_points": [y, [x0, x1]],
        "distance_from_starting_side": crop.gap_px,
        "best_center": list(centre_of(crop, view)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_crop_and_centre_are_upstreams_to_the_pixel(goldens: Goldens, name: str) -> None:
    image = recorded_mammogram(goldens, name)
    expected = goldens.numbers["crop_and_center"][name]
    crop = crop_breast(image)
    found = record_of(crop, image.view)
    assert found == {key: expected[key] for key in found}
    in_file_direction = mirror(crop.pixels) if crop.frame.mirrored else crop.pixels
    digest = hashlib.sha256(np.ascontiguousarray(in_file_direction).tobytes()).hexdigest()
    assert digest == expected["cropped_pixels_sha256"]


@pytest.mark.parametrize("view", ["L-CC", "R-CC", "L-MLO", "R-MLO"])
def test_a_real_four_view_exam_is_cropped_as_upstream_crops_it(shared: Path, view: str) -> None:
    import json

    expected = json.loads((shared / "goldens/gmic_exam0_pipeline.json").read_text())["crop_and_center"][view]
    pixels = read_png(shared / f"data/nyu_sample_exams/gmic_exam0/0_{view}.png")
    assert record_of(crop_breast(mammogram(pixels, view)), View(view)) == expected


def same_statistics(found: np.ndarray, expected: dict[str, object]) -> None:
    assert list(found.shape) == expected["shape"]
    values = found.astype(np.float64)
    assert values.std() == pytest.approx(expected["std"], abs=1e-6)
    assert values.min() == pytest.approx(expected["min"], abs=2e-5)
    assert values.max() == pytest.approx(expected["max"], abs=2e-5)
    assert np.abs(values).sum() == pytest.approx(expected["abs_sum"], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_exact_window_is_the_input_that_upstream_builds(goldens: Goldens, name: str) -> None:
    image = recorded_mammogram(goldens, name)
    crop = crop_breast(image)
    none = JitterNoise()
    window = WINDOWS[image.view.angle]
    placement = place_window(
        crop.pixels.shape,
        angle=image.view.angle,
        window=window,
        centre=centre_of(crop, image.view),
        noise=none,
        jitter=draw_jitter(np.random.RandomState(0), none),
    )
    channels = cut_input([crop.pixels.astype(np.float32)], placement, window)
    same_statistics(channels[0], goldens.numbers["classifier_input"][name])
    np.testing.assert_allclose(channels[0, 105::211, 105::211], goldens.arrays[f"input_grid/{name}"], atol=2e-6)


@pytest.mark.parametrize("name", ["1_L_CC", "1_R_CC", "syn_large_L-CC"])
def test_ten_jittered_windows_follow_upstreams_random_stream(goldens: Goldens, name: str) -> None:
    image = recorded_mammogram(goldens, name)
    crop = crop_breast(image)
    malignant, benign = formula_heatmaps(crop.pixels.shape)
    planes = [crop.pixels.astype(np.float32), benign, malignant]
    window = WINDOWS[image.view.angle]
    rng = np.random.RandomState(0)
    for number, expected in enumerate(goldens.numbers["augmented_input"][name]):
        placement = place_window(
            crop.pixels.shape,
            angle=image.view.angle,
            window=window,
            centre=centre_of(crop, image.view),
            noise=UPSTREAM_NOISE,
            jitter=draw_jitter(rng, UPSTREAM_NOISE),
        )
        for box, key in ((placement.shifted, "after_shift"), (placement.resized, "after_resize_noise")):
            assert [box.top, box.bottom, box.left, box.right] == expected[key]
        assert list(placement.canvas_shape) == expected["padded_shape"]
        if "image" in expected:
            channels = cut_input(planes, placement, window)
            same_statistics(channels[0], expected["image"])
            grid = channels[:, 153::307, 153::307]
            np.testing.assert_allclose(grid[0], goldens.arrays[f"augmented_grid/{name}/{number}"], atol=5e-6)
            heat = goldens.arrays[f"augmented_heatmap_grid/{name}/{number}"]
            np.testing.assert_allclose(grid[1:].transpose(1, 2, 0), heat, atol=2e-6)


# crop shape, centre and draws of four exams (spec, window table): view, repeats' canvas, location and size borders
SPEC_CROPS = {
    0: [(3656, 2440, 1850, 1417), (3700, 2376, 2173, 1354), (3818, 2607, 2279, 1681), (3724, 2480, 2185, 1555)],
    1: [(2592, 1263, 1296, 240), (2424, 1162, 1212, 140), (3069, 1220, 1530, 294), (3067, 1222, 1528, 297)],
    3: [(3568, 1772, 1852, 749), (3399, 1912, 1734, 890), (3593, 1965, 2009, 1039), (3518, 2205, 1979, 1280)],
}
SPEC_WINDOWS = {
    (0, 0): [
        (3656, 2440, (522, 3199, 468, 2410), (528, 3202, 465, 2416)),
        (3700, 2376, (823, 3500, 423, 2365), (833, 3497, 428, 2365)),
        (3818, 2607, (799, 3773, 851, 2599), (792, 3766, 846, 2602)),
        (3724, 2480, (727, 3701, 719, 2467), (739, 3709, 718, 2471)),
    ],
    (0, 1): [
        (3656, 2440, (436, 3113, 461, 2403), (410, 3146, 462, 2398)),
        (3700, 2376, (788, 3465, 411, 2353), (786, 3468, 395, 2357)),
        (3818, 2607, (804, 3778, 819, 2567), (839, 3793, 812, 2564)),
        (3724, 2480, (719, 3693, 593, 2341), (729, 3704, 583, 2328)),
    ],
    (1, 0): [
        (3077, 2142, (273, 2950, 76, 2018), (276, 2894, 100, 2007)),
        (3077, 2142, (213, 2890, 63, 2005), (168, 2888, 50, 2046)),
        (3174, 1948, (53, 3027, 50, 1798), (93, 2985, 53, 1803)),
        (3174, 1948, (92, 3066, 42, 1790), (70, 3032, 18, 1811)),
    ],
    (3, 1): [
        (3568, 2142, (537, 3214, 84, 2026), (601, 3251, 141, 2027)),
        (3399, 2142, (356, 3033, 10, 1952), (365, 3033, 7, 1957)),
        (3593, 1965, (496, 3470, 65, 1813), (463, 3446, 92, 1810)),
        (3518, 2205, (481, 3455, 373, 2121), (529, 3511, 409, 2112)),
    ],
}


def test_one_random_stream_runs_over_exams_repeats_and_views_in_upstreams_order() -> None:
    rng = np.random.RandomState(0)
    checked = 0
    for exam in range(4):
        for repeat in range(10):
            for index, view in enumerate(View):
                jitter = draw_jitter(rng, UPSTREAM_NOISE)
                if (exam, repeat) not in SPEC_WINDOWS:
                    continue
                rows, cols, row, col = SPEC_CROPS[exam][index]
                placement = place_window(
                    (rows, cols),
                    angle=view.angle,
                    window=WINDOWS[view.angle],
                    centre=(row, col),
                    noise=UPSTREAM_NOISE,
                    jitter=jitter,
                )
                a, b = placement.shifted, placement.resized
                assert (
                    *placement.canvas_shape,
                    (a.top, a.bottom, a.left, a.right),
                    (b.top, b.bottom, b.left, b.right),
                ) == SPEC_WINDOWS[exam, repeat][index]
                checked += 1
    assert checked == 16
