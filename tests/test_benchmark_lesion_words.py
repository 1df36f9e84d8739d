"""The benchmark of words alone: the stored table as the docs tell it, and what does not pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import lesion_words

DOCS = Path(__file__).parents[1] / "docs/lesions.md"


def test_the_stored_result_passes_and_the_docs_tell_it() -> None:
    stored = json.loads(lesion_words.STORED.read_text())
    assert stored["passes"] is lesion_words.passes(stored["rows"]) is True
    assert len(stored["rows"]) == 13
    assert lesion_words.tell(stored) in DOCS.read_text()
    assert lesion_words.main(["--show"]) == 0


def test_expected_numbers_are_those_of_the_specification() -> None:
    stored = json.loads(lesion_words.STORED.read_text())["rows"]
    for kind, rows in lesion_words.EXPECTED.items():
        own = [row for row in stored if (row["set"], row["kind"]) == (lesion_words.CBIS, kind)]
        assert [tuple(row[name]["expected"] for name in lesion_words.NUMBERS) for row in own] == list(rows)
        assert {row["n"] for row in own} == {378 if kind == "mass" else 326}


def test_a_row_that_is_off_or_missing_does_not_pass() -> None:
    rows = json.loads(lesion_words.STORED.read_text())["rows"]
    assert not lesion_words.passes(rows[1:])
    rows[0]["accuracy"]["found"] += 0.006
    assert not lesion_words.passes(rows)


def test_without_the_tables_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lesion_words.main([])
    assert "need both folders, or --show" in capsys.readouterr().err
