"""Files and folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fourview.exam import SetupError
from fourview.whole_files import remove_parts, whole_folder, write_whole, writing_to


def test_two_writers_of_one_file_do_not_write_into_each_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table.csv"
    write = Path.write_bytes

    def write_while_another_does(path: Path, data: bytes) -> int:
        if data == b"first":
            write_whole(target, "second, which is longer")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_while_another_does)
    write_whole(target, "first")
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "table.csv"
    write_whole(target, "old")

    def fail(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"table.csv": "old"}


def test_two_writers_of_one_folder_do_not_mix_their_files(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with whole_folder(target) as first:
        (first / "a").write_text("first")
        with whole_folder(target) as second:
            (second / "b").write_text("second")
        (target / "b").unlink()  # else the first one would be refused: the next test
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_folder_that_was_filled_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with pytest.raises(OSError, match=r"not empty|exists"), whole_folder(target) as part:  # noqa: PT012 - the end fails
        (part / "mine").write_text("m")
        target.mkdir()
        (target / "yours").write_text("y")
    assert [path.name for path in tmp_path.rglob("*")] == ["report", "yours"]


def test_an_empty_folder_is_replaced_also_where_nothing_can_be_renamed_onto_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def rename_as_windows_does(path: Path, target: Path) -> Any:
        if target.exists():
            raise FileExistsError(183, "Cannot create a file when that file already exists")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_as_windows_does)
    (tmp_path / "report").mkdir()
    for name in ("report", "new"):
        with whole_folder(tmp_path / name) as part:
            (part / "page").write_text("p")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("page")) == ["new/page", "report/page"]


def test_a_folder_whose_making_fails_vanishes_and_an_empty_one_before_it_stays(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    with pytest.raises(ValueError, match="no"), whole_folder(tmp_path / "report") as part:  # noqa: PT012
        (part / "page").write_text("p")
        raise ValueError("no")
    assert [path.name for path in tmp_path.rglob("*")] == ["report"]


def test_what_killed_writers_left_is_removed_all_of_it_or_of_one_name(tmp_path: Path) -> None:
    names = (".store.json.0123abcd.part", ".other.json.0123abcd.part", ".half.part", "mine.part", ".kept")
    for name in names:
        (tmp_path / name).write_text("half")
    (tmp_path / ".exam.0123abcd.part" / "deep").mkdir(parents=True)
    remove_parts(tmp_path, of="store.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[1:], ".exam.0123abcd.part"])
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept", "mine.part"]


def test_what_goes_wrong_with_an_output_is_a_wrong_set_up(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match=r"out: No such file or directory; make room .* with --resume"),
        writing_to(tmp_path / "out"),
    ):
        (tmp_path / "out" / "table.csv").write_text("")
    with pytest.raises(ZeroDivisionError), writing_to(tmp_path):
        _ = 1 / 0
