"""The whole walk, exam to reading, against what the upstream program returned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fourview.exam import Exam, Reading
from fourview.screen import Screener
from fourview.weights.convert import convert_file
from tests.goldens import Goldens, read_png

ENGINES = ("torch", "openvino")


@pytest.fixture(scope="module")
def folders(key_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("weights")
    convert_file(key_weights / "sample_patch_model.p", kind="patch", out=out / "patch")
    convert_file(key_weights / "sample_image_model.p", kind="view-wise", out=out / "image")
    convert_file(
        key_weights / "sample_imageheatmaps_model.p", kind="view-wise", out=out / "heatmaps", patch=out / "patch"
    )
    return {"view_split_image": out / "image", "view_split_heatmaps": out / "heatmaps"}


def exam_1(shared: Path) -> Exam:
    """Its CC images, also declared as MLO, as in the recording."""
    folder = shared / "data/nyu_sample_exams/dmv_cnn_partial"
    left, right = read_png(folder / "1_L_CC.png"), read_png(folder / "1_R_CC.png")
    return Exam.from_arrays({"L-CC": left, "R-CC": right, "L-MLO": left, "R-MLO": right})


def exam_gmic(shared: Path) -> Exam:
    folder = shared / "data/nyu_sample_exams/gmic_exam0"
    return Exam.from_arrays({v: read_png(folder / f"0_{v}.png") for v in ("L-CC", "R-CC", "L-MLO", "R-MLO")})


def four_numbers(reading: Reading) -> dict[str, float]:
    assert reading.left is not None
    assert reading.right is not None
    return {
        "left_benign": reading.left.benign,
        "right_benign": reading.right.benign,
        "left_malignant": reading.left.malignant,
        "right_malignant": reading.right.malignant,
    }


def check_predictions(reading: Reading, predictions: dict[str, dict[str, float]], model: str, jitter: int) -> None:
    expected = predictions[f"{model}/augmentation={jitter > 0}/epochs={max(1, jitter)}"]
    found = four_numbers(reading)
    assert found == pytest.approx(expected, abs=1e-4), (found, expected)


def check_heatmaps(reading: Reading, expected: dict[str, dict[str, float]]) -> None:
    for view, heatmap in reading.heatmaps.items():
        image = next(i for i in reading.images if i.view == view)
        for finding in ("malignant", "benign"):
            box = image.frame.box_source
            crop = heatmap[finding][box.slices]
            record = expected[f"{view}/{finding}"]
            assert list(crop.shape) == record["shape"]
            assert float(crop.mean(dtype=np.float64)) == pytest.approx(record["mean"], abs=1e-5)
            assert float(crop.min()) == pytest.approx(record["min"], abs=1e-5)
            assert float(crop.max()) == pytest.approx(record["max"], abs=1e-5)
            assert heatmap[finding].sum(dtype=np.float64) == pytest.approx(record["abs_sum"], rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("jitter", [0, pytest.param(10, marks=pytest.mark.slow)])
def test_image_only_readings_of_exam_1_are_upstreams(
    shared: Path, folders: dict[str, Path], jitter: int, engine: str
) -> None:
    predictions = Goldens.read(shared).numbers["pipeline_bykey_exam1"]["predictions"]
    reading = Screener.load(folders["view_split_image"], jitter=jitter, engine=engine, device="cpu").read(
        exam_1(shared)
    )
    check_predictions(reading, predictions, "view_split_image", jitter)
    assert reading.heatmaps == {}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("jitter", [0, pytest.param(10, marks=pytest.mark.slow)])
def test_image_only_readings_of_a_real_four_view_exam_are_upstreams(
    shared: Path, folders: dict[str, Path], jitter: int, engine: str
) -> None:
    predictions = json.loads((shared / "goldens/gmic_exam0_pipeline.json").read_text())["predictions"]
    reading = Screener.load(folders["view_split_image"], jitter=jitter, engine=engine, device="cpu").read(
        exam_gmic(shared)
    )
    check_predictions(reading, predictions, "view_split_image", jitter)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_heatmap_readings_of_exam_1_are_upstreams(shared: Path, folders: dict[str, Path], engine: str) -> None:
    goldens = Goldens.read(shared)
    recorded = goldens.numbers["pipeline_bykey_exam1"]
    for jitter in (0, 10):
        reading = Screener.load(folders["view_split_heatmaps"], jitter=jitter, engine=engine, device="cpu").read(
            exam_1(shared)
        )
        check_predictions(reading, recorded["predictions"], "view_split_heatmaps", jitter)
    check_heatmaps(reading, recorded["heatmaps"])
    for view, heatmap in reading.heatmaps.items():
        box = next(i for i in reading.images if i.view == view).frame.box_source
        for finding in ("malignant", "benign"):
            grid = goldens.arrays[f"pipeline_heatmap_grid/{view}/{finding}"]
            np.testing.assert_allclose(heatmap[finding][box.slices][32::64, 32::64], grid, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_heatmap_readings_of_a_real_four_view_exam_are_upstreams(
    shared: Path, folders: dict[str, Path], engine: str
) -> None:
    recorded = json.loads((shared / "goldens/gmic_exam0_pipeline.json").read_text())
    for jitter in (0, 10):
        reading = Screener.load(folders["view_split_heatmaps"], jitter=jitter, engine=engine, device="cpu").read(
            exam_gmic(shared)
        )
        check_predictions(reading, recorded["predictions"], "view_split_heatmaps", jitter)
    check_heatmaps(reading, recorded["heatmaps"])
