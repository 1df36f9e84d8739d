"""The benchmark of small studies' intervals: run here small, and the stored result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import transfer_intervals

DOCS = Path(__file__).parents[1] / "docs/transfer.md"


def test_both_sets_of_features_tell_the_classes_apart_equally_well() -> None:
    values, cases = transfer_intervals.draw(4000, 1.6, np.random.default_rng(0))
    apart = values[cases.y == 1].mean(axis=0) - values[cases.y == 0].mean(axis=0)
    telling = transfer_intervals.TELLING
    for first in (0, transfer_intervals.FEATURES):
        own = apart[first : first + transfer_intervals.FEATURES]
        assert np.linalg.norm(own[:telling]) == pytest.approx(1.6, abs=0.1)
        assert own[telling:] == pytest.approx(np.zeros(len(own) - telling), abs=0.1)
    assert values.var(axis=0)[telling] == pytest.approx(1, abs=0.1)


def test_shares_are_counted_per_size_and_signal() -> None:
    row = {"patients": 30, "signal": 0.0, "auc": [0.5, 0.4, 0.6], "balanced": [0.5, 0.51, 0.6], "p": 0.2}
    rows = [row | {"p_of_folds": 0.01}, row | {"p_of_folds": 0.2}]
    told = transfer_intervals.tell({"rows": rows, "truths": [[30, 0.0, 0.5, 0.5]]})
    assert "| 30 | 0.500 | 1.000 (0.342 to 1.000) | 0.000 (0.000 to 0.658) | 0.000 (0.000 to 0.658) | 0.500 (" in told


@pytest.mark.slow
def test_a_run_has_intervals_and_both_p_values() -> None:
    row = transfer_intervals.do_run((30, 1.6, 0))
    assert row["auc"][1] < row["auc"][0] < row["auc"][2]
    assert 0 < row["p_of_folds"] <= row["p"] < 1


@pytest.mark.skipif(
    not transfer_intervals.STORED.is_file(),
    reason="no stored result yet: python -m benchmarks.transfer_intervals --out ...",
)
def test_the_docs_tell_the_stored_result() -> None:
    stored = json.loads(transfer_intervals.STORED.read_text())
    assert transfer_intervals.tell(stored) in DOCS.read_text()
    cells = len(transfer_intervals.SETS) * len(transfer_intervals.SIGNALS)
    assert len(stored["rows"]) == cells * transfer_intervals.RUNS
