"""Which view an image is, from the end of its file name; which exam, from the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fourview.exam import View

_SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}
_NAMED = re.compile(
    r"(?:(?P<exam>.+?)(?:[ _.\-]+|(?<=\d)))?"  # the exam's name ends at a separator or a digit
    r"(?P<side>left|right|l|r)[ _.\-]*(?P<angle>cc|mlo)"
    r"(?:[ _.\-]+(?P<number>\d{1,4}))?",
    re.IGNORECASE,
)
NEED_VIEW = "no view at the end of its name: need L_CC, R_CC, L_MLO or R_MLO"


@dataclass(frozen=True)
class NamedView:
    """What a file stem says. exam: what stands before the view, "" if nothing; number: of several of a view, or 0."""

    exam: str
    view: View
    number: int


def view_of_stem(stem: str) -> NamedView | None:
    """The view that ends a file stem: 1_L_CC, 1-lcc, left_mlo, L-CC_2 ...; None if there is none."""
    match = _NAMED.fullmatch(stem)
    if match is None:
        return None
    view = view_of_words(match["side"], match["angle"])
    return None if view is None else NamedView(match["exam"] or "", view, int(match["number"] or 0))


def view_of_words(side: str, angle: str) -> View | None:
    """The view of a side (L, left, R, right) and an angle (CC, MLO), in any case; None if either is something else."""
    letter, word = _SIDES.get(side.strip().lower()), angle.strip().upper()
    return View(f"{letter}-{word}") if letter and word in ("CC", "MLO") else None
