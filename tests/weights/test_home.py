"""What a name after --weights stands for, where weights ship as part of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourview.exam import SetupError
from fourview.weights import home
from fourview.weights.home import resolve, shipped
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
