"""Heatmaps in a store: those that `screen` makes, whoever makes them, and found again only where they belong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fourview.engine.torch_engine import TorchEngine
from fourview.exam import FINDINGS, ExamError, SetupError
from fourview.heatmap import PatchGrid, spread_over_pixels
from fourview.phantom.stream import phantoms
from fourview.screen import Screener
from fourview.store.heatmaps import FOLDER, StoredHeatmaps
from fourview.store.store import Store
from fourview.train.fill_heatmaps import FillStep, fill_heatmaps, list_exams
from fourview.weights.card import ExamNetwork
from fourview.weights.folder import Weights, build_exam
from tests.train.conftest import SCALE
from tests.train.tiny_patch import tiny_patch

CPU = TorchEngine(torch.device("cpu"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return tiny_patch(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def store(phantom_store: Path, tmp_path: Path) -> Store:
    """Two exams of the population."""
    shutil.copytree(phantom_store, tmp_path / "store")
    whole = Store.open(tmp_path / "store")
    kept = sorted(whole.images["exam"].unique())[:2]
    return Store(whole.path, whole.manifest.filter(pl.col("exam").is_in(kept)), whole.about, whole._stored)


def files(store: Store) -> dict[str, bytes]:
    folder = store.path / FOLDER
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_they_are_those_that_a_screening_makes_with_the_same_seed(
    store: Store, weights: Weights, population: Path
) -> None:
    fill_heatmaps(store, weights, CPU, seed=5)
    stored = StoredHeatmaps(store.path, weights.card.patch_hash)
    network = ExamNetwork(wiring="view-wise", heatmaps=True, width=1)
    both = Weights(weights.card.model_copy(update={"exam": network}), build_exam(network), weights.patch)
    screener = Screener([both], engine=CPU, jitter=0, seed=5)
    rows = {Path(row["image"]).name: row for several in list_exams(store).values() for row in several}
    compared = 0
    for exam, _ in phantoms(2, seed=12, scale=SCALE, recipe=population):
        for image in screener.read(exam).images:
            row = rows[Path(image.name).stem]
            answers = stored.read(row["blob"], pixels_sha256=row["pixels_sha256"])
            grid = PatchGrid(answers.rows, answers.cols, answers.side_px)
            for finding in FINDINGS:
                p = answers.p[:, answers.classes.index(finding)]
                crop = spread_over_pixels(p, grid, answers.shape, spreading=None)
                upright = crop[:, ::-1] if image.frame.mirrored else crop
                np.testing.assert_array_equal(upright, image.heatmap.inside[finding])
                assert np.ptp(upright) > 0.01
            compared += 1
    assert compared == 8


def test_the_bytes_do_not_depend_on_who_makes_which_exam(store: Store, weights: Weights) -> None:
    fill_heatmaps(store, weights, CPU)
    whole = files(store)
    shutil.rmtree(store.path / FOLDER)
    done = [fill_heatmaps(store, weights, CPU, rank=rank, ranks=2).exams for rank in (1, 0)]
    assert done == [1, 1]
    assert files(store) == whole
    assert len(whole) == 8


def test_a_run_that_was_stopped_is_gone_on_with(store: Store, weights: Weights) -> None:
    fill_heatmaps(store, weights, CPU)
    whole = files(store)
    gone = sorted((store.path / FOLDER).rglob("*.h5"))[3]
    gone.unlink()
    steps: list[FillStep] = []
    filled = fill_heatmaps(store, weights, CPU, on_step=steps.append)
    assert (filled.exams, filled.already_there, filled.problems) == (2, 1, ())
    assert [(step.done, step.total, step.already_there) for step in steps] == [(1, 2, True), (2, 2, False)]
    assert files(store) == whole


def test_damaged_files_and_those_of_another_seed_or_precision_are_made_anew(store: Store, weights: Weights) -> None:
    fill_heatmaps(store, weights, CPU)
    whole = files(store)
    path = next((store.path / FOLDER).rglob("*.h5"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert fill_heatmaps(store, weights, CPU).already_there == 1
    assert files(store) == whole
    assert fill_heatmaps(store, weights, CPU, seed=1).already_there == 0
    assert files(store) != whole
    halved = TorchEngine(torch.device("cpu"), "bf16")
    assert fill_heatmaps(store, weights, halved, seed=1).already_there == 0
    assert fill_heatmaps(store, weights, halved, seed=1).already_there == 2


def test_another_network_has_other_files(store: Store, weights: Weights, tmp_path: Path) -> None:
    fill_heatmaps(store, weights, CPU)
    other = tiny_patch(tmp_path / "other", seed=4)
    fill_heatmaps(store, other, CPU)
    assert sorted(p.name for p in (store.path / FOLDER).iterdir()) == sorted(
        {weights.card.patch_hash, other.card.patch_hash}
    )


def test_an_exam_that_is_smaller_than_a_patch_is_a_problem_with_a_reason(store: Store, tmp_path: Path) -> None:
    small = tiny_patch(tmp_path / "w")
    patch = small.card.patch.model_copy(update={"side_px": 512})
    large = Weights(small.card.model_copy(update={"patch": patch}), None, small.patch)
    filled = fill_heatmaps(store, large, CPU)
    assert len(filled.problems) == 2
    assert all("the breast is smaller than a patch" in problem for _, problem in filled.problems)
    blobs = store.images["blob"].to_list()
    missing = StoredHeatmaps(store.path, large.card.patch_hash).find_missing(blobs)
    assert list(missing) == blobs
    assert all("smaller than a patch" in str(problem) for problem in missing.values())


def test_weights_without_a_patch_network_are_refused(store: Store, weights: Weights) -> None:
    with pytest.raises(SetupError, match="found no patch network"):
        fill_heatmaps(store, Weights(weights.card, None, None), CPU)


def test_what_is_missing_is_named(store: Store, weights: Weights) -> None:
    fill_heatmaps(store, weights, CPU, ranks=2)
    blobs = store.images["blob"].to_list()
    stored = StoredHeatmaps(store.path, weights.card.patch_hash)
    missing = stored.find_missing(blobs)
    assert len(missing) == 4
    assert set(missing.values()) == {None}
    with pytest.raises(ExamError, match="missing or broken; fill the store"):
        stored.read(next(iter(missing)), pixels_sha256="")
