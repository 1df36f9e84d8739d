"""The AUCs on a card: written from an evaluation of exactly these weights, and checked against a fresh one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import SetupError
from fourview.measured import Reproduction, check_weights, measure_weights
from fourview.report.evaluation_folder import read_evaluation
from fourview.weights.card import Metric
from fourview.weights.ensemble import load_ensemble_card, load_metrics, save_ensemble, write_metrics
from fourview.weights.folder import load_card, load_weights
from fourview.weights.untrained import write_untrained
from tests.evaluate.test_evaluation import draw

SCALE = 0.1
POPULATION = "screening population, unknown truth counts as negative"
BIOPSIED = POPULATION.replace("screening", "biopsied")
NAMES = [f"AUC, {finding}, {rules}" for finding in ("benign", "malignant") for rules in (POPULATION, BIOPSIED)]
TRAINED = Metric(
    name="AUC, malignant", value=0.7, unit="breast", n=10, positives=3, population="validation of drawn exams"
)
Change = Callable[[dict[str, Any]], None]


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


def evaluate(readings: Path, truth: Path, out: Path, *more: object) -> Path:
    run("evaluate", readings, "--truth", truth, "--finding", "both", "--out", out, *more)
    return out


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    write_untrained(folder, heatmaps=False, scale=SCALE)
    write_metrics(folder, [TRAINED])
    return folder


@pytest.fixture
def weights(original: Path, tmp_path: Path) -> Path:
    """One untrained network whose card has a number of its training."""
    return Path(shutil.copytree(original, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def evaluations(original: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two evaluations of drawn readings that carry the network's hash, of other exams each."""
    folder = tmp_path_factory.mktemp("evaluations")
    found = []
    for seed in (0, 1):
        (folder / f"tables_{seed}").mkdir()
        readings, truth = draw(folder / f"tables_{seed}", n=150, seed=seed)
        table = pl.read_csv(readings).with_columns(weights_hash=pl.lit(load_card(original).weights_hash))
        table.write_csv(readings)
        found.append(evaluate(readings, truth, folder / f"evaluation_{seed}"))
    return found[0], found[1]


def changed(evaluation: Path, to: Path, change: Change) -> Path:
    """A copy of an evaluation's results with something else in them."""
    values = json.loads((evaluation / "results.json").read_text())
    change(values)
    to.mkdir()
    (to / "results.json").write_text(json.dumps(values))
    return to


def set_to(what: str, value: str) -> Change:
    def change(values: dict[str, Any]) -> None:
        values["settings"] = [[name, value if name == what else old] for name, old in values["settings"]]

    return change


def shift_auc(finding: str, by: float) -> Change:
    """Moves an AUC and its interval, as worse weights would."""

    def change(values: dict[str, Any]) -> None:
        (table,) = [part for s in values["sections"] for part in s["parts"] if part.get("name") == f"{finding}_ranking"]
        (area,) = [row[1] for row in table["rows"] if row[0] == "AUC"]
        for name in ("value", "low", "high"):
            area[name] += by

    return change


def test_the_aucs_of_an_evaluation_come_to_stand_on_the_card_with_interval_and_counts(
    weights: Path, evaluations: tuple[Path, Path]
) -> None:
    before = load_card(weights)
    text = run("weights", "measure", weights, "--evaluation", evaluations[0], "--population", "drawn exams,\n seed 0")
    card = load_card(weights)
    assert card.weights_hash == before.weights_hash
    assert card.model_copy(update={"metrics": before.metrics}) == before
    assert card.metrics[0] == TRAINED
    assert [metric.name for metric in card.metrics[1:]] == NAMES
    malignant = next(m for m in card.metrics if m.name == NAMES[2])
    estimates = pl.read_csv(evaluations[0] / "estimates.csv").filter(section="malignant_ranking", name="AUC")
    assert (malignant.value, malignant.n, malignant.positives) == estimates.select("value", "n", "positives").row(0)
    assert malignant.interval_95 == estimates.select("low", "high").row(0)
    biopsied = next(m for m in card.metrics if m.name == NAMES[3])
    assert biopsied.n < malignant.n == 300
    assert biopsied.positives == malignant.positives
    assert {m.population for m in card.metrics[1:]} == {"drawn exams, seed 0"}
    assert f"{malignant.name} {malignant.value:.3f} (95 % " in text
    load_weights(weights)


def test_show_and_list_print_them(
    weights: Path, evaluations: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_weights(weights, evaluations[0], population="drawn exams")
    malignant = next(m for m in load_metrics(weights) if m.name == NAMES[2])
    shown = CliRunner().invoke(app, ["weights", "show", str(weights)])
    assert str(malignant) in shown.stderr
    assert str(TRAINED) in shown.stderr
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(weights.parent))
    listed = run("weights", "list")
    assert f"tiny: {malignant}" in listed
    assert "validation of" not in listed  # what chose the epoch flatters: only `show` has it
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(weights / "nothing"))
    monkeypatch.setattr("fourview.weights.home.SHIPPED", weights.parent)
    listed = run("weights", "list")
    assert "ships with fourview" in listed
    assert f"tiny: {malignant}" in listed


def test_a_new_measurement_replaces_the_one_before_and_leaves_the_trainings(
    weights: Path, evaluations: tuple[Path, Path]
) -> None:
    measure_weights(weights, evaluations[0], population="first")
    measure_weights(weights, evaluations[1], population="second")
    assert [m.population for m in load_metrics(weights)] == [TRAINED.population, *["second"] * 4]


def test_a_fresh_evaluation_reproduces_the_card(weights: Path, evaluations: tuple[Path, Path]) -> None:
    measure_weights(weights, evaluations[0], population="drawn exams")
    text = run("weights", "check", weights, "--evaluation", evaluations[1])
    assert "4 of 4 reproduced" in text
    found = check_weights(weights, evaluations[1])
    assert [one.card.name for one in found] == NAMES
    fresh = {(a.finding, a.population): a.area for a in read_evaluation(evaluations[1]).areas}
    assert found[2].fresh.value == fresh["malignant", POPULATION].value
    assert found[2].difference == found[2].fresh.value - found[2].card.value


def test_an_auc_that_is_not_reproduced_is_exit_status_1(
    weights: Path, evaluations: tuple[Path, Path], tmp_path: Path
) -> None:
    measure_weights(weights, evaluations[0], population="drawn exams")
    worse = changed(evaluations[1], tmp_path / "worse", shift_auc("malignant", -0.2))
    text = run("weights", "check", weights, "--evaluation", worse, status=1)
    assert "3 of 4 reproduced" in text
    assert [one.is_reproduced for one in check_weights(weights, worse)] == [True, True, False, True]


def metric(value: float, low: float, high: float) -> Metric:
    return Metric(
        name="AUC", value=value, interval_95=(low, high), unit="breast", n=100, positives=9, population="drawn"
    )


def test_the_differences_interval_is_that_of_two_independent_measurements() -> None:
    both = Reproduction.compare(metric(0.80, 0.76, 0.84), metric(0.85, 0.82, 0.88))
    assert (both.low, both.high) == pytest.approx((0.05 - 0.05, 0.05 + 0.05))  # 3-4-5
    assert not both.fresh_in_card
    assert not both.card_in_fresh
    near = Reproduction.compare(metric(0.80, 0.76, 0.84), metric(0.845, 0.815, 0.875))
    assert near.is_reproduced
    assert not near.fresh_in_card  # outside of the interval, and no contradiction
    far = Reproduction.compare(metric(0.80, 0.76, 0.84), metric(0.86, 0.83, 0.89))
    assert not far.is_reproduced
    uneven = Reproduction.compare(metric(0.9, 0.8, 0.94), metric(0.87, 0.84, 0.9))
    assert (uneven.low, uneven.high) == pytest.approx((-0.03 - 0.05, -0.03 + (0.03**2 + 0.1**2) ** 0.5))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (set_to("weights_hash", "abc"), "found readings by the weights abc; need"),
        (set_to("weights_hash", ""), "found readings of unnamed weights; need"),
        (set_to("findings", "malignant"), "found an evaluation of malignant findings; need one with --finding both"),
        (set_to("score", "birads"), "found an evaluation of the score birads"),
        (set_to("only units that both tables have (--inner)", "yes"), r"dropped units \(--inner\)"),
        (lambda values: values.update(kind="reader study"), "found no report of `fourview evaluate`"),
        (lambda values: values.update(settings=[]), "damaged"),
        (lambda values: values.update(sections=[]), "damaged"),
        (shift_auc("malignant", float("nan")), "found no interval of AUC"),
    ],
)
def test_an_evaluation_of_something_else_is_refused_and_the_card_stays(
    weights: Path, evaluations: tuple[Path, Path], tmp_path: Path, change: Change, complaint: str
) -> None:
    before = (weights / "card.json").read_bytes()
    other = changed(evaluations[0], tmp_path / "other", change)
    with pytest.raises(SetupError, match=complaint):
        measure_weights(weights, other, population="drawn exams")
    assert (weights / "card.json").read_bytes() == before


def test_a_folder_that_is_no_evaluation_and_no_words_are_refused(
    weights: Path, evaluations: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=r"results\.json: cannot be read"):
        measure_weights(weights, tmp_path, population="drawn exams")
    with pytest.raises(SetupError, match="population: found no words"):
        measure_weights(weights, evaluations[0], population=" \n")


def test_a_card_is_not_checked_against_its_own_table_nor_without_numbers_nor_in_another_population(
    weights: Path, evaluations: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="found no measured AUC on the card"):
        check_weights(weights, evaluations[1])
    measure_weights(weights, evaluations[0], population="drawn exams")
    with pytest.raises(SetupError, match="need fresh exams"):
        check_weights(weights, evaluations[0])
    elsewhere = changed(
        evaluations[1], tmp_path / "else", set_to("population", f"{POPULATION}, only visible positives")
    )
    with pytest.raises(SetupError, match=f"found no {NAMES[0]}, per breast"):
        check_weights(weights, elsewhere)


def test_an_ensembles_numbers_stand_on_its_own_card_and_not_on_its_members(
    weights: Path, evaluations: tuple[Path, Path], tmp_path: Path
) -> None:
    write_untrained(tmp_path / "second", heatmaps=False, scale=SCALE, seed=1)
    both = tmp_path / "both"
    save_ensemble(both, [weights, tmp_path / "second"], name="both", metrics=[TRAINED])
    with pytest.raises(SetupError, match=r"need \w+\+\w+"):
        measure_weights(both, evaluations[0], population="drawn exams")
    hashes = load_ensemble_card(both).members
    own = changed(evaluations[0], tmp_path / "own", set_to("weights_hash", "+".join(hashes.values())))
    members = [path.read_bytes() for path in sorted(both.glob("member_*/card.json"))]
    measure_weights(both, own, population="drawn exams")
    assert [m.name for m in load_ensemble_card(both).metrics] == [TRAINED.name, *NAMES]
    assert load_ensemble_card(both).members == hashes
    assert [path.read_bytes() for path in sorted(both.glob("member_*/card.json"))] == members


@pytest.mark.slow
def test_from_drawn_phantoms_to_a_checked_card_of_an_ensemble(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_untrained(tmp_path / f"w{seed}", heatmaps=False, scale=SCALE, seed=seed)
    save_ensemble(tmp_path / "both", [tmp_path / "w0", tmp_path / "w1"], name="both")
    found = []
    for seed in (5900, 5901):
        exams, readings = tmp_path / f"exams_{seed}", tmp_path / f"readings_{seed}"
        of = ("--recipe", "training", "--seed", seed, "--exams", 18, "--scale", SCALE)
        run("phantom", *of, "--out", exams)
        read = ("--engine", "torch", "--jitter", 0, "--files", "readings")
        run("screen", exams, "--weights", tmp_path / "both", "--out", readings, *read)
        found.append(
            evaluate(readings / "readings.csv", exams / "truth" / "breasts.csv", tmp_path / f"evaluation_{seed}")
        )
    words = "phantoms of the recipe training, seed 5900, 18 exams, scale 0.1"
    run("weights", "measure", tmp_path / "both", "--evaluation", found[0], "--population", words)
    assert [m.name for m in load_metrics(tmp_path / "both")] == NAMES
    assert {m.n for m in load_metrics(tmp_path / "both") if POPULATION in m.name} == {36}
    text = run("weights", "check", tmp_path / "both", "--evaluation", found[1])
    assert "4 of 4 reproduced" in text
    with pytest.raises(SetupError, match=rf"need {load_card(tmp_path / 'w0').weights_hash} "):
        measure_weights(tmp_path / "w0", found[0], population=words)
