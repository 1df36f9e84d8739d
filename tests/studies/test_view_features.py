"""Features of exam networks: those that a reading is made of, flattened, averaged over views, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fourview.exam import Exam, SetupError, View
from fourview.networks.resnet22 import ResNet22
from fourview.screen import Screener
from fourview.studies.transfer.view_features import FlatMap, check_size, measure_map
from fourview.weights.folder import Weights, build_birads, load_weights, save_weights
from fourview.weights.untrained import write_untrained
from tests.networks.key_drawn import draw_images
from tests.studies.feature_weights import CPU, cut, draw_image, open_reader
from tests.studies.small_weights import write_small

WIDTH = 8  # of the small weights' first stage: 128 features


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("weights")
    return {
        "image-wise": write_small(out / "image-wise", wiring="image-wise"),
        "heatmaps": write_small(out / "heatmaps", wiring="image-wise", heatmaps=True),
        "view-wise": write_small(out / "view-wise", wiring="view-wise"),
    }


@pytest.fixture(scope="module")
def one_view(folders: dict[str, Path]) -> Path:
    """Weights with a network for L-CC alone."""
    loaded = load_weights(folders["image-wise"])
    assert loaded.exam is not None
    assert loaded.card.exam is not None
    kept = {n: t for n, t in loaded.exam.state_dict().items() if ".cc." in n or ".L-CC." in n}
    network = loaded.card.exam.model_copy(update={"views": ("L-CC",)})
    out = folders["image-wise"].parent / "one view"
    save_weights(out, loaded.card.model_copy(update={"exam": network, "name": "one view"}), exam=kept)
    return out


def test_a_last_map_is_4_x_4_for_squares_of_203_to_266_pixels_and_for_no_others() -> None:
    assert [side for side in range(1, 600) if measure_map(side) == 4] == list(range(203, 267))
    column = ResNet22(1, width=1, blocks=(1, 1, 1, 1, 1)).eval()
    with torch.inference_mode():
        for side in (40, 202, 203, 224, 256, 266, 267):
            found = column.feature_map(torch.zeros(1, 1, side, side)).shape
            assert found == (1, 16, measure_map(side), measure_map(side))
    for side in (203, 224, 256, 266):
        check_size(side)


@pytest.mark.parametrize("side", [1, 202, 267, 448])
def test_another_square_is_refused_with_the_map_that_it_would_give(folders: dict[str, Path], side: int) -> None:
    with pytest.raises(SetupError, match=rf"--size {side}: found a map .* need 4 x 4: squares of 203 to 266 pixels"):
        open_reader("nyu_flat4096", folders["image-wise"], size=side)


def test_a_column_of_the_published_width_gives_4096_numbers_for_each_image_of_a_batch() -> None:
    column = ResNet22(1).eval()
    read = CPU.load_column(FlatMap(column), (1, 203, 203))
    batch = draw_images(5, 203, channels=1)
    found = read(batch.numpy())
    assert found.shape == (5, 4096)
    with torch.inference_mode():
        alone = column.feature_map(batch[3:4])
    np.testing.assert_allclose(found[3], alone.numpy().ravel(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[3].reshape(256, 16).mean(axis=1), column(batch[3:4])[0].detach(), atol=1e-5)


@pytest.mark.parametrize("kind", ["image-wise", "heatmaps", "view-wise"])
@pytest.mark.parametrize("view", ["L-CC", "R-MLO"])
def test_matched_features_are_those_of_a_reading_with_one_exact_window(
    folders: dict[str, Path], kind: str, view: str
) -> None:
    reader = open_reader("nyu_matched_gap256", folders[kind])
    image = draw_image(view)
    others = [] if kind != "view-wise" else [draw_image(v, seed=9) for v in View if v != view]
    screener = Screener.load(folders[kind], engine=CPU, jitter=0)
    reading = screener.read(Exam("exam", (image, *others)))
    expected = next(shown.features for shown in reading.images if shown.view == view)
    found = reader.read(cut(image, reader))
    assert found.shape == (16 * WIDTH,) == (reader.dimension,)
    np.testing.assert_array_equal(found, expected)
    assert np.ptp(found) > 0.01


def test_flat_features_are_the_last_map_of_the_shrunken_crop(folders: dict[str, Path]) -> None:
    reader = open_reader("nyu_flat4096", folders["image-wise"], size=203)
    drawn = draw_image("R-MLO")
    large = replace(drawn, pixels=cv2.resize(drawn.pixels, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST))
    prepared = cut(large, reader)
    assert min(prepared.crop.pixels.shape) > 203
    square = cv2.resize(prepared.crop.pixels.astype(np.float32), (203, 203), interpolation=cv2.INTER_AREA)
    shown = torch.from_numpy((square - square.mean()) / square.std())[None, None]
    column = load_weights(folders["image-wise"]).exam.columns["cc"]  # type: ignore[union-attr]
    with torch.inference_mode():
        expected = column.feature_map(shown).numpy().ravel()  # type: ignore[operator]
    found = reader.read(prepared)
    assert found.shape == (4 * 4 * 16 * WIDTH,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_left_and_right_share_a_network_cc_and_mlo_do_not(folders: dict[str, Path]) -> None:
    for image in (draw_image("R-MLO"), draw_image("L-CC")):
        found = {}
        for view in View:
            reader = open_reader("nyu_gap256", folders["image-wise"], view=view.value)
            found[view] = reader.read(cut(image, reader))
        np.testing.assert_array_equal(found[View.L_CC], found[View.R_CC])
        np.testing.assert_array_equal(found[View.L_MLO], found[View.R_MLO])
        assert np.abs(found[View.L_CC] - found[View.L_MLO]).max() > 0.01
        average = open_reader("nyu_avg_gap256", folders["image-wise"])
        np.testing.assert_allclose(
            average.read(cut(image, average)), (found[View.L_CC] + found[View.L_MLO]) / 2, rtol=1e-5, atol=1e-6
        )
        matched = open_reader("nyu_matched_gap256", folders["image-wise"])
        np.testing.assert_array_equal(matched.read(cut(image, matched)), found[image.view])


def test_without_a_view_it_is_l_ccs_network(folders: dict[str, Path]) -> None:
    plain, named = (open_reader("nyu_flat4096", folders["image-wise"], **more) for more in ({}, {"view": "L-CC"}))
    assert plain.preprocessing_hash == named.preprocessing_hash
    other = open_reader("nyu_flat4096", folders["image-wise"], view="L-MLO")
    assert other.preprocessing_hash != plain.preprocessing_hash


def test_one_layer_further_differs_between_left_and_right(folders: dict[str, Path]) -> None:
    image = draw_image("R-CC")
    network = load_weights(folders["image-wise"]).exam
    assert network is not None
    features = open_reader("nyu_gap256", folders["image-wise"])
    averaged = features.read(cut(image, features))
    hidden = {}
    for view in ("L-CC", "R-CC"):
        reader = open_reader("nyu_fc1_256", folders["image-wise"], view=view)
        hidden[view] = reader.read(cut(image, reader))
        tensors = network.state_dict()
        weight, bias = (tensors[f"head_layers.{view}.fc1.{part}"].numpy() for part in ("weight", "bias"))
        np.testing.assert_allclose(hidden[view], np.maximum(weight @ averaged + bias, 0), rtol=1e-4, atol=1e-5)
    assert np.abs(hidden["L-CC"] - hidden["R-CC"]).max() > 0.01
    matched = open_reader("nyu_matched_fc1_256", folders["image-wise"])
    np.testing.assert_array_equal(matched.read(cut(image, matched)), hidden["R-CC"])
    average = open_reader("nyu_avg_fc1_256", folders["image-wise"])
    mlo = [open_reader("nyu_fc1_256", folders["image-wise"], view=view) for view in ("L-MLO", "R-MLO")]
    four = [*hidden.values(), *(reader.read(cut(image, reader)) for reader in mlo)]
    np.testing.assert_allclose(average.read(cut(image, average)), np.mean(four, axis=0), rtol=1e-4, atol=1e-6)


def test_weights_that_lack_what_is_needed_are_refused_by_name(
    folders: dict[str, Path], one_view: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="need image-wise or single-image weights"):
        open_reader("nyu_fc1_256", folders["view-wise"])
    for name in ("nyu_matched_gap256", "nyu_avg_flat4096"):
        with pytest.raises(SetupError, match="found a network for CC images only; need one for MLO"):
            open_reader(name, one_view)
    assert open_reader("nyu_gap256", one_view).dimension == 16 * WIDTH
    with pytest.raises(SetupError, match="found no head for R-CC"):
        open_reader("nyu_fc1_256", one_view, view="R-CC")
    with pytest.raises(SetupError, match="need weights with a patch network"):
        open_reader("patch_1024", folders["view-wise"])
    patch_only = tmp_path / "patch"
    write_untrained(tmp_path / "both", scale=0.1)
    both = load_weights(tmp_path / "both")
    assert both.patch is not None
    save_weights(patch_only, both.card.model_copy(update={"exam": None}), patch=both.patch.state_dict())
    with pytest.raises(SetupError, match="patch; need weights of an exam network"):
        open_reader("nyu_gap256", patch_only)


def test_columns_of_bi_rads_pretraining_are_read_like_others(folders: dict[str, Path], tmp_path: Path) -> None:
    loaded: Weights = load_weights(folders["image-wise"])
    assert loaded.exam is not None
    card = loaded.card.model_copy(update={"exam": None, "birads": loaded.card.exam})
    assert loaded.card.exam is not None
    network = build_birads(loaded.card.exam)
    network.columns.load_state_dict(loaded.exam.columns.state_dict())
    save_weights(tmp_path / "birads", card, birads=network.state_dict())
    image = draw_image()
    ours, theirs = (open_reader("nyu_gap256", folder) for folder in (tmp_path / "birads", folders["image-wise"]))
    np.testing.assert_array_equal(ours.read(cut(image, ours)), theirs.read(cut(image, theirs)))
