"""The three tables."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from fourview.calibration import SiteCalibration
from fourview.exam import Reading, Score, Side, View
from fourview.report.readings import Failure, summarise, write_tables
from tests.fake_screener import MARK, FakeScreener, small_exam
from tests.test_calibration import a_calibration

CALL = {"model": "fake", "weights_hash": "feed", "unit": "breast", "order": []}


def _reading(left: Score | None, right: Score | None, exam_id: str = "a" * 16) -> Reading:
    return replace(FakeScreener().read(small_exam(exam_id)), left=left, right=right)


def test_readings_has_one_row_per_breast_with_full_precision(tmp_path: Path) -> None:
    left = Score(0.1 + 0.2, 1 / 3, 0.01, 0.02, 0.03, 0.04, tuple(Side.LEFT.views), ("a.dcm", "b.dcm"))
    write_tables(tmp_path, [summarise(_reading(left, Score(0.5, 0.25)))], [], **CALL)
    table = pl.read_csv(tmp_path / "readings.csv")
    assert table.columns == [
        "exam", "patient_key", "side", "p_benign", "p_malignant", "benign_sd_windows", "malignant_sd_windows",
        "benign_sd_members", "malignant_sd_members", "views", "files", "model", "weights_hash", "marks", "warnings",
        "status",
    ]  # fmt: skip
    assert table["side"].to_list() == ["L", "R"]
    assert table["p_benign"].to_list() == [0.1 + 0.2, 0.5]
    assert table["p_malignant"].to_list() == [1 / 3, 0.25]
    assert table.row(0)[5:11] == (0.01, 0.02, 0.03, 0.04, "L-CC L-MLO", "a.dcm; b.dcm")
    assert table["marks"].to_list() == [MARK, MARK]
    assert table["status"].to_list() == ["read", "read"]


def test_calibrated_numbers_are_columns_of_their_own_after_the_raw_ones(tmp_path: Path) -> None:
    site = SiteCalibration(a_calibration(), {"malignant": 0.005})
    summary = summarise(_reading(Score(0.5, 0.25), None), site=site)
    write_tables(tmp_path, [summary], [], calibrated=site.findings, **CALL)
    table = pl.read_csv(tmp_path / "readings.csv")
    assert table.columns[3:6] == ["p_benign", "p_malignant", "p_malignant_calibrated"]
    odds = (0.25 / 0.75) ** 0.5 * math.exp(-2) * (0.005 / 0.995) / (0.1 / 0.9)
    assert table["p_malignant"].to_list() == [0.25]
    assert table["p_malignant_calibrated"].to_list() == [pytest.approx(odds / (1 + odds))]


def test_single_image_readings_have_one_row_per_image(tmp_path: Path) -> None:
    reading = FakeScreener(unit="image", needs_all=False).read(small_exam(views=(View.R_MLO, View.L_CC)))
    write_tables(tmp_path, [summarise(reading)], [], **{**CALL, "unit": "image"})
    table = pl.read_csv(tmp_path / "readings.csv")
    assert table.select("side", "view").rows() == [("R", "R-MLO"), ("L", "L-CC")]
    assert table["p_benign"].to_list() == [image.score.benign for image in reading.images if image.score]


def test_upstream_csv_is_byte_for_byte_what_upstream_writes(tmp_path: Path) -> None:
    both = _reading(Score(0.58044, 0.00005), Score(1.0, 0.99996))
    left_only = _reading(Score(0.25, 0.125), None, "b" * 16)
    failed = Failure("exam", "f" * 16, "1.dcm", "no breast found")
    order = [both.exam_id, "f" * 16, left_only.exam_id]
    write_tables(tmp_path, [summarise(both), summarise(left_only)], [failed], **{**CALL, "order": order})
    assert (tmp_path / "upstream.csv").read_bytes() == (
        b"left_benign,right_benign,left_malignant,right_malignant\n"
        b"0.5804,1.0000,0.0001,1.0000\n"
        b",,,\n"  # row n is the n-th exam of the input, whatever happened to the others
        b"0.2500,,0.1250,\n"
    )


def test_a_failed_exam_has_one_row_without_numbers_and_a_reason_elsewhere(tmp_path: Path) -> None:
    failures = [
        Failure("file", "", "notes.txt", "not an image"),
        Failure("exam", "c" * 16, "1.dcm; 2.dcm", 'found "no" R-CC, need it', patient_key="beef", label="1.2.3"),
    ]
    write_tables(tmp_path, [summarise(_reading(Score(0.1, 0.2), None))], failures, **CALL)
    table = pl.read_csv(tmp_path / "readings.csv")
    assert table.select("exam", "patient_key", "side", "p_malignant", "status").row(1) == (
        "c" * 16, "beef", None, None, "failed",
    )  # fmt: skip
    listed = pl.read_csv(tmp_path / "failures.csv")
    assert listed.columns == ["kind", "exam", "name", "reason"]
    assert listed.rows() == [
        ("file", "", "notes.txt", "not an image"),
        ("exam", "c" * 16, "1.dcm; 2.dcm", 'found "no" R-CC, need it'),
    ]


def test_study_names_are_in_the_tables_only_on_request(tmp_path: Path) -> None:
    reading = replace(_reading(Score(0.1, 0.2), None), label="1.2.840.77")
    failures = [Failure("exam", "c" * 16, "x.dcm", "broken", label="1.2.840.78")]
    write_tables(tmp_path, [summarise(reading)], failures, **CALL)
    assert not [p for p in tmp_path.iterdir() if "1.2.840" in p.read_text()]
    write_tables(tmp_path, [summarise(reading)], failures, **CALL, show_ids=True)
    assert pl.read_csv(tmp_path / "readings.csv")["exam_label"].to_list() == ["1.2.840.77", "1.2.840.78"]
    assert pl.read_csv(tmp_path / "failures.csv")["exam_label"].to_list() == ["1.2.840.78"]


def test_tables_of_nothing_have_their_headers(tmp_path: Path) -> None:
    write_tables(tmp_path, [], [], **CALL)
    assert (tmp_path / "readings.csv").read_text().startswith("exam,patient_key,side,")
    assert (tmp_path / "failures.csv").read_text() == "kind,exam,name,reason\n"
    assert len((tmp_path / "upstream.csv").read_text().splitlines()) == 1
