"""A document: the tables, figures and texts of one statistical report, before it becomes a page, JSON and CSV.

The page is drawn from the document and the JSON is the document written out: every number on the page is in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fourview.evaluate import Estimate

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Table:
    """Rows of cells. An Estimate in a cell brings its interval, n, positives, unit and method along.

    name     of the table in the JSON and the CSV: lower case, underscores, unique in the document
    columns  one text per cell of a row
    note     below the table
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: a row of {len(row)} cells under {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A plot as SVG text (see report.plots), and the numbers that were drawn, by name."""

    name: str
    title: str
    svg: str
    caption: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GalleryItem:
    """One unit worth looking at.

    title   which one, e.g. "3f2a... L";  lines  what the readings and the truth say about it
    link    to its exam page, relative to the report, percent-encoded; None if there is none
    images  (alternative text, PNG or JPEG bytes) small pictures to show
    """

    title: str
    lines: tuple[str, ...]
    link: str | None = None
    images: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Pictures with a few lines each. large: pictures as wide as the page lets them be, not thumbnails."""

    name: str
    title: str
    items: tuple[GalleryItem, ...]
    note: str = ""
    large: bool = False


@dataclass(frozen=True)
class Section:
    """One heading of the report.

    text      paragraphs, before the parts;  warnings  shown as such, before the text
    """

    name: str
    title: str
    parts: tuple[Table | Figure | Gallery, ...] = ()
    text: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChecklistItem:
    """One line of a reporting guideline. answer  what this run knows; empty: for the authors to fill in."""

    guideline: Literal["CLAIM 2024", "TRIPOD+AI"]
    item: str
    asks: str
    answer: str = ""


@dataclass(frozen=True)
class Document:
    """A whole report.

    kind      "evaluation", "reader study", "calibration", "data", "phantom", "training", "fine-tuning", "zero-shot",
              "classifier", "transfer", "learning curve", "shift", "several sets", "lesions", "lesion baselines",
              "explanation", "prototypes", "signs": names the JSON's layout
    headline  the few numbers that stand on top
    warnings  what a reader must know before any number
    methods   the paragraph to paste into a paper
    settings  options as given and files as found (name, SHA-256, rows): (what, value)
    versions  of the packages that computed it
    """

    kind: Literal[
        "evaluation",
        "reader study",
        "calibration",
        "data",
        "phantom",
        "training",
        "fine-tuning",
        "zero-shot",
        "classifier",
        "transfer",
        "learning curve",
        "shift",
        "several sets",
        "lesions",
        "lesion baselines",
        "explanation",
        "prototypes",
        "signs",
    ]
    title: str
    headline: tuple[Estimate, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    checklist: tuple[ChecklistItem, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(part for section in self.sections for part in section.parts if isinstance(part, Figure))


def estimate_table(name: str, title: str, estimates: Sequence[Estimate], *, note: str = "") -> Table:
    """One row per estimate, named by it."""
    return Table(name, title, ("", "estimate"), tuple((e.name, e) for e in estimates), note)
