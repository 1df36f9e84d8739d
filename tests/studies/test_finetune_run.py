"""`fourview finetune`: what a run leaves, that it goes on where it was stopped, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner, Result

from fourview.cli import app
from fourview.exam import SetupError
from fourview.phantom.recipe import load_recipe as load_population
from fourview.phantom.recipe import read_recipe_file
from fourview.store.phantom_store import draw_store
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.studies.finetune.finetuned import load_finetuned
from fourview.studies.finetune.image_input import open_input
from fourview.studies.finetune.phase_settings import PhaseSettings
from fourview.studies.finetune.recipe import load_recipe
from fourview.studies.finetune.recipe_parts import Augmentation
from fourview.studies.finetune.study import open_study, open_study_fabric, run_study
from fourview.train.devices import launched
from fourview.train.trained import Step
from fourview.weights.folder import load_weights
from tests.studies.inbreast_miniature import make_store
from tests.studies.small_weights import write_small

BIRADS = ("--set", "labels=birads4+")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = make_store(tmp_path_factory.mktemp("inbreast"), women=8)
    make_split(made.manifest, folds=2, stratify="birads", seed=0).write(made.path, "folds")
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("weights") / "untrained", wiring="image-wise", heatmaps=True)


def finetune(store: Path, out: Path, *more: str, split: str = "folds:fold-1") -> Result:
    return CliRunner().invoke(app, ["finetune", str(store), "phantom", "--split", split, "--out", str(out), *more])


@pytest.fixture(scope="module")
def run(store: Store, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one view's layers, with heatmaps of the same weights."""
    out = tmp_path_factory.mktemp("run") / "nyu"
    result = finetune(
        store.path,
        out,
        "--model",
        "nyu",
        "--weights",
        str(weights),
        "--patch",
        str(weights),
        "--device",
        "cpu",
        *BIRADS,
    )
    assert result.exit_code == 0, result.output
    assert "Untrained start" in result.output
    return out


def test_every_number_of_the_page_is_of_held_out_patients_with_an_interval_or_says_why(run: Path, store: Store) -> None:
    found = json.loads((run / "results.json").read_text())
    assert found["kind"] == "fine-tuning"
    names = {one["name"]: one for one in found["headline"]}
    assert set(names) == {"AUC", "balanced accuracy", "accuracy", "accuracy of always saying negative"}
    table = pl.read_csv(run / "predictions.csv", schema_overrides={"image": pl.String})
    assert {one["n"] for one in names.values()} == {len(table)}
    assert names["AUC"]["clusters"] == table["patient"].n_unique()
    trained = set()
    for phase in ("1-head-48", "2-all-64"):
        judged = pl.read_csv(run / phase / "predictions.csv", schema_overrides={"image": pl.String})
        trained |= set(judged["patient"])
    assert not trained & set(table["patient"])
    said = table.filter(pl.col("truth") == "positive")["said"]
    sensitivity = next(row for row in pl.read_csv(run / "estimates.csv").to_dicts() if row["name"] == "sensitivity")
    assert sensitivity["value"] == pytest.approx((said == "positive").mean())


def test_the_page_tells_of_all_phases_of_features_before_and_after_and_shows_figure_2(run: Path) -> None:
    found = json.loads((run / "results.json").read_text())
    tables = {part["name"]: part for section in found["sections"] for part in section["parts"]}
    assert [row[0] for row in tables["phases"]["rows"]] == ["1-head-48", "2-all-64"]
    assert tables["similarity"]["rows"][0][1]["value"] <= 1
    assert "figure2" in tables
    assert (run / "figure2.png").stat().st_size > 10_000
    page = (run / "report.html").read_text()
    assert "always saying negative" in page
    assert "all of these are ours" in page


def test_the_kept_network_gives_the_predictions_that_were_written(run: Path, store: Store) -> None:
    loaded = load_finetuned(run / "network")
    read = open_input(
        store, loaded.card.card, size=loaded.card.size_px, augmentation=Augmentation(), jittered=False, kept_mb=10
    )
    rows = {row["image"]: row for row in store.images.to_dicts()}
    table = pl.read_csv(run / "predictions.csv", schema_overrides={"image": pl.String}).head(3)
    with torch.inference_mode():
        for image, p in table.select("image", "p_positive").iter_rows():
            inputs = {name: torch.from_numpy(x[None]) for name, x in read(rows[image], None).items()}
            assert float(torch.sigmoid(loaded.network(inputs))) == pytest.approx(p, abs=1e-5)


def test_the_head_alone_moves_first_and_then_everything(run: Path, weights: Path) -> None:
    from safetensors.torch import load_file

    source = load_weights(weights).exam
    assert source is not None
    first = source.state_dict()["columns.cc.first_conv.weight"][:, :1]
    head = load_file(next((run / "1-head-48/checkpoints").glob("best-*")) / "tensors.safetensors")
    assert torch.equal(head["trunks.cc.first_conv.weight"], first)
    kept = load_file(run / "network/network.safetensors")
    assert not torch.equal(kept["trunks.cc.first_conv.weight"], first)
    assert not torch.equal(kept["output.weight"], head["output.weight"])


def test_screen_does_not_take_the_network_and_says_what_it_needs(run: Path, tmp_path: Path) -> None:
    words = ["screen", str(tmp_path), "--weights", str(run / "network"), "--out", str(tmp_path / "readings")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, SetupError)
    assert "card.json" in str(result.exception)


def test_a_finished_run_is_taken_as_it_is_and_another_one_is_refused(run: Path, store: Store, weights: Path) -> None:
    before = (run / "network/network.safetensors").read_bytes()
    words = ("--model", "nyu", "--weights", str(weights), "--device", "cpu", *BIRADS)
    again = finetune(store.path, run, *words, "--resume")
    assert again.exit_code == 0, again.output
    assert (run / "network/network.safetensors").read_bytes() == before
    other = finetune(store.path, run, *words, "--set", "seed=5", "--resume")
    assert "recipe_sha256" in str(other.exception)
    assert "not empty" in str(finetune(store.path, run, *words).exception)


def test_a_run_that_was_interrupted_in_any_phase_ends_as_if_it_had_not_been(
    store: Store, weights: Path, tmp_path: Path
) -> None:
    recipe = load_recipe("phantom").with_values(["labels=birads4+", "seed=2"])
    study = open_study(store, "folds:fold-2", recipe, "nyu", str(weights))

    def sit(out: Path, *, stop_at: tuple[str, int] | None = None) -> dict[str, torch.Tensor]:
        def on_step(phase: PhaseSettings, step: Step) -> None:
            if stop_at == (phase.name, step.epoch * 10 + step.step):
                raise KeyboardInterrupt

        out.mkdir(exist_ok=True)
        fabric = open_study_fabric(study.phases, devices=1, accelerator="cpu")
        with launched(fabric):
            return run_study(study, out, fabric=fabric, on_step=on_step)[0]

    whole = sit(tmp_path / "whole")
    for place in (("1-head-48", 11), ("2-all-64", 11), ("2-all-64", 21)):
        with pytest.raises(KeyboardInterrupt):
            sit(tmp_path / "parts", stop_at=place)
    parts = sit(tmp_path / "parts")
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def test_categories_are_learned_from_drawn_squares_with_a_sampler(store: Store, tmp_path: Path) -> None:
    sets = ("labels=birads6", "balance=sampler", "phases.1.size_px=32", "phases.2.size_px=32", "phases.2.epochs=1")
    words = [word for value in sets for word in ("--set", value)]
    result = finetune(
        store.path, tmp_path / "run", "--model", "squeezenet", "--weights", "random:1", "--device", "cpu", *words
    )
    assert result.exit_code == 0, result.output
    table = pl.read_csv(tmp_path / "run/predictions.csv")
    p = table.select(f"p_{name}" for name in "123456").to_numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert "mean of one class against all" in result.output


@pytest.mark.slow
def test_a_small_network_learns_phantoms_from_nothing_and_the_page_says_that_they_are(tmp_path: Path) -> None:
    drawn, population = tmp_path / "store", tmp_path / "half.toml"
    text = read_recipe_file("enriched").replace('"enriched"', '"half"').replace("malignant = 0.138", "malignant = 0.5")
    population.write_text(text)
    draw_store(load_population(population), drawn, exams=12, seed=12, scale=0.1)
    split = make_split(Store.open(drawn).manifest, fractions=(0.5, 0.3, 0.2), stratify="label", seed=12)
    split.write(drawn, "three")
    result = finetune(drawn, tmp_path / "run", "--model", "scratch", "--device", "cpu", split="three")
    assert result.exit_code == 0, result.output
    assert "phantoms only" in result.output
    card = load_finetuned(tmp_path / "run/network").card
    assert card.phantoms_only
    assert card.positive.startswith("malignant")


def test_without_a_file_for_photographs_the_command_names_the_file_to_bring(store: Store, tmp_path: Path) -> None:
    result = finetune(store.path, tmp_path / "run", "--model", "resnet18", *BIRADS)
    assert "resnet18-f37072fd.pth from https://" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_devices_that_cannot_share_the_batches_are_refused_at_once(store: Store, tmp_path: Path) -> None:
    result = finetune(store.path, tmp_path / "run", "--model", "scratch", "--device", "cpu", "--devices", "3")
    assert "found 3 devices for 1 portions" in str(result.exception)
