"""Networks against upstream's recorded outputs and the published sizes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from fourview.crop import crop_breast
from fourview.engine import choose_engine
from fourview.exam import ExamError
from fourview.heatmap import PatchGrid, draw_grid, draw_steps, slide_patches, spread_over_pixels
from fourview.networks.densenet import DenseNet, pad_same
from fourview.networks.exam import HEADS, WiredNetwork
from fourview.networks.resnet22 import ResNet22
from fourview.prepare import crop_for
from fourview.screen import Screener
from fourview.weights.card import Spreading
from fourview.weights.convert import convert_file
from fourview.weights.folder import Weights, load_weights
from fourview.window import (
    JitterNoise,
    cut_input,
    draw_jitter,
    find_best_centre,
    place_window,
    standardise,
)
from tests.goldens import Goldens, formula_heatmaps, recorded_mammogram

ENGINES = ("torch", "openvino")
WINDOWS = {"CC": (2677, 1942), "MLO": (2974, 1748)}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("wiring", "one_channel", "three_channels"),
    [("view-wise", 6_132_592, 6_135_728), ("image-wise", 5_870_464, 5_873_600)],
)
def test_exam_networks_have_the_published_number_of_parameters(wiring, one_channel, three_channels) -> None:
    assert parameters(WiredNetwork(wiring, channels_in=1)) == one_channel
    assert parameters(WiredNetwork(wiring, channels_in=3)) == three_channels


def test_columns_patch_network_and_one_view_network_have_the_published_number_of_parameters() -> None:
    assert parameters(ResNet22(1)) == 2_799_536
    assert parameters(ResNet22(3)) == 2_801_104
    assert parameters(WiredNetwork("single-image", channels_in=1, views=["L-CC"])) == 2_866_356
    assert parameters(WiredNetwork("single-image", channels_in=3, views=["L-CC"])) == 2_867_924
    assert parameters(DenseNet()) == 6_957_956


@pytest.mark.parametrize(
    ("window", "last_map"), [((2677, 1942), (42, 31)), ((2974, 1748), (47, 28)), ((203, 266), (4, 4))]
)
def test_the_last_map_has_the_published_size(window, last_map) -> None:
    with torch.inference_mode():
        found = ResNet22(1, width=1).feature_map(torch.zeros(1, 1, *window))
    assert found.shape[2:] == last_map


def test_same_padding_halves_256_down_to_8() -> None:
    sizes = []
    x = torch.zeros(1, 1, 256, 256)
    for kernel, stride in ((7, 2), (3, 2), (2, 2), (2, 2), (2, 2)):
        padded = pad_same(x, kernel=kernel, stride=stride)
        x = torch.nn.functional.max_pool2d(padded, kernel, stride)
        sizes.append(x.shape[-1])
    assert sizes == [128, 64, 32, 16, 8]
    assert pad_same(torch.ones(1, 1, 4, 6), kernel=7, stride=2)[0, 0].sum(dim=0).tolist() == [0, 0] + [4] * 6 + [0] * 3


def test_every_wiring_answers_both_questions_for_both_sides() -> None:
    for heads in HEADS.values():
        labels = {label for head in heads for label in head.labels}
        assert labels == {("L", "benign"), ("L", "malignant"), ("R", "benign"), ("R", "malignant")}


@pytest.fixture(scope="module")
def goldens(shared: Path) -> Goldens:
    return Goldens.read(shared)


@pytest.fixture(scope="module")
def converted(key_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights folders of the five upstream files, and single-image ones."""
    out = tmp_path_factory.mktemp("converted")
    convert_file(key_weights / "sample_patch_model.p", kind="patch", out=out / "patch")
    sources = {
        "view_split_image": ("sample_image_model.p", "view-wise"),
        "view_split_heatmaps": ("sample_imageheatmaps_model.p", "view-wise"),
        "image_image": ("ImageOnly__ModeImage_weights.p", "image-wise"),
        "image_heatmaps": ("ImageHeatmaps__ModeImage_weights.p", "image-wise"),
        "single_image": ("ImageOnly__ModeImage_weights.p", "single-image"),
        "single_heatmaps": ("ImageHeatmaps__ModeImage_weights.p", "single-image"),
    }
    for name, (file_name, kind) in sources.items():
        convert_file(key_weights / file_name, kind=kind, out=out / name, patch=out / "patch")
    return {name: out / name for name in ("patch", *sources)}


@pytest.fixture(scope="module")
def patch(converted: dict[str, Path]) -> Weights:
    return load_weights(converted["patch"])


@pytest.fixture(scope="module")
def exam1_windows(goldens: Goldens) -> dict[str, np.ndarray]:
    """The exact windows of exam 1 with formula heatmaps: (3, rows, cols) per view."""
    windows = {}
    for name in ("1_L_CC", "1_R_CC", "1_L_MLO", "1_R_MLO"):
        image = recorded_mammogram(goldens, name)
        crop = crop_breast(image)
        malignant, benign = formula_heatmaps(crop.pixels.shape)
        window = WINDOWS[image.view.angle]
        centre = find_best_centre(
            crop.pixels,
            angle=image.view.angle,
            window=window,
            rightmost_col=crop.rightmost[1],
            bottommost_row=crop.bottommost[0],
        )
        none = JitterNoise()
        placement = place_window(
            crop.pixels.shape,
            angle=image.view.angle,
            window=window,
            centre=centre,
            noise=none,
            jitter=draw_jitter(np.random.RandomState(0), none),
        )
        planes = [crop.pixels.astype(np.float32), benign, malignant]
        windows[image.view.value] = cut_input(planes, placement, window)
    return windows


@pytest.mark.parametrize(
    "name",
    ["view_split_image", "view_split_heatmaps", "image_image", "image_heatmaps", "single_image", "single_heatmaps"],
)
def test_classifier_outputs_and_features_are_upstreams(goldens, converted, exam1_windows, name) -> None:
    network = load_weights(converted[name]).exam
    channels = 3 if "heatmaps" in name else 1
    with torch.inference_mode():
        features = {
            view: network.features(view, torch.from_numpy(window[None, :channels]))
            for view, window in exam1_windows.items()
        }
        found = {head.name: network.read_head(head, features)[0].numpy() for head in network.heads}
    if name.startswith("single"):
        for view, log_p in found.items():
            expected = goldens.numbers["classifier_output"][f"bykey/{name}/exam1/{view}"]
            np.testing.assert_allclose(log_p, expected["log_softmax"], atol=1e-4)
            assert np.exp(log_p[1, 1]) == pytest.approx(expected["malignant"], abs=1e-5)
            assert np.exp(log_p[0, 1]) == pytest.approx(expected["benign"], abs=1e-5)
        return
    expected = goldens.numbers["classifier_output"][f"bykey/{name}/exam1"]["log_softmax"]
    assert found.keys() == expected.keys()
    for head, log_p in found.items():
        np.testing.assert_allclose(log_p, np.array(expected[head])[: len(log_p)], atol=1e-4)
        np.testing.assert_allclose(np.exp(log_p), np.exp(expected[head])[: len(log_p)], atol=1e-5)
    for view, pooled in features.items():
        np.testing.assert_allclose(pooled[0], goldens.arrays[f"pooled/bykey/{name}/exam1/{view}"], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "image_heatmaps",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("view_split_heatmaps", "single_heatmaps")),
    ],
)
def test_the_screener_feeds_heatmaps_to_the_networks_as_upstream_does(goldens, converted, name) -> None:
    """With the recording's formula heatmaps in place of the patch network's, so that it is quick."""
    screener = Screener.load(converted[name], jitter=0, device="cpu")
    member = screener.members[0]
    images, formula = [], []
    for number in ("1_L_CC", "1_R_CC", "1_L_MLO", "1_R_MLO"):
        plain = crop_for(recorded_mammogram(goldens, number), member.card)
        malignant, benign = formula_heatmaps(plain.crop.pixels.shape)
        images.append(plain)
        formula.append({"malignant": malignant, "benign": benign}.__getitem__)
    assert member.patch_key is not None
    heads, heatmaps = screener.read_images(images, [0], {member.patch_key: formula})
    np.testing.assert_array_equal(heatmaps[0].inside["benign"], formula[0]("benign"))
    for head in heads:
        row = ("L-benign", "R-benign", "L-malignant", "R-malignant").index(f"{head.side}-{head.finding}")
        if name == "view_split_heatmaps":
            log_p = goldens.numbers["classifier_output"][f"bykey/{name}/exam1"]["log_softmax"][head.head]
        else:
            row = row // 2
            key = f"bykey/{name}/exam1"
            record = goldens.numbers["classifier_output"]
            log_p = (
                record[key]["log_softmax"][head.head]
                if name == "image_heatmaps"
                else record[f"{key}/{head.head}"]["log_softmax"]
            )
        assert head.p == pytest.approx(np.exp(log_p[row][1]), abs=1e-5)


def test_patch_logits_and_features_are_upstreams(goldens, patch) -> None:
    crop = crop_breast(recorded_mammogram(goldens, "1_L_CC"))
    whole = standardise(crop.pixels.astype(np.float64)).astype(np.float32)
    corners = goldens.numbers["patch_output"]["corners"]
    patches = torch.from_numpy(np.stack([whole[None, t : t + 256, le : le + 256] for t, le in corners]))
    with torch.inference_mode():
        np.testing.assert_allclose(patch.patch(patches), goldens.arrays["patch_logits/bykey"], atol=1e-4)
        np.testing.assert_allclose(patch.patch.pooled(patches), goldens.arrays["patch_features/bykey"], atol=1e-4)


def test_patch_grids_are_drawn_as_upstream_draws_them(goldens) -> None:
    for record in goldens.numbers["stride_lists"]:
        rng = random.Random(record["seed"])
        steps = draw_steps(record["length"], side_px=record["patch"], stride_px=record["stride"], rng=rng)
        assert list(steps) == record["result"]


def test_patch_grids_of_the_sample_exams_have_the_published_counts() -> None:
    crops = {  # (rows, cols) of the four sample exams, in view order
        0: [(3656, 2440), (3700, 2376), (3818, 2607), (3724, 2480)],
        1: [(2592, 1263), (2424, 1162), (3069, 1220), (3067, 1222)],
        2: [(2864, 1203), (2822, 1202), (3165, 1376), (3086, 1244)],
        3: [(3568, 1772), (3399, 1912), (3593, 1965), (3518, 2205)],
    }
    rng = random.Random(0)
    grids = {
        (exam, view): draw_grid(shape, side_px=256, stride_px=70, rng=rng)
        for exam, shapes in crops.items()
        for view, shape in enumerate(shapes)
    }
    counts = [len(grid) for grid in grids.values()]
    assert counts == [1650, 1632, 1820, 1683, 560, 448, 630, 630, 585, 570, 731, 672, 1127, 1150, 1274, 1392]
    assert grids[0, 0].rows[:8] == (0, 70, 140, 209, 278, 347, 417, 486)
    assert grids[0, 1].cols[:8] == (0, 69, 138, 206, 274, 342, 411, 479)
    assert grids[1, 0].rows[:8] == (0, 68, 136, 205, 273, 342, 410, 478)


def test_a_crop_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(ExamError, match="200 pixels"):
        draw_grid((300, 200), side_px=256, stride_px=70, rng=random.Random(0))


def test_a_heatmap_of_one_probability_is_that_probability_everywhere() -> None:
    grid = draw_grid((400, 333), side_px=64, stride_px=17, rng=random.Random(3))
    heat = spread_over_pixels(np.full(len(grid), 0.25, np.float32), grid, (400, 333), spreading=None)
    np.testing.assert_allclose(heat, 0.25, atol=1e-6)


def check_heatmaps(goldens: Goldens, patch: Weights, name: str, stride: int, engine: str) -> None:
    crop = crop_breast(recorded_mammogram(goldens, name))
    expected = goldens.numbers["heatmaps"][f"bykey/{name}/stride{stride}"]
    grid = draw_grid(crop.pixels.shape, side_px=256, stride_px=stride, rng=random.Random(expected["seed"]))
    assert np.diff(grid.rows).tolist() == expected["rows_stride"]
    assert np.diff(grid.cols).tolist() == expected["cols_stride"]
    read = choose_engine(engine, device="cpu").load_patches(patch.patch, side_px=256)
    [p] = slide_patches([crop.pixels], [grid], read)
    np.testing.assert_allclose(p, goldens.arrays[f"heatmap_prob/bykey/{name}/stride{stride}"], atol=1e-5)
    for column, finding in enumerate(("malignant", "benign")):
        heat = spread_over_pixels(p[:, column], grid, crop.pixels.shape, spreading=None)
        assert float(heat.mean()) == pytest.approx(expected[finding]["mean"], abs=1e-5)
        in_file = heat[:, ::-1] if crop.frame.mirrored else heat
        recorded = goldens.arrays[f"heatmap_grid/bykey/{name}/stride{stride}/{finding}"]
        np.testing.assert_allclose(in_file[32::64, 32::64], recorded, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["1_L_CC", pytest.param("1_R_CC", marks=pytest.mark.slow)])
def test_heatmaps_are_upstreams(goldens, patch, name, engine) -> None:
    check_heatmaps(goldens, patch, name, 256, engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["1_L_CC", "1_R_CC"])
def test_dense_heatmaps_are_upstreams(goldens, patch, name, engine) -> None:
    check_heatmaps(goldens, patch, name, 70, engine)


def test_the_state_dict_of_the_patch_network_has_torchvisions_names(shared: Path) -> None:
    keys = json.loads((shared / "goldens/upstream_state_dict_keys.json").read_text())["patch_densenet121"]
    assert {k: tuple(s) for k, s in keys} == {k: tuple(t.shape) for k, t in DenseNet().state_dict().items()}


def test_patches_beyond_the_border_can_count_as_healthy() -> None:
    grid = PatchGrid((0, 10, 20, 30), (0, 10, 20), side_px=20)
    p = np.full(len(grid), 0.8, np.float32)
    healthy = Spreading(beyond_border="healthy")
    heat = spread_over_pixels(p, grid, (50, 40), spreading=healthy)
    assert heat[25, 20] == pytest.approx(0.8)
    assert heat[0, 20] == pytest.approx(0.4)  # one of the two rows of patches that a middle pixel has
    assert heat[49, 39] == pytest.approx(0.2)
    single = PatchGrid((0,), (0,), side_px=20)
    assert (
        spread_over_pixels(np.array([0.8], np.float32), single, (20, 20), spreading=healthy) == np.float32(0.8)
    ).all()


def test_a_smoothed_map_has_its_peak_where_the_patches_agree_and_the_same_mean() -> None:
    grid = PatchGrid(tuple(range(0, 101, 10)), tuple(range(0, 101, 10)), side_px=40)
    p = np.zeros((11, 11), np.float32)  # columns of patches, then rows
    p[4:7, 2:5] = 1  # patches that start at columns 40..60 and rows 20..40: they share the pixels 60..80, 40..60
    plain, smooth = (
        spread_over_pixels(p.ravel(), grid, (140, 140), spreading=spreading)
        for spreading in (None, Spreading(smooth_px=6))
    )
    row, col = np.unravel_index(smooth.argmax(), smooth.shape)
    assert abs(row - 49.5) <= 1
    assert abs(col - 69.5) <= 1
    assert smooth.mean() == pytest.approx(plain.mean(), rel=1e-3)
    assert smooth.max() < plain.max()
