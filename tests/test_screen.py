"""The screener's behaviour, on small drawn exams and untrained networks: mechanism, not numbers."""

from __future__ import annotations

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fourview import screen
from fourview.calibration import Calibration, FindingCalibration, Platt
from fourview.crop import crop_breast, mirror, return_to_source
from fourview.engine import choose_engine, torch_engine
from fourview.exam import Box, Exam, ExamError, Frame, Heatmap, Mammogram, SetupError, Side, View
from fourview.heatmap import draw_grid, slide_patches
from fourview.screen import Screener
from fourview.weights.folder import Weights, load_weights
from fourview.weights.untrained import write_untrained

SCALE = 0.125  # of the published resolution
SPACING_MM = 0.07 / SCALE
SHAPE = (416, 320)


def draw_breast(seed: int, *, points: str = "right") -> NDArray[np.uint16]:
    """A half ellipse with texture at the chest-wall edge, and a bright lump."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    depth, height = rng.integers(170, 220), rng.integers(130, 170)
    breast = ((y - 200) / height) ** 2 + (x / depth) ** 2 <= 1
    lump = (y - rng.integers(150, 250)) ** 2 + (x - rng.integers(60, 120)) ** 2 <= 15**2
    image = np.where(breast, 15000 + rng.integers(0, 8000, SHAPE) + 20000 * lump, 0).astype(np.uint16)
    return image if points == "right" else np.ascontiguousarray(image[:, ::-1])


def draw_arrays(seed: int = 0) -> dict[str, NDArray[np.uint16]]:
    return {
        view.value: draw_breast(10 * seed + number, points=view.usual_direction) for number, view in enumerate(View)
    }


def draw_exam(seed: int = 0) -> Exam:
    return Exam.from_arrays(draw_arrays(seed), spacing_mm=SPACING_MM)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("untrained")
    for wiring in ("view-wise", "image-wise", "single-image", "side-wise", "joint"):
        write_untrained(out / wiring, wiring=wiring, heatmaps=False, scale=SCALE)
    write_untrained(out / "heatmaps", wiring="view-wise", heatmaps=True, scale=SCALE, seed=1)
    write_untrained(out / "other", wiring="view-wise", heatmaps=False, scale=SCALE, seed=2)
    return {folder.name: folder for folder in out.iterdir()}


def load_screener(folders: object, **options: object) -> Screener:
    """In torch, which needs no compiling: that both engines read alike is tested elsewhere."""
    return Screener.load(folders, **{"engine": "torch", **options})


def scores(reading) -> tuple[float, ...]:
    return tuple(p for score in (reading.left, reading.right) for p in (score.benign, score.malignant))


@pytest.mark.parametrize("wiring", ["view-wise", "image-wise", "single-image", "side-wise", "joint", "heatmaps"])
def test_every_wiring_reads_a_full_exam_and_says_what_it_used(weights, wiring) -> None:
    reading = Screener.load(weights[wiring], jitter=2).read(draw_exam())
    assert set(reading.breasts) == {Side.LEFT, Side.RIGHT}
    assert len(set(scores(reading))) == 4
    used = reading.left.views
    assert used == (tuple(View) if wiring in ("view-wise", "joint", "heatmaps") else Side.LEFT.views)
    assert reading.left.files == tuple(view.value for view in used)
    assert reading.marks == (f"{wiring}: untrained weights, the numbers mean nothing",)
    assert reading.windows == 2
    assert reading.left.malignant_sd_windows > 0
    assert set(reading.heatmaps) == (set(View) if wiring == "heatmaps" else set())


def test_heatmaps_and_boxes_come_back_in_source_pixels(weights) -> None:
    exam = draw_exam()
    reading = load_screener(weights["heatmaps"], jitter=0).read(exam)
    for image in reading.images:
        source = exam.views[image.view][0].pixels
        heat = reading.heatmaps[image.view]
        assert heat.malignant.shape == source.shape == heat.benign.shape
        box = image.frame.box_source
        outside = np.ones(source.shape, bool)
        outside[box.slices] = False
        assert not heat.malignant[outside].any()
        assert (heat.malignant[box.slices] > 0).all()
        assert source[box.slices].sum() == source.sum()


def test_a_mirrored_file_with_its_tag_mirrored_reads_the_same_beyond_the_known_off_by_one(weights) -> None:
    arrays = draw_arrays()
    mirrored = dict(arrays, **{"L-CC": np.ascontiguousarray(arrays["L-CC"][:, ::-1])})
    screener = load_screener(weights["heatmaps"], jitter=0)
    plain = screener.read(Exam.from_arrays(arrays, spacing_mm=SPACING_MM))
    other = screener.read(Exam.from_arrays(mirrored, faces={"L-CC": "left"}, spacing_mm=SPACING_MM))
    np.testing.assert_array_equal(other.heatmaps["L-CC"].malignant[:, ::-1], plain.heatmaps["L-CC"].malignant)
    a, b = plain.images[0], other.images[0]
    assert b.best_centre == (a.best_centre[0], a.best_centre[1] + 1)
    assert not a.frame.mirrored
    assert b.frame.mirrored
    assert scores(other) == pytest.approx(scores(plain), abs=0.02)
    unnoticed = screener.read(Exam.from_arrays(mirrored, faces={"L-CC": "right"}, spacing_mm=SPACING_MM))
    assert any("chest-wall edge" in warning for warning in unnoticed.warnings)


def test_a_missing_view_is_refused_by_name_or_read_without_it(weights) -> None:
    arrays = draw_arrays()
    del arrays["R-MLO"]
    exam = Exam.from_arrays(arrays, spacing_mm=SPACING_MM)
    for wiring in ("view-wise", "side-wise", "joint"):
        with pytest.raises(ExamError, match=r"R-MLO missing: found L-CC, R-CC, L-MLO; .* image-wise weights read"):
            load_screener(weights[wiring], jitter=0).read(exam)
    for wiring in ("image-wise", "single-image"):
        reading = load_screener(weights[wiring], jitter=0).read(exam)
        assert reading.right.views == (View.R_CC,)
        assert reading.left.views == (View.L_CC, View.L_MLO)
    left_only = Exam.from_arrays({"L-CC": arrays["L-CC"]}, spacing_mm=SPACING_MM)
    assert load_screener(weights["image-wise"], jitter=0).read(left_only).right is None


def test_single_image_weights_give_a_score_per_image(weights) -> None:
    reading = load_screener(weights["single-image"], jitter=2).read(draw_exam())
    assert reading.unit == "image"
    by_view = {image.view: image.score for image in reading.images}
    assert reading.left.malignant == pytest.approx(np.mean([by_view[v].malignant for v in Side.LEFT.views]))
    assert by_view[View.R_MLO].files == ("R-MLO",)


def test_all_images_of_a_view_are_used(weights) -> None:
    arrays = draw_arrays()
    extra = draw_breast(99)
    for wiring in ("view-wise", "image-wise", "joint"):
        screener = load_screener(weights[wiring], jitter=0)
        both = screener.read(Exam.from_arrays({**arrays, "L-CC": [arrays["L-CC"], extra]}, spacing_mm=SPACING_MM))
        first = screener.read(Exam.from_arrays(arrays, spacing_mm=SPACING_MM))
        second = screener.read(Exam.from_arrays({**arrays, "L-CC": extra}, spacing_mm=SPACING_MM))
        assert scores(both) == pytest.approx(np.mean([scores(first), scores(second)], axis=0), abs=1e-6)
        assert {"L-CC#0", "L-CC#1"} <= set(both.left.files)


def test_random_pick_draws_one_image_per_window_and_the_first_without_jitter(weights) -> None:
    arrays = draw_arrays()
    pair = Exam.from_arrays({**arrays, "L-CC": [arrays["L-CC"], draw_breast(99)]}, spacing_mm=SPACING_MM)
    exact = load_screener(weights["view-wise"], jitter=0, pick="random").read(pair)
    first = load_screener(weights["view-wise"], jitter=0).read(Exam.from_arrays(arrays, spacing_mm=SPACING_MM))
    assert scores(exact) == scores(first)
    drawn = load_screener(weights["view-wise"], jitter=6, pick="random").read(pair)
    picked = [h.images[0] for h in drawn.heads if h.head == "CC" and h.finding == "benign" and h.side == "L"]
    assert len(picked) == 6
    assert set(picked) == {"L-CC#0", "L-CC#1"}


def test_one_image_per_view_reads_the_same_whichever_way_images_are_picked(weights) -> None:
    readings = [load_screener(weights["view-wise"], jitter=3, pick=p).read(draw_exam()) for p in ("all", "random")]
    assert scores(readings[0]) == scores(readings[1])


def test_an_ensemble_is_the_mean_of_its_members(weights) -> None:
    exam = draw_exam()
    a, b = (scores(load_screener(weights[w], jitter=2).read(exam)) for w in ("view-wise", "other"))
    both = load_screener([weights["view-wise"], weights["other"]], jitter=2).read(exam)
    assert scores(both) == pytest.approx(np.mean([a, b], axis=0))
    assert both.left.benign_sd_members == pytest.approx(abs(a[0] - b[0]) / 2)
    assert both.members == 2
    mixed = load_screener([weights["view-wise"], weights["heatmaps"]], jitter=2).read(exam)
    assert set(mixed.heatmaps) == set(View)


def test_members_that_see_the_same_crop_share_its_windows_and_heatmaps(weights, monkeypatch) -> None:
    exam = draw_exam()
    cut, patched = [], []
    cut_input, slide = screen.cut_input, screen.slide_patches
    monkeypatch.setattr(screen, "cut_input", lambda *a, **k: cut.append(1) or cut_input(*a, **k))
    monkeypatch.setattr(screen, "slide_patches", lambda *a, **k: patched.append(1) or slide(*a, **k))
    members = [weights["heatmaps"], weights["view-wise"], weights["image-wise"], weights["heatmaps"]]
    reading = load_screener(members, jitter=3).read(exam)
    assert (len(cut), len(patched)) == (3 * 4, 1)
    alone = load_screener(weights["image-wise"], jitter=3).read(exam)
    own = [head.p for head in reading.heads if head.member == 2]
    assert own == pytest.approx([head.p for head in alone.heads], abs=1e-6)
    assert [head.member for head in reading.heads] == sorted(head.member for head in reading.heads)


def test_one_screener_in_two_threads_reads_as_in_one(weights) -> None:
    exams = [draw_exam(1), draw_exam(2)]
    screener = load_screener(weights["heatmaps"], jitter=2)
    expected = [scores(screener.read(exam)) for exam in exams]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(screener.read, exams * 4))
    assert [scores(reading) for reading in found] == expected * 4


def test_an_exam_prepared_before_its_turn_reads_the_same(weights) -> None:
    screener = load_screener([weights["heatmaps"], weights["joint"]], jitter=2)
    plain = screener.read(draw_exam())
    assert scores(screener.read(draw_exam(), screener.prepare(draw_exam()))) == scores(plain)
    assert plain.seconds["crop"] > 0


def test_a_reading_does_not_depend_on_its_neighbours_unless_asked(weights) -> None:
    exams = [draw_exam(1), draw_exam(2)]
    alone = [load_screener(weights["heatmaps"], jitter=2).read(exam) for exam in exams]
    screener = load_screener(weights["heatmaps"], jitter=2)
    assert [scores(screener.read(exam)) for exam in exams] == [scores(r) for r in alone]
    stream = load_screener(weights["heatmaps"], jitter=2, rng="upstream")
    first, second = (stream.read(exam) for exam in exams)
    assert scores(first) == scores(alone[0])
    assert scores(second) != scores(alone[1])


def test_the_seed_decides_the_windows(weights) -> None:
    seeds = [scores(load_screener(weights["view-wise"], jitter=2, seed=s).read(draw_exam())) for s in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_patch_batch_does_not_change_the_heatmap(weights, monkeypatch) -> None:
    patch = load_weights(weights["heatmaps"]).patch
    pixels = crop_breast(draw_exam().mammograms[0], iterations=12, buffer_px=6).pixels
    grid = draw_grid(pixels.shape, side_px=32, stride_px=9, rng=random.Random(0))
    found = []
    for batch in (1, 7):
        monkeypatch.setattr(torch_engine, "CPU_BATCH_PX", batch * 32 * 32)
        found += slide_patches([pixels], [grid], choose_engine("torch", device="cpu").load_patches(patch, side_px=32))
    one, many = found
    assert len(one) == len(many) == len(grid)
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_images_of_another_pixel_size_are_resampled_and_marked(weights) -> None:
    exam = draw_exam()
    coarse = Exam.from_arrays({m.view.value: m.pixels[::2, ::2].copy() for m in exam.mammograms}, spacing_mm=1.3)
    reading = load_screener(weights["heatmaps"], jitter=0).read(coarse)
    assert any("1.3 mm is outside the 0.28-1.12 mm" in mark for mark in reading.marks)
    image = reading.images[0]
    assert image.frame.resampled
    assert reading.heatmaps["L-CC"].malignant.shape == (208, 160)
    assert image.frame.working_shape == (round(208 * 1.3 / SPACING_MM), round(160 * 1.3 / SPACING_MM))
    unknown = Exam.from_arrays({m.view.value: m.pixels for m in exam.mammograms})
    with pytest.raises(ExamError, match="--spacing-mm"):
        load_screener(weights["heatmaps"], jitter=0).read(unknown)


def test_pixels_of_another_grey_scale_than_in_training_mark_every_reading(weights) -> None:
    exam = draw_exam()
    shown = [dataclasses.replace(m, pixel_mode="presentation") for m in exam.mammograms]
    reading = load_screener(weights["view-wise"], jitter=0).read(dataclasses.replace(exam, mammograms=tuple(shown)))
    assert "pixels: presentation; view-wise was trained on stored" in reading.marks


def test_a_calibration_in_the_card_leaves_raw_scores_and_their_hash_as_they_are(weights) -> None:
    loaded = load_weights(weights["view-wise"])
    plain = Screener([loaded], jitter=0).read(draw_exam())
    fitted = FindingCalibration(
        map=Platt(slope=0.5, intercept=-2), prevalence=0.1, table_prevalence=0.1, n=9, positives=1, clusters=9,
        cluster="exam",
    )  # fmt: skip
    calibration = Calibration(
        model="x", weights_hash=plain.weights_hash, unit="breast", population="none", findings={"malignant": fitted}
    )
    card = loaded.card.model_copy(update={"calibration": calibration})
    reading = Screener([Weights(card, loaded.exam, None)], jitter=0).read(draw_exam())
    assert scores(reading) == scores(plain)
    assert reading.weights_hash == plain.weights_hash


def test_an_all_black_image_and_one_without_a_breast_are_refused_by_name(weights) -> None:
    screener = load_screener(weights["view-wise"], jitter=0)
    for pixels in (np.zeros(SHAPE, np.uint16), np.eye(*SHAPE, dtype=np.uint16)):
        with pytest.raises(ExamError, match="R-CC R-CC: no breast found"):
            screener.read(Exam.from_arrays({**draw_arrays(), "R-CC": pixels}, spacing_mm=SPACING_MM))


def test_a_breast_smaller_than_a_patch_is_refused_by_the_heatmaps_only(weights) -> None:
    tiny = np.zeros((60, 31), np.uint16)
    tiny[:, :28] = 9000
    exam = Exam.from_arrays({**draw_arrays(), "L-MLO": tiny}, spacing_mm=SPACING_MM)
    with pytest.raises(ExamError, match="L-MLO L-MLO: the breast is smaller than a patch: 31 pixels"):
        load_screener(weights["heatmaps"], jitter=0).read(exam)
    assert load_screener(weights["view-wise"], jitter=0).read(exam).left is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_was_asked_for_and_is_absent_is_an_error(weights) -> None:
    with pytest.raises(SetupError, match="found 0 usable GPUs"):
        load_screener(weights["view-wise"], device="cuda")


def test_wrong_setups_are_refused(weights, tmp_path) -> None:
    with pytest.raises(SetupError, match="jitter is -1"):
        load_screener(weights["view-wise"], jitter=-1)
    with pytest.raises(SetupError, match="different units"):
        load_screener([weights["view-wise"], weights["single-image"]])
    with pytest.raises(SetupError, match="unknown; need auto, cpu or cuda"):
        load_screener(weights["view-wise"], device="abacus")


def test_the_frame_leads_back_to_the_file() -> None:
    frame = Frame((10, 8), (10, 8), Box(2, 8, 1, 7), mirrored=True)
    crop = np.arange(36, dtype=np.float32).reshape(6, 6)
    inside = return_to_source(crop, frame)
    source = Heatmap(frame.source_shape, frame.box_source, {"malignant": inside, "benign": inside}).malignant
    assert source.shape == (10, 8)
    np.testing.assert_array_equal(mirror(source[2:8, 1:7]), crop)
    row, col = frame.point_source(3, 2)
    assert source[int(row), int(col)] == crop[3, 2]
    half = Frame((20, 16), (10, 8), Box(2, 8, 1, 7), mirrored=False)
    assert half.box_source == Box(4, 16, 2, 14)
    assert half.point_source(0, 0) == (4.5, 2.5)


def test_arrays_need_the_names_of_views_they_have() -> None:
    image = draw_breast(0)
    with pytest.raises(ExamError, match="'LCC': need the name of a view"):
        Exam.from_arrays({"LCC": image})
    with pytest.raises(ExamError, match="'R_CC': need the name of a view that has an image"):
        Exam.from_arrays({"R-CC": image}, faces={"R_CC": "right"})


def test_the_upstream_stream_picks_images_as_upstream_does_unless_told_otherwise(weights) -> None:
    assert load_screener(weights["view-wise"], rng="upstream").pick == "random"
    assert load_screener(weights["view-wise"]).pick == "all"
    assert load_screener(weights["view-wise"], rng="upstream", pick="all").pick == "all"


def test_a_mammogram_checks_itself() -> None:
    with pytest.raises(ExamError, match=r"L-CC a.png: found an array of shape \(3, 4, 3\)"):
        Mammogram(np.zeros((3, 4, 3), np.uint8), View.L_CC, "a.png", "right")
