"""The benchmark of forecasts: run here small, and the stored result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import transfer_forecast

DOCS = Path(__file__).parents[1] / "docs/transfer.md"


def test_intervals_are_counted_that_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_forecast, "COVERED", {40: (10,)})
    rows = [{"patients": 40, "size": 10, "auc": [low, 0.7], "balanced": [0.5, 0.6]} for low in (0.5, 0.66)]
    told = transfer_forecast.tell_covered({"covered": rows, "covered_truth": {"10": [0.65, 0.61]}})
    assert "| 40 | 10 | 2 | 0.50 (0.09 to 0.91) | 0.00 (0.00 to 0.66) |" in told


@pytest.mark.slow
def test_a_forecast_of_half_of_the_patients_is_held_against_what_all_give() -> None:
    row = transfer_forecast.do_run(("rising", 0))
    assert row["low"] < row["all"] < row["high"]
    assert "flat" in transfer_forecast.do_run(("nothing", 0))["refused"]


def test_the_stored_result_passes_and_the_docs_tell_it() -> None:
    stored = json.loads(transfer_forecast.STORED.read_text())
    assert stored["passes"] is transfer_forecast.passes(stored) is True
    assert transfer_forecast.tell(stored) in DOCS.read_text()
    assert transfer_forecast.tell_covered(stored) in DOCS.read_text()
    assert len(stored["rows"]) == sum(transfer_forecast.RUNS.values())


def test_intervals_that_are_too_narrow_do_not_pass() -> None:
    stored = json.loads(transfer_forecast.STORED.read_text())
    for row in stored["rows"]:
        if "value" in row:
            row["low"], row["high"] = row["value"] - 0.02, row["value"] + 0.02
    assert not transfer_forecast.passes(stored)
