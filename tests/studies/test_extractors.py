"""Extractors: the list, what each wants, and the numbers of those that are no exam network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fourview.exam import ExamError, Mammogram, SetupError, View
from fourview.prepare import Prepared
from fourview.studies.transfer.extractors import EXTRACTORS, find_extractor
from fourview.studies.transfer.greys import shrink_to_square
from fourview.studies.transfer.imagenet_features import show_photograph
from fourview.studies.transfer.texture import measure_breast
from fourview.weights.folder import load_weights
from fourview.window import standardise
from tests.networks.key_drawn import draw_state
from tests.networks.torchvision_networks import compute_features, shapes_of
from tests.studies.feature_weights import SPACING_MM, cut, draw_image, open_reader
from tests.studies.small_weights import write_small


@pytest.fixture(scope="module")
def with_patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("weights") / "heatmaps", heatmaps=True)


def test_every_extractor_of_the_papers_table_is_there_under_a_name_that_says_its_numbers() -> None:
    exam_networks = {
        f"nyu_{trunk}{layer}" for trunk in ("", "avg_", "matched_") for layer in ("gap256", "flat4096", "fc1_256")
    }
    others = {"imagenet_resnet50_2048", "imagenet_resnet18_512", "imagenet_squeezenet_512", "patch_1024"}
    assert set(EXTRACTORS) == exam_networks | others | {"texture", "noise"}
    for name, extractor in EXTRACTORS.items():
        digits = "".join(c if c.isdigit() else " " for c in name).split()
        if digits and name != "patch_1024":  # mean and maximum of 1024
            assert int(digits[-1]) == extractor.published
    assert EXTRACTORS["patch_1024"].published == 2 * 1024
    with pytest.raises(SetupError, match="extractor 'nyu': unknown; need one of nyu_gap256, "):
        find_extractor("nyu")


@pytest.mark.parametrize(
    ("name", "weights", "options", "said"),
    [
        ("nyu_gap256", None, {}, "found no --weights; need those of one exam network"),
        ("imagenet_resnet18_512", None, {}, "need those of one ImageNet network"),
        ("texture", "random", {}, "it has no network and needs none"),
        ("noise", None, {"size": 224}, "it reads images at their own size"),
        ("nyu_gap256", "w", {"size": 224}, "it reads images at their own size"),
        ("nyu_matched_gap256", "w", {"view": "L-CC"}, "only extractors that use one view's network take it"),
        ("nyu_gap256", "w", {"view": "LCC"}, "need one of L-CC, R-CC, L-MLO, R-MLO"),
        ("imagenet_squeezenet_512", "random", {"size": 16}, "need 32 pixels or more"),
        ("nyu_gap256", "nowhere", {}, "found no such folder or name"),
    ],
)
def test_options_that_are_missing_or_not_wanted_are_refused(
    name: str, weights: str | None, options: dict[str, int | str], said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        open_reader(name, weights, **options)


def test_a_photograph_is_the_grey_of_the_breast_in_three_channels_of_imagenets_scale() -> None:
    pixels = np.zeros((300, 260), np.uint16)
    pixels[50:250, :200] = np.linspace(1000, 3000, 200, dtype=np.uint16)[:, None]
    shown = show_photograph(pixels, 224)
    assert (shown.shape, shown.dtype) == ((3, 224, 224), np.float32)
    red, green, blue = (shown[c] * s + m for c, (m, s) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))))
    np.testing.assert_allclose(red, green, atol=1e-6)
    np.testing.assert_allclose(red, blue, atol=1e-6)
    low, high = np.percentile(pixels[pixels > 0], (1, 99))
    small = cv2.resize(pixels.astype(np.float32), (224, 224), interpolation=cv2.INTER_AREA)
    assert small.shape == red.shape
    np.testing.assert_allclose(red, np.clip((small - low) / (high - low), 0, 1), atol=1e-6)
    assert red[0, 0] == pytest.approx(0, abs=1e-6)
    assert red.max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(show_photograph(pixels * 7, 224), shown, atol=1e-5)  # exposure and bit depth
    wider = np.pad(pixels, ((0, 100), (0, 0)))  # more background, which is no grey of the breast
    assert show_photograph(wider, 224).max() == pytest.approx(shown.max(), abs=1e-5)


def test_a_long_image_is_averaged_along_its_rows_while_its_columns_are_stretched() -> None:
    stripes = np.tile(np.array([[0.0], [1.0]], np.float32), (448, 100))  # 896 rows, of which 4 become one
    np.testing.assert_allclose(shrink_to_square(stripes, 224), 0.5)
    ramp = np.tile(np.arange(100, dtype=np.float32), (448, 1))
    squared = shrink_to_square(ramp, 224)
    assert (np.diff(squared[0]) >= 0).all()
    assert (np.ptp(squared, axis=0) == 0).all()


def test_features_of_photographs_are_those_computed_a_second_time(tmp_path: Path) -> None:
    state = draw_state(shapes_of("resnet18", classes=2))
    torch.save(state, tmp_path / "net.pth")
    reader = open_reader("imagenet_resnet18_512", tmp_path / "net.pth", size=64)
    image = cut(draw_image("R-CC"), reader)
    expected = compute_features("resnet18", state, torch.from_numpy(show_photograph(image.crop.pixels, 64)[None]))[0]
    found = reader.read(image)
    assert found.shape == (512,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))
    default = open_reader("imagenet_resnet18_512", tmp_path / "net.pth")
    assert default.settings["size"] == 224
    assert default.preprocessing_hash != reader.preprocessing_hash


def test_patch_features_are_mean_and_maximum_over_patches_that_tile_the_breast(with_patches: Path) -> None:
    reader = open_reader("patch_1024", with_patches)
    weights = load_weights(with_patches)
    assert weights.patch is not None
    assert weights.card.patch is not None
    side, count = weights.card.patch.side_px, weights.patch.classifier.in_features
    prepared = cut(draw_image("L-MLO"), reader)
    pixels = prepared.crop.pixels
    shown = standardise(pixels.astype(np.float64)).astype(np.float32)
    background = shown[pixels == 0][0]
    answers = []
    for top in range(0, pixels.shape[0], side):
        for left in range(0, pixels.shape[1], side):
            if not pixels[top : top + side, left : left + side].any():
                continue
            patch = np.full((side, side), background, np.float32)
            part = shown[top : top + side, left : left + side]
            patch[: part.shape[0], : part.shape[1]] = part
            with torch.inference_mode():
                answers.append(weights.patch.pooled(torch.from_numpy(patch[None, None]))[0].numpy())
    assert len(answers) > 10
    found = reader.read(prepared)
    assert found.shape == (2 * count,) == (reader.dimension,)
    np.testing.assert_allclose(found[:count], np.mean(answers, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[count:], np.max(answers, axis=0), rtol=1e-3, atol=1e-4)
    assert (found[count:] >= found[:count] - 1e-6).all()


def test_texture_is_measured_at_one_pixel_size_whatever_the_detector() -> None:
    reader = open_reader("texture")
    smooth = cv2.GaussianBlur(draw_image(suspicious=True).pixels, (0, 0), 6) // 16 * 16
    smooth[draw_image().pixels == 0] = 0
    coarse = Mammogram(smooth, View.L_CC, "coarse", "right", spacing_mm=0.2)
    fine = cv2.resize(smooth, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found = [reader.read(cut(image, reader)) for image in (coarse, Mammogram(fine, View.L_CC, "fine", "right", 0.1))]
    assert found[0].shape == (60,) == (reader.dimension,)
    np.testing.assert_allclose(found[1], found[0], rtol=0.1, atol=0.05)
    as_if = reader.read(cut(Mammogram(fine, View.L_CC, "fine", "right", 0.2), reader))
    assert np.abs(as_if - found[0]).max() > 0.2


def test_an_image_without_a_pixel_size_or_a_breast_has_no_texture() -> None:
    reader = open_reader("texture")
    nowhere = Mammogram(draw_image().pixels, View.L_CC, "image", "right")
    with pytest.raises(ExamError, match="no pixel size"):
        reader.read(cut(nowhere, reader))
    with pytest.raises(ExamError, match="found 0 pixels of breast inside its rim"):
        measure_breast(np.eye(50, dtype=np.uint16))
    with pytest.raises(ExamError, match="found no pixel brighter than 0"):
        measure_breast(np.zeros((50, 50), np.uint16))


def test_noise_knows_the_name_of_an_image_and_nothing_else() -> None:
    reader = open_reader("noise")
    assert reader.origin.trained is False

    def read(name: str, seed: int) -> np.ndarray:
        pixels = draw_image(seed=seed).pixels
        return reader.read(cut(Mammogram(pixels, View.L_CC, name, "right", SPACING_MM), reader))

    np.testing.assert_array_equal(read("a", 1), read("a", 2))
    other = read("b", 1)
    assert other.shape == (4096,)
    assert abs(np.corrcoef(read("a", 1), other)[0, 1]) < 0.1
    assert (abs(other.mean()), other.std()) == (pytest.approx(0, abs=0.06), pytest.approx(1, abs=0.06))


def test_features_that_are_no_numbers_are_an_error_of_the_image() -> None:
    reader = open_reader("noise")

    def spoil(image: Prepared) -> np.ndarray:
        values = np.zeros(4096, np.float32)
        values[3] = np.nan
        return values

    object.__setattr__(reader, "measure", spoil)
    with pytest.raises(ExamError, match="1 features are no numbers"):
        reader.read(cut(draw_image(), reader))
