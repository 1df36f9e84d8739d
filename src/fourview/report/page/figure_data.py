"""The numbers of a figure as small tables, where they are few enough to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from fourview.evaluate import Estimate
from fourview.report.document import Table
from fourview.report.page.table_text import PrintedTable, print_table

MOST_POINTS = 40  # of one line
_Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class SmallTable:
    """title is empty where there is nothing to tell apart."""

    title: str
    printed: PrintedTable


def tabulate_data(data: Mapping[str, Any]) -> tuple[list[SmallTable], list[str]]:
    """Tables of what is short, and the names of what is not (results.json has it)."""
    tables: list[SmallTable] = []
    longer: list[str] = []
    for name, columns in _walk("", data):
        length = max(map(len, columns.values()))
        if length > MOST_POINTS:
            longer.append(name or ", ".join(columns))
        elif length:
            rows = tuple(zip(*columns.values(), strict=True))
            tables.append(SmallTable(name, print_table(Table("", "", tuple(columns), rows))))
    return tables, longer


def _walk(name: str, value: Any) -> Iterator[tuple[str, _Columns]]:
    """Depth first: single values below each other, lists of equal length side by side, the rest one level down."""
    children = {key: inner for key, inner in _children(value).items() if inner is not None}
    if isinstance(children.get("label"), str):
        name = children.pop("label")
    single = {key: inner for key, inner in children.items() if _is_single(inner)}
    lists = {key: list(inner) for key, inner in children.items() if _is_list(inner)}
    if single:
        yield name, {"what": list(single), "value": list(single.values())}
    by_length: dict[int, _Columns] = {}
    for key, inner in lists.items():
        by_length.setdefault(len(inner), {})[key] = inner
    for group in by_length.values():
        yield name, {**_estimate_names(group), **group}
    for key, inner in children.items():
        if key not in single and key not in lists:
            yield from _walk(f"{name}: {key}" if name else key, inner)


def _children(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in fields(value))
    else:
        items = enumerate(value, 1)
    return {str(key): inner.tolist() if hasattr(inner, "tolist") else inner for key, inner in items}


def _estimate_names(group: _Columns) -> _Columns:
    """A column that says which estimate is which, if no text beside them does."""
    if any(isinstance(cell, str) for column in group.values() for cell in column):
        return {}
    for column in group.values():
        if column and all(isinstance(cell, Estimate) for cell in column):
            return {"": [cell.name for cell in column]}
    return {}


def _is_single(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | Estimate)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_single, value))
