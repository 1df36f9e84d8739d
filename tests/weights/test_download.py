"""Downloads: verified before they get their name, resumed after a break, refused without a trace when wrong."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.weights import download
from fourview.weights.download import fetch_files, git_blob_id
from fourview.weights.zoo import ZooEntry, ZooFile
from tests.weights.file_server import FileServer, serve_files

CONTENT = {"first.p": random.Random(1).randbytes(500_000), "second.p": random.Random(2).randbytes(70_001)}
TRIES = 4


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(download, "RETRY_PAUSES_S", (0.0,) * (TRIES - 1))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve_files(dict(CONTENT)) as running:
        yield running


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(server: FileServer, *names: str) -> ZooEntry:
    files = tuple(ZooFile(name, server.url(name), blob_id(CONTENT[name])) for name in names or CONTENT)
    return ZooEntry("small", files, licence="CC0-1.0", terms="test files", source="this test")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"),
    [  # what `git hash-object` prints
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello world\n", "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"),
    ],
)
def test_the_blob_id_is_the_one_that_git_gives(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert git_blob_id(tmp_path / "file") == expected


def test_all_files_arrive_whole_and_progress_is_told(server: FileServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    paths = fetch_files(entry(server), tmp_path / "new", progress=lambda *step: told.append(step))
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert names(tmp_path / "new") == ["first.p", "second.p"]
    for name, content in CONTENT.items():
        steps = [done for told_name, done, _ in told if told_name == name]
        assert steps == sorted(set(steps))
        assert (steps[0], steps[-1]) == (0, len(content))
        assert len(steps) > 1
        assert {total for told_name, _, total in told if told_name == name} == {len(content)}


def test_files_that_are_there_and_right_are_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p").write_bytes(CONTENT["first.p"])
    fetch_files(entry(server), tmp_path)
    assert server.requests == [("second.p", "")]


def test_a_wrong_file_under_the_name_is_refused_and_kept(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p").write_bytes(b"something of the user's")
    with pytest.raises(SetupError, match=rf"first\.p.*not the published file.*{blob_id(CONTENT['first.p'])}"):
        fetch_files(entry(server), tmp_path)
    assert (tmp_path / "first.p").read_bytes() == b"something of the user's"
    assert server.requests == []


def test_a_part_of_an_earlier_run_is_continued_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p.part").write_bytes(CONTENT["first.p"][:123_456])
    told: list[int] = []
    fetch_files(entry(server, "first.p"), tmp_path, progress=lambda name, done, total: told.append(done))
    assert server.requests == [("first.p", "bytes=123456-")]
    assert (told[0], told[-1]) == (123_456, 500_000)
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]
    assert names(tmp_path) == ["first.p"]


def test_a_whole_part_only_needs_its_name(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p.part").write_bytes(CONTENT["first.p"])
    fetch_files(entry(server, "first.p"), tmp_path)
    assert server.requests == []
    assert names(tmp_path) == ["first.p"]


@pytest.mark.parametrize("fault", ["reset", "short"])
def test_a_transfer_that_breaks_once_goes_on_where_it_broke(
    server: FileServer, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults = [fault]  # type: ignore[list-item]
    with caplog.at_level(logging.INFO, logger="fourview"):
        fetch_files(entry(server, "first.p"), tmp_path)
    (_, first), (_, second) = server.requests
    assert first == ""
    start = int(second.removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= server.cut_after
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]
    assert "first.p" in caplog.text  # a retry is never silent


def test_a_connection_that_keeps_breaking_leaves_a_part_that_the_next_call_continues(
    server: FileServer, tmp_path: Path
) -> None:
    server.always, server.cut_after = "reset", 70_000
    with pytest.raises(SetupError, match=r"first\.p from 127\.0\.0\.1.*interrupted 4 times.*kept \d+ bytes.*--from"):
        fetch_files(entry(server, "first.p"), tmp_path)
    assert len(server.requests) == TRIES
    assert names(tmp_path) == ["first.p.part"]
    kept = (tmp_path / "first.p.part").read_bytes()
    assert CONTENT["first.p"].startswith(kept)
    server.always = ""
    fetch_files(entry(server, "first.p"), tmp_path)
    assert server.requests[-1] == ("first.p", f"bytes={len(kept)}-")
    assert names(tmp_path) == ["first.p"]


def test_a_file_that_always_ends_too_early_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    server.always, server.cut_after = "short", 100_000
    with pytest.raises(SetupError, match=r"first\.p.*fewer than announced; nothing was kept"):
        fetch_files(entry(server, "first.p"), tmp_path)
    assert len(server.requests) == TRIES
    assert names(tmp_path) == []


@pytest.mark.parametrize("fault", ["ignores range", "range elsewhere"])
def test_a_server_that_does_not_keep_to_the_range_makes_it_start_anew(
    server: FileServer, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "first.p.part").write_bytes(CONTENT["first.p"][:1000])
    server.faults = [fault]  # type: ignore[list-item]
    fetch_files(entry(server, "first.p"), tmp_path)
    assert server.requests[0] == ("first.p", "bytes=1000-")
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]


def test_a_part_longer_than_the_file_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p.part").write_bytes(b"x" * 600_000)
    fetch_files(entry(server, "first.p"), tmp_path)
    assert server.requests == [("first.p", "bytes=600000-"), ("first.p", "")]
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]


def test_a_part_of_another_file_is_refused_and_the_next_call_starts_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p.part").write_bytes(b"x" * 1000)
    with pytest.raises(SetupError, match="not the published file"):
        fetch_files(entry(server, "first.p"), tmp_path)
    assert names(tmp_path) == []
    fetch_files(entry(server, "first.p"), tmp_path)
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(CONTENT["first.p"][:-1], id="cut on the server"),
        pytest.param(CONTENT["first.p"][:-1] + b"?", id="one byte changed"),
        pytest.param(b"<html>sign in to this network</html>", id="a page instead"),
        pytest.param(b"", id="empty"),
    ],
)
def test_wrong_bytes_are_refused_and_leave_nothing(server: FileServer, tmp_path: Path, served: bytes) -> None:
    server.files["first.p"] = served
    with pytest.raises(SetupError) as refusal:
        fetch_files(entry(server), tmp_path)
    for part in ("first.p", blob_id(served), f"{len(served)} bytes", blob_id(CONTENT["first.p"])):
        assert part in str(refusal.value)
    assert names(tmp_path) == []
    assert len(server.requests) == 1  # the same bytes would come again


def test_a_missing_page_is_refused_at_once(server: FileServer, tmp_path: Path) -> None:
    server.always = "404"
    with pytest.raises(SetupError, match=r"first\.p: found HTTP 404"):
        fetch_files(entry(server), tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["503", "503"]
    fetch_files(entry(server, "second.p"), tmp_path)
    assert len(server.requests) == 3
    server.always = "503"
    with pytest.raises(SetupError, match=r"HTTP 503.*nothing was kept"):
        fetch_files(entry(server, "first.p"), tmp_path)
    assert names(tmp_path) == ["second.p"]


def test_a_silent_server_is_given_up_after_the_time_limit(server: FileServer, tmp_path: Path) -> None:
    server.always, server.cut_after = "stall", 70_000
    with pytest.raises(SetupError, match=r"first\.p.*interrupted 4 times"):
        fetch_files(entry(server, "first.p"), tmp_path, timeout_s=0.2)
    assert names(tmp_path) == ["first.p.part"]


def test_an_absent_server_is_named_and_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    with serve_files({}) as gone:
        address = gone.url("first.p")
    file = ZooFile("first.p", address, "0" * 40)
    with pytest.raises(SetupError, match=r"first\.p from 127\.0\.0\.1:\d+.*ConnectionError.*nothing was kept"):
        fetch_files(ZooEntry("small", (file,), "CC0-1.0", "", ""), tmp_path)
    assert names(tmp_path) == []


def test_an_encoded_answer_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.always = "gzip"
    with pytest.raises(SetupError, match="gzip-encoded"):
        fetch_files(entry(server), tmp_path)
    assert names(tmp_path) == []


def test_stopping_by_hand_keeps_the_part_for_the_next_call(server: FileServer, tmp_path: Path) -> None:
    def stop_half_way(name: str, done: int, total: int | None) -> None:
        if done > 250_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_files(entry(server, "first.p"), tmp_path, progress=stop_half_way)
    assert names(tmp_path) == ["first.p.part"]
    fetch_files(entry(server, "first.p"), tmp_path)
    assert server.requests[-1][1].startswith("bytes=")
    assert (tmp_path / "first.p").read_bytes() == CONTENT["first.p"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full: cannot play a full disk")
def test_a_full_disk_is_a_setup_error_and_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "first.p.part").symlink_to("/dev/full")
    with pytest.raises(SetupError, match=r"first\.p: cannot .* No space left"):
        fetch_files(entry(server, "first.p"), tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_a_setup_error(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="small: cannot use"):
        fetch_files(entry(server), tmp_path / "file" / "folder")
    assert server.requests == []


def test_files_from_a_folder_are_verified_the_same_way_without_network(server: FileServer, tmp_path: Path) -> None:
    source, folder = tmp_path / "stick", tmp_path / "new"
    source.mkdir()
    (source / "first.p").write_bytes(CONTENT["first.p"])
    with pytest.raises(SetupError, match=r"found no second\.p"):
        fetch_files(entry(server), folder, source=source)
    (source / "second.p").write_bytes(CONTENT["second.p"][:-1])
    with pytest.raises(SetupError, match=rf"second\.p from .*not the published.*{blob_id(CONTENT['second.p'])}"):
        fetch_files(entry(server), folder, source=source)
    assert names(folder) == ["first.p"]
    (source / "second.p").write_bytes(CONTENT["second.p"])
    told: list[int] = []
    paths = fetch_files(entry(server), folder, source=source, progress=lambda name, done, total: told.append(done))
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert told[-1] == len(CONTENT["second.p"])
    assert names(folder) == ["first.p", "second.p"]
    assert server.requests == []
