"""`fourview readers` and `fourview plan`: what they write, what they say, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.evaluate import Estimate
from fourview.evaluate.declaration import Declaration
from fourview.evaluate.reader_analysis import analyse_readers
from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError
from fourview.report.document import Document, Table
from fourview.report.readers_document import describe_reader_study

SMALL = 40


def draw_table(exams: int = SMALL, models: tuple[str, ...] = ("net",)) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 2 * exams
    truth = np.zeros(n, int)
    truth[:exams:2] = 1

    def rate(steps: int) -> np.ndarray:
        return np.round(np.clip(0.3 * truth + 0.6 * rng.random(n), 0, 1) * steps) / steps

    columns = {f"Reader{k}": rate(10) for k in range(3)} | {model: rate(1000) for model in models}
    case = {"exam": np.repeat(np.arange(exams), 2), "side": ["L", "R"] * exams, "malignant": truth}
    return pl.DataFrame(case | columns)


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.csv"
    draw_table().write_csv(path)
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(result.exception, SetupError)
    return str(result.exception)


def describe(path: Path, models: tuple[str, ...] | None = None, **declared) -> Document:
    study = ReaderStudy.read(path, models=models)
    return describe_reader_study(analyse_readers(study, declared=Declaration(**declared)))


def test_readers_writes_a_report_and_says_what_it_found(csv: Path, tmp_path: Path) -> None:
    said = run("readers", csv, "--out", tmp_path / "out")
    assert "80 breasts" in said
    assert "margin 0.05" in said
    assert "Research software, not a medical device" in said
    assert "No reader saw a model's output" in said
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"report.html", "results.json", "estimates.csv", "plots"}
    plots = {path.stem for path in (tmp_path / "out/plots").iterdir()}
    assert plots == {"roc", "roc_each_reader", "precision_recall", "forest", "differences", "average_net"}
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["kind"] == "reader study"
    assert found["headline"][0]["name"] == "mean AUC of readers"
    assert {"mean AUC of readers", "net minus readers, AUC"} <= {e["name"] for e in found["headline"]}


def test_a_sweep_chooses_weights_on_other_exams_and_draws_them_all(csv: Path, tmp_path: Path) -> None:
    run("readers", csv, "--out", tmp_path / "out", "--sweep", "--threshold", 0.3, "--average", "logit")
    plots = {path.stem for path in (tmp_path / "out/plots").iterdir()}
    assert {"sweep_auc", "sweep_average_precision"} <= plots
    settings = dict(json.loads((tmp_path / "out/results.json").read_text())["settings"])
    assert settings["reader's weight"] == "chosen on other cases (--sweep)"
    assert settings["threshold of readers' points"] == "0.3"


def test_options_that_exclude_each_other_and_full_folders_are_refused(csv: Path, tmp_path: Path) -> None:
    assert "need one" in refused("readers", csv, "--out", tmp_path / "out", "--sweep", "--hybrid", 0.4)
    assert "margin: found 0.9" in refused("readers", csv, "--out", tmp_path / "out", "--margin", 0.9)
    assert "model nat" in refused("readers", csv, "--out", tmp_path / "out", "--model", "nat")
    fixed = ("--readers-are", "fixed", "--cases-are", "fixed")
    assert "need one of them random" in refused("readers", csv, "--out", tmp_path / "out", *fixed)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert "full" in refused("readers", csv, "--out", tmp_path / "full")


def test_every_text_calls_it_a_computed_average(csv: Path) -> None:
    document = describe(csv)
    texts = [*document.warnings, *document.methods, *(text for section in document.sections for text in section.text)]
    assert not any("aided" in text.lower() or "assisted" in text.lower() for text in texts)
    assert any("No reader saw a model's output" in text for text in document.warnings)
    names = [e.name for e in document.headline if "average" in e.name and "precision" not in e.name]
    assert names
    assert all("computed average" in name for name in names)


def test_methods_name_what_was_done(csv: Path) -> None:
    plain = " ".join(describe(csv).methods)
    assert "Obuchowski's (1997) clustered covariance, keeping the breasts of an exam together" in plain
    assert "random readers and random cases" in plain
    assert "The reader's weight was 0.5 throughout" in plain
    assert "F = MS(T)" in plain
    assert "margin of non-inferiority was 0.05" in plain
    other = " ".join(
        describe(csv, weight=None, covariance="bootstrap", readers_are="fixed", average="rank", threshold=0.2).methods
    )
    assert "a bootstrap of exams" in other
    assert "these readers and other cases" in other
    assert "ranks among these breasts" in other
    assert "one half of the exams was used in the other half" in other
    assert "Readers' points" in other
    assert "F = MS(T)" not in other
    delong = " ".join(describe(csv, covariance="delong").methods)
    assert "breasts as independent" in delong
    jackknife = " ".join(describe(csv, covariance="jackknife", cases_are="random").methods)
    assert "leaving out one exam at a time" in jackknife
    assert "No covariance" in " ".join(describe(csv, cases_are="fixed").methods)


def test_without_models_only_readers_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    draw_table(models=()).write_csv(path)
    document = describe(path)
    assert [section.name for section in document.sections] == ["readers", "models"]
    assert not document.warnings or "computed" not in " ".join(document.warnings)
    assert "margin" not in " ".join(document.methods)
    said = run("readers", path, "--out", tmp_path / "out")
    assert "mean AUC of readers" in said


def test_many_models_stand_in_no_headline_and_are_said_to_be_many(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    draw_table(models=("a", "b", "c", "A ")).write_csv(path)
    document = describe(path)
    assert [e.name for e in document.headline] == ["mean AUC of readers", "mean average precision of readers"]
    assert any("not corrected for several comparisons" in warning for warning in document.warnings)
    names = [part.name for section in document.sections for part in section.parts]
    assert len(set(names)) == len(names)  # "a" and "A " too


def test_every_estimate_has_what_a_reader_needs(csv: Path) -> None:
    document = describe(csv)
    tables = [part for section in document.sections for part in section.parts if isinstance(part, Table)]
    found = [cell for table in tables for row in table.rows for cell in row if isinstance(cell, Estimate)]
    assert len(found) > 20
    for estimate in found:
        assert estimate.low < estimate.value < estimate.high, estimate
        assert (estimate.unit, estimate.positives) == ("breast", SMALL // 2)
        assert estimate.method


def test_settings_name_the_file_and_what_was_not_used(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    draw_table(models=("a", "b")).with_columns(site=pl.lit("north")).write_csv(path)
    settings = dict(describe(path, models=("a",)).settings)
    assert settings["columns that were not used"] == "b, site"
    assert settings["study table"].startswith("study.csv, SHA-256 ")
    assert settings["study table"].endswith("80 rows")


def test_plan_prints_power_and_cases() -> None:
    given = ("--cases", 1440, "--positives", 61, "--auc", 0.78, "--effect", 0.05)
    said = run("plan", "--readers", 5, "--readers", 14, *given)
    assert "66.4%" in said
    assert "2,048 (87 positive)" in said
    assert "Van Dyke 1993" in said
    assert "Hillis, Obuchowski and Berbaum 2011" in said
    varied = run("plan", "--readers", 5, *given, "--reader-sd", 0.1)
    assert "more readers needed" in varied


def test_plan_takes_variances_from_a_pilot(csv: Path) -> None:
    said = run("plan", "--readers", 6, "--effect", 0.05, "--pilot", csv, "--model", "net", "--cases", 400)
    assert "pilot study.csv, 3 readers alone and averaged with net" in said
    assert "power with 400 cases" in said


def test_plan_refuses_what_does_not_go_together(csv: Path) -> None:
    assert "need --cases, --positives and --auc" in refused("plan", "--readers", 5, "--effect", 0.05)
    pilot = ("plan", "--readers", 5, "--effect", 0.05, "--pilot", csv)
    assert "found --pilot without --model" in refused(*pilot)
    assert "need them from the pilot alone" in refused(*pilot, "--model", "net", "--auc", 0.8)
    given = ("--cases", 100, "--positives", 50, "--auc", 0.8)
    assert "readers: found 1" in refused("plan", "--readers", 1, "--effect", 0.05, *given)
