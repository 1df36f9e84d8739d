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
from fourview.exam import Box, Frame, SetupError
from fourview.explain.store_exams import COLUMNS, read_mammogram
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.crops import cut_from, cut_lesion, read_grey_range
from fourview.studies.lesion.folds import digest_images, divide_lesions
from fourview.studies.lesion.lesion_weights import load_lesion_weights
from fourview.studies.lesion.signs.cases import find_asked
from fourview.studies.lesion.signs.lesion_map import find_channels, place_crop
from fourview.studies.lesion.signs.read import LesionLens
from tests.studies.lesion_drawn_set import draw_set
from tests.studies.planted_lesions import copy_images, plant_lesions, planted_recipe
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


def test_another_runs_recipe_does_not_say_which_lesions_were_held_out(planted: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted)
    other = planted_recipe("folds=4").model_dump(mode="json")
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(other))
    with pytest.raises(SetupError, match="is not the recipe that small was trained by"):
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


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("corner", ["upper", "lower"])
def test_the_peak_of_a_map_lands_on_a_lesion_in_the_corner_of_the_breast(side: str, corner: str) -> None:
    """There the crop is shifted into the stored image, and where that is too small, reflected."""
    rng = np.random.default_rng(0)
    source = np.zeros((300, 200), np.uint16)
    tissue = (slice(40, 260), slice(0, 120))
    source[tissue] = 8000 + rng.integers(0, 2000, (220, 120))
    place = (slice(44, 56), slice(4, 14)) if corner == "upper" else (slice(246, 257), slice(104, 117))
    source[place] = 40000
    mask = np.zeros(source.shape, bool)
    mask[place] = True
    if side == "R":
        source, mask = np.ascontiguousarray(source[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    box = Box(40, 260, 0, 120) if side == "L" else Box(40, 260, 80, 200)
    frame = Frame(source.shape, source.shape, box, mirrored=side == "R")
    stored, stored_mask = (
        np.ascontiguousarray(one[box.slices][:, ::-1] if side == "R" else one[box.slices]) for one in (source, mask)
    )
    for scale in (2.0, 30.0):  # the second is larger than the breast is wide
        crop = cut_from(stored, stored_mask, frame=frame, scale=scale, side_px=96, spacing_mm=None, name="drawn")
        placed = place_crop(crop.pixels, crop)
        assert placed.source_shape == source.shape
        top = np.unravel_index(int(placed.full.argmax()), mask.shape)
        assert mask[top], (scale, top)
        assert float(placed.full[mask].mean()) > 0.7
        assert float(placed.full[:, ::-1][mask].mean()) < 0.5


def test_a_lesion_is_read_as_lesion_read_reads_it_and_its_gate_is_between_0_and_1(drawn: Store, others: Path) -> None:
    weights = load_lesion_weights(others)
    lens = LesionLens.open(drawn, weights, methods=["gate", "gradcam"], device=torch.device("cpu"), seed=0)
    view = find_lesions(drawn).views[0]
    seen = lens.read(view, (0,))
    crop = lens.cut(view)
    x, size = lens.stack(crop, view.name)
    gate = lens.map("gate", x, size, (0,))
    assert 0 <= gate.min() <= gate.max() <= 1
    with torch.inference_mode():
        p = torch.softmax(weights.networks[0](x), dim=1)[0, 1]
    assert seen.p == pytest.approx(float(p), abs=1e-6)
    assert set(seen.shares) >= {"gate", "gate, drawn anew", "gradcam", "chance", "centred disc"}
    drawn_gate = lens.map("gate", x, size, (0,), chosen=lens.drawn)
    assert not np.allclose(gate, drawn_gate)


def test_channels_that_are_named_add_up_to_the_score(drawn: Store, others: Path) -> None:
    weights = load_lesion_weights(others)
    lens = LesionLens.open(drawn, weights, methods=["gate"], device=torch.device("cpu"), seed=0)
    view = find_lesions(drawn).views[0]
    x, size = lens.stack(lens.cut(view), view.name)
    (network,) = lens.networks
    shown = find_channels(network, lens.cells[0], x, size, most=10**6)
    added = [channel.added for channel in shown]
    with torch.inference_mode():
        logits = network(x)[0] - network.output.bias
    assert sum(added) == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)
    assert [abs(one) for one in added] == sorted(map(abs, added), reverse=True)
    assert all(channel.values.shape == tuple(x.shape[2:]) for channel in shown)


@pytest.mark.slow
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


def test_lesions_are_explained_in_pictures_and_arrays_and_the_same_command_goes_on(
    drawn: Store, others: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    words = (drawn.path, "--weights", others, "--out", out, "--method", "gate", "--most", 2, "--drawn", 1)
    done = call(*words, "--no-curves")
    assert done.exit_code == 0, (done.output, done.exception)
    rows = pl.read_csv(out / "maps.csv")
    assert rows["angle"].to_list() == ["CC", "MLO"]
    assert rows["share_in_outlines"].null_count() == 0
    first, second = sorted((out / "lesions").iterdir())
    with np.load(first / "map.npz") as arrays:
        top, bottom, left, right = arrays["box"].tolist()
        assert arrays["values"].shape == (bottom - top, right - left)
    assert cv2.imread(str(first / "map.png")).shape[1] > 1000
    assert cv2.imread(str(first / "channels.png")).shape[1] > 1000
    page, before = (out / "report.html").read_text(), (first / "map.npz").stat().st_mtime_ns
    for file in second.iterdir():
        file.unlink()
    second.rmdir()  # as if it had been stopped there
    assert call(*words, "--no-curves").exit_code == 0
    assert (out / "report.html").read_text() == page
    assert (first / "map.npz").stat().st_mtime_ns == before
    assert "made otherwise" in str(call(*words, "--no-curves", "--seed", 1).exception)


def test_lesions_of_files_with_boxes_are_explained_as_those_of_the_store_are(planted: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", planted, members=1, learned=False)
    about = json.loads((folder / "lesion.json").read_text())
    about["images"] |= {"crop_iterations": 10, "crop_buffer_px": 20}  # as the store was prepared
    (folder / "lesion.json").write_text(json.dumps(about))
    pictures = planted.path.parent / "pictures"
    chosen = [
        view for view in find_lesions(planted).views if view.image.split("_")[0] in ("p0", "p2")
    ]  # a left, a right breast
    assert {view.side for view in chosen} == {"L", "R"}
    lines = ["image,lesion,mask"] + [
        f"{view.image.replace('-', '_')},{view.lesion},{pictures / f'{view.image}_{view.lesion}.png'}"
        for view in chosen
    ]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "\n".join([*lines, f"p0_L_CC,nowhere,{pictures / 'nothing.png'}", f"nobody,one,{pictures / 'nothing.png'}"])
    )
    words = ("--weights", folder, "--method", "gradient", "--drawn", 0, "--no-curves", "--out")
    files = copy_images(tmp_path, pictures=pictures)
    done = call(files, "--boxes", boxes, "--spacing-mm", 0.2, *words, tmp_path / "of files")
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1  # two could not be explained, and the others were
    assert "nowhere" in (tmp_path / "of files/report.html").read_text()
    exams = [word for view in chosen for word in ("--exam", view.exam)]
    assert call(planted.path, *exams, *words, tmp_path / "stored").exit_code == 0
    ours, theirs = (pl.read_csv(tmp_path / name / "maps.csv") for name in ("of files", "stored"))
    assert ours["malignant"].null_count() == ours.height == theirs.height == 4
    maps = {name: {} for name in ("of files", "stored")}
    for name, table in (("of files", ours), ("stored", theirs)):
        for folder_of, image in zip(sorted((tmp_path / name / "lesions").iterdir()), table["image"], strict=True):
            with np.load(folder_of / "map.npz") as arrays:
                maps[name][image.removesuffix(".png").replace("_", "-").split("-", 1)[1]] = {**arrays}
    assert len(maps["of files"]) == 4
    for view, own in maps["of files"].items():
        for key, values in maps["stored"][view].items():
            np.testing.assert_allclose(own[key], values, atol=1e-6)


def test_maps_of_lesions_that_nothing_was_asked_of_say_so(drawn: Store, others: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    words = (drawn.path, "--weights", others, "--out", out, "--method", "gradcam", "--most", 1, "--drawn", 0)
    assert call(*words, "--no-curves").exit_code == 0
    page = (out / "report.html").read_text()
    assert "nothing says that this map shows what the network does" in page
    assert "1 of 1 maps were not tested" in page


def test_patients_who_were_learned_from_are_left_out_of_other_stores(planted: Store, tmp_path: Path) -> None:
    """Another store that has some of the same images: another set of lesions, which no recipe speaks of."""
    folder = write_lesion_networks(tmp_path / "run", planted, learned=False)
    views = find_lesions(planted).views
    known = {views[0].patient, views[-1].patient}
    about = json.loads((folder / "lesion.json").read_text())
    images = [view.image for view in views if view.patient == views[0].patient][:1]  # one view of hers is enough
    images += [view.image for view in views if view.patient == views[-1].patient]
    about["learned"] = sorted(digest_images(images, planted))
    (folder / "lesion.json").write_text(json.dumps(about))
    asked = find_asked(planted, load_lesion_weights(folder), folder, allow_phantom_weights=False)
    assert {case.view.patient for case in asked.cases} == {view.patient for view in views} - known
    assert any("patients that were learned from" in note for note in asked.notes)
    about["learned"] = sorted(digest_images([view.image for view in views], planted))
    (folder / "lesion.json").write_text(json.dumps(about))
    with pytest.raises(SetupError, match="9 of its 9 patients were learned from"):
        find_asked(planted, load_lesion_weights(folder), folder, allow_phantom_weights=False)


def test_a_method_that_the_network_does_not_have_is_refused(drawn: Store, others: Path, tmp_path: Path) -> None:
    words = (drawn.path, "--weights", others, "--out", tmp_path / "maps")
    assert "need one with that gate" in str(call(*words, "--method", "mask_gate").exception)
    assert "--finding benign" in str(call(*words, "--finding", "benign").exception)


def test_prototypes_of_weights_of_phantoms_begin_with_no_real_lesion(drawn: Store, tmp_path: Path) -> None:
    folder = write_lesion_networks(tmp_path / "run", drawn, members=1, phantoms_only=True)
    words = ("prototypes", "--weights", folder, "--data", drawn.path, "--steps", 1, "--lesions", 0, "--device", "cpu")
    refused = call(*words, "--out", tmp_path / "refused")
    assert "trained on phantoms only" in str(refused.exception)
    assert not (tmp_path / "refused").exists()
    done = call(*words, "--out", tmp_path / "sheet", "--allow-phantom-weights")
    assert done.exit_code == 0, done.exception


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
