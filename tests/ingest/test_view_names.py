"""The view at the end of a file name, however it is spelt."""

from __future__ import annotations

import itertools

import pytest

from fourview.exam import View
from fourview.ingest.view_names import view_of_stem, view_of_words

SPELLINGS = [
    (f"{side}{gap}{angle}", f"{side[0]}-{angle}".upper())
    for side, gap, angle in itertools.product(("L", "left", "R", "RIGHT"), ("", "_", "-", " ", "."), ("CC", "mlo"))
]


@pytest.mark.parametrize(("text", "view"), SPELLINGS)
def test_every_spelling_names_its_view_alone_and_after_an_exam(text: str, view: str):
    alone, after = view_of_stem(text), view_of_stem(f"exam 7_{text}")
    assert alone is not None
    assert (alone.exam, alone.view, alone.number) == ("", View(view), 0)
    assert after is not None
    assert (after.exam, after.view, after.number) == ("exam 7", View(view), 0)


@pytest.mark.parametrize(
    ("stem", "exam", "view", "number"),
    [
        ("1_L_CC_2", "1", "L-CC", 2),
        ("0_R-MLO", "0", "R-MLO", 0),
        ("12LCC", "12", "L-CC", 0),
        ("L-CC-03", "", "L-CC", 3),
        ("C_0029_1.LEFT_CC", "C_0029_1", "L-CC", 0),
        ("L_CC_R_MLO", "L_CC", "R-MLO", 0),
    ],
)
def test_the_rest_of_the_name_is_the_exam_and_a_number_counts_the_images(stem: str, exam: str, view: str, number: int):
    named = view_of_stem(stem)
    assert named is not None
    assert (named.exam, named.view, named.number) == (exam, View(view), number)


@pytest.mark.parametrize(
    "stem", ["gallcc", "1_ML", "1_L_ML", "1_L_XCCL", "0_R-CC_benign", "L_CC_overlay", "CC", "L", "", "mdb001", "L_CC2x"]
)
def test_other_names_name_no_view(stem: str):
    assert view_of_stem(stem) is None


def test_a_side_and_an_angle_in_words_make_a_view():
    assert view_of_words(" Left", "mlo ") is View.L_MLO
    assert view_of_words("B", "CC") is None
    assert view_of_words("L", "XCCL") is None
