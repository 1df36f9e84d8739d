"""The benchmark of noise and a planted signal: run here small, and the stored table as the docs tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import transfer_controls

DOCS = Path(__file__).parents[1] / "docs/transfer.md"


@pytest.mark.slow
def test_every_protocol_is_measured_on_a_small_draw() -> None:
    rows = transfer_controls.measure_one(("signal", 0), features=60, kept=20)
    closed = "+smote_in_fold+selection_in_fold"
    assert [row["protocol"] for row in rows] == ["as_published", closed, f"{closed}+grouped", "rigorous"]
    assert 0.65 < rows[-1]["auc"] < 0.95


def test_the_stored_result_passes_and_the_docs_tell_it() -> None:
    stored = json.loads(transfer_controls.STORED.read_text())
    assert stored["seeds"] == 5
    assert stored["passes"] is transfer_controls.passes(stored["rows"]) is True
    assert transfer_controls.tell(stored) in DOCS.read_text()


def test_a_protocol_that_finds_a_signal_in_noise_does_not_pass() -> None:
    rows = json.loads(transfer_controls.STORED.read_text())["rows"]
    for row in rows:
        if row["kind"] == "noise" and row["protocol"] == "rigorous":
            row["balanced_accuracy"] = 0.61
    assert not transfer_controls.passes(rows)
