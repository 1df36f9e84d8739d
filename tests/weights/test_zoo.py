"""The table of published weights checks itself; names after --weights are found, or refused with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

from fourview.exam import SetupError
from fourview.weights.home import installed, resolve, weights_home
from fourview.weights.zoo import NYU, ZOO, ZooFile, ZooFolder, known_folders

RIGHT_ID = "0123456789abcdef0123456789abcdef01234567"


def add_weights(home: Path, name: str) -> Path:
    (home / name).mkdir(parents=True)
    (home / name / "card.json").write_text("{}")
    return home / name


def test_the_upstream_release_is_pinned_to_one_commit_and_its_terms_are_told() -> None:
    assert len(NYU.files) == len({file.git_blob_id for file in NYU.files}) == 5
    for file in NYU.files:
        assert file.url == (
            "https://raw.githubusercontent.com/nyukat/breast_cancer_classifier/"
            f"6176ebea6950b0a953339593d2da417ab846dae0/models/{file.name}"
        )
    assert NYU.licence == "AGPL-3.0"
    assert "not a medical device" in NYU.terms


def test_the_upstream_release_gives_four_folders_two_of_them_with_the_patch_network() -> None:
    assert known_folders(ZOO) == dict.fromkeys(("nyu", "nyu-image", "nyu-imagewise", "nyu-imagewise-image"), "nyu")
    assert {folder.name for folder in NYU.folders if folder.patch_file} == {"nyu", "nyu-imagewise"}
    assert {name for folder in NYU.folders for name in folder.files} == {file.name for file in NYU.files}


@pytest.mark.parametrize("name", ["../up.p", "a/b.p", ".hidden", "", "C:\\x.p", "two words"])
def test_a_file_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="found the name"):
        ZooFile(name, "https://example.org/a", RIGHT_ID)
    with pytest.raises(SetupError, match="found the name"):
        ZooFolder(name, "a.p", "view-wise")
    with pytest.raises(SetupError, match="found the name"):
        replace(NYU, name=name)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "example.org/a", "https:///a"])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match=r"a\.p: found the address"):
        ZooFile("a.p", url, RIGHT_ID)


@pytest.mark.parametrize("blob", ["", RIGHT_ID[:-1], RIGHT_ID.upper(), RIGHT_ID + "\n"])
def test_an_id_that_is_not_40_hex_digits_is_refused(blob: str) -> None:
    with pytest.raises(SetupError, match=r"a\.p: found the git blob id"):
        ZooFile("a.p", "https://example.org/a", blob)


def test_an_entry_whose_folder_needs_an_unlisted_file_is_refused() -> None:
    with pytest.raises(SetupError, match=r"zoo entry nyu: folder nyu needs .*sample_patch_model\.p"):
        replace(NYU, files=tuple(file for file in NYU.files if file.name != "sample_patch_model.p"))
    with pytest.raises(SetupError, match="need each only once"):
        replace(NYU, files=(*NYU.files, NYU.files[0]))


def test_the_home_is_the_users_data_folder_unless_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FOURVIEW_WEIGHTS", raising=False)
    assert weights_home().is_relative_to(platformdirs.user_data_dir())
    assert weights_home().parts[-2:] == ("fourview", "weights")
    monkeypatch.setenv("FOURVIEW_WEIGHTS", str(tmp_path))
    assert weights_home() == tmp_path
    assert installed() == ()
    add_weights(tmp_path, "ours")
    assert installed() == ("ours",)
    assert resolve("ours") == tmp_path / "ours"


def test_only_finished_weight_folders_are_installed(tmp_path: Path) -> None:
    assert installed(tmp_path / "not yet there") == ()
    for name in ("nyu-image", "a", ".making-1"):
        add_weights(tmp_path, name)
    (tmp_path / "no card").mkdir()
    (tmp_path / "file").touch()
    assert installed(tmp_path) == ("a", "nyu-image")


def test_a_folder_with_a_card_is_taken_as_it_is_and_before_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    add_weights(home, "nyu")
    mine = add_weights(here, "mine")
    assert resolve(str(mine), home=home) == mine
    monkeypatch.chdir(here)
    (here / "nyu").mkdir()  # holds no card: the name still means the installed weights
    assert resolve("nyu", home=home) == home / "nyu"
    (here / "nyu" / "card.json").write_text("{}")
    assert resolve("nyu", home=home).resolve() == here / "nyu"


def test_known_weights_that_are_absent_are_refused_with_the_command_that_installs_them(tmp_path: Path) -> None:
    add_weights(tmp_path, "ours")
    with pytest.raises(SetupError, match=r"'nyu-image': not installed.*there: ours.*fourview weights install nyu$"):
        resolve("nyu-image", home=tmp_path)


@pytest.mark.parametrize("name", ["nyuu", "", "..", "no/such/folder"])
def test_an_unknown_name_is_refused_with_what_there_is(tmp_path: Path, name: str) -> None:
    add_weights(tmp_path, "ours")
    with pytest.raises(SetupError, match=r"need a folder with card\.json.*ours.*install nyu.*nyu-imagewise-image"):
        resolve(name, home=tmp_path)
