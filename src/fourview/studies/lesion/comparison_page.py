"""Lesion runs compared, as a document: one table over architectures and baselines, differences, what views add."""

from __future__ import annotations

from collections.abc import Iterator

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Document, Section, Table, estimate_table
from fourview.report.versions import package_versions
from fourview.studies.lesion.comparison import MEAN, NETWORK, Candidate, Comparison
from fourview.studies.lesion.measures import ANSWERS, Worth

_PAIRED = ", lesions with both views"
_PUBLISHED = (
    "Yi et al. 2017 (arXiv 1705.06362) report an accuracy of .85 and an AUC of .91 for CC and MLO together, and an "
    "accuracy of .71 of hand-crafted features, on a part of DDSM that is not public: a comparison, and no target."
)


def describe_comparison(comparison: Comparison) -> Document:
    """The page."""
    best = [area for one in comparison.candidates if one.kind in (NETWORK, MEAN) and (area := _area(one, "p"))]
    return Document(
        kind="lesions",
        title=f"Benign or malignant: {len(comparison.candidates)} answers compared",
        headline=tuple(best[-1:]),
        sections=(_table(comparison), *_differences(comparison), *_added(comparison)),
        warnings=comparison.notes,
        versions=package_versions(),
    )


def _table(comparison: Comparison) -> Section:
    columns = ("", "what", "lesions", "CC", "MLO", "CC and MLO", "accuracy at .5", "all lesions", "about")
    rows: list[tuple[Cell, ...]] = []
    for one in comparison.candidates:
        accuracy = _worth(one, f"{ANSWERS['p']}{_PAIRED}").at_half.get("accuracy")
        areas: list[Estimate | None] = [_area(one, column, paired=True) for column in ANSWERS]
        rows.append((one.name, one.kind, one.table.height, *areas, accuracy, _area(one, "p"), one.about))
    note = "AUC and accuracy of lesions with both views; the last AUC is of all lesions, by the views that they have."
    return Section(
        "table", "One table", (Table("answers", "Held-out lesions", columns, tuple(rows), note),), (_PUBLISHED,)
    )


def _differences(comparison: Comparison) -> Iterator[Section]:
    if comparison.differences:
        first = comparison.candidates[0].name
        table = estimate_table("differences", f"{first} against each other answer", comparison.differences)
        yield Section("differences", "Differences", (table,))


def _added(comparison: Comparison) -> Iterator[Section]:
    rows: list[tuple[Cell, ...]] = [(one.name, *one.added) for one in comparison.candidates if one.added]
    if rows:
        columns = ("", "both views minus CC", "both views minus MLO")
        note = "Differences of AUC on lesions with both views: paired, clustered by patient."
        yield Section("added", "What the second view adds", (Table("added", "", columns, tuple(rows), note),))


def _worth(one: Candidate, name: str) -> Worth:
    return next(worth for worth in one.worth if worth.name == name)


def _area(one: Candidate, column: str, *, paired: bool = False) -> Estimate | None:
    return _worth(one, f"{ANSWERS[column]}{_PAIRED if paired else ''}").area
