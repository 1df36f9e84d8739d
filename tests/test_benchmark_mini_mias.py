"""The benchmark on mini-MIAS: tiny, with planted faults; and that docs and stored result agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks import mini_mias, mini_mias_runs
from benchmarks.mechanism_estimate import make_patch
from benchmarks.mini_mias_numbers import TASKS, compare, expect, measure
from benchmarks.mini_mias_runs import Protocol, prepare_films, run_network
from benchmarks.mini_mias_texture import measure_breast, score_fold
from typer.testing import CliRunner

from fourview.cli import app
from fourview.evaluate import Estimate, auc, rank_in_folds
from fourview.exam import SetupError
from fourview.ingest import IngestOptions, find_exams
from fourview.prepare import crop_for
from fourview.store.store import Store
from fourview.train.crops import read_crop, reading_card
from fourview.train.recipe import load_recipe
from fourview.weights.card import Card
from tests.mini_mias_miniature import write_miniature

DOCS = Path(mini_mias.__file__).parents[1] / "docs" / "film.md"
TINY = (
    "patch={ side_px = 32, stride_px = 16, blocks = [1, 1], growth = 4, stem = 4, "
    'classes = ["malignant", "benign", "outside", "negative"] }',
    "patches.side_px=[24, 40]",
    "patches.per_epoch=40",
    "loop.epochs=2",
    "loop.batch=20",
    "loop.micro_batch=20",
)


def in_process(*words: object) -> None:
    """A command of fourview without a process of its own."""
    done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def protocol(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    return Protocol(films, tmp_path_factory.mktemp("cache"), folds=2, seeds=(0,), settings=TINY)


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini_mias_runs, "_call", in_process)


def test_every_film_is_read_by_a_network_that_saw_no_film_of_its_woman_and_once_is_enough(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = prepare_films(protocol)
    assert table.height == 24
    assert table.group_by("patient").agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 12
    assert (table["malignant"].sum(), table["abnormal"].sum()) == (4, 8)
    found = run_network(protocol, fold=1, seed=0, start=None)
    assert set(found.p) == set(table.filter(fold=1)["image"])
    (run,) = protocol.cache.glob("*-scratch/fold-1-seed-0")
    seen = json.loads((protocol.store / "splits" / "five.json").read_text())["parts"]
    card = json.loads((run / "weights" / "card.json").read_text())
    assert "five:fold-1" in card["training"]["data"]
    assert f"train {table.filter(fold=2)['patient'].n_unique()} women" in card["training"]["population"]
    assert {seen[film] for film in found.p} == {"fold-1"}

    def fail(*words: object) -> None:
        raise AssertionError(words)

    monkeypatch.setattr(mini_mias_runs, "_call", fail)
    assert run_network(protocol, fold=1, seed=0, start=None) == found


def test_weights_that_know_a_film_are_no_start_for_those_who_read_it(protocol: Protocol) -> None:
    prepare_films(protocol)
    run_network(protocol, fold=1, seed=0, start=None)
    (start,) = protocol.cache.glob("*-scratch/fold-1-seed-0/weights")
    with pytest.raises(SetupError, match="has learned from 6 of the 6 women"):
        run_network(protocol, fold=2, seed=0, start=start)


@pytest.mark.slow
def test_the_whole_protocol_gives_the_tables_whose_numbers_its_scores_give(
    protocol: Protocol, films: Path, tmp_path: Path
) -> None:
    table = prepare_films(protocol)
    start = tmp_path / "drawn"  # in the place of phantom weights: these know no woman either
    make_patch(protocol.recipe, start)
    with_start = Protocol(films, protocol.cache, folds=2, seeds=(0,), settings=TINY, phantom_weights=start)
    result = json.loads(json.dumps(mini_mias.run(with_start), allow_nan=True))
    assert (result["films"], result["women"]) == (24, 12)
    for row in result["areas"]:
        scores = np.array(result["scores"][f"{row['arm']}, {row['task']}"])
        again = auc(table[row["task"]].to_numpy(), rank_in_folds(scores, table["fold"].to_numpy()))
        assert row["value"] == pytest.approx(again.value)
    assert {row["arm"] for row in result["areas"]} == {"scratch", "phantoms", "texture"}
    shown = mini_mias.show(result)
    assert "24 films of 12 women, 4 malignant, 8 abnormal; 2 folds, seeds 0" in shown
    assert "| phantoms - scratch |" in shown


def crop_difference(protocol: Protocol, card: Card) -> tuple[int, float]:
    """Between crops for training and for reading: the most pixels of a side, and the most of the relative deviation."""
    store = Store.open(protocol.store)
    rows = {row["image"]: row for row in store.images.to_dicts()}
    pixels, deviation = 0, 0.0
    for source in find_exams([protocol.films], IngestOptions(spacing_mm=0.2)).exams:
        for mammogram in source.read().mammograms:
            read = crop_for(mammogram, card).crop.pixels
            trained = read_crop(store, rows[Path(mammogram.name).stem], card).crop.pixels
            pixels = max(pixels, *(abs(a - b) for a, b in zip(read.shape, trained.shape, strict=True)))
            deviation = max(deviation, abs(float(read.std() / trained.std()) - 1))
    return pixels, deviation


def test_films_are_read_as_they_were_trained_on_and_would_not_be_without_the_cards_word(protocol: Protocol) -> None:
    prepare_films(protocol)
    card = reading_card(load_recipe("film", stage="patch"))
    pixels, deviation = crop_difference(protocol, card)
    assert pixels <= 3
    assert deviation < 0.02
    whole = card.model_copy(update={"input": card.input.model_copy(update={"film": False})})
    assert crop_difference(protocol, whole)[0] > 20


def test_a_film_that_is_not_read_is_an_error(protocol: Protocol) -> None:
    prepare_films(protocol)
    run_network(protocol, fold=1, seed=0, start=None)
    (weights,) = protocol.cache.glob("*-scratch/fold-1-seed-0/weights")
    with pytest.raises(SetupError, match="1 films were not read, the first mdb999"):
        mini_mias_runs.read_films(weights, protocol.films, ["mdb001", "mdb999"])


def make_films(seed: int = 0, women: int = 121) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Two films a woman, five folds, about the real set's shares; scores that know something of both tasks."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, 2 * women, p=[0.64, 0.2, 0.16])
    table = pl.DataFrame(
        {
            "image": [f"f{number}" for number in range(2 * women)],
            "patient": [f"w{number // 2}" for number in range(2 * women)],
            "malignant": kind == 2,
            "abnormal": kind > 0,
            "fold": [number // 2 % 5 + 1 for number in range(2 * women)],
        }
    )
    noise = rng.normal(size=2 * women)
    return table, {"malignant": noise + 1.0 * (kind == 2), "abnormal": noise + 0.8 * (kind > 0)}


def test_networks_on_other_scales_are_pooled_by_ranks_and_raw_scores_would_not_be() -> None:
    table, scores = make_films()
    folds = table["fold"].to_numpy()
    shifted = {task: np.exp(own / 5) * folds + 10 * folds for task, own in scores.items()}
    plain, other = (measure(table, {"arm": one}) for one in (scores, shifted))
    assert [area.value for *_, area in plain] == [area.value for *_, area in other]
    truth = table["malignant"].to_numpy()
    assert auc(truth, shifted["malignant"]).value < plain[0][2].value - 0.05  # the planted fault: no ranks
    assert plain[0][2].clusters == 121
    assert plain[0][2].unit == "image"


def test_an_arm_compared_with_itself_differs_by_nothing_and_with_noise_by_something() -> None:
    table, scores = make_films()
    noise = {task: np.random.default_rng(1).normal(size=len(own)) for task, own in scores.items()}
    same, better = compare(table, {"a": scores, "b": scores, "c": noise}, [("a", "b"), ("a", "c")])[::2]
    assert same[2].value == 0
    assert better[2].value > 0.1
    assert better[2].low > 0


def test_fewer_women_are_expected_to_vary_more_than_these_and_most_samples_lie_within() -> None:
    table, scores = make_films(women=121)
    (area,) = (area for _, task, area in measure(table, {"arm": scores}) if task == "malignant")
    forty = expect(table, scores["malignant"], "malignant", women=40)
    assert forty["low"] < area.low < area.value < area.high < forty["high"]
    assert forty["sd_of_sample"] == pytest.approx(area.se * (121 / 40) ** 0.5, rel=0.25)
    inside = []
    for seed in range(100, 200):
        other, others = make_films(seed, women=40)
        value = measure(other, {"arm": others})[0][2].value
        inside.append(forty["low"] <= value <= forty["high"])
    assert np.mean(inside) > 0.85


def area(value: float) -> Estimate:
    return Estimate("AUC", value, 0.0, 1.0, 0.1, 242, 39, 121, "image", "")


@pytest.mark.parametrize(
    ("scratch", "phantoms", "chosen"), [(0.7, 0.7, "phantoms"), (0.719, 0.7, "phantoms"), (0.721, 0.7, "scratch")]
)
def test_the_rule_takes_phantoms_unless_scratch_is_better_by_its_margin(
    scratch: float, phantoms: float, chosen: str
) -> None:
    areas = [("scratch", "malignant", area(scratch)), ("phantoms", "malignant", area(phantoms))]
    areas += [("phantoms", "abnormal", area(0.9)), ("texture", "malignant", area(0.95))]
    assert mini_mias.choose_arm(areas) == chosen
    assert mini_mias.choose_arm(areas[:1]) == "scratch"


def test_texture_tells_a_smooth_breast_from_a_grainy_one_and_not_by_brightness() -> None:
    rng = np.random.default_rng(0)
    breast = np.zeros((200, 160), bool)
    breast[20:180, :120] = True
    films, truth = {}, {}
    for number in range(40):
        rough = bool(number % 2)
        grain = rng.normal(size=breast.shape) * (12 if rough else 6)
        wave = 20 * np.sin(np.arange(200)[:, None] / 15)
        light = np.where(breast, 120 + wave + grain + rng.uniform(-20, 20), 0)
        films[f"f{number}"], truth[f"f{number}"] = measure_breast(np.clip(light, 0, 255).astype(np.uint8)), rough
    names = list(films)
    scores = score_fold(films, truth, train=names[:30], test=names[30:])
    told = [scores[name] for name in names[30:]]
    assert auc([truth[name] for name in names[30:]], told).value == 1.0


def test_texture_does_not_depend_on_brightness_and_contrast_of_the_film() -> None:
    rng = np.random.default_rng(1)
    light = np.zeros((200, 160))
    light[20:180, :120] = 90 + 20 * rng.normal(size=(160, 120))
    film = np.clip(light, 0, 200).astype(np.uint16)
    other = np.where(film > 0, 3 * film + 400, 0).astype(np.uint16)
    first, second = measure_breast(film), measure_breast(other)
    assert first[0] == second[0]
    assert abs(first[1] - second[1]) > 100
    np.testing.assert_allclose(first[3:], second[3:], atol=0.02)


def stored() -> dict[str, object]:
    if not mini_mias.STORED.is_file():
        pytest.skip("no stored result yet")
    return dict(json.loads(mini_mias.STORED.read_text()))


def test_the_stored_result_is_of_the_recipe_that_ships_and_stands_in_the_docs() -> None:
    result = stored()
    assert result["recipe"] == load_recipe("film", stage="patch").hash
    assert (result["films"], result["women"], result["folds"], result["seeds"]) == (242, 121, 5, [0, 1, 2])
    assert "/" not in str(result["command"])
    text = DOCS.read_text()
    for write in (mini_mias.area_table, mini_mias.seed_table, mini_mias.claim_table):
        assert write(result) in text


def test_the_stored_areas_are_those_of_the_stored_scores_by_the_sets_own_labels(shared: Path) -> None:
    from fourview.datasets.mini_mias import find_mini_mias

    result = stored()
    records = {record.image: record for record in find_mini_mias(shared / "data" / "mini_mias").records}
    scores = result["scores"]
    assert isinstance(scores, dict)
    films = [records[film] for film in scores["film"]]
    assert len(films) == 242
    truths = {
        "malignant": np.array([bool(film.malignant) for film in films]),
        "abnormal": np.array([bool(film.malignant or film.benign) for film in films]),
    }
    for row in result["areas"]:  # type: ignore[attr-defined]
        ranks = rank_in_folds(np.array(scores[f"{row['arm']}, {row['task']}"]), np.array(scores["fold"]))
        again = auc(truths[row["task"]], ranks, cluster=[film.patient for film in films])
        assert (row["value"], row["low"]) == pytest.approx((again.value, again.low), abs=1e-3)
    assert {row["task"] for row in result["areas"]} == set(TASKS)  # type: ignore[attr-defined]
