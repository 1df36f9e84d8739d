"""The folder of a report: page, JSON, CSV and plots say the same, and stand there whole or not at all."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.report import document_folder
from fourview.report.document import Document, Figure, Section, Table
from fourview.report.document_folder import write_document
from fourview.report.document_json import CSV_COLUMNS, document_values, plain_value
from tests.report.sample_document import AUC, DIFFERENCE, sample_document


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "estimates.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _document(*parts: Table | Figure, **more: Any) -> Document:
    return Document("evaluation", "Title", (), (Section("only", "Only", tuple(parts)),), **more)


def test_a_report_is_a_page_a_json_a_csv_its_plots_and_what_else_was_given(tmp_path: Path) -> None:
    tables = {"per_unit": pl.DataFrame({"unit": ["a L"], "score": [0.5]})}
    write_document(tmp_path / "out", sample_document(), tables=tables, texts={"methods.txt": "Méthodes.\n"})
    found = _contents(tmp_path / "out")
    plots = {f"plots/{n}.svg" for n in ("roc", "pr", "forest", "calibration", "sweep", "scatter")}
    assert found.keys() == {"report.html", "results.json", "estimates.csv", "per_unit.csv", "methods.txt", *plots}
    assert found["per_unit.csv"] == b"unit,score\na L,0.5\n"
    assert found["methods.txt"].decode() == "Méthodes.\n"
    for name in ("per_unit.csv", "methods.txt"):
        assert f'href="{name}"' in found["report.html"].decode()
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    write_document(tmp_path / "a", sample_document())
    write_document(tmp_path / "b", sample_document())
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")


def test_the_output_may_be_empty_or_absent_even_nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    write_document(tmp_path / "empty", _document())
    write_document(tmp_path / "a" / "b" / "c", _document())
    monkeypatch.chdir(tmp_path)
    write_document(Path("here"), _document())
    assert {len(_contents(tmp_path / p)) for p in ("empty", "a/b/c", "here")} == {3}


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SetupError, match="not empty; name a new one"):
        write_document(tmp_path, _document())
    with pytest.raises(SetupError, match="found a file, need a folder"):
        write_document(tmp_path / "mine.txt", _document())
    assert _contents(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("before", ["absent", "empty"])
def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    out = tmp_path / "out"
    if before == "empty":
        out.mkdir()
    written: list[str] = []
    write_bytes = Path.write_bytes

    def full_disk(path: Path, content: bytes) -> int:
        written.append(path.name)
        if len(written) == 4:
            raise OSError("no space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(SetupError, match="no space left"):
        write_document(out, sample_document())
    assert len(written) == 4
    assert list(tmp_path.rglob("*")) == ([out] if before == "empty" else [])


def test_a_page_that_cannot_be_drawn_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr(document_folder, "draw_document_page", fails)
    with pytest.raises(ValueError, match="no page"):
        write_document(tmp_path / "out", _document())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "results.json", "plots"])
def test_names_that_are_no_file_names_of_their_own_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="found the name"):
        write_document(tmp_path / "out", _document(), texts={name: ""})
    assert list(tmp_path.iterdir()) == []


def test_no_two_files_have_one_name(tmp_path: Path) -> None:
    figure = Figure("roc", "ROC", "<svg></svg>")
    with pytest.raises(ValueError, match="twice"):
        write_document(tmp_path / "out", _document(figure, figure))
    with pytest.raises(ValueError, match="twice"):
        write_document(tmp_path / "out", _document(), tables={"a": pl.DataFrame()}, texts={"a.csv": ""})


def test_the_json_holds_the_document_in_full_precision(tmp_path: Path) -> None:
    third = replace(AUC, value=1 / 3, low=math.nan, high=math.inf, p=1e-300, warnings=("few",))
    curve = Figure("curve", "Curve", "<svg></svg>", "Caption.", {"x": np.array([0.1, np.nan]), "n": np.int64(7)})
    table = Table("t", "T", ("a", "b"), (("one", third), ("two", 2 / 3)), "Note.")
    document = _document(table, curve, settings=(("seed", "1"),), versions={"numpy": "2"}, methods=("M.",))
    write_document(tmp_path / "out", document)
    values = json.loads((tmp_path / "out" / "results.json").read_text("ascii"))
    assert values == document_values(document)
    cell = {f.name: getattr(third, f.name) for f in fields(Estimate)} | {"low": None, "high": None, "warnings": ["few"]}
    assert values == {
        "format": "fourview document 1",
        "kind": "evaluation",
        "title": "Title",
        "headline": [],
        "warnings": [],
        "sections": [
            {
                "name": "only",
                "title": "Only",
                "text": [],
                "warnings": [],
                "parts": [
                    {
                        "part": "table",
                        "name": "t",
                        "title": "T",
                        "columns": ["a", "b"],
                        "rows": [["one", cell], ["two", 2 / 3]],
                        "note": "Note.",
                    },
                    {
                        "part": "figure",
                        "name": "curve",
                        "title": "Curve",
                        "caption": "Caption.",
                        "data": {"x": [0.1, None], "n": 7},
                    },
                ],
            }
        ],
        "methods": ["M."],
        "checklist": [],
        "settings": [["seed", "1"]],
        "versions": {"numpy": "2"},
    }


def test_a_gallery_is_in_the_json_without_its_pictures() -> None:
    parts = document_values(sample_document())["sections"][2]["parts"]
    assert [part["part"] for part in parts] == ["gallery", "gallery"]
    first = parts[0]["items"][0]
    assert first["title"] == "3f2a L"
    assert first["link"] == "../run/exams/3f2a/exam.html"
    assert first["images"][0] == "L-CC"
    assert "PNG" not in json.dumps(parts)


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="a set in a document"):
        plain_value({"a": {1, 2}})
    assert plain_value((np.float32(0.5), np.bool_(True), np.arange(2), {1: math.inf})) == [
        0.5,
        True,
        [0, 1],
        {"1": None},
    ]


def test_every_estimate_is_a_row_of_the_csv_in_full_precision(tmp_path: Path) -> None:
    third = replace(AUC, value=1 / 3, low=math.nan, warnings=("few positives", "no errors"))
    table = Table(
        "t", "T", ("group", "side", "first", "x", "second"), (("a", "L", third, 3, DIFFERENCE), ("", "", AUC, 1, None))
    )
    figure = Figure("forest", "F", "<svg></svg>", data={"groups": [{"model": AUC}], "mean": DIFFERENCE})
    document = replace(_document(table, figure), headline=(AUC,))
    write_document(tmp_path / "out", document)
    rows = _rows(tmp_path / "out")
    assert tuple(rows[0]) == CSV_COLUMNS
    assert CSV_COLUMNS == (
        "section", "table", "row", "column", "name", "value", "low", "high", "se", "n", "positives", "clusters", "unit",
        "method", "p", "warnings",
    )  # fmt: skip
    assert [tuple(row.values())[:5] for row in rows] == [
        ("headline", "", "1", "", "AUC"),
        ("only", "t", "a, L", "first", "AUC"),
        ("only", "t", "a, L", "second", "AUC difference"),
        ("only", "t", "2", "first", "AUC"),
        ("only", "forest", "1", "groups.model", "AUC"),
        ("only", "forest", "2", "mean", "AUC difference"),
    ]
    assert float(rows[1]["value"]) == 1 / 3
    assert (rows[1]["low"], rows[1]["p"], rows[1]["warnings"]) == ("", "", "few positives; no errors")
    assert float(rows[2]["p"]) == DIFFERENCE.p
    assert {f.name for f in fields(Estimate)} <= set(CSV_COLUMNS)


def test_hostile_texts_reach_json_and_csv_unharmed(tmp_path: Path) -> None:
    odd = replace(AUC, name='a,"b"\n\ud800 \x00', method="=1+1")
    write_document(tmp_path / "out", _document(Table("t", "T", ("",), ((odd,),))))
    (row,) = _rows(tmp_path / "out")
    assert row["name"] == 'a,"b"\n\\ud800 \x00'
    cell = json.loads((tmp_path / "out" / "results.json").read_text())["sections"][0]["parts"][0]["rows"][0][0]
    assert cell["name"] == odd.name
