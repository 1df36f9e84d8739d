"""A patch network alone: the patches that make an image's score, and their maps in the pixels of the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fourview.engine import choose_engine
from fourview.exam import Exam
from fourview.explain.attributions import gradient
from fourview.explain.explainer import _looked_at
from fourview.explain.patch_inputs import PatchImage, PatchTarget, find_patches, stack_patches
from fourview.explain.target import score
from fourview.screen import Screener
from fourview.weights.folder import Weights, load_weights
from tests.test_patch_network_alone import SIDE, write_patch
from tests.test_screen import draw_exam


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return load_weights(write_patch(tmp_path_factory.mktemp("patch") / "alone", score=4))


def find(exam: Exam, weights: Weights, *, most: int = 4) -> tuple[PatchImage, ...]:
    (images,) = Screener([weights], engine="torch", jitter=0).prepare(exam).images
    keys = [image.mammogram.view.value for image in images]
    engine = choose_engine("torch", device="cpu")
    return find_patches(images, keys, weights, engine, finding="malignant", most=most)


def target(weights: Weights) -> PatchTarget:
    assert weights.patch is not None
    assert weights.card.patch is not None
    return PatchTarget(weights.patch, weights.card.patch.classes.index("malignant"), "malignant")


def test_the_patches_are_those_of_the_images_score_and_their_inputs_say_the_same(weights: Weights) -> None:
    exam = draw_exam()
    reading = Screener([weights], engine="torch", jitter=0).read(exam)
    for image, read in zip(find(exam, weights), reading.images, strict=True):
        assert read.score is not None
        assert np.mean(image.p) == pytest.approx(read.score.malignant, abs=1e-6)
        with torch.inference_mode():
            found = score(target(weights), stack_patches(image, torch.device("cpu")))
        assert float(found) == pytest.approx(np.mean([np.log(p / (1 - p)) for p in image.p]), abs=1e-4)


def test_maps_of_patches_stand_where_they_were_cut_also_in_mirrored_views(weights: Weights) -> None:
    for image in find(draw_exam(), weights):
        crop = image.prepared.crop
        tissue_only = {name: np.asarray(one, np.float32) for name, one in image.cut(image.tissue).items()}
        counts, box = image.place_in_crop({name: np.ones((SIDE, SIDE), np.float32) for name in image.corners})
        assert counts.sum() == len(image.corners) * SIDE**2
        assert not np.delete(counts, np.s_[box.left : box.right], axis=1).any()
        put_back = image.place(tissue_only)
        assert put_back.source_shape == image.prepared.mammogram.pixels.shape
        pixels = image.prepared.mammogram.pixels
        assert crop.frame.mirrored == (image.view.value[0] == "R")
        assert (pixels[put_back.full > 0.5] > 0).mean() > 0.99
        assert (pixels[:, ::-1][put_back.full > 0.5] > 0).mean() < 0.9


def test_every_patch_has_a_gradient_of_its_own(weights: Weights) -> None:
    image = find(draw_exam(), weights)[0]
    inputs = stack_patches(image, torch.device("cpu"))
    maps = gradient(target(weights), inputs)
    alone = gradient(target(weights), {"patch 2": inputs["patch 2"]})["patch 2"]
    np.testing.assert_allclose(maps["patch 2"] * len(inputs), alone, atol=1e-5)


def test_fewer_patches_can_be_asked_for(weights: Weights, tmp_path: Path) -> None:
    (image, *_) = find(draw_exam(), weights, most=2)
    assert list(image.corners) == ["patch 1", "patch 2"]
    assert image.p[0] >= image.p[1]


def test_between_patches_nobody_has_looked(weights: Weights) -> None:
    """Chance is the outline's share of the tissue that was looked at, not of the box about all patches."""
    image, *_ = find(draw_exam(), weights, most=2)
    top, left = next(iter(image.corners.values()))
    rows, cols = image.pixels.shape
    far = (0 if top > rows // 2 else rows - SIDE, 0 if left > cols // 2 else cols - SIDE)
    apart = replace(image, corners={"patch 1": (top, left), "patch 2": far})
    ones = {name: np.ones((SIDE, SIDE), np.float32) for name in apart.corners}
    placed = apart.place(ones)
    looked = _looked_at(apart, placed)
    assert looked.shape == image.prepared.mammogram.pixels.shape
    assert looked.sum() < 0.9 * placed.seen.height * placed.seen.width
    np.testing.assert_array_equal(looked[placed.box.slices], placed.inside > 0)
