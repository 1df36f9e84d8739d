"""Truth tables: what is in them, and that the evaluation takes them."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from fourview.evaluate import roc
from fourview.evaluate.population import Population
from fourview.evaluate.readings_table import load_units
from fourview.exam import Box, SetupError, View, hash_label
from fourview.phantom.ceiling import breast_ceiling
from fourview.phantom.population import plan_exam
from fourview.phantom.recipe import load_recipe
from fourview.phantom.truth import breast_rows, exam_row, finding_rows, format_table, write_truth


def write(folder: Path, name: str, count: int) -> Path:
    recipe = load_recipe(name)
    write_truth(folder, recipe, (plan_exam(recipe, seed=3, index=index) for index in range(count)))
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_evaluation_takes_breasts_and_finds_the_ceiling(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", "enriched", 1500) / "breasts.csv"
    readings = tmp_path / "readings.csv"
    pl.read_csv(truth, infer_schema=False).select("exam", "side", p_malignant="planted_malignant").write_csv(readings)
    units = load_units(readings, truth)
    assert (units.unit, len(units.keys), units.cluster, units.patients_from) == ("breast", 3000, "patient", "truth")
    area = roc.auc(units.truth, units.scores)
    assert area.value == pytest.approx(breast_ceiling(load_recipe("enriched")), abs=0.03)
    biopsied = load_units(readings, truth, population=Population("biopsied"))
    known = load_units(readings, truth, population=Population(unknown="excluded"))
    assert len(biopsied.keys) == len(known.keys) == sum(row["biopsied"] == "1" for row in rows(truth))
    visible = load_units(readings, truth, population=Population(visibility="visible"))
    occult = load_units(readings, truth, population=Population(visibility="occult"))
    assert visible.positives + occult.positives == units.positives
    assert min(visible.positives, occult.positives) > 0


def test_follow_up_is_what_is_known_of_a_breast(tmp_path: Path) -> None:
    folder = write(tmp_path / "truth", "screening", 900)
    exams = rows(folder / "exams.csv")
    last = [row for row in exams if row["round"] == "2"]
    assert {row["follow_up_days"] for row in last} == {"0"}
    assert all(330 <= int(row["follow_up_days"]) <= 900 for row in exams if row["round"] == "0")
    truth = folder / "breasts.csv"
    readings = tmp_path / "readings.csv"
    pl.read_csv(truth, infer_schema=False).select("exam", "side", p_malignant="suspicion").with_columns(
        pl.col("p_malignant").cast(pl.Float64) / 2
    ).write_csv(readings)
    units = load_units(readings, truth, population=Population(follow_up_days=1))
    assert 1100 <= len(units.keys) <= 1300  # two rounds of three, and the cancers of the third


def test_exams_can_be_called_what_readings_call_them() -> None:
    recipe = load_recipe("screening")
    plan = plan_exam(recipe, seed=0, index=4)
    assert exam_row(plan)["exam"] == plan.name == "P000001-1"
    study = hash_label("1.2.3")
    assert {row["exam"] for row in breast_rows(recipe, plan, exam=study)} == {study}
    assert {row["exam"] for row in finding_rows(plan, exam=study)} <= {study}


def test_what_was_not_biopsied_is_unknown() -> None:
    recipe = load_recipe("enriched")
    for index in range(50):
        for row in breast_rows(recipe, plan_exam(recipe, seed=0, index=index)):
            if row["biopsied"]:
                assert {row["malignant"], row["benign"], row["high_risk"]} <= {0, 1}
                assert row["malignant"] or row["benign"]
                assert row["visible"] in (0, 1)
            else:
                assert (row["malignant"], row["benign"], row["visible"]) == ("unknown", "unknown", "")


def test_a_finding_has_a_row_per_view_with_its_box_and_words() -> None:
    plan = next(
        plan
        for plan in (plan_exam(load_recipe("enriched"), seed=0, index=i) for i in range(99))
        if any(f.margin and f.biopsied for f in plan.findings)
    )
    number = next(n for n, f in enumerate(plan.findings) if f.margin and f.biopsied)
    finding = plan.findings[number]
    view = finding.side.views[1]
    found = finding_rows(plan, boxes={(view, number): Box(1, 20, 3, 40)})
    assert len(found) == 2 * len(plan.findings)
    own = [row for row in found if row["finding"] == number]
    assert [row["view"] for row in own] == [v.value for v in finding.side.views]
    assert (own[1]["top"], own[1]["bottom"], own[1]["left"], own[1]["right"]) == (1, 20, 3, 40)
    assert own[0]["top"] == ""
    assert (own[0]["shape"], own[0]["margin"], own[0]["biopsied"]) == (finding.shape, finding.margin, 1)
    assert own[0]["p_malignant"] == pytest.approx(finding.p_malignant)
    assert all(View(row["view"]).side.value == row["side"] for row in found)


def test_tables_are_whole_and_of_one_recipe(tmp_path: Path) -> None:
    folder = write(tmp_path / "truth", "screening", 30)
    assert sorted(path.name for path in folder.iterdir()) == ["breasts.csv", "exams.csv", "findings.csv"]
    assert len(rows(folder / "breasts.csv")) == 60
    with pytest.raises(SetupError, match="need a new or empty folder"):
        write(folder, "screening", 3)
    plan = plan_exam(load_recipe("screening"), seed=0, index=0)
    with pytest.raises(SetupError, match="found a plan of recipe"):
        write_truth(tmp_path / "other", load_recipe("enriched"), [plan])
    assert not (tmp_path / "other").exists()
    assert format_table([]) == ""
