"""A population in memory: exam after exam with its truth, each as it would be alone."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import fourview
from fourview.exam import VIEWS, Exam, SetupError
from fourview.phantom import Truth, draw_planned, load_recipe, phantoms, plan_exam

SCALE = 0.1
PAGE = Path(__file__).resolve().parents[2] / "docs/phantoms.md"


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Exam, Truth]]:
    return list(phantoms(4, seed=1, scale=SCALE, recipe="enriched"))


def test_exams_come_as_a_reader_of_their_files_gets_them(drawn: list[tuple[Exam, Truth]]) -> None:
    assert fourview.phantoms is phantoms
    assert len(drawn) == 4
    for exam, truth in drawn:
        assert tuple(mammogram.view for mammogram in exam.mammograms) == VIEWS
        assert exam.label == truth.drawn.study_uid
        assert truth.breasts == truth.plan.breasts


def test_each_exam_is_the_same_alone(drawn: list[tuple[Exam, Truth]]) -> None:
    ((exam, truth),) = phantoms(1, seed=1, scale=SCALE, recipe=load_recipe("enriched"), start=2)
    first, plan = drawn[2]
    assert truth.plan == plan.plan
    for a, b in zip(exam.mammograms, first.mammograms, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
    alone = draw_planned(plan_exam(load_recipe("enriched"), seed=1, index=2), scale=SCALE)
    assert alone.study_uid == exam.label


def test_masks_lie_in_the_breast_of_their_finding_and_boxes_frame_them(drawn: list[tuple[Exam, Truth]]) -> None:
    seen = 0
    for exam, truth in drawn:
        pixels = {mammogram.view: mammogram.pixels for mammogram in exam.mammograms}
        assert truth.boxes.keys() == truth.masks.keys()
        for (view, number), mask in truth.masks.items():
            finding = truth.findings[number]
            assert view in finding.side.views
            assert finding.visible
            assert mask.shape == pixels[view].shape
            assert (pixels[view][mask] > 0).mean() > 0.99
            box = truth.boxes[view, number]
            outside = mask.copy()
            outside[box.slices] = False
            assert not outside.any()
            edges = mask[box.slices]
            assert all(edge.any() for edge in (edges[0], edges[-1], edges[:, 0], edges[:, -1]))
            seen += 1
    assert seen > 8


def test_occult_findings_have_no_mask() -> None:
    occult = 0
    for _, truth in phantoms(12, seed=1, scale=0.05, recipe="enriched"):
        numbers = {number for _, number in truth.masks}
        for number, finding in enumerate(truth.findings):
            if not finding.visible:
                occult += 1
                assert number not in numbers
    assert occult > 0


def test_a_difficulty_and_a_file_can_be_asked_for(tmp_path: Path) -> None:
    recipe = load_recipe("enriched", difficulty="hard")
    ((_, truth),) = phantoms(1, scale=0.05, recipe="enriched", difficulty="hard")
    assert truth.plan.recipe_hash == recipe.hash
    with pytest.raises(SetupError, match="difficulty"):
        next(phantoms(1, difficulty="impossible"))
    with pytest.raises(SetupError, match="cannot be read"):
        next(phantoms(1, recipe=tmp_path / "none.toml"))
    with pytest.raises(SetupError, match="-1 exams"):
        next(phantoms(-1))


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    assert len(list(itertools.islice(phantoms(10**9, scale=0.05), 2))) == 2


def test_the_example_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    small = example.replace("n=100", "n=2").replace("scale=0.25", "scale=0.05")
    assert small != example
    exec(compile(small, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "P000000" in said
    assert "P000001" in said
