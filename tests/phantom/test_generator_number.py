"""Whoever changes what is drawn raises GENERATOR: a recipe's hash stands for one population and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.exam import SetupError
from fourview.phantom import breast, mass, recipe
from tests.phantom.stored_drawing import FOLDER, Means, difference, draw_means, read_stored, write_stored

MOST, ON_AVERAGE = 0.01, 0.0005  # of the stored range: one block, and the mean over the blocks of an exam
SAID = "the drawing changed: raise GENERATOR in recipe.py, then python -m tests.phantom.stored_drawing"


@pytest.fixture(scope="module")
def stored() -> Means:
    means: Means = read_stored()["means"]
    return means


def changed(means: Means, others: Means) -> set[str]:
    """The profiles whose exam is drawn otherwise."""
    return {
        profile
        for profile, by in difference(means, others).items()
        if np.abs(by).max() > MOST or np.abs(by).mean() > ON_AVERAGE
    }


def test_the_stored_drawing_is_of_this_generator() -> None:
    assert read_stored()["generator"] == recipe.GENERATOR
    assert (FOLDER / f"drawing_of_generator_{recipe.GENERATOR}.json").exists()


def test_exams_are_drawn_as_this_generator_has_always_drawn_them(stored: Means) -> None:
    assert not changed(draw_means(), stored), SAID


def test_fat_that_is_a_twentieth_brighter_is_noticed_on_every_unit(
    monkeypatch: pytest.MonkeyPatch, stored: Means
) -> None:
    monkeypatch.setattr(breast, "_FAT", 1.05 * breast._FAT)
    assert changed(draw_means(), stored) == set(stored)


def test_a_change_of_how_one_margin_is_painted_is_noticed(monkeypatch: pytest.MonkeyPatch, stored: Means) -> None:
    monkeypatch.setitem(mass._GAIN, "obscured", 1.3)
    assert "plain" in changed(draw_means(), stored)


def test_a_stored_drawing_is_replaced_only_under_a_larger_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.phantom.stored_drawing.draw_means", lambda: {"plain": {"L-CC": [[1, 2], [3, 4]]}})
    first = write_stored(tmp_path)
    with pytest.raises(SetupError, match=f"found {recipe.GENERATOR}, the number of the stored drawing"):
        write_stored(tmp_path)
    monkeypatch.setattr(recipe, "GENERATOR", recipe.GENERATOR + 1)
    second = write_stored(tmp_path)
    assert not first.exists()
    assert second.name == f"drawing_of_generator_{recipe.GENERATOR}.json"
    assert read_stored(tmp_path) == {"generator": recipe.GENERATOR, "means": {"plain": {"L-CC": [[1, 2], [3, 4]]}}}
