"""What an explanation of one exam is: maps per score and view, each with the tests that it passed or failed."""

from __future__ import annotations

from dataclasses import dataclass

from fourview.exam import Exam, Finding, Reading, Side, View
from fourview.explain.located import Localisation
from fourview.explain.methods import MethodName
from fourview.explain.sanity import Check, Curve
from fourview.explain.source_map import SourceMap


@dataclass(frozen=True, eq=False)
class ViewMap:
    """The map of one image for one score.

    key, name     of the image: "L-CC", and what its file is called
    map           in the pixels of the file
    share         of the positive values of all of this score's maps, 0 to 1
    checks        that were made
    curves        deletion and insertion, of each of the network's inputs that the map is made of
    localisation  against outlines of this finding in this image; None: none are known
    """

    key: str
    name: str
    view: View
    map: SourceMap
    share: float
    checks: tuple[Check, ...] = ()
    curves: tuple[tuple[Curve, Curve], ...] = ()
    localisation: Localisation | None = None

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.passed is False)


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """One score and its maps.

    words  what the score is;  log_odds  its value;  side, finding  what it is about
    """

    words: str
    log_odds: float
    side: Side
    finding: Finding
    views: tuple[ViewMap, ...]


@dataclass(frozen=True, eq=False)
class ExplainedExam:
    """scores: one per breast (exam networks) or one per image (a patch network alone)"""

    exam: Exam
    reading: Reading
    method: MethodName
    scores: tuple[ScoreMaps, ...]
