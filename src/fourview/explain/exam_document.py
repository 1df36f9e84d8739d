"""An explained exam as a document: a section per score, its pictures, and the tests of every map."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import polars as pl

from fourview.exam import SetupError
from fourview.explain.exam_pictures import UNTESTED, DrawnMap, name_map
from fourview.explain.explained import ExplainedExam, ScoreMaps, ViewMap
from fourview.explain.located import NEAR_SHARE
from fourview.explain.methods import METHODS, MethodName
from fourview.explain.sanity import CELLS, MOST_ALIKE, Check, is_tested
from fourview.report.document import Document, Gallery, GalleryItem, Section, Table
from fourview.report.picture import Picture
from fourview.report.versions import package_versions

Settings = Sequence[tuple[str, str]]
_QUALITY = 88
_COLUMNS = {
    "exam": pl.String,
    "patient": pl.String,
    "map": pl.String,
    "score": pl.String,
    "log_odds": pl.Float64,
    "view": pl.String,
    "image": pl.String,
    "share_of_score": pl.Float64,
    "fails": pl.String,
    "alike_drawn_anew": pl.Float64,
    "deletion": pl.Float64,
    "deletion_control": pl.Float64,
    "insertion": pl.Float64,
    "insertion_control": pl.Float64,
    "pointing_hit": pl.Boolean,
    "pointing_chance": pl.Float64,
    "share_in_outlines": pl.Float64,
    "chance_share": pl.Float64,
}


def describe_exam(
    explained: ExplainedExam, drawn: Iterable[DrawnMap], *, marks: Sequence[str], settings: Settings, name: str = ""
) -> Document:
    """The page of one exam. marks: reasons to distrust the network; name: the exam's own; "": not shown"""
    method, number = METHODS[explained.method], explained.exam.exam_id
    pictures: dict[int, list[DrawnMap]] = {}
    for one in drawn:
        pictures.setdefault(id(one.score), []).append(one)
    sections = tuple(
        _describe_score(number, score, pictures[id(score)]) for number, score in enumerate(explained.scores, 1)
    )
    failed = sum(bool(view.failures) for score in explained.scores for view in score.views)
    untested = sum(not is_tested(view.checks) for score in explained.scores for view in score.views)
    total = sum(len(score.views) for score in explained.scores)
    warnings = [*marks]
    if failed:
        warnings.append(f"{failed} of {total} maps fail a test: what they show is no explanation")
    if untested:
        warnings.append(f"{untested} of {total} maps are {UNTESTED}")
    return Document(
        kind="explanation",
        title=f"Where the score comes from: exam {f'{name} ({number})' if name else number}, {method.title}",
        headline=(),
        sections=sections,
        warnings=tuple(warnings),
        methods=describe_methods(explained.method),
        settings=tuple(settings),
        versions=package_versions(),
    )


def tabulate_maps(explained: ExplainedExam) -> pl.DataFrame:
    """One row per map."""
    rows = [_row(explained, score, view) for score in explained.scores for view in score.views]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def read_maps(content: bytes) -> pl.DataFrame:
    """What `tabulate_maps` gave, from its CSV. Raises SetupError."""
    try:
        return pl.read_csv(content, schema=_COLUMNS)
    except pl.exceptions.PolarsError as error:
        raise SetupError(f"maps.csv: damaged ({error}); need the one that `fourview explain` wrote") from error


def jpeg_bytes(picture: Picture) -> bytes:
    """The picture for a page."""
    ok, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not ok:
        raise OSError(f"the picture of shape {picture.shape} could not be coded as JPEG")
    return bytes(encoded)


HOW: Mapping[MethodName, str] = {
    "gradient": "the derivative of the score by each pixel of the standardised image (Simonyan et al. 2014)",
    "smoothgrad": "the mean derivative over 25 copies with noise of 0.15 of the range (SmoothGrad, Smilkov et al. "
    "2017)",
    "ig": "integrated gradients from the image without detail, 64 steps (Sundararajan et al. 2017)",
    "gradcam": "Grad-CAM of the last map (Selvaraju et al. 2017), its cells put where they look",
    "occlusion": "the fall of the score when a square is blurred, 32 of 224 pixels of the shorter side, stride "
    "half of it (Zeiler and Fergus 2014)",
}
HOW_TESTED = (
    "Tests. Weights drawn anew (Adebayo et al. 2018): each layer's values in random order; the rank correlation of "
    f"the two maps in squares ({CELLS} along the shorter side) is to be {MOST_ALIKE:g} or less. Deletion and "
    "insertion (Petsiuk et al. 2018): the squares are blurred, or shown on the blurred image, in the map's order; "
    "the mean score is to be lower, or higher, than with each of 3 random smooth orders. Where outlines are known: the "
    "share of the map's positive values within them against their share of the tissue, and whether the highest place "
    f"lies within {NEAR_SHARE:.1%} of the shorter side of one (the pointing game, Zhang et al. 2016)."
)


def describe_methods(method: MethodName) -> tuple[str, ...]:
    """How maps of exams were made and tested, to paste into a paper."""
    return (
        f"Each image of the exam has a map of its own: {HOW[method]}. The score is the log-odds of the finding, the "
        "mean over the heads that answer for the breast, or over the highest patches of the image where a patch "
        "network reads alone. Without detail, or blurred: within the breast, its brightness kept. Maps are put back "
        "into the pixels of the file.",
        HOW_TESTED,
    )


def _describe_score(number: int, score: ScoreMaps, drawn: Sequence[DrawnMap]) -> Section:
    items = tuple(
        GalleryItem(one.title, _lines(one.view), images=((f"{one.title}, {score.words}", jpeg_bytes(one.picture)),))
        for one in drawn
    )
    table = Table(
        f"tests_{number}",
        "Maps of this score and their tests",
        ("image", "share of this score", "verdict", "weights drawn anew", "deletion", "insertion", "in outlines"),
        tuple(
            (
                one.title,
                one.view.share,
                verdict(one.view),
                *(_said(one.view, name) for name in ("weights drawn anew", "deletion", "insertion")),
                _said(one.view, "share in outlines"),
            )
            for one in drawn
        ),
        note="share of this score: of all positive values of its maps, how many lie in this image",
    )
    name = f"score_{number}"
    gallery = Gallery(f"maps_{number}", "Maps", items, large=True)
    where = "" if len(drawn) > 1 else f"{drawn[0].title}: "
    return Section(name, f"{where}{score.words}", (gallery, table), text=(f"The score is {score.log_odds:.3f}.",))


def verdict(view: ViewMap) -> str:
    """In a word or two."""
    if view.failures:
        return f"FAILS: {', '.join(check.name for check in view.failures)}"
    return "passes" if is_tested(view.checks) else "not tested"


def _lines(view: ViewMap) -> tuple[str, ...]:
    return say_failures(view.checks)


def say_failures(checks: Sequence[Check]) -> tuple[str, ...]:
    """What stands below a map on a page: why not to believe it."""
    failed = [check.says for check in checks if check.passed is False]
    said = (f"THIS MAP FAILS: {'; '.join(failed)}",) if failed else ()
    return said if is_tested(checks) else (*said, UNTESTED)


def _said(view: ViewMap, name: str) -> str:
    return next((check.says for check in view.checks if check.name == name), "")


def _row(explained: ExplainedExam, score: ScoreMaps, view: ViewMap) -> tuple[Any, ...]:
    checks: Mapping[str, Any] = {check.name: check for check in view.checks}

    def value(name: str, field: str) -> float | None:
        found = None if name not in checks else float(getattr(checks[name], field))
        return None if found is None or not math.isfinite(found) else found

    local = view.localisation
    return (
        explained.exam.exam_id,
        explained.exam.patient_key or explained.exam.exam_id,
        name_map(score, view),
        score.words,
        score.log_odds,
        view.view.value,
        view.key,
        view.share,
        "; ".join(check.name for check in view.failures),
        value("weights drawn anew", "value"),
        value("deletion", "value"),
        value("deletion", "against"),
        value("insertion", "value"),
        value("insertion", "against"),
        None if local is None else local.hit,
        None if local is None else local.chance_hit,
        None if local is None else local.share,
        None if local is None else local.chance,
    )
