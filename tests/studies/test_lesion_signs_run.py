"""Lesions explained and signs asked for, from a store to pages: which networks are asked, source pixels, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.exam import SetupError
from fourview.explain.store_exams import COLUMNS, read_mammogram
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.crops import cut_lesion, read_grey_range
from fourview.studies.lesion.folds import divide_lesions
from fourview.studies.lesion.lesion_weights import load_lesion_weights
from fourview.studies.lesion.signs_cases import find_asked
from fourview.studies.lesion.signs_explain import place_crop
from fourview.studies.lesion.signs_read import LesionLens
from tests.studies.lesion_drawn_set import draw_set
from tests.studies.planted_lesions import plant_lesions, planted_recipe
from tests.studies.small_lesion_weights import write_lesion_networks


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Nine lesions, of left and of right breasts."""
    return plant_lesions(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return draw_set(tmp_path_factory.mktemp("drawn"), patients=16)


@pytest.fixture(scope="module")
def others(drawn: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that have not learned from `drawn`."""
    return write_lesion_networks(
        tmp_path_factory.mktemp("networks") / "run", drawn, gate="attention", members=1, learned=False
    )


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, words)])


def test_a_lesion_is_asked_of_the_networks_alone_that_have_not_learned_from_it(planted: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted)
    asked = find_asked(planted, load_lesion_weights(folder), folder, allow_phantom_weights=False)
    folds = divide_lesions(find_lesions(planted), folds=3, seed=planted_recipe().seed)
    fold_of = {view.name: fold for view, fold in zip(folds.views, folds.fold.tolist(), strict=True)}
    assert asked.held_out
    assert len(asked.cases) == len(folds.views)
    for case in asked.cases:
        assert case.networks == (fold_of[case.view.name],)


def test_lesions_that_were_learned_from_are_refused_where_nobody_knows_the_folds(
    planted: Store, tmp_path: Path
) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted, with_recipe=False)
    with pytest.raises(SetupError, match="these very lesions were learned from"):
        find_asked(planted, load_lesion_weights(folder), folder, allow_phantom_weights=False)


def test_networks_of_other_lesions_are_all_asked(planted: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted, learned=False)
    asked = find_asked(planted, load_lesion_weights(folder), folder, allow_phantom_weights=False)
    assert not asked.held_out
    assert {case.networks for case in asked.cases} == {(0, 1, 2)}


def test_weights_of_phantoms_are_not_for_real_lesions(planted: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted, learned=False, phantoms_only=True)
    weights = load_lesion_weights(folder)
    with pytest.raises(SetupError, match="trained on phantoms only"):
        find_asked(planted, weights, folder, allow_phantom_weights=False)
    assert find_asked(planted, weights, folder, allow_phantom_weights=True).cases


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_map_of_a_crop_stands_in_the_file_where_the_crop_was_cut(planted: Store, side: str) -> None:
    """The crop itself as the map: put back, it is the file, also of breasts whose stored crop is mirrored."""
    rows = {row["image"]: row for row in planted.images.select(COLUMNS).iter_rows(named=True)}
    views = [view for view in find_lesions(planted).views if view.side == side]
    assert len(views) > 3
    for view in views:
        crop = cut_lesion(planted, view, side_px=150)
        assert crop.frame.mirrored == (side == "R")
        placed = place_crop(crop.pixels, crop)
        pixels = read_mammogram(planted, rows[view.image]).pixels[placed.box.slices].astype(np.float32)
        grey = read_grey_range(planted, view.image)
        expected = np.clip((pixels - grey.low) / (grey.high - grey.low), 0, 1)
        inner = (slice(3, -3), slice(3, -3))
        own = np.corrcoef(placed.inside[inner].ravel(), expected[inner].ravel())[0, 1]
        flipped = np.corrcoef(placed.inside[:, ::-1][inner].ravel(), expected[inner].ravel())[0, 1]
        assert own > 0.97
        assert flipped < 0.9
        rows_of, cols_of = np.nonzero(placed.inside > 0.9)
        assert abs(rows_of.mean() - np.nonzero(expected > 0.9)[0].mean()) < 0.5
        assert abs(cols_of.mean() - np.nonzero(expected > 0.9)[1].mean()) < 0.5


def test_a_lesion_is_read_as_lesion_read_reads_it_and_its_gate_is_between_0_and_1(drawn: Store, others: Path) -> None:
    weights = load_lesion_weights(others)
    lens = LesionLens.open(drawn, weights, methods=["gate", "gradcam"], device=torch.device("cpu"), seed=0)
    view = find_lesions(drawn).views[0]
    seen = lens.read(view, (0,))
    crop = lens.cut(view)
    x, size = lens.stack(crop, view)
    gate = lens.map("gate", x, size, (0,))
    assert 0 <= gate.min() <= gate.max() <= 1
    with torch.inference_mode():
        p = torch.softmax(weights.networks[0](x), dim=1)[0, 1]
    assert seen.p == pytest.approx(float(p), abs=1e-6)
    assert set(seen.shares) >= {"gate", "gate, drawn anew", "gradcam", "chance", "centred disc"}
    drawn_gate = lens.map("gate", x, size, (0,), chosen=lens.drawn)
    assert not np.allclose(gate, drawn_gate)


def test_signs_are_asked_from_a_store_to_a_page_and_the_same_command_goes_on(
    drawn: Store, others: Path, tmp_path: Path
) -> None:
    out = tmp_path / "signs"
    words = ("signs", drawn.path, "--weights", others.parent, "--out", out, "--device", "cpu")
    done = call(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    page = (out / "report.html").read_text()
    assert "Where maps lie" in page
    assert "What the strongest units see" in page
    assert "margins are not compared" in page  # nobody said circumscribed
    results = json.loads((out / "results.json").read_text())
    assert results["kind"] == "signs"
    lesions = pl.read_csv(out / "lesions.csv")
    assert lesions.height == 32
    total = lesions["gate: core"] + lesions["gate: margin"] + lesions["gate: outside"]
    np.testing.assert_allclose(total.to_numpy(), 1, atol=1e-9)
    assert "assessment" not in " ".join(lesions["words"].to_list())
    parts = sorted((out / "parts").glob("seen-*.npz"))
    before = [part.stat().st_mtime_ns for part in parts]
    assert len(parts) == 32
    assert call(*words).exit_code == 0
    assert [part.stat().st_mtime_ns for part in parts] == before
    other = call(*words, "--seed", 1)
    assert "made otherwise" in str(other.exception)


def test_lesions_are_explained_in_pictures_and_arrays(drawn: Store, others: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    done = call(drawn.path, "--weights", others, "--out", out, "--method", "gate", "--most", 2, "--drawn", 1)
    assert done.exit_code == 0, (done.output, done.exception)
    rows = pl.read_csv(out / "maps.csv")
    assert rows["angle"].to_list() == ["CC", "MLO"]
    assert rows["share_in_outlines"].null_count() == 0
    with np.load(out / "lesions" / "0001.npz") as arrays:
        top, bottom, left, right = arrays["box"].tolist()
        assert arrays["values"].shape == (bottom - top, right - left)
    picture = cv2.imread(str(out / "lesions" / "0001.png"))
    assert picture.shape[1] > 1000
    assert "Lesion" not in (out / "results.json").read_text() or (out / "report.html").is_file()


def test_a_method_that_the_network_does_not_have_is_refused(drawn: Store, others: Path, tmp_path: Path) -> None:
    words = (drawn.path, "--weights", others, "--out", tmp_path / "maps")
    assert "need one with that gate" in str(call(*words, "--method", "mask_gate").exception)
    assert "--finding benign" in str(call(*words, "--finding", "benign").exception)


def test_a_prototype_sheet_is_made_from_noise_means_and_lesions(drawn: Store, others: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet"
    words = ("prototypes", "--weights", others, "--out", out, "--data", drawn.path, "--lesions", 1, "--steps", 3)
    done = call(*words, "--device", "cpu")
    assert done.exit_code == 0, (done.output, done.exception)
    results = json.loads((out / "results.json").read_text())
    (section,) = results["sections"]
    text = json.dumps(section)
    for start in ("noise", "mean of 16 malignant", "mean of 16 benign", "malignant lesion 1", "benign lesion 1"):
        assert start in text
    again = tmp_path / "again"
    assert call(*words[:4], again, *words[5:], "--device", "cpu").exit_code == 0
    assert (again / "results.json").read_text() == (out / "results.json").read_text()
