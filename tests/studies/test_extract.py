"""Features of a store: one run, an interrupted one and one in several processes give the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.datasets.inbreast import find_inbreast, load_inbreast
from fourview.exam import SetupError
from fourview.phantom.recipe import load_recipe
from fourview.store.manifest import read_manifest, write_manifest
from fourview.store.phantom_store import draw_store
from fourview.store.store import Store
from fourview.studies.transfer.breast_input import read_stored
from fourview.studies.transfer.extract import FeatureStep, Task, extract_features
from fourview.studies.transfer.extractors import EXTRACTORS
from fourview.studies.transfer.feature_set import load_features
from fourview.weights.folder import load_weights, save_weights
from fourview.weights.learned import Learned, number_of
from tests.studies.feature_weights import cut, open_reader
from tests.studies.inbreast_miniature import CROP, make_store, write_inbreast
from tests.studies.small_weights import write_small

FILES = ("values.npy", "rows.csv", "features.json", "failures.csv")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three exams at a tenth of the size. Only read it."""
    out = tmp_path_factory.mktemp("phantoms") / "store"
    draw_store(load_recipe("enriched"), out, exams=3, seed=5, scale=0.1)
    return out


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("weights") / "small", wiring="image-wise")


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def run(store: Path, extractor: str, out: Path, *more: str) -> Result:
    words = ["features", str(store), "--extractor", extractor, "--out", str(out), "--engine", "torch"]
    return CliRunner().invoke(app, [*words, *more])


def interrupt_after(images: int) -> Iterator[None]:
    yield from (None for _ in range(images))
    raise KeyboardInterrupt


def extract_some(task: Task, out: Path, images: int) -> None:
    """As many images as said, then Ctrl-C."""
    stop = interrupt_after(images)  # the first step says how many were there before
    with pytest.raises(KeyboardInterrupt):
        extract_features(task, out, on_step=lambda _: next(stop))


def test_each_row_is_its_images_features_and_what_the_store_says_of_it(
    phantoms: Path, weights: Path, tmp_path: Path
) -> None:
    task = Task(phantoms, "nyu_matched_gap256", str(weights), engine="torch")
    extract_features(task, tmp_path / "out")
    found = load_features(tmp_path / "out")
    assert found.values.shape == (12, 128)
    store, reader = Store.open(phantoms), open_reader("nyu_matched_gap256", weights)
    images = store.images
    for column in ("image", "exam", "patient", "side", "view", "malignant", "benign", "birads", "density"):
        assert found.rows[column].to_list() == images[column].to_list()
    for place in (0, 7):
        row = images.row(place, named=True)
        np.testing.assert_array_equal(found.values[place], reader.read(read_stored(store, row, reader.card)))
    assert len(np.unique(found.values, axis=0)) == 12


def test_the_card_says_what_the_numbers_are_and_are_not(phantoms: Path, weights: Path, tmp_path: Path) -> None:
    extract_features(Task(phantoms, "nyu_gap256", str(weights), engine="torch"), tmp_path / "random")
    card = load_features(tmp_path / "random").card
    assert (card.extractor, card.weights, card.trained, card.phantoms) == ("nyu_gap256", "small", False, True)
    assert not card.phantom_weights
    assert "CC0" in card.terms
    assert "weights: Apache-2.0" in card.terms
    extract_features(Task(phantoms, "noise"), tmp_path / "noise")
    noise = load_features(tmp_path / "noise").card
    assert (noise.weights, noise.weights_hash, noise.trained) == ("", "", False)
    assert noise.data_sha256 == card.data_sha256
    assert noise.preprocessing_hash != card.preprocessing_hash


def test_an_interrupted_run_that_goes_on_leaves_the_bytes_of_one_that_was_not(phantoms: Path, tmp_path: Path) -> None:
    task = Task(phantoms, "noise")
    extract_features(task, tmp_path / "whole")
    out = tmp_path / "cut"
    extract_some(task, out, 5)
    assert not (out / "features.json").exists()
    parts = sorted((out / "parts").glob("*.npy"))
    assert len(parts) == 5
    parts[0].write_bytes(parts[0].read_bytes()[:100])  # of a disk that failed
    (out / "parts/.image-1.npy.1234.part").write_bytes(b"half")
    with pytest.raises(SetupError, match=r"the folder is not empty; name a new one, or add --resume"):
        extract_features(task, out)
    steps: list[FeatureStep] = []
    found = extract_features(task, out, resume=True, on_step=steps.append)
    assert found.already_there == 4
    assert [(step.done, step.total) for step in steps] == [(done, 12) for done in range(4, 13)]
    assert content(out) == content(tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir()) == sorted((*FILES, "run.json"))


def test_a_finished_set_takes_over_corrected_labels_and_reads_only_what_is_new(phantoms: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    shutil.copytree(phantoms, store)
    whole = read_manifest(store)
    write_manifest(store, whole.head(9))
    task = Task(store, "noise")
    before = extract_features(task, out).features
    corrected = whole.with_columns(density=pl.lit("D"))
    write_manifest(store, corrected)
    found = extract_features(task, out, resume=True)
    assert found.already_there == 9
    after = load_features(out)
    np.testing.assert_array_equal(after.values[:9], before.values)
    assert after.rows["density"].to_list() == ["D"] * 12
    assert set(before.rows["density"]) != {"D"}
    assert after.card.data_sha256 != before.card.data_sha256
    other = corrected.with_columns(spacing_mm=pl.col("spacing_mm") * 2)  # textures would be others
    write_manifest(store, other)
    assert extract_features(task, out, resume=True).already_there == 0


def test_another_task_does_not_go_on_in_its_folder(phantoms: Path, weights: Path, tmp_path: Path) -> None:
    task = Task(phantoms, "nyu_flat4096", str(weights), size=224, engine="torch")
    out = tmp_path / "out"
    extract_some(task, out, 1)
    with pytest.raises(SetupError, match=r"made with settings .*224.* now it is .*203"):
        extract_features(Task(phantoms, "nyu_flat4096", str(weights), size=203, engine="torch"), out, resume=True)
    other = write_small(tmp_path / "small", wiring="image-wise", seed=8)
    with pytest.raises(SetupError, match=r"made with weights_hash"):
        extract_features(Task(phantoms, "nyu_flat4096", str(other), engine="torch"), out, resume=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("mine")
    with pytest.raises(SetupError, match="holds no run of `fourview features`"):
        extract_features(Task(phantoms, "noise"), tmp_path / "else", resume=True)


def test_an_image_that_cannot_be_read_is_listed_and_the_rest_goes_on(phantoms: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    shutil.copytree(phantoms, store)
    row = Store.open(store).images.row(4, named=True)
    good = (store / row["blob"]).read_bytes()
    (store / row["blob"]).write_bytes(good[: len(good) // 2])
    result = run(store, "noise", out)
    assert result.exit_code == 1
    assert "could not be read │ 1" in result.stdout
    assert row["image"] in result.stderr
    listed = pl.read_csv(out / "failures.csv")
    assert listed["image"].to_list() == [row["image"]]
    assert len(load_features(out).rows) == 11
    (store / row["blob"]).write_bytes(good)
    result = run(store, "noise", out, "--resume")
    assert result.exit_code == 0
    assert "read before │ 11" in " ".join(result.stdout.split())
    extract_features(Task(store, "noise", engine="torch"), tmp_path / "whole")
    assert content(out) == content(tmp_path / "whole")
    for path in (store / "images").rglob("*.h5"):
        path.write_bytes(b"broken")
    with pytest.raises(SetupError, match="found no image that can be read; the first: "):
        extract_features(Task(store, "noise"), tmp_path / "none")


def test_inbreast_goes_from_its_files_to_features(weights: Path, tmp_path: Path) -> None:
    release = write_inbreast(tmp_path / "set", women=3, odd_view=True)
    store = tmp_path / "store"
    crop = ("--crop-iterations", str(CROP.iterations), "--crop-buffer", str(CROP.buffer_px))
    prepared = CliRunner().invoke(app, ["data", "prepare", "inbreast", str(release), "--out", str(store), *crop])
    assert prepared.exit_code == 0, prepared.output
    for extractor, more, numbers in (
        ("nyu_flat4096", ("--weights", str(weights), "--view", "R-CC"), 2048),
        ("imagenet_squeezenet_512", ("--weights", "random:3", "--size", "64"), 512),
        ("texture", (), 60),
    ):
        out = tmp_path / extractor
        result = run(store, extractor, out, *more)
        assert result.exit_code == 0, result.output
        said = " ".join(result.stdout.split())
        assert "11 of 3 women; INbreast, digital mammograms with exact outlines" in said
        assert f"numbers per image │ {numbers:,}" in said
        assert ("a control, and no more" in said) == (extractor != "texture")
        assert "no redistribution" in said
        assert "Research software, not a medical device" in said
        found = load_features(out)
        assert found.values.shape == (11, numbers)
        assert found.rows["birads"].null_count() == 0
        assert found.rows["malignant"].null_count() == 11
        assert (found.card.phantoms, found.card.trained) == (False, extractor == "texture")
        assert set(found.rows["label_source"]) == {"birads"}


def test_a_stored_image_and_its_file_have_the_same_features(weights: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path, women=1)
    records = {record.image: record for record in find_inbreast(tmp_path / "set").records}
    for name, source in (
        ("nyu_matched_gap256", weights),
        ("nyu_flat4096", weights),
        ("imagenet_squeezenet_512", "random"),
        ("texture", None),
    ):
        reader = open_reader(name, source, **({"size": 64} if name.startswith("imagenet") else {}))
        for row in store.images.iter_rows(named=True):
            of_store = reader.read(read_stored(store, row, reader.card))
            of_file = reader.read(cut(load_inbreast(records[row["image"]]), reader))
            np.testing.assert_array_equal(of_store, of_file)


def test_weights_that_saw_only_phantoms_are_kept_from_other_images(phantoms: Path, tmp_path: Path) -> None:
    only = write_small(tmp_path / "only phantoms", phantoms_only=True)
    store = make_store(tmp_path, women=1)
    task = Task(store.path, "nyu_gap256", str(only), engine="torch")
    with pytest.raises(SetupError, match=r"found 4 images that are no phantoms, and only phantoms was trained on"):
        extract_features(task, tmp_path / "out")
    result = run(store.path, "nyu_gap256", tmp_path / "out", "--weights", str(only), "--allow-phantom-weights")
    assert result.exit_code == 0
    assert "has seen nothing but phantoms, and these images are none" in " ".join(result.stdout.split())
    assert load_features(tmp_path / "out").card.phantom_weights
    extract_features(Task(phantoms, "nyu_gap256", str(only), engine="torch"), tmp_path / "of phantoms")


def test_women_whom_the_network_has_learned_from_are_counted_on_the_card_and_said_of_every_number(
    weights: Path, tmp_path: Path
) -> None:
    store = make_store(tmp_path, women=3)
    loaded = load_weights(weights)
    assert loaded.exam is not None
    two = store.images["patient"].unique().sort()[:2].to_list()
    learned = Learned(number_of([two[0]]), number_of([two[1]]))
    save_weights(tmp_path / "known", loaded.card, exam=loaded.exam.state_dict(), learned=learned)
    cards = {}
    for name, folder in (("known", tmp_path / "known"), ("new", weights)):
        extract_features(Task(store.path, "nyu_gap256", str(folder), engine="torch"), tmp_path / f"out-{name}")
        cards[name] = load_features(tmp_path / f"out-{name}").card
    assert (cards["known"].known, cards["new"].known) == (2, 0)
    assert any("has learned from 2 of these women" in text for text in cards["known"].warnings)
    assert not any("has learned from" in text for text in cards["new"].warnings)


def test_the_help_names_every_extractor() -> None:
    said = " ".join(CliRunner().invoke(app, ["features", "--help"], env={"COLUMNS": "200"}).stdout.split())
    for name in EXTRACTORS:
        assert name in said


@pytest.mark.slow
def test_a_killed_run_goes_on_and_leaves_the_same_bytes_with_two_processes_too(phantoms: Path, tmp_path: Path) -> None:
    weights = write_small(tmp_path / "heatmaps", heatmaps=True)

    def words(out: Path, *more: str) -> list[str]:
        chosen = ["--extractor", "nyu_gap256", "--weights", str(weights), "--engine", "torch"]
        return [sys.executable, "-m", "fourview", "features", str(phantoms), "--out", str(out), *chosen, *more]

    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(words(tmp_path / "whole"), check=True, env=env, capture_output=True)
    process = subprocess.Popen(words(tmp_path / "cut"), env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list((tmp_path / "cut/parts").glob("*.npy"))) < 2:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut/features.json").exists()
    subprocess.run(words(tmp_path / "cut", "--resume", "--jobs", "2"), check=True, env=env, capture_output=True)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
