"""CSV and JSON lists: which file is which view of which exam."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fourview.exam import ExamError, SetupError
from fourview.ingest import IngestOptions, find_exams
from fourview.ingest.identity import patient_key
from tests.ingest.pictures import SECRET, picture, write_picture
from tests.ingest.synthetic_dicom import mammogram_dataset, save

OPTIONS = IngestOptions(secret=SECRET)


def write_list(folder: Path, rows: list[dict[str, Any]], suffix: str = ".csv") -> Path:
    path = folder / f"list{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        titles = list(rows[0])
        lines = [",".join(titles), *(",".join(str(row.get(title, "")) for title in titles) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


def row(file: str, side: str = "L", view: str = "CC", exam: str = "e1", **more: Any) -> dict[str, Any]:
    return {"file": file, "exam": exam, "side": side, "view": view, **more}


def test_the_labels_of_the_sample_exams_are_a_list_of_three_exams(shared: Path):
    found = find_exams([shared / "data/nyu_sample_exams/labels.csv"], IngestOptions(mirrored="auto"))
    assert [exam.label for exam in found.exams] == ["gmic_0", "dmv_1", "birads"]
    assert found.left_out == ()
    birads = found.exams[2].read()
    assert {m.view.value: m.faces for m in birads.mammograms} == dict.fromkeys(
        ("L-CC", "L-MLO", "R-CC", "R-MLO"), "right"
    )
    dmv = found.exams[1].read()
    assert [(m.name, m.view.value, m.faces) for m in dmv.mammograms] == [
        ("1_L_CC.png", "L-CC", "right"),
        ("1_R_CC.png", "R-CC", "left"),
    ]
    assert dmv.mammograms[0].pixels.max() == 65535


def test_mirrored_files_are_refused_unless_the_pixels_may_decide(shared: Path):
    found = find_exams([shared / "data/nyu_sample_exams/labels.csv"])
    with pytest.raises(ExamError, match=r"R-CC.*--mirrored auto"):
        found.exams[2].read()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_list_mixes_png_and_dicom_and_says_spacing_and_patient(tmp_path: Path, suffix: str):
    write_picture(tmp_path / "images/a.png", picture("R-CC"))
    save(mammogram_dataset(), tmp_path / "b.dcm")
    rows = [
        row("images/a.png", "right", "cc", spacing_mm=0.07, patient="P1", benign=1),
        row("b.dcm", "L", "CC", spacing_mm=0.05, patient="P1", benign=0),
    ]
    (source,) = find_exams([write_list(tmp_path, rows, suffix)], OPTIONS).exams
    exam = source.read()
    assert source.names == ("a.png", "b.dcm")
    assert [(m.view.value, m.spacing_mm, m.pixel_mode) for m in exam.mammograms] == [
        ("R-CC", 0.07, "file"),
        ("L-CC", 0.05, "stored"),
    ]
    assert exam.patient_key == patient_key("P1", SECRET)


def test_without_a_patient_column_the_tags_name_the_patient(tmp_path: Path):
    save(mammogram_dataset(), tmp_path / "b.dcm")
    (source,) = find_exams([write_list(tmp_path, [row("b.dcm")])], OPTIONS).exams
    assert source.patient_key == patient_key("PID-4711", SECRET)


@pytest.mark.parametrize(("side", "view"), [("R", "CC"), ("L", "MLO")])
def test_a_list_that_contradicts_the_tags_fails_that_exam_only(tmp_path: Path, side: str, view: str):
    save(mammogram_dataset(), tmp_path / "b.dcm")
    write_picture(tmp_path / "c.png", picture("L-CC"))
    found = find_exams([write_list(tmp_path, [row("b.dcm", side, view), row("c.png", exam="e2")])], OPTIONS)
    with pytest.raises(ExamError, match=rf"b\.dcm: list\.csv says {side}-{view}, its DICOM tags say L-CC"):
        found.exams[0].read()
    assert len(found.exams[1].read().mammograms) == 1


def test_a_listed_file_that_is_no_screening_view_fails_its_exam(tmp_path: Path):
    save(mammogram_dataset(ViewPosition="XCCL"), tmp_path / "b.dcm")
    (source,) = find_exams([write_list(tmp_path, [row("b.dcm")])], OPTIONS).exams
    with pytest.raises(ExamError, match="view XCCL is neither CC nor MLO"):
        source.read()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"file": "missing.png"}, r"missing\.png: named in list\.csv but not there"),
        ({"file": "notes.txt"}, r"notes\.txt: neither DICOM nor PNG"),
        ({"file": ""}, "row 2: no file"),
        ({"side": ""}, "row 2: no side"),
        ({"view": ""}, "row 2: no view"),
        ({"side": "B"}, "row 2: found side 'B', need L or R"),
        ({"spacing_mm": "70 um"}, "row 2: found spacing_mm '70 um', need 0 to 10"),
        ({"spacing_mm": "nan"}, "row 2: found spacing_mm 'nan', need 0 to 10"),
        ({"patient": "P2"}, "gives 2 patients for this exam"),
    ],
)
def test_a_bad_row_is_a_problem_of_its_exam_and_the_others_are_read(
    tmp_path: Path, changed: dict[str, str], problem: str
):
    write_picture(tmp_path / "a.png", picture("L-CC"))
    (tmp_path / "notes.txt").write_text("notes")
    good = row("a.png", spacing_mm="0.1", patient="P1")
    bad = {**good, **changed}
    other = {**good, "exam": "e2"}
    found = find_exams([write_list(tmp_path, [good, bad, other])], OPTIONS)
    assert [exam.problem is None for exam in found.exams] == [False, True]
    with pytest.raises(ExamError, match=problem):
        found.exams[0].read()
    found.exams[1].read()


def test_other_views_are_left_out_by_name(tmp_path: Path):
    write_picture(tmp_path / "a.png", picture("L-CC"))
    write_picture(tmp_path / "b.png", picture("L-MLO"))
    (source,) = find_exams([write_list(tmp_path, [row("a.png"), row("b.png", view="ML")])], OPTIONS).exams
    exam = source.read()
    assert exam.left_out == (("b.png", "view ML is neither CC nor MLO"),)
    assert len(exam.mammograms) == 1


def test_a_name_that_holds_the_listed_patient_is_hidden(tmp_path: Path):
    write_picture(tmp_path / "Muster_L.png", picture("L-CC"))
    (source,) = find_exams([write_list(tmp_path, [row("Muster_L.png", patient="muster")])], OPTIONS).exams
    assert "uster" not in source.read().mammograms[0].name


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.csv", "file,exam,laterality,view\n", "no column side; found file, exam, laterality, view"),
        ("a.csv", "file;exam;side;view\n", "no column file, exam, side, view"),
        ("a.csv", "", "cannot be read as comma-separated"),
        ("a.csv", "file,exam,side,view\n", "no rows"),
        ("a.csv", "file,exam,side,view\na.png,,L,CC\n", "row 1: no exam"),
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[" * 100_000, "cannot be read as JSON"),
        ("a.json", '{"file": 1}', "found dict, need a list of objects"),
        ("a.json", '[{"file": "a.png", "exam": "1"}]', "item 1: no column side, view"),
        ("a.json", "[]", "no rows"),
    ],
)
def test_a_list_that_cannot_be_used_is_a_set_up_error(tmp_path: Path, name: str, text: str, error: str):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SetupError, match=error):
        find_exams([path], OPTIONS)


def test_several_images_of_a_view_keep_the_order_of_the_list(tmp_path: Path):
    for number in (3, 1, 2):
        write_picture(tmp_path / f"{number}/x.png", picture("L-CC", number))
    (source,) = find_exams([write_list(tmp_path, [row(f"{n}/x.png") for n in (3, 1, 2)])], OPTIONS).exams
    exam = source.read()
    assert [m.name for m in exam.mammograms] == ["x.png", "x~2.png", "x~3.png"]
    for mammogram, seed in zip(exam.mammograms, (3, 1, 2), strict=True):
        np.testing.assert_array_equal(mammogram.pixels, picture("L-CC", seed))
