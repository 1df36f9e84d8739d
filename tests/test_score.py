"""Means over heads, windows and members, with exact fractions."""

from __future__ import annotations

import math

import pytest

from fourview.exam import ExamError, HeadScore, Side, View
from fourview.score import mean_score


def said(p: float, *, member: int = 0, window: int = 0, head: str = "CC", images: tuple[str, ...] = ("a",)):
    """One head's answer for both findings of the left breast."""
    return [
        HeadScore(member, window, head, images, Side.LEFT, finding, p, (View.L_CC,) * len(images))
        for finding in ("benign", "malignant")
    ]


def test_heads_count_the_same_however_many_images_they_saw() -> None:
    heads = [*said(0.0, images=("a",)), *said(0.5, images=("b",)), *said(1.0, head="MLO", images=("c",))]
    score = mean_score(heads, Side.LEFT)
    assert score is not None
    assert score.malignant == 0.625  # (mean(0, 1/2) + 1) / 2
    assert score.files == ("a", "b", "c")


def test_windows_and_members_are_averaged_and_their_spread_is_kept() -> None:
    heads = [*said(0.25), *said(0.75, window=1), *said(1.0, member=1), *said(1.0, member=1, window=1)]
    score = mean_score(heads, Side.LEFT)
    assert score is not None
    assert score.benign == 0.75
    assert score.benign_sd_windows == 0.125  # mean(1/4, 0)
    assert score.benign_sd_members == 0.25


def test_a_side_that_no_head_spoke_about_has_no_score() -> None:
    assert mean_score(said(0.5), Side.RIGHT) is None


def test_not_a_number_is_refused_and_never_becomes_a_probability() -> None:
    with pytest.raises(ExamError, match="probability of nan"):
        mean_score(said(math.nan), Side.LEFT)
