"""Document -> plain JSON values in full precision, and every estimate of it as a row of estimates.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from fourview.evaluate import Estimate
from fourview.report.document import Document, Figure, Gallery, Section, Table

FORMAT = "fourview document 1"
# What an Estimate holds besides its name, in the order of its fields; a test holds the two together.
ESTIMATE_FIELDS = tuple(field.name for field in fields(Estimate))
CSV_COLUMNS = (
    "section",
    "table",
    "row",
    "column",
    *(f for f in ESTIMATE_FIELDS if f not in {"p", "warnings"}),
    "p",
    "warnings",
)


def document_values(document: Document) -> dict[str, Any]:
    """The whole document but for SVG and picture bytes; a number that is not finite is null.

    Raises TypeError for a value in a figure's data that JSON has no form for.
    """
    return {
        "format": FORMAT,
        "kind": document.kind,
        "title": document.title,
        "headline": [plain_value(estimate) for estimate in document.headline],
        "warnings": list(document.warnings),
        "sections": [_section_values(section) for section in document.sections],
        "methods": list(document.methods),
        "checklist": [plain_value(item) for item in document.checklist],
        "settings": [list(setting) for setting in document.settings],
        "versions": dict(document.versions),
    }


def document_json(document: Document) -> str:
    """results.json: ASCII, so that any text of the input survives any editor."""
    return json.dumps(document_values(document), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def estimates_csv(document: Document) -> str:
    """estimates.csv: one row per Estimate of headline, tables and figures' data; numbers in full precision.

    row     of a table: its texts before the estimate; otherwise the place, counted from 1
    empty   a number that does not exist
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for place, estimate in _estimates(document):
        values = plain_value(estimate)
        values["warnings"] = "; ".join(estimate.warnings)
        row = [*place, *(values[name] for name in CSV_COLUMNS[len(place) :])]
        writer.writerow(["" if value is None else value for value in row])
    # A file's name may hold bytes that are no text (lone surrogates), which no file could be written with.
    return stream.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")


def plain_value(value: Any) -> Any:
    """JSON's own types: dataclasses as objects, arrays and tuples as lists, numbers that are not finite as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(inner) for inner in value]
    if hasattr(value, "tolist"):  # a numpy array or number
        return plain_value(value.tolist())
    raise TypeError(f"a {type(value).__name__} in a document: need numbers, texts, lists, mappings or dataclasses")


def _section_values(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "text": list(section.text),
        "warnings": list(section.warnings),
        "parts": [_part_values(part) for part in section.parts],
    }


def _part_values(part: Table | Figure | Gallery) -> dict[str, Any]:
    match part:
        case Table():
            return {"part": "table", **plain_value(part)}
        case Figure():
            data = plain_value(part.data)
            return {"part": "figure", "name": part.name, "title": part.title, "caption": part.caption, "data": data}
        case Gallery():
            items = [
                {
                    "title": item.title,
                    "lines": list(item.lines),
                    "link": item.link,
                    "images": [alternative for alternative, _ in item.images],
                }
                for item in part.items
            ]
            return {"part": "gallery", "name": part.name, "title": part.title, "items": items, "note": part.note}


def _estimates(document: Document) -> Iterator[tuple[tuple[str, str, str, str], Estimate]]:
    """(section, table, row, column) and the estimate, in the order of the document."""
    for number, estimate in enumerate(document.headline, 1):
        yield ("headline", "", str(number), ""), estimate
    for section in document.sections:
        for part in section.parts:
            if isinstance(part, Table):
                for number, row in enumerate(part.rows, 1):
                    label = _row_label(row, number)
                    for column, cell in zip(part.columns, row, strict=True):
                        if isinstance(cell, Estimate):
                            yield (section.name, part.name, label, column), cell
            elif isinstance(part, Figure):
                for number, (column, estimate) in enumerate(_inside(part.data, ""), 1):
                    yield (section.name, part.name, str(number), column), estimate


def _row_label(row: tuple[Any, ...], number: int) -> str:
    first = next(k for k, cell in enumerate([*row, None]) if not isinstance(cell, str))
    return ", ".join(cell for cell in row[:first] if cell) or str(number)


def _inside(value: Any, name: str) -> Iterator[tuple[str, Estimate]]:
    """Every Estimate in a figure's data, with the name that leads to it."""
    if isinstance(value, Estimate):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _inside(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _inside(inner, name)
