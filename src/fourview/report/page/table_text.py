"""Table -> what a page prints: cells as text, and everything its estimates share said once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fourview.evaluate import Estimate, share_method
from fourview.report.document import Cell, Table
from fourview.report.number_text import plural, write_count, write_interval, write_number, write_p, write_value

Fact = Literal["n", "positives", "clusters", "unit", "method"]
FACTS: tuple[Fact, ...] = ("n", "positives", "clusters", "unit", "method")
_EXACT = 1e-9  # of a count: positives / n is the value itself
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class PrintedCell:
    """One cell.

    text   of an estimate its value
    more   what stands behind it: interval and p value;  below  what only this estimate is about
    marks  letters of the warnings below the table
    """

    text: str
    kind: Literal["text", "number", "estimate"] = "text"
    more: str = ""
    below: str = ""
    marks: str = ""


@dataclass(frozen=True)
class PrintedTable:
    """A table of text.

    columns   (text, whether its cells are numbers)
    facts     sentences about the estimates, for below the table
    warnings  (letter, text), each distinct one once
    """

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[PrintedCell, ...], ...]
    facts: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]


def print_table(table: Table) -> PrintedTable:
    """The table as text.

    n, positives, clusters, unit and method of the estimates are said below the table where all share them, in columns
    of their own where they differ between rows, below the table per column where they differ between columns, and
    otherwise in the cell. Methods that differ in degrees of freedom alone count as the same, with the range of these.
    """
    by_row = [[cell for cell in row if isinstance(cell, Estimate)] for row in table.rows]
    cells = [[row[k] for row in table.rows] for k in range(len(table.columns))]
    by_column = [[cell for cell in column if isinstance(cell, Estimate)] for column in cells]
    everything = [estimate for row in by_row for estimate in row]
    facts: list[Fact] = list(FACTS)
    if all(e.clusters == e.n for e in everything):  # units are independent, which the method says
        facts.remove("clusters")
    shared = [f for f in facts if _same(everything, f)]
    per_row = [f for f in facts if f not in shared and all(_same(row, f) for row in by_row)]
    rest = [f for f in facts if f not in shared and f not in per_row]
    per_column = [f for f in rest if all(_same(column, f) for column in by_column)]
    per_cell = [f for f in rest if f not in per_column]

    if "unit" in shared and "n" in (*per_column, *per_cell):  # said wherever n is said
        shared.remove("unit")

    warnings = list(dict.fromkeys(text for e in everything for text in e.warnings))
    letters = {text: _letter(number) for number, text in enumerate(warnings)}
    numbers = [_is_numeric(column) for column in cells]
    added = [f for f in per_row if f not in {column.strip().lower() for column in table.columns}]
    dashes = ["–" if column or numeric else "" for column, numeric in zip(by_column, numbers, strict=True)]
    rows = tuple(
        (
            *(_print_cell(cell, per_cell, letters, empty=dash) for cell, dash in zip(row, dashes, strict=True)),
            *(_print_fact(estimates, fact) for fact in added),
        )
        for row, estimates in zip(table.rows, by_row, strict=True)
    )
    columns = [*zip(table.columns, numbers, strict=True)]
    columns += [(fact, fact in {"n", "positives", "clusters"}) for fact in added]
    sentences = [_sentence(everything, shared)] if everything else []
    sentences += [
        f"{name}: {_sentence(column, per_column)}"
        for name, column in zip(table.columns, by_column, strict=True)
        if column and per_column
    ]
    return PrintedTable(
        tuple(columns), rows, tuple(s for s in sentences if s), tuple((letters[t], t) for t in warnings)
    )


def write_facts(estimate: Estimate, facts: Sequence[Fact] = FACTS) -> str:
    """n = 1,440 breasts, 61 positive, 720 clusters; of a share: 60 of 61 breasts. The unit stands where n does."""
    parts = []
    positives = estimate.positives if "positives" in facts else None
    share = positives is not None and abs(estimate.value * estimate.n - positives) < _EXACT
    if positives is not None and share:
        parts.append(f"{write_count(positives)} of {write_count(estimate.n, estimate.unit)}")
    elif "n" in facts:
        parts.append(f"n = {write_count(estimate.n, estimate.unit)}")
    elif "unit" in facts:
        parts.append(f"units are {plural(estimate.unit)}")
    if positives is not None and not share:
        parts.append(f"{write_count(positives)} positive")
    if "clusters" in facts and not ("n" in facts and estimate.clusters == estimate.n):
        parts.append(write_count(estimate.clusters, "cluster"))
    return ", ".join(parts)


def _print_cell(cell: Cell, facts: Sequence[Fact], letters: dict[str, str], *, empty: str = "") -> PrintedCell:
    match cell:
        case None:
            return PrintedCell(empty)
        case Estimate():
            p = "" if cell.p is None else f", {write_p(cell.p)}"
            below = [write_facts(cell, facts), cell.method if "method" in facts else ""]
            marks = " ".join(letters[text] for text in dict.fromkeys(cell.warnings) if text in letters)
            more = f"({write_interval(cell)}){p}"
            return PrintedCell(write_value(cell), "estimate", more, "; ".join(t for t in below if t), marks)
        case bool():
            return PrintedCell("yes" if cell else "no")
        case int() | float():
            return PrintedCell(write_number(cell), "number")
    return PrintedCell(cell)


def _print_fact(estimates: Sequence[Estimate], fact: Fact) -> PrintedCell:
    if not estimates:
        return PrintedCell("")
    value = share_method(estimates) if fact == "method" else getattr(estimates[0], fact)
    if value is None:
        return PrintedCell("–")
    return PrintedCell(write_number(value), "number") if isinstance(value, int) else PrintedCell(value)


def _sentence(estimates: Sequence[Estimate], facts: Sequence[Fact]) -> str:
    counts = write_facts(estimates[0], facts)
    counts = counts[:1].upper() + counts[1:] if counts.startswith("units") else counts
    method = f"95 % intervals: {share_method(estimates)}." if "method" in facts else ""
    return " ".join(text for text in (f"{counts}." if counts else "", method) if text)


def _same(estimates: Sequence[Estimate], fact: Fact) -> bool:
    if fact == "method":
        return share_method(estimates) is not None
    return len({getattr(estimate, fact) for estimate in estimates}) <= 1


def _is_numeric(cells: Sequence[Cell]) -> bool:
    """Whether a column holds plain numbers only, so that it is set to the right."""
    found = [cell for cell in cells if cell is not None]
    return bool(found) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in found)


def _letter(number: int) -> str:
    """a, b ... z, aa, ab ..."""
    higher, lower = divmod(number, len(_LETTERS))
    return (_letter(higher - 1) if higher else "") + _LETTERS[lower]
