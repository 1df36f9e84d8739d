"""What an exam network sees and the way back to the pixels of the file: planted marks, mirrored views, sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fourview.engine import choose_engine
from fourview.exam import Exam, Heatmap, Mammogram, Side, View
from fourview.explain.attributions import grad_cam, gradient, integrated_gradients
from fourview.explain.baseline import blur_inputs
from fourview.explain.exam_inputs import ExamImage, cut_exam, stack_inputs, view_names
from fourview.explain.exam_target import ExamTarget
from fourview.explain.target import score
from fourview.report.reading_json import image_keys
from fourview.screen import Screener
from fourview.weights.folder import Weights, load_weights
from tests.studies.small_weights import write_small
from tests.test_screen import draw_arrays, draw_exam

MARK = (slice(180, 204), slice(60, 84))  # rows, and columns from the chest wall


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weights]:
    folder = tmp_path_factory.mktemp("weights")
    made = {
        "view-wise": write_small(folder / "view-wise", wiring="view-wise"),
        "image-wise": write_small(folder / "image-wise", wiring="image-wise"),
        "heatmaps": write_small(folder / "heatmaps", wiring="view-wise", heatmaps=True),
    }
    return {name: widen(load_weights(path)) for name, path in made.items()}


def widen(weights: Weights) -> Weights:
    """With windows that show most of the breasts of test_screen."""
    geometry = weights.card.geometry.model_copy(update={"window_cc_px": (300, 200), "window_mlo_px": (320, 190)})
    return replace(weights, card=weights.card.model_copy(update={"geometry": geometry}))


def cut(exam: Exam, weights: Weights) -> tuple[ExamImage, ...]:
    screener = Screener([weights], engine="torch", jitter=0)
    (images,) = screener.prepare(exam).images
    keys = image_keys(screener.read(exam))
    return cut_exam(images, keys, weights, choose_engine("torch", device="cpu"))


def draw_plain() -> dict[str, NDArray[np.uint16]]:
    """Four breasts with texture and nothing in them, facing as usual."""
    rows, cols = np.mgrid[:416, :320]
    breast = ((rows - 200) / 150) ** 2 + (cols / 200) ** 2 <= 1
    found = {}
    for number, view in enumerate(View):
        grey = 15000 + np.random.default_rng(number).integers(0, 8000, breast.shape)
        image = np.where(breast, grey, 0).astype(np.uint16)
        found[view.value] = image if view.usual_direction == "right" else np.ascontiguousarray(image[:, ::-1])
    return found


def plant(arrays: dict[str, NDArray[np.uint16]], key: str, *, faces: str) -> NDArray[np.bool_]:
    """A bright mark in one image, away from its middle; its mask in the pixels of the file."""
    mask = np.zeros(arrays[key].shape, bool)
    mask[MARK] = True
    mask = mask if faces == "right" else np.ascontiguousarray(mask[:, ::-1])
    arrays[key][mask] = 60000
    return mask


@pytest.mark.parametrize("wiring", ["view-wise", "image-wise", "heatmaps"])
def test_the_explained_score_is_what_screen_says(weights: dict[str, Weights], wiring: str) -> None:
    exam, own = draw_exam(), weights[wiring]
    reading = Screener([own], engine="torch", jitter=0).read(exam)
    images = cut(exam, own)
    inputs = stack_inputs(images, torch.device("cpu"))
    assert own.exam is not None
    seen = set()
    for side in Side:
        for finding in ("benign", "malignant"):
            target = ExamTarget(own.exam, view_names(images), side, finding)
            said = [head.p for head in reading.heads if head.side is side and head.finding == finding]
            expected = np.mean([np.log(p / (1 - p)) for p in said])
            with torch.inference_mode():
                assert float(score(target, inputs)) == pytest.approx(expected, abs=1e-4)
            seen.add(round(float(expected), 6))
    assert len(seen) == 4


@pytest.mark.parametrize("faces", ["as usual", "mirrored"])
def test_a_window_put_back_is_the_file(weights: dict[str, Weights], faces: str) -> None:
    """Every pixel of every view, left and right: what the network saw stands where the file has it."""
    arrays = draw_arrays()
    other = {"left": "right", "right": "left"}
    directions = {}
    for name in arrays:
        usual = View(name).usual_direction
        directions[name] = usual if faces == "as usual" else other[usual]
        if faces != "as usual":
            arrays[name] = np.ascontiguousarray(arrays[name][:, ::-1])
    exam = Exam.from_arrays(arrays, faces=directions)
    for image in cut(exam, weights["view-wise"]):
        crop = image.prepared.crop.pixels.astype(np.float32)
        put_back = image.place(image.cut(crop))
        pixels = image.prepared.mammogram.pixels
        seen = put_back.seen
        assert put_back.source_shape == pixels.shape
        assert seen.height > 100
        assert seen.width > 90
        np.testing.assert_array_equal(put_back.full[seen.slices], pixels[seen.slices])
        outside = np.ones(pixels.shape, bool)
        outside[seen.slices] = False
        assert not put_back.full[outside].any()


def test_maps_of_resampled_images_come_back_at_the_size_of_the_file(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w", wiring="image-wise")
    loaded = load_weights(folder)
    card = loaded.card.model_copy(
        update={"input": loaded.card.input.model_copy(update={"resample": "always", "spacing_mm": 1.1})}
    )
    exam = draw_exam()  # of 0.56 mm
    for image in cut(exam, Weights(card, loaded.exam, None)):
        crop = image.prepared.crop
        assert crop.frame.resampled
        put_back = image.place(image.cut(crop.pixels.astype(np.float32)))
        pixels = image.prepared.mammogram.pixels
        seen = put_back.seen
        inner = (slice(seen.top + 8, seen.bottom - 8), slice(seen.left + 8, seen.right - 8))
        smooth = cv2.blur(pixels.astype(np.float32), (5, 5))
        found = np.corrcoef(cv2.blur(put_back.full, (5, 5))[inner].ravel(), smooth[inner].ravel())[0, 1]
        mirrored = np.corrcoef(put_back.full[inner].ravel(), smooth[:, ::-1][inner].ravel())[0, 1]
        assert found > 0.99 > mirrored


@pytest.mark.parametrize("key", ["L-CC", "R-CC", "L-MLO", "R-MLO"])
@pytest.mark.parametrize("faces", ["as usual", "mirrored"])
def test_a_mark_in_one_view_stands_in_that_views_map_where_the_file_has_it(
    weights: dict[str, Weights], key: str, faces: str
) -> None:
    """A swapped side, a swapped view or a flip that was forgotten would move it."""
    arrays = draw_plain()
    usual = View(key).usual_direction
    direction = usual if faces == "as usual" else {"left": "right", "right": "left"}[usual]
    if direction != usual:
        arrays[key] = np.ascontiguousarray(arrays[key][:, ::-1])
    mask = plant(arrays, key, faces=direction)
    exam = Exam.from_arrays(arrays, faces={key: direction})  # type: ignore[dict-item]
    own = weights["view-wise"]
    images = cut(exam, own)
    assert own.exam is not None
    target = ExamTarget(own.exam, view_names(images), View(key).side, "malignant")
    inputs = stack_inputs(images, torch.device("cpu"))
    baselines = blur_inputs(inputs, {image.key: image.tissue for image in images})
    maps = integrated_gradients(target, inputs, baselines=baselines, steps=4)
    per_view = {image.key: image.place(maps[image.key]) for image in images}
    strength = {name: np.abs(found.full) for name, found in per_view.items()}
    top = np.unravel_index(int(strength[key].argmax()), mask.shape)
    assert mask[top]
    share = {name: float(values[mask].sum() / values.sum()) for name, values in strength.items()}
    assert share[key] > 3 * max(value for name, value in share.items() if name != key)
    flipped = float(strength[key][mask[:, ::-1]].sum() / strength[key].sum())
    assert share[key] > 5 * flipped


@pytest.mark.parametrize("key", ["L-CC", "R-MLO"])
def test_a_mark_in_the_corner_of_a_window_that_cuts_the_breast_stands_where_the_file_has_it(
    weights: dict[str, Weights], key: str
) -> None:
    own = weights["image-wise"]
    geometry = own.card.geometry.model_copy(update={"window_cc_px": (200, 160), "window_mlo_px": (200, 160)})
    own = replace(own, card=own.card.model_copy(update={"geometry": geometry}))
    plain = draw_plain()
    (image,) = (one for one in cut(Exam.from_arrays(plain), own) if one.key == key)
    seen = image.place(np.ones_like(image.window[0])).seen  # the window, which a small mark does not move
    for place in ((seen.top + 24, seen.left + 24), (seen.bottom - 36, seen.right - 36)):
        arrays = {name: one.copy() for name, one in plain.items()}
        mark = (slice(place[0], place[0] + 12), slice(place[1], place[1] + 12))
        arrays[key][mark] = 60000
        images = cut(Exam.from_arrays(arrays), own)
        assert own.exam is not None
        target = ExamTarget(own.exam, view_names(images), View(key).side, "malignant")
        inputs = stack_inputs(images, torch.device("cpu"))
        baselines = blur_inputs(inputs, {one.key: one.tissue for one in images})
        maps = integrated_gradients(target, inputs, baselines=baselines, steps=2)
        (own_image,) = (one for one in images if one.key == key)
        found = own_image.place(maps[key])
        assert found.seen.height < found.box.height  # part of the breast was not looked at
        strength = np.abs(found.full)
        top = np.unravel_index(int(strength.argmax()), strength.shape)
        assert mark[0].start - 2 <= top[0] < mark[0].stop + 2
        assert mark[1].start - 2 <= top[1] < mark[1].stop + 2


def test_views_that_a_head_does_not_see_have_empty_maps(weights: dict[str, Weights]) -> None:
    own, exam = weights["image-wise"], draw_exam()
    images = cut(exam, own)
    assert own.exam is not None
    inputs = stack_inputs(images, torch.device("cpu"))
    for side in Side:
        target = ExamTarget(own.exam, view_names(images), side, "malignant")
        assert set(target.seen) == {view.value for view in side.views}
        for name, found in gradient(target, inputs).items():
            assert found.any() == (name in target.seen), name
        for name, found in grad_cam(target, inputs).items():
            assert name in target.seen or not found.any(), name


def test_each_of_the_four_views_has_a_map_of_its_own(weights: dict[str, Weights]) -> None:
    """The encoder is shared by left and right; asked for both at once, it would give the last one's map to both."""
    own, exam = weights["view-wise"], draw_exam()
    images = cut(exam, own)
    assert own.exam is not None
    target = ExamTarget(own.exam, view_names(images), Side.LEFT, "malignant")
    inputs = stack_inputs(images, torch.device("cpu"))
    for method in (gradient, grad_cam):
        maps = method(target, inputs)
        assert set(maps) == {"L-CC", "R-CC", "L-MLO", "R-MLO"}
        assert not np.allclose(maps["L-CC"], maps["R-CC"])
        turned = method(target, dict(reversed(inputs.items())))
        for name, found in maps.items():
            np.testing.assert_allclose(turned[name], found, atol=1e-6)


def test_second_images_of_a_view_have_maps_of_their_own(weights: dict[str, Weights]) -> None:
    exam = draw_exam()
    first = exam.mammograms[0]
    second = Mammogram(
        np.ascontiguousarray(first.pixels[::-1]), first.view, "second", first.faces, spacing_mm=first.spacing_mm
    )
    images = cut(Exam("two", (*exam.mammograms, second)), weights["view-wise"])
    assert [image.key for image in images][:2] == ["L-CC", "L-CC_2"]
    network = weights["view-wise"].exam
    assert network is not None
    target = ExamTarget(network, view_names(images), Side.LEFT, "malignant")
    inputs = stack_inputs(images, torch.device("cpu"))
    maps = gradient(target, inputs)
    assert set(maps) == {image.key for image in images}
    assert maps["L-CC"].any()
    assert maps["L-CC_2"].any()


def test_a_source_map_fits_what_heatmaps_are_made_of(weights: dict[str, Weights]) -> None:
    (image, *_) = cut(draw_exam(), weights["view-wise"])
    found = image.place(np.abs(image.window[0]))
    heatmap = Heatmap(found.source_shape, found.box, {"malignant": found.inside, "benign": found.inside})
    np.testing.assert_array_equal(heatmap.malignant, found.full)
