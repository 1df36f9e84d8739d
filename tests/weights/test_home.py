"""What a name after --weights stands for, where weights ship as part of the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.weights import home
from fourview.weights.home import find_lesion_weights, resolve, resolve_lesion_weights, shipped
from fourview.weights.untrained import write_untrained


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in which the weights `small` ship."""
    monkeypatch.setattr(home, "SHIPPED", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    write_untrained(tmp_path / "shipped" / "small", scale=0.05)
    return tmp_path / "shipped"


def test_weights_that_ship_are_found_by_their_name(package: Path, tmp_path: Path) -> None:
    assert shipped() == ("small",)
    assert resolve("small", home=tmp_path / "none") == package / "small"


def test_installed_weights_of_the_same_name_come_first(package: Path, tmp_path: Path) -> None:
    write_untrained(tmp_path / "home" / "small", scale=0.05)
    assert resolve("small", home=tmp_path / "home") == tmp_path / "home" / "small"


def test_an_unknown_name_is_told_what_ships(package: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"one of the weights that ship \(small\)"):
        resolve("smal", home=tmp_path / "none")


LESION = "phantom-lesion"


def test_lesion_networks_ship_and_go_by_their_name(tmp_path: Path) -> None:
    assert resolve_lesion_weights(LESION, home=tmp_path / "none") == home.SHIPPED / LESION
    assert LESION not in shipped()  # those read exams


def test_lesion_networks_of_the_home_come_first(tmp_path: Path) -> None:
    shutil.copytree(home.SHIPPED / LESION, tmp_path / "home" / LESION)
    assert find_lesion_weights(LESION, home=tmp_path / "home") == tmp_path / "home" / LESION


def test_lesion_networks_are_found_in_their_run(tmp_path: Path) -> None:
    shutil.copytree(home.SHIPPED / LESION, tmp_path / "run" / "weights")
    weights = tmp_path / "run/weights"
    assert find_lesion_weights(str(tmp_path / "run")) == find_lesion_weights(str(weights)) == weights


def test_what_reads_exams_refuses_lesion_networks(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"'phantom-lesion': found lesion networks .*need weights of another network"):
        resolve(LESION, home=tmp_path / "none")


@pytest.mark.parametrize(("given", "found"), [("", "something else"), ("phantom", "no such folder or name")])
def test_what_reads_lesions_refuses_what_does_not(given: str, found: str, tmp_path: Path) -> None:
    given = given or str(tmp_path)
    with pytest.raises(SetupError, match=rf"found {found}; need weights/ of a run .*, or one of: phantom-lesion"):
        resolve_lesion_weights(given, home=tmp_path / "none")
