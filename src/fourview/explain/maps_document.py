"""All maps of a run as a document: how many hold, and how well they find outlined lesions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from fourview.evaluate import Estimate, proportion
from fourview.evaluate.means import clustered_mean, mean_ratio, paired_mean_difference
from fourview.explain.exam_document import Settings, describe_methods
from fourview.explain.methods import METHODS, MethodName
from fourview.report.document import Document, Gallery, GalleryItem, Section, Table, estimate_table
from fourview.report.versions import package_versions

_TESTS = ("empty", "weights drawn anew", "deletion", "insertion", "share in outlines")
_JUDGED = {  # test -> which maps it judged; "empty" judges all
    "weights drawn anew": pl.col("alike_drawn_anew").is_not_nan(),
    "deletion": pl.col("deletion").is_not_null(),
    "insertion": pl.col("insertion").is_not_null(),
    "share in outlines": pl.col("share_in_outlines").is_not_null(),
}
UNIT = "map"


def describe_maps(
    rows: pl.DataFrame,
    *,
    method: MethodName,
    marks: Sequence[str],
    problems: Mapping[str, str],
    settings: Settings,
    names: Mapping[str, str],
) -> Document:
    """The page above the exams' pages. rows: of exam_document.tabulate_maps; names: exam id -> its own name to show"""
    located = measure_located(rows)
    tested = rows.filter(pl.col("alike_drawn_anew").is_not_null() | pl.col("deletion").is_not_null())
    untested = len(rows) - len(tested)
    failed = int((rows["fails"].fill_null("") != "").sum())
    warnings = [*marks]
    if failed:
        warnings.append(f"{failed} of {len(rows)} maps fail a test: what they show is no explanation")
    if untested:
        warnings.append(f"{untested} of {len(rows)} maps were not tested: they may not show what the network does")
    if not located:
        warnings.append("no lesion is outlined in these images: nothing says whether the maps find lesions")
    if problems:
        warnings.append(f"{len(problems)} exams or files could not be explained")
    sections = [_describe_tests(tested)] if len(tested) else []
    if located:
        sections.append(
            Section(
                "located",
                "Maps against outlined lesions",
                (estimate_table("located", "Own breast, images with an outline", located, note=LOCATED_NOTE),),
            )
        )
    sections.append(_describe_exams(rows, problems, names))
    return Document(
        kind="explanation",
        title=f"Where scores come from: {METHODS[method].title}, {rows['exam'].n_unique()} exams",
        headline=tuple(located[:2]),
        sections=tuple(sections),
        warnings=tuple(warnings),
        methods=describe_methods(method),
        settings=tuple(settings),
        versions=package_versions(),
    )


LOCATED_NOTE = (
    "Chance: the outlines' share of the tissue that the network looked at, which is what a map without knowledge has "
    "in them. Ratio: mean share over mean chance."
)


def measure_located(rows: pl.DataFrame) -> list[Estimate]:
    """Ratio, difference, share, chance, pointing game, its chance; empty where nothing is outlined."""
    own = rows.filter(pl.col("share_in_outlines").is_not_null())
    if not len(own):
        return []
    patient = own["patient"].to_list()
    share, chance = own["share_in_outlines"].to_numpy(), own["chance_share"].to_numpy()
    hits = own["pointing_hit"].cast(pl.Int64).to_numpy()
    return [
        mean_ratio(share, chance, cluster=patient, unit=UNIT, name="share in outlines over chance"),
        proportion(hits, cluster=patient, unit=UNIT, name="pointing game: highest place in or near an outline"),
        clustered_mean(own["pointing_chance"].to_numpy(), cluster=patient, unit=UNIT, name="pointing game by chance"),
        clustered_mean(share, cluster=patient, unit=UNIT, name="share in outlines"),
        clustered_mean(chance, cluster=patient, unit=UNIT, name="share in outlines by chance"),
        paired_mean_difference(share, chance, cluster=patient, unit=UNIT, name="share in outlines minus chance"),
    ]


def _describe_tests(rows: pl.DataFrame) -> Section:
    patient = rows["patient"].to_list()
    failed = rows["fails"].fill_null("")
    found = [
        proportion((failed != "").cast(pl.Int64).to_numpy(), cluster=patient, unit=UNIT, name="maps that fail a test")
    ]
    for name in _TESTS:
        judged = rows.filter(_JUDGED[name]) if name in _JUDGED else rows
        hits = [name in text.split("; ") for text in judged["fails"].fill_null("").to_list()]
        if hits:
            cluster = judged["patient"].to_list()
            found.append(proportion(np.array(hits, np.int64), cluster=cluster, unit=UNIT, name=f"fail: {name}"))
    return Section("tests", "Tests of the maps", (estimate_table("tests", "Maps that fail", found),))


def _describe_exams(rows: pl.DataFrame, problems: Mapping[str, str], names: Mapping[str, str]) -> Section:
    items = []
    for (exam,), own in rows.group_by("exam", maintain_order=True):
        failed = int((own["fails"].fill_null("") != "").sum())
        lines = [*([names[exam]] if names.get(exam) else []), *_list_scores(own)]
        lines.append(f"{len(own)} maps, {failed} fail a test" if failed else f"{len(own)} maps")
        items.append(GalleryItem(str(exam), tuple(lines), link=f"exams/{exam}/report.html"))
    parts: list[Table | Gallery] = [Gallery("exams", "Exams", tuple(items))]
    if problems:
        parts.append(Table("problems", "Not explained", ("exam or file", "why"), tuple(problems.items())))
    return Section("exams", "Exams", tuple(parts))


def _list_scores(rows: pl.DataFrame) -> Iterator[str]:
    """Each score of an exam; those of a patch network alone are of one image each."""
    several = rows["log_odds"].n_unique() > rows["score"].n_unique()
    seen = set()
    for score, value, view in rows.select("score", "log_odds", "view").iter_rows():
        words = f"{view}, {score}" if several else score
        if words not in seen:
            seen.add(words)
            yield f"{words}: {value:.2f}"
