"""Installing gives whole weight folders or none, from the network or from a folder, and only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.weights import install as installing
from fourview.weights.card import Card
from fourview.weights.download import git_blob_id
from fourview.weights.folder import load_weights
from fourview.weights.home import installed, resolve
from fourview.weights.install import install
from fourview.weights.zoo import NYU, ZooEntry, ZooFile
from tests.weights.file_server import serve_files

NAMES = ("nyu", "nyu-image", "nyu-imagewise", "nyu-imagewise-image")


def table(files: Path, *, address: str = "http://127.0.0.1:9") -> dict[str, ZooEntry]:
    """The real entry with the ids of these files; port 9 discards, so the network would be noticed."""
    pinned = tuple(ZooFile(file.name, f"{address}/{file.name}", git_blob_id(files / file.name)) for file in NYU.files)
    return {"nyu": replace(NYU, files=pinned)}


def in_home(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


@pytest.fixture
def small_release(tmp_path: Path) -> Path:
    """Five files under the published names that hold no network, for what happens around the conversion."""
    folder = tmp_path / "release"
    folder.mkdir()
    for number, file in enumerate(NYU.files):
        (folder / file.name).write_bytes(bytes([number]) * 1000)
    return folder


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the conversion by one that only writes a card; the names that it was asked for."""
    calls: list[str] = []

    def write_card(path: Path, *, kind: str, out: Path, name: str, **options: object) -> None:
        calls.append(name)
        out.mkdir(parents=True)
        (out / "card.json").write_text(path.name)

    monkeypatch.setattr(installing, "convert_file", write_card)
    return calls


def test_the_release_becomes_four_folders_that_load(key_weights: Path, tmp_path: Path) -> None:
    told: set[str] = set()
    done = install(
        "nyu",
        zoo=table(key_weights),
        source=key_weights,
        home=tmp_path,
        progress=lambda name, have, total: told.add(name),
    )
    assert done.folders == done.made == tuple(tmp_path / name for name in NAMES)
    assert done.message.startswith("installed nyu, nyu-image,")
    assert told == {file.name for file in NYU.files}
    assert installed(tmp_path) == NAMES
    assert in_home(tmp_path) == sorted(NAMES)  # no download and no half-made folder is left

    weights = {name: load_weights(resolve(name, home=tmp_path)) for name in NAMES}
    summary = {}
    for name, loaded in weights.items():
        assert loaded.card.exam is not None
        assert loaded.card.name == name
        assert loaded.card.licence == "AGPL-3.0"
        assert loaded.exam is not None
        summary[name] = (loaded.card.exam.wiring, loaded.card.exam.heatmaps, loaded.patch is not None)
    assert summary == {
        "nyu": ("view-wise", True, True),
        "nyu-image": ("view-wise", False, False),
        "nyu-imagewise": ("image-wise", True, True),
        "nyu-imagewise-image": ("image-wise", False, False),
    }


def test_one_set_of_weights_is_installed_over_http(
    key_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    name = "sample_image_model.p"
    with serve_files({name: (key_weights / name).read_bytes()}) as server:
        server.faults = ["reset"]
        (entry,) = table(key_weights, address=server.address).values()
        only = {"nyu": replace(entry, folders=tuple(f for f in entry.folders if f.name == "nyu-image"))}
        done = install("nyu", zoo=only, home=tmp_path)
    assert [requested for requested, _ in server.requests] == [name, name]  # and none of the other four
    assert done.made == (tmp_path / "nyu-image",)
    assert isinstance(load_weights(tmp_path / "nyu-image").card, Card)


def test_installing_again_changes_nothing_and_says_so(
    small_release: Path, tmp_path: Path, converted: list[str]
) -> None:
    home = tmp_path / "home"
    install("nyu", zoo=table(small_release), source=small_release, home=home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    calls = len(converted)
    done = install("nyu", zoo=table(small_release), home=home)  # neither a source nor a server
    assert (done.made, len(done.folders), len(converted)) == ((), 4, calls)
    assert done.message == "already installed: nyu, nyu-image, nyu-imagewise, nyu-imagewise-image"
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_only_what_is_missing_is_fetched_and_made(small_release: Path, tmp_path: Path, converted: list[str]) -> None:
    home, zoo = tmp_path / "home", table(small_release)
    install("nyu", zoo=zoo, source=small_release, home=home)
    converted.clear()
    (home / "nyu-image" / "card.json").unlink()
    (home / "nyu-image").rmdir()
    (small_release / "sample_patch_model.p").unlink()  # not needed for this one
    done = install("nyu", zoo=zoo, source=small_release, home=home)
    assert done.made == (home / "nyu-image",)
    assert converted == ["nyu-image"]
    assert installed(home) == NAMES


@pytest.mark.parametrize("error", [KeyboardInterrupt, SetupError, RuntimeError])
def test_an_interrupted_conversion_leaves_no_folder_and_can_be_repeated(
    small_release: Path,
    tmp_path: Path,
    converted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    home, zoo = tmp_path / "home", table(small_release)
    write_card: Callable[..., None] = installing.convert_file  # type: ignore[assignment]

    def fail_at_the_third(path: Path, **options: object) -> None:
        write_card(path, **options)
        if len(converted) == 3:
            raise error

    monkeypatch.setattr(installing, "convert_file", fail_at_the_third)
    with pytest.raises(error):
        install("nyu", zoo=zoo, source=small_release, home=home)
    assert installed(home) == ()
    assert in_home(home) == [".downloads"]
    monkeypatch.setattr(installing, "convert_file", write_card)
    install("nyu", zoo=zoo, home=home)  # the verified files are still there: no source, no server
    assert in_home(home) == sorted(NAMES)


def test_a_wrong_file_is_refused_before_anything_is_converted(
    small_release: Path, tmp_path: Path, converted: list[str]
) -> None:
    home, zoo = tmp_path / "home", table(small_release)
    (small_release / "sample_image_model.p").write_bytes(b"cut")
    with pytest.raises(SetupError, match=r"sample_image_model\.p from .*not the published file"):
        install("nyu", zoo=zoo, source=small_release, home=home)
    assert converted == []
    assert installed(home) == ()


def test_a_folder_of_the_user_under_the_same_name_is_not_touched(
    small_release: Path, tmp_path: Path, converted: list[str]
) -> None:
    home = tmp_path / "home"
    (home / "nyu-image").mkdir(parents=True)
    (home / "nyu-image" / "notes.txt").write_text("mine")
    with pytest.raises(SetupError, match=r"nyu-image: found .* without card\.json"):
        install("nyu", zoo=table(small_release), source=small_release, home=home)
    assert (home / "nyu-image" / "notes.txt").read_text() == "mine"
    assert converted == []


def test_an_unknown_entry_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"found 'nyuu'.*known: nyu$"):
        install("nyuu", home=tmp_path)
    with pytest.raises(SetupError, match="makes no weight folder"):
        install("bare", zoo={"bare": replace(NYU, folders=())}, home=tmp_path)
    assert in_home(tmp_path) == []


def test_a_home_that_cannot_be_written_is_a_setup_error(
    small_release: Path, tmp_path: Path, converted: list[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="nyu: cannot use"):
        install("nyu", zoo=table(small_release), source=small_release, home=tmp_path / "file" / "home")
