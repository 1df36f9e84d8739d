"""A population on disk: whole exams, the same bytes however they were drawn, tables that agree with the files."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fourview.exam import SetupError, Side, View
from fourview.ingest import find_exams, read_exam
from fourview.phantom import draw_planned, exam_files, load_recipe, plan_exam, write_dicom
from fourview.phantom.folder import draw_folder
from fourview.phantom.recipe import Recipe, parse_recipe, read_recipe_file
from fourview.phantom.recipe_text import format_recipe
from fourview.phantom.truth import breast_rows

ENRICHED = load_recipe("enriched")
OPTIONS: dict[str, Any] = {"exams": 4, "seed": 3, "scale": 0.05}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dicom") / "out"
    draw_folder(ENRICHED, out, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("png") / "out"
    draw_folder(ENRICHED, out, files="png", **OPTIONS)
    return out


def test_a_folder_holds_an_exam_per_subfolder_and_the_tables_of_its_truth(dicom: Path) -> None:
    assert sorted(path.name for path in dicom.iterdir()) == [
        *(f"exam_{n:06d}" for n in range(4)), "images.csv", "lesions.csv", "masks.csv", "phantom.json", "recipe.toml",
        "truth",
    ]  # fmt: skip
    about = json.loads((dicom / "phantom.json").read_text())
    assert (about["recipe_hash"], about["seed"], about["exams"]) == (ENRICHED.hash, 3, 4)
    assert "says anything about patients" in about["synthetic"]
    assert parse_recipe((dicom / "recipe.toml").read_text()).hash == ENRICHED.hash
    for n in range(4):
        assert {path.name for path in (dicom / f"exam_{n:06d}").glob("*.dcm")} == {
            f"{n}_{view.value.replace('-', '_')}.dcm" for view in View
        }


def test_the_bytes_do_not_depend_on_the_number_of_jobs(dicom: Path, tmp_path: Path) -> None:
    draw_folder(ENRICHED, tmp_path / "two", jobs=2, **OPTIONS)
    assert contents(tmp_path / "two") == contents(dicom)


def test_an_exam_is_the_same_alone_as_in_the_folder(dicom: Path, tmp_path: Path) -> None:
    draw_folder(ENRICHED, tmp_path / "one", **{**OPTIONS, "exams": 1, "start": 2})
    assert contents(tmp_path / "one/exam_000002") == contents(dicom / "exam_000002")


@pytest.mark.parametrize("files", ["dicom", "png"])
def test_the_truth_calls_exams_what_a_reader_of_the_folder_calls_them(files: str, request: Any) -> None:
    folder = request.getfixturevalue(files)
    named = [row["exam"] for row in rows(folder / "truth/exams.csv")]
    assert len(named) == 4
    assert [exam.exam_id for exam in find_exams([folder]).exams] == named
    listed = find_exams([folder / "images.csv"])
    assert [exam.exam_id for exam in listed.exams] == named
    assert all(exam.problem is None for exam in listed.exams)
    assert {row["exam"] for row in rows(folder / "truth/breasts.csv")} == set(named)


@pytest.mark.parametrize("files", ["dicom", "png"])
def test_files_hold_the_pixels_of_the_plan(files: str, request: Any) -> None:
    folder = request.getfixturevalue(files)
    drawn = draw_planned(plan_exam(ENRICHED, seed=3, index=1), scale=0.05).to_exam()
    read = read_exam(folder / "exam_000001", mirrored="auto")
    by_view = {mammogram.view: mammogram for mammogram in read.mammograms}
    for mammogram in drawn.mammograms:
        np.testing.assert_array_equal(by_view[mammogram.view].pixels, mammogram.pixels)
        assert by_view[mammogram.view].faces == mammogram.faces


@pytest.mark.parametrize("files", ["dicom", "png"])
def test_the_box_of_a_finding_is_that_of_its_mask(files: str, request: Any) -> None:
    folder = request.getfixturevalue(files)
    boxes = {(row["exam"], row["view"], row["finding"]): row for row in rows(folder / "truth/findings.csv")}
    masks = rows(folder / "masks.csv")
    assert len(masks) > 8
    for row in masks:
        mask = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_GRAYSCALE) > 0
        found = boxes.pop((row["exam"], row["view"], row["finding"]))
        inside = np.argwhere(mask)
        sides = (*inside.min(axis=0), *(inside.max(axis=0) + 1))
        assert tuple(int(found[name]) for name in ("top", "left", "bottom", "right")) == sides
        assert (found["kind"], found["biopsied"]) == (row["kind"], row["biopsied"])
    assert all(row["top"] == "" for row in boxes.values())  # what has no mask has no box
    biopsied = [row for row in masks if row["biopsied"] == "1"]
    assert rows(folder / "lesions.csv") == biopsied
    assert 0 < len(biopsied) < len(masks)


def test_labels_are_those_of_the_plans(dicom: Path) -> None:
    found = rows(dicom / "truth/breasts.csv")
    named = [row["exam"] for row in rows(dicom / "truth/exams.csv")]
    for n, exam in enumerate(named):
        planned = breast_rows(ENRICHED, plan_exam(ENRICHED, seed=3, index=n), exam=exam)
        assert found[2 * n : 2 * n + 2] == [{key: str(value) for key, value in row.items()} for row in planned]
    assert {row["side"] for row in found} == {side.value for side in Side}


class StopError(Exception):
    pass


def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(dicom: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        draw_folder(ENRICHED, tmp_path / "out", on_step=stop, **OPTIONS)
    assert not (tmp_path / "out/truth").exists()
    before = (tmp_path / "out/exam_000001/1_L_CC.dcm").stat().st_mtime_ns
    (tmp_path / "out/.exam_000002.0123abcd.part").mkdir()  # what a killed worker leaves
    with pytest.raises(SetupError, match="add --resume"):
        draw_folder(ENRICHED, tmp_path / "out", **OPTIONS)
    again = draw_folder(ENRICHED, tmp_path / "out", resume=True, **OPTIONS)
    assert again.already_there == 2
    assert (tmp_path / "out/exam_000001/1_L_CC.dcm").stat().st_mtime_ns == before
    assert contents(tmp_path / "out") == contents(dicom)


def test_a_finished_folder_can_grow(dicom: Path, tmp_path: Path) -> None:
    draw_folder(ENRICHED, tmp_path / "out", **{**OPTIONS, "exams": 1})
    grown = draw_folder(ENRICHED, tmp_path / "out", resume=True, **OPTIONS)
    assert grown.already_there == 1
    assert contents(tmp_path / "out") == contents(dicom)
    with pytest.raises(SetupError, match="of 4 exams; need as many or more"):
        draw_folder(ENRICHED, tmp_path / "out", resume=True, **{**OPTIONS, "exams": 2})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 4}, "seed 3 instead of 4"),
        ({"scale": 0.06}, "scale 0.05 instead of 0.06"),
        ({"files": "png"}, "files 'dicom' instead of 'png'"),
        ({"syntax": "rle"}, "syntax 'explicit' instead of 'rle'"),
        ({"start": 1}, "start 0 instead of 1"),
        ({"recipe": ENRICHED.at("hard")}, "difficulty 'medium' instead of 'hard'"),
    ],
)
def test_a_folder_of_other_settings_is_not_gone_on_with(dicom: Path, change: dict[str, Any], said: str) -> None:
    options = {**OPTIONS, "recipe": ENRICHED, **change}
    before = contents(dicom)
    with pytest.raises(SetupError, match=said):
        draw_folder(options.pop("recipe"), dicom, resume=True, **options)
    assert contents(dicom) == before


def test_an_exam_that_lost_a_file_is_named(dicom: Path, tmp_path: Path) -> None:
    draw_folder(ENRICHED, tmp_path / "out", **{**OPTIONS, "exams": 1})
    (tmp_path / "out/exam_000000/0_R_CC.dcm").unlink()
    with pytest.raises(SetupError, match=r"found no exam_000000/0_R_CC\.dcm; remove that folder"):
        draw_folder(ENRICHED, tmp_path / "out", resume=True, **{**OPTIONS, "exams": 1})


def test_a_folder_whose_phantom_json_was_edited_badly_is_refused(tmp_path: Path) -> None:
    draw_folder(ENRICHED, tmp_path / "out", **{**OPTIONS, "exams": 1})
    about = json.loads((tmp_path / "out/phantom.json").read_text())
    (tmp_path / "out/phantom.json").write_text(json.dumps({**about, "exams": "one"}))
    with pytest.raises(SetupError, match="found another format"):
        draw_folder(ENRICHED, tmp_path / "out", resume=True, **OPTIONS)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/to_ann.txt").write_text("Dear Ann")
    (tmp_path / "letters/.to_eve.part").write_text("Dear E")
    for resume in (False, True):
        with pytest.raises(SetupError, match=r"not empty|no readable phantom\.json"):
            draw_folder(ENRICHED, tmp_path / "letters", resume=resume, **OPTIONS)
    with pytest.raises(SetupError, match="found a file"):
        draw_folder(ENRICHED, tmp_path / "letters/to_ann.txt", **OPTIONS)
    assert contents(tmp_path / "letters") == {"to_ann.txt": b"Dear Ann", ".to_eve.part": b"Dear E"}


def test_a_full_disk_is_one_wrong_set_up_and_leaves_whole_exams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exam_files.whole_folder

    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        with whole(path) as part:
            yield part
            if path.name == "exam_000001":
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exam_files, "whole_folder", full)
    with pytest.raises(SetupError, match=r"No space left on device; make room .* with --resume"):
        draw_folder(ENRICHED, tmp_path / "out", **OPTIONS)
    there = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert there == ["exam_000000", "phantom.json", "recipe.toml"]


def test_an_image_that_finds_no_room_is_the_same_wrong_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write_dicom, "write_whole", full)
    with pytest.raises(SetupError, match=r"exam_000000: No space left on device; make room .* with --resume"):
        draw_folder(ENRICHED, tmp_path / "out", **OPTIONS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["phantom.json", "recipe.toml"]


def films() -> Recipe:
    return ENRICHED.model_copy(update={"name": "films", "profiles": {"film": 1.0}})


def test_films_are_written_as_pictures_only(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no DICOM mammograms"):
        draw_folder(films(), tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()
    draw_folder(films(), tmp_path / "out", files="png", **{**OPTIONS, "exams": 1})
    assert cv2.imread(str(tmp_path / "out/exam_000000/0_L_CC.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exams": 0}, "exams 0"),
        ({"start": -1}, "start -1"),
        ({"seed": -1}, "seed -1"),
        ({"scale": 2}, "scale 2"),
        ({"jobs": 0}, "0 jobs"),
        ({"syntax": "jpeg"}, "syntax 'jpeg'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=said):
        draw_folder(ENRICHED, tmp_path / "out", **{**OPTIONS, **change})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
@pytest.mark.parametrize("name", ["screening", "enriched"])
def test_a_recipe_written_as_toml_is_the_same_recipe(name: str, difficulty: str) -> None:
    recipe = load_recipe(name, difficulty=difficulty)
    assert parse_recipe(format_recipe(recipe)) == recipe


def test_the_file_of_a_recipe_comes_with_its_comments(tmp_path: Path) -> None:
    text = read_recipe_file("screening")
    assert text.startswith("# Screening")
    assert parse_recipe(text).hash == load_recipe("screening").hash
    (tmp_path / "mine.toml").write_text(text)
    assert read_recipe_file(tmp_path / "mine.toml") == text
    with pytest.raises(SetupError, match="need screening, enriched, training or a TOML file"):
        read_recipe_file("mine")
