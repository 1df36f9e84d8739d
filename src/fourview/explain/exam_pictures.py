"""The pictures of an explained exam: one per score and view, and what stands on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Mammogram, View
from fourview.explain.exam_target import SIDE_WORDS
from fourview.explain.explained import ExplainedExam, ScoreMaps, ViewMap
from fourview.explain.methods import METHODS
from fourview.explain.sanity import is_tested
from fourview.report.map_picture import MapFact, MapShown, draw_map, scale_limit, smooth_values
from fourview.report.picture import Picture

SMOOTHED = ("gradient", "smoothgrad", "ig")  # methods whose maps are blurred for looking at
UNTESTED = "not tested: nothing says that this map shows what the network does"


@dataclass(frozen=True, eq=False)
class DrawnMap:
    """One picture. name: of its file, without its end"""

    name: str
    title: str
    score: ScoreMaps
    view: ViewMap
    picture: Picture


def draw_explained(
    explained: ExplainedExam, *, marks: tuple[str, ...], outlines: Mapping[str, NDArray[np.bool_]] | None = None
) -> Iterator[DrawnMap]:
    """Every map of every score, over its mammogram. Maps of one score have one scale.

    marks     reasons to distrust the network;  outlines  image's name -> (rows, cols) of its file, of known lesions
    """
    method = METHODS[explained.method]
    mammograms: Mapping[tuple[View, str], Mammogram] = {(m.view, m.name): m for m in explained.exam.mammograms}
    for score in explained.scores:
        smooth = explained.method in SMOOTHED
        values = [smooth_values(v.map.inside, v.map.seen) if smooth else v.map.inside for v in score.views]
        limit = scale_limit(values)
        for view, own in zip(score.views, values, strict=True):
            title = f"{SIDE_WORDS[view.view.side].capitalize()} breast, {view.view.angle} view"
            number = view.key.removeprefix(view.view.value).lstrip("_")
            shown = MapShown(
                title=f"{title}, image {number}" if number else title,
                subtitle=f"{method.title}: {method.says}. Score: {score.words}"
                + (". Blurred for looking at" if smooth else ""),
                box=view.map.box,
                values=own,
                seen=view.map.seen,
                signed=method.signed,
                limit=limit,
                outline=(outlines or {}).get(view.name),
                facts=tuple(list_facts(explained, score, view)),
                marks=marks,
            )
            picture = draw_map(mammograms[view.view, view.name], shown)
            yield DrawnMap(name_map(score, view), shown.title, score, view, picture)


def name_map(score: ScoreMaps, view: ViewMap) -> str:
    """Of its file and its row: "left_malignant_R-CC", the score's side and finding, then the image."""
    return f"{SIDE_WORDS[score.side]}_{score.finding}_{view.key}"


def list_facts(explained: ExplainedExam, score: ScoreMaps, view: ViewMap) -> Iterator[MapFact]:
    """The lines beside a picture."""
    side = SIDE_WORDS[score.side]
    yield MapFact(f"score: {score.words}, {score.log_odds:.2f}")
    breast = explained.reading.breasts.get(score.side)
    image = next(i for i in explained.reading.images if (i.view, i.name) == (view.view, view.name))
    said = image.score if explained.reading.unit == "image" else breast
    if said is not None:
        p = said.malignant if score.finding == "malignant" else said.benign
        of = "this image" if explained.reading.unit == "image" else f"the {side} breast"
        yield MapFact(f"the reading of {of}: p {score.finding} {p:.3f}")
    if view.view.side is not score.side:
        yield MapFact(f"this is the other breast: the network compares it with the {side} one")
    if len(score.views) > 1:
        yield MapFact(f"{view.share:.0%} of all that raises this score lies in this image")
    if not is_tested(view.checks):
        yield MapFact(UNTESTED, passed=False)
    for check in view.checks:
        yield MapFact(check.says, passed=check.passed)
