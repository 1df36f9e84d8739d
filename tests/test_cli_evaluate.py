"""`fourview evaluate` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app, main
from fourview.evaluate import auc
from fourview.exam import SetupError
from tests.evaluate.test_evaluation import draw


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_report_its_numbers_and_the_units_behind_them(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path, n=100)
    out = tmp_path / "out"
    options = ["--by", "density,vendor", "--prevalence", 0.005, "--finding", "both"]
    text = run(readings, "--truth", truth, "--out", out, *options, "--choose", "recall:specificity=0.9")
    names = {"report.html", "results.json", "estimates.csv", "plots", "thresholds.json"}
    assert {path.name for path in out.iterdir()} == {*names, "units_malignant.csv", "units_benign.csv"}
    results = json.loads((out / "results.json").read_text())
    headline = results["headline"][0]
    assert f"AUC {headline['value']:.3f} (95 % {headline['low']:.3f} to {headline['high']:.3f}; 200 breasts" in text
    assert "Research software, not a medical device" in text
    # The units are enough to make the number again.
    units = pl.read_csv(out / "units_malignant.csv")
    again = auc(units["truth"].to_numpy(), units["score"].to_numpy(), cluster=units["patient_number"].to_numpy())
    assert again.value == headline["value"]
    assert (again.low, again.high) == pytest.approx((headline["low"], headline["high"]))
    # No patient key is written anywhere.
    assert not any("p17" in path.read_text() for path in out.rglob("*") if path.is_file() and path.suffix != ".svg")


def test_a_threshold_goes_from_one_table_to_another_by_its_lock_file(tmp_path: Path) -> None:
    (tmp_path / "development").mkdir()
    readings, truth = draw(tmp_path / "development", n=100)
    run(readings, "--truth", truth, "--out", tmp_path / "first", "--choose", "recall:specificity=0.9")
    readings, truth = draw(tmp_path, n=100, seed=1)
    lock = tmp_path / "first/thresholds.json"
    run(readings, "--truth", truth, "--out", tmp_path / "second", "--threshold-from", lock)
    results = json.loads((tmp_path / "second/results.json").read_text())
    (section,) = [s for s in results["sections"] if s["name"] == "malignant_thresholds"]
    assert [row[0] for row in section["parts"][0]["rows"]][:3] == ["threshold", "sensitivity", "specificity"]


def test_no_patient_id_goes_out_whatever_the_unit(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path, n=60)
    table = pl.read_csv(truth).with_columns(
        patient_id=pl.concat_str(pl.lit("SECRET"), pl.col("exam").str.slice(1).cast(pl.Int64) // 2)
    )
    table.write_csv(truth)
    for unit in ("breast", "exam", "patient"):
        out = tmp_path / unit
        text = run(readings, "--truth", truth, "--out", out, "--unit", unit, "--cluster", "patient")
        assert "SECRET" not in text
        assert not any(b"SECRET" in path.read_bytes() for path in out.rglob("*") if path.is_file())


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path, n=20)
    for out in (tmp_path / "readings.csv" / "below", tmp_path / ("x" * 300)):
        result = CliRunner().invoke(app, ["evaluate", str(readings), "--truth", str(truth), "--out", str(out)])
        assert isinstance(result.exception, SetupError)
        assert "output" in str(result.exception)


def test_complaints_are_one_line_and_leave_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings, truth = draw(tmp_path, n=20)
    monkeypatch.setattr(
        "sys.argv", ["fourview", "evaluate", str(readings), "--truth", str(truth), "--out", str(tmp_path / "out"),
                     "--by", "nothing"]
    )  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "no column nothing for subgroups" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
