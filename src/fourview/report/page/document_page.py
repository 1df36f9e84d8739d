"""A statistical report as one page that stands on its own: a document's numbers, tables, plots and texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from markupsafe import Markup

from fourview.evaluate import Estimate
from fourview.report.document import ChecklistItem, Document, Figure, Gallery, GalleryItem, Section, Table
from fourview.report.meaning import RESEARCH_ONLY
from fourview.report.number_text import write_interval, write_p, write_value
from fourview.report.page.figure_data import SmallTable, tabulate_data
from fourview.report.page.page_image import to_base64
from fourview.report.page.plot_in_page import embed_plot
from fourview.report.page.table_text import PrintedTable, print_table, write_facts
from fourview.report.page.template import fill_template, own_text

_IMAGE_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]")


@dataclass(frozen=True)
class _Headline:
    name: str
    value: str
    interval: str
    about: str
    method: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    number: int
    title: str
    note: str
    printed: PrintedTable


@dataclass(frozen=True)
class _Figure:
    """longer: names of what is drawn from more numbers than the page lists."""

    number: int
    title: str
    caption: str
    svg: Markup
    tables: tuple[SmallTable, ...]
    longer: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    title: str
    lines: tuple[str, ...]
    link: str | None
    images: tuple[tuple[str, str], ...]  # alternative text, data URI


@dataclass(frozen=True)
class _Gallery:
    title: str
    note: str
    items: tuple[_Item, ...]
    large: bool


@dataclass(frozen=True)
class _Section:
    title: str
    text: tuple[str, ...]
    warnings: tuple[str, ...]
    parts: tuple[tuple[str, _Table | _Figure | _Gallery], ...]  # "table", "figure" or "gallery", and the part


def draw_document_page(document: Document, *, files: Sequence[str] = ()) -> str:
    """report.html: the whole document in one file that asks for nothing else.

    files  further files beside the page, to which it links

    Raises ValueError for a gallery's picture that is neither PNG nor JPEG.
    """
    tables, figures = count(1), count(1)
    return fill_template(
        "document.html.jinja",
        style=own_text("theme.css") + own_text("document.css"),
        script=own_text("theme.js") + own_text("document.js"),
        research_only=RESEARCH_ONLY,
        document=document,
        headline=[_print_headline(estimate) for estimate in document.headline],
        sections=[_print_section(section, tables, figures) for section in document.sections],
        checklist=_group(document.checklist),
        files=files,
    )


def _print_headline(estimate: Estimate) -> _Headline:
    p = "" if estimate.p is None else f"; {write_p(estimate.p)}"
    interval = write_interval(estimate)
    return _Headline(
        estimate.name,
        write_value(estimate),
        f"{interval if interval == 'no interval' else f'95 % {interval}'}{p}",
        write_facts(estimate),
        estimate.method,
        estimate.warnings,
    )


def _print_section(section: Section, tables: count[int], figures: count[int]) -> _Section:
    parts: list[tuple[str, _Table | _Figure | _Gallery]] = []
    for part in section.parts:
        match part:
            case Table():
                parts.append(("table", _Table(next(tables), part.title, part.note, print_table(part))))
            case Figure():
                parts.append(("figure", _print_figure(part, next(figures))))
            case Gallery():
                items = tuple(_print_item(item) for item in part.items)
                parts.append(("gallery", _Gallery(part.title, part.note, items, part.large)))
    return _Section(section.title, section.text, section.warnings, tuple(parts))


def _print_figure(figure: Figure, number: int) -> _Figure:
    label = f"Figure {number}: {figure.title}. {figure.caption}".strip()
    svg = embed_plot(figure.svg, prefix=f"figure-{number}-", label=label)
    small, longer = tabulate_data(figure.data)
    return _Figure(number, figure.title, figure.caption, svg, tuple(small), tuple(longer))


def _print_item(item: GalleryItem) -> _Item:
    images = tuple((alternative, _data_uri(content)) for alternative, content in item.images)
    # Only what is relative to the report is a link: no other scheme, and no other machine.
    link = None if item.link is None or _SCHEME.match(item.link) else item.link
    return _Item(item.title, item.lines, link, images)


def _data_uri(content: bytes) -> str:
    for start, kind in _IMAGE_TYPES.items():
        if content.startswith(start):
            return f"data:{kind};base64,{to_base64(content)}"
    raise ValueError(f"a picture that begins with {content[:4]!r}: need PNG or JPEG")


def _group(checklist: Sequence[ChecklistItem]) -> dict[str, list[ChecklistItem]]:
    """By guideline, in the order of their first items."""
    groups: dict[str, list[ChecklistItem]] = {}
    for item in checklist:
        groups.setdefault(item.guideline, []).append(item)
    return groups
