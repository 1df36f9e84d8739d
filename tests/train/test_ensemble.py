"""Ensembles of runs: their members' answers averaged, where all were asked the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fourview.evaluate import auc
from fourview.exam import SetupError
from fourview.train.ensemble import make_ensemble
from fourview.train.run_folder import RunCard
from fourview.weights.ensemble import load_ensemble_card
from fourview.weights.untrained import write_untrained

BREASTS = 80


def make_run(folder: Path, *, seed: int, stage: str = "exam", data: str = "d" * 64, exams: str = "e") -> Path:
    rng = np.random.default_rng(seed)
    truth = np.arange(BREASTS) % 5 == 0
    card = RunCard(
        stage=stage,  # type: ignore[arg-type]
        recipe="tiny",
        recipe_sha256="r" * 64,
        data="a set",
        split="parts",
        data_sha256=data,
        starts={},
        fourview="0",
        torch="2",
        python="3",
        started="2020-01-01T00:00:00+00:00",
    )
    folder.mkdir()
    (folder / "run.json").write_text(card.model_dump_json())
    pl.DataFrame(
        {
            "exam": [f"{exams}{number // 2}" for number in range(BREASTS)],
            "patient": [f"w{number // 4}" for number in range(BREASTS)],
            "side": ["L", "R"] * (BREASTS // 2),
            "benign": (~truth).astype(int),
            "malignant": truth.astype(int),
            "p_benign": rng.uniform(size=BREASTS),
            "p_malignant": np.clip(0.3 * truth + rng.uniform(0, 0.7, BREASTS), 0, 1),
        }
    ).sample(fraction=1, shuffle=True, seed=seed).write_csv(folder / "predictions.csv")
    write_untrained(folder / "weights", heatmaps=False, scale=0.1, seed=seed)
    return folder


def test_the_card_has_the_area_of_the_mean_answers_with_women_as_clusters(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"r{seed}", seed=seed) for seed in range(3)]
    made = make_ensemble(runs, tmp_path / "ens", name="three")
    tables = [pl.read_csv(run / "predictions.csv").sort("exam", "side") for run in runs]
    mean = np.mean([table["p_malignant"].to_numpy() for table in tables], axis=0)
    expected = auc(tables[0]["malignant"].to_numpy(), mean, cluster=tables[0]["patient"].to_list())
    metrics = {metric.name: metric for metric in load_ensemble_card(tmp_path / "ens").metrics}
    malignant = metrics["AUC, malignant finding"]
    assert malignant.value == pytest.approx(expected.value)
    assert malignant.interval_95 == pytest.approx((expected.low, expected.high))
    assert (malignant.n, malignant.positives, malignant.unit) == (BREASTS, BREASTS // 5, "breast")
    assert made.areas[0].clusters == BREASTS // 4


@pytest.mark.parametrize(
    ("other", "why"), [({"data": "x" * 64}, "different data or splits"), ({"exams": "f"}, "different exams")]
)
def test_runs_that_were_judged_on_other_exams_make_an_ensemble_without_numbers(
    other: dict[str, str], why: str, tmp_path: Path
) -> None:
    runs = [make_run(tmp_path / "a", seed=0), make_run(tmp_path / "b", seed=1, **other)]
    made = make_ensemble(runs, tmp_path / "ens", name="two")
    assert made.areas == ()
    assert why in made.unjudged
    card = load_ensemble_card(tmp_path / "ens")
    assert card.metrics == ()
    assert why in card.notes


def test_runs_of_the_patch_stage_are_an_ensemble_without_numbers(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"r{seed}", seed=seed, stage="patch") for seed in range(2)]
    for run in runs:
        (run / "predictions.csv").unlink()
    made = make_ensemble(runs, tmp_path / "ens", name="two")
    assert made.areas == ()
    assert "not judged on images" in made.unjudged
    assert load_ensemble_card(tmp_path / "ens").notes.endswith(made.unjudged)


def test_labels_that_are_unknown_at_first_are_numbers_all_the_same(tmp_path: Path) -> None:
    runs = []
    for seed in range(2):
        run = make_run(tmp_path / f"r{seed}", seed=seed)
        table = pl.read_csv(run / "predictions.csv").sort("exam", "side")
        unknown = table.with_columns(
            exam="a" + pl.col("exam"), patient="a" + pl.col("patient"), malignant=pl.lit(None, pl.Int64)
        )
        more = [unknown.with_columns(exam=f"{n}" + pl.col("exam")) for n in range(3)]
        pl.concat([*more, table]).write_csv(run / "predictions.csv")  # 240 rows without a label come first
        runs.append(run)
    made = make_ensemble(runs, tmp_path / "ens", name="two")
    malignant = next(area for area in made.areas if "malignant" in area.name)
    assert (malignant.n, malignant.positives) == (BREASTS, BREASTS // 5)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(tmp_path / f"r{seed}", seed=seed) for seed in range(2)]

    def fail(source: str, target: str, **_: object) -> None:
        raise shutil.Error([(source, target, "[Errno 28] No space left on device")])

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(SetupError, match=r"cannot write .*ens: .*No space left on device; make room"):
        make_ensemble(runs, tmp_path / "ens", name="two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r0", "r1"]


def test_only_finished_runs_of_one_stage_that_reads_exams_are_taken(tmp_path: Path) -> None:
    good, patch = make_run(tmp_path / "a", seed=0), make_run(tmp_path / "b", seed=1, stage="patch")
    with pytest.raises(SetupError, match="found runs of the stages exam and patch; need one"):
        make_ensemble([good, patch], tmp_path / "ens", name="x")
    with pytest.raises(SetupError, match="found a run of the stage birads"):
        make_ensemble([make_run(tmp_path / "c", seed=2, stage="birads")], tmp_path / "ens", name="x")
    (good / "weights" / "card.json").unlink()
    with pytest.raises(SetupError, match="the run is not finished"):
        make_ensemble([good], tmp_path / "ens", name="x")
    with pytest.raises(SetupError, match=r"no readable run\.json"):
        make_ensemble([tmp_path], tmp_path / "ens", name="x")
    assert not (tmp_path / "ens").exists()


def test_predictions_without_their_columns_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", seed=0)
    table = pl.read_csv(run / "predictions.csv")
    table.drop("p_benign").write_csv(run / "predictions.csv")
    with pytest.raises(SetupError, match="found no column p_benign"):
        make_ensemble([run], tmp_path / "ens", name="x")
