"""Upstream's exam lists: pickles that are never run, JSON, files found by stem."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fourview.exam import ExamError, SetupError, View
from fourview.ingest import IngestOptions, find_exams
from fourview.ingest.upstream_list import load_pickle
from tests.ingest.pictures import picture, write_picture, write_views
from tests.ingest.synthetic_dicom import mammogram_dataset, save

STEMS = {"L-CC": ["7_L_CC"], "R-CC": ["7_R_CC"], "L-MLO": ["7_L_MLO"], "R-MLO": ["7_R_MLO"]}


def entry(flip: str | None = "NO", **views: list[str]) -> dict[str, Any]:
    stems = {key.replace("_", "-"): value for key, value in views.items()} or STEMS
    return {**({} if flip is None else {"horizontal_flip": flip}), **stems, "cancer_label": {"benign": 1}}


def write_list(path: Path, content: Any, protocol: int = 4) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(content))
    else:
        path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("name", ["list.json", "list.pkl", "list.pickle", "list.p"])
@pytest.mark.parametrize("place", ["", "images/", "below/further/"])
def test_images_are_found_beside_the_list_in_images_and_below(tmp_path: Path, name: str, place: str):
    write_views(tmp_path / place, prefix="7_")
    (source,) = find_exams([write_list(tmp_path / name, [entry()])]).exams
    exam = source.read()
    assert source.label == "7"
    assert [(m.name, m.view.value, m.faces) for m in exam.mammograms] == [
        ("7_L_CC.png", "L-CC", "right"),
        ("7_R_CC.png", "R-CC", "left"),
        ("7_L_MLO.png", "L-MLO", "right"),
        ("7_R_MLO.png", "R-MLO", "left"),
    ]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_every_pickle_protocol_up_to_four_is_read(tmp_path: Path, protocol: int):
    path = write_list(tmp_path / "list.pkl", [entry()], protocol)
    assert load_pickle(path) == [entry()]


def test_the_list_of_the_sample_exams_reads_the_exam_whose_files_are_there(shared: Path):
    found = find_exams([shared / "data/nyu_sample_exams/gmic_exam_list.json"])
    assert [exam.problem is None for exam in found.exams] == [True, False, False, False]
    assert len(found.exams[0].read().views) == 4
    with pytest.raises(ExamError, match=r"L-CC 1_L-CC: found 0 files"):
        found.exams[1].read()


def test_a_flip_of_yes_says_that_files_are_mirrored(tmp_path: Path):
    for view in View:
        write_picture(tmp_path / f"7_{view.value.replace('-', '_')}.png", picture(view.value)[:, ::-1])
    path = write_list(tmp_path / "list.pkl", [entry("YES")])
    exam = find_exams([path]).exams[0].read()
    assert {m.view.value: m.faces for m in exam.mammograms} == {
        "L-CC": "left",
        "R-CC": "right",
        "L-MLO": "left",
        "R-MLO": "right",
    }
    assert all(any("horizontal_flip" in d.source for d in m.decisions) for m in exam.mammograms)


@pytest.mark.parametrize("flip", ["NO", None])
def test_mirrored_files_are_refused_where_the_list_does_not_say_so_and_read_with_auto(tmp_path: Path, flip: str | None):
    write_picture(tmp_path / "a.png", picture("L-CC")[:, ::-1])
    path = write_list(tmp_path / "list.json", [entry(flip, L_CC=["a"])])
    with pytest.raises(ExamError, match="L-CC"):
        find_exams([path]).exams[0].read()
    exam = find_exams([path], IngestOptions(mirrored="auto")).exams[0].read()
    assert exam.mammograms[0].faces == "left"


def test_auto_follows_the_list_where_the_pixels_do_not_say(tmp_path: Path):
    symmetrical = np.zeros((200, 200), np.uint16)
    symmetrical[60:140, 60:140] = 1000
    write_picture(tmp_path / "a.png", symmetrical)
    path = write_list(tmp_path / "list.json", [entry("YES", L_CC=["a"])])
    exam = find_exams([path], IngestOptions(mirrored="auto")).exams[0].read()
    assert exam.mammograms[0].faces == "left"


def test_missing_and_ambiguous_files_fail_their_exam_and_the_others_are_read(tmp_path: Path):
    write_views(tmp_path, prefix="7_")
    for folder in ("one", "two"):
        write_picture(tmp_path / folder / "8_L_CC.png", picture("L-CC"))
    content = [entry(L_CC=["8_L_CC"]), entry(), entry(L_CC=["9_L_CC"]), entry(L_CC=["../secret"])]
    found = find_exams([write_list(tmp_path / "list.json", content)])
    assert [exam.problem is None for exam in found.exams] == [False, True, False, False]
    for number, problem in ((0, "found 2 files 8_L_CC"), (2, "found 0 files 9_L_CC"), (3, "leads out of")):
        with pytest.raises(ExamError, match=problem):
            found.exams[number].read()


def test_several_images_of_a_view_and_dicom_files_are_read(tmp_path: Path):
    save(mammogram_dataset(), tmp_path / "a.dcm")
    write_picture(tmp_path / "b.png", picture("L-CC", 5))
    exam = find_exams([write_list(tmp_path / "list.json", [entry(L_CC=["a", "b"])])]).exams[0].read()
    assert [m.name for m in exam.views[View.L_CC]] == ["a.dcm", "b.png"]


def test_exams_whose_stems_share_no_unique_name_are_called_by_their_stems(tmp_path: Path):
    content = [entry(L_CC=["x/L_CC"]), entry(L_CC=["a"]), entry(L_CC=["5_L_CC"]), entry(L_CC=["5-L-CC"])]
    found = find_exams([write_list(tmp_path / "list.json", content)])
    assert [exam.label for exam in found.exams] == ["x/L_CC", "a", "5_L_CC", "5-L-CC"]


def test_keys_and_numpy_numbers_that_cropping_added_are_accepted(tmp_path: Path):
    write_views(tmp_path, prefix="7_")
    cropped = {**entry(), "best_center": {"L-CC": [(np.int64(3), np.float64(0.5))]}}
    path = write_list(tmp_path / "list.pkl", [cropped])
    assert load_pickle(path)[0]["best_center"] == {"L-CC": [(3, 0.5)]}
    assert find_exams([path]).exams[0].problem is None


class _RunsACommand:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (_RunsACommand(), r"posix\.system"),
        (subprocess.Popen, r"subprocess\.Popen"),
        (OrderedDict(a=1), r"collections\.OrderedDict"),
        (eval, r"builtins\.eval"),
        (np.zeros(3), r"_reconstruct"),
        (np.datetime64("2020-01-01"), "NumPy type 'M8'"),
        ({1, 2, frozenset({3})}, None),
    ],
)
def test_a_pickle_that_holds_anything_but_plain_values_is_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, named: str | None
):
    monkeypatch.chdir(tmp_path)
    path = write_list(tmp_path / "list.pkl", content)
    if named is None:
        assert load_pickle(path) == content
        return
    with pytest.raises(SetupError, match=named):
        load_pickle(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (pickle.dumps([entry()], 5), "protocol 5, need at most 4"),
        (pickle.dumps([entry()], 4)[:-20], "cannot be read as a pickle"),
        (b"", "cannot be read as a pickle"),
        (b"no pickle at all", "cannot be read as a pickle"),
        (b"]r\xff\xff\xff\x7f.", "memo position"),
    ],
)
def test_a_damaged_pickle_is_a_set_up_error(tmp_path: Path, data: bytes, error: str):
    path = tmp_path / "list.pkl"
    path.write_bytes(data)
    with pytest.raises(SetupError, match=error):
        find_exams([path])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ([], "found list, need a list of exams"),
        ({"horizontal_flip": "NO"}, "found dict, need a list of exams"),
        ([entry(), "text"], "exam 2: found str"),
        ([entry("MAYBE")], "exam 1: found horizontal_flip 'MAYBE', need 'YES' or 'NO'"),
        ([{"horizontal_flip": "NO"}], "exam 1: no file in any view"),
        ([{"horizontal_flip": "NO", "L-CC": "7_L_CC"}], "exam 1: L-CC is no list of file stems"),
        ([{"horizontal_flip": ["NO"], "L-CC": ["a"]}], "exam 1: found horizontal_flip"),
    ],
)
def test_what_is_no_exam_list_is_a_set_up_error(tmp_path: Path, content: Any, error: str):
    with pytest.raises(SetupError, match=error):
        find_exams([write_list(tmp_path / "list.pkl", content)])


def test_the_unpickler_never_reads_out_of_band_buffers(tmp_path: Path):
    stream = io.BytesIO()
    pickle.Pickler(stream, 5, buffer_callback=lambda _: False).dump(pickle.PickleBuffer(b"abc"))
    path = tmp_path / "list.pkl"
    path.write_bytes(stream.getvalue())
    with pytest.raises(SetupError, match="protocol 5"):
        load_pickle(path)
