"""The benchmarks of lesion networks, on miniatures; and that docs and stored results agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks import lesions, lesions_mini_mias, lesions_table, lesions_work
from benchmarks.lesions_estimate import estimate_hours
from benchmarks.lesions_protocol import POPULATION_HASH, REAL, RECIPES, Arm, Protocol, freeze
from benchmarks.lesions_work import list_pieces, run_of, store_of

from fourview.evaluate import auc, rank_in_folds
from fourview.exam import SetupError
from fourview.phantom import plan_exam
from fourview.studies.lesion.ensemble import LESION_COLUMNS
from fourview.studies.lesion.lesion_weights import load_lesion_weights, save_lesion_weights
from tests.mini_mias_miniature import write_miniature
from tests.studies.planted_lesions import plant_lesions

DOCS = Path(__file__).parents[1] / "docs/lesions.md"
SMALL = ("folds=3", "crop.side_px=32", "loop.epochs=2", "loop.batch=4", "loop.micro_batch=4")
TINY = Protocol(
    "tiny",
    exams=9,
    seed=0,
    scale=0.1,
    arms=(
        Arm("googlenet_light", ("network.architecture=googlenet_light",)),
        Arm("alexnet", ("network.architecture=alexnet", "network.width_mult=0.05")),
        Arm("googlenet", ("network.architecture=googlenet", "network.width_mult=0.05"), folds=(2,)),
    ),
    classifiers="lr",
    inner=2,
    changes=SMALL,
)


def baselines(out: Path) -> None:
    """What `lesion handcrafted` would leave beside the first run: drawn probabilities of the same lesions."""
    table = pl.read_csv(out.parent / "googlenet_light/lesions.csv", schema=pl.Schema(LESION_COLUMNS))
    p = np.random.default_rng(0).random(table.height)
    drawn = table.with_columns(p=pl.Series(p), p_cc=pl.Series(p), p_mlo=pl.Series(p))
    kinds = [("hand-crafted", "chosen in the inner folds"), ("words", "shape"), ("ceiling", "label ceiling")]
    rows = [drawn.select(pl.lit(sort).alias("sort"), pl.lit(name).alias("baseline"), pl.all()) for sort, name in kinds]
    out.mkdir()
    pl.concat(rows).write_csv(out / "lesions.csv")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its store is there already: planted lesions, which cost less than phantoms."""
    folder = tmp_path_factory.mktemp("cache")
    plant_lesions(folder)
    return folder


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesions_work, "is_drawn", lambda out: True)
    monkeypatch.setattr(lesions_work, "run_handcrafted", lambda store, out, **_: baselines(out))
    monkeypatch.setattr(lesions_mini_mias, "run_handcrafted", lambda store, out, **_: film_baselines(out))


def film_baselines(out: Path) -> None:
    (scratch,) = out.parent.glob("*-scratch")
    (out.parent / "googlenet_light").symlink_to(scratch)
    baselines(out)


def test_every_architecture_and_baseline_is_a_row_and_once_is_enough(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = json.loads(json.dumps(lesions.run(TINY, cache, table=tmp_path / "lesions.csv")))
    assert (result["lesions"], result["malignant"], result["patients"]) == (9, 5, 9)
    assert [(row["kind"], row["lesions"]) for row in result["rows"]] == [
        ("network", 9),
        ("network", 9),
        ("network", 3),
        ("mean of networks", 9),
        *(((kind, 9)) for kind in ("hand-crafted", "words", "ceiling")),
    ]
    assert "3 folds, 3 networks, 2 to 2 epochs" in result["rows"][0]["about"]
    assert result["notes"] == ["googlenet x 0.05: 1 of 3 folds, 3 of 9 lesions, not in the mean"]
    table = pl.read_csv(tmp_path / "lesions.csv")
    for row in result["rows"]:
        own = table.filter(pl.all_horizontal(pl.col(f"{row['name']}: {view}").is_not_null() for view in ("CC", "MLO")))
        p = (own[f"{row['name']}: CC"] + own[f"{row['name']}: MLO"]).to_numpy()
        ranked = rank_in_folds(p, own["fold"].to_numpy())
        area = auc(own["malignant"].to_numpy(), ranked, cluster=own["patient"].to_list())
        assert row["auc"]["CC and MLO"]["value"] == pytest.approx(area.value)
        assert row["auc"]["CC and MLO"]["clusters"] == own["patient"].n_unique()
        assert len(row["added"]) == 2
    shown = lesions.show(result)
    assert "| mean of 2 networks (googlenet_light, alexnet x 0.05) | mean of networks |" in shown
    assert "| tiny train alexnet |" in shown

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(lesions_work, "train", fail)
    assert json.loads(json.dumps(lesions.run(TINY, cache)["rows"])) == result["rows"]


def test_the_estimate_times_every_kind_of_network(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "store").symlink_to(cache / "store")
    gated = replace(TINY, arms=(TINY.arms[0], Arm("mask", ("network.gate=mask",))))
    hours = estimate_hours(gated, folder)
    assert list(hours) == ["draw", "train googlenet_light", "train mask", "handcrafted"]
    assert min(hours.values()) >= 0


def test_work_of_another_protocol_is_not_gone_on_with(tmp_path: Path) -> None:
    freeze(TINY, tmp_path)
    freeze(TINY, tmp_path)
    with pytest.raises(SetupError, match=r"\(arms, networks, seed differ\)"):
        freeze(
            replace(TINY, seed=1, arms=(TINY.arms[0], *(replace(a, values=("seed=2",)) for a in TINY.arms[1:]))),
            tmp_path,
        )


def test_the_population_is_the_one_that_was_fixed_and_holds_masses_that_show() -> None:
    assert REAL.population.hash == POPULATION_HASH
    plans = [plan_exam(REAL.population, seed=1, index=index) for index in range(200)]
    found = [one for plan in plans for one in plan.findings]
    assert {(one.kind, one.biopsied, one.visible) for one in found} == {("mass", True, True)}
    assert 0.4 < np.mean([one.malignant for one in found]) < 0.6


def test_the_protocol_has_what_was_asked_for() -> None:
    folds = {arm.name: len(REAL.folds_of(arm)) for arm in REAL.arms}
    plain = {arm.name: REAL.recipe(arm).network for arm in REAL.arms if REAL.recipe(arm).network.gate == "none"}
    assert {name: folds[name] for name in plain} == {
        "googlenet_light": 5,
        "alexnet": 5,
        "vgg11": 1,
        "resnet18": 5,
        "googlenet": 1,
    }
    assert all(name == network.architecture for name, network in plain.items())
    assert plain["googlenet"].width_mult == plain["googlenet_light"].width_mult == 1
    assert {REAL.recipe(arm).network.gate for arm in REAL.arms} == {"none", "attention", "mask"}
    names = [piece.name for piece in list_pieces(REAL, Path("cache"))]
    assert names[0] == "real/draw"
    assert len(names) == len(set(names)) == 9


@pytest.mark.slow
def test_circles_of_films_are_compared_by_ranks_in_folds_and_pairs_stay_together(tmp_path: Path) -> None:
    films = write_miniature(tmp_path / "films", women=18)
    protocol = lesions_mini_mias.Protocol(films, tmp_path / "cache", changes=(*SMALL, "ensemble.seeds=1"))
    lesions_mini_mias.run(protocol)
    weights = load_lesion_weights(protocol.run_of("scratch") / "weights")
    start = tmp_path / "start"
    tensors = [network.state_dict() for network in weights.networks]
    save_lesion_weights(start, weights.card.model_copy(update={"learned": ()}), tensors)
    result = json.loads(json.dumps(lesions_mini_mias.run(replace(protocol, phantom_weights=start))))
    assert (result["circles"], result["women"], result["malignant"]) == (11, 11, 6)  # one of 12 has no place
    assert list(result["areas"]) == ["scratch", "phantoms", "hand-crafted", "words"]
    assert [one["name"] for one in result["differences"]] == [
        "phantoms - scratch", "phantoms - hand-crafted", "scratch - hand-crafted",
    ]  # fmt: skip
    assert result["areas"]["scratch"]["clusters"] == 11
    assert "| scratch |" in lesions_mini_mias.show(result)


@pytest.mark.parametrize(
    ("module", "tables"),
    [
        (lesions, (lambda r: lesions_table.area_table(r["rows"]), lambda r: lesions_table.added_table(r["rows"]))),
        (lesions_mini_mias, (lesions_mini_mias.arm_table,)),
    ],
)
def test_the_stored_tables_stand_in_the_docs(module: object, tables: tuple[Callable[..., str], ...]) -> None:
    stored: Path = module.STORED  # type: ignore[attr-defined]
    if not stored.is_file():
        pytest.skip("no stored result yet")
    result = json.loads(stored.read_text())
    assert "/" not in result["command"]
    text = DOCS.read_text()
    for table in tables:
        assert table(result) in text


def test_the_recipes_of_films_and_phantoms_have_the_same_network() -> None:
    film = lesions_mini_mias.Protocol(Path("films"), Path("cache")).recipe
    assert (film.network, film.crop) == (REAL.recipe(REAL.arms[0]).network, REAL.recipe().crop)
    assert (RECIPES / "film.toml").is_file()
    assert store_of(Path("cache")) == Path("cache/store")
    assert run_of(Path("cache"), "alexnet").name == "alexnet"
