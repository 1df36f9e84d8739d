"""Tables of a set as text, and the files that lie in its folder."""

from __future__ import annotations

import csv
import importlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fourview.exam import SetupError, Side
from fourview.ingest.files import Listing, walk_folder

_SIDES = {"l": Side.LEFT, "left": Side.LEFT, "r": Side.RIGHT, "right": Side.RIGHT}


def read_table(
    path: Path, *, separator: str = ",", needs: Iterable[str] = (), renamed: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The rows of a text table, column -> cell, headers and cells without blanks and line ends around them.

    needs    columns that must be there; columns that the table has more of are kept
    renamed  header as some copies write it -> the name that `needs` and the caller use
    Rows without any text are dropped. Raises SetupError if the file is missing, empty, lacks a column, names one
    twice, or holds a row with more cells than columns.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path.name}: cannot be read ({error.strerror}); need this table of the set") from None
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        content = data.decode("latin-1")  # spreadsheets write notes so; what is read as a label is ASCII in both
    try:
        lines = list(csv.reader(io.StringIO(content, newline=""), delimiter=separator))
    except csv.Error as error:
        raise SetupError(f"{path.name}: no table of text separated by {separator!r} ({error})") from None
    return rows_of(lines, path.name, needs=needs, renamed=renamed)


def read_sheet(
    path: Path, sheet: str, *, needs: Iterable[str] = (), renamed: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The rows of one sheet of an Excel file, as read_table gives them; other sheets are never turned into a table.

    Raises SetupError as read_table does, and if the sheet is missing or nothing installed can read Excel files.
    """
    try:
        fastexcel = importlib.import_module("fastexcel")  # only sets that come as Excel files need it
    except ImportError:
        raise SetupError(
            f"{path.name}: reading Excel files needs the package fastexcel, which is not installed: "
            "install it, or save the sheet as CSV beside it"
        ) from None
    try:
        loaded = fastexcel.read_excel(path).load_sheet(sheet, header_row=None, dtypes="string")
        table = loaded.to_polars()
    except Exception as error:  # the reader has no public base class for what it raises on broken files
        raise SetupError(f"{path.name}: sheet {sheet!r} cannot be read ({type(error).__name__})") from None
    lines = [["" if cell is None else _whole(str(cell)) for cell in row] for row in table.iter_rows()]
    return rows_of(lines, path.name, needs=needs, renamed=renamed)


def rows_of(
    lines: Sequence[Sequence[str]], name: str, *, needs: Iterable[str], renamed: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Lines of cells, the first one the header, as rows; see read_table. name: of the file, for messages."""
    if not lines:
        raise SetupError(f"{name}: an empty table, need its header and rows")
    header = [cell.strip() for cell in lines[0]]
    header = [(renamed or {}).get(column, column) for column in header]
    missing = [column for column in needs if column not in header]
    if missing:
        raise SetupError(f"{name}: no column {', '.join(missing)}; found {', '.join(filter(None, header)) or 'none'}")
    doubled = {column for column in header if column and header.count(column) > 1}
    if doubled:
        raise SetupError(f"{name}: the column {', '.join(sorted(doubled))} is there twice, need it once")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            raise SetupError(f"{name}, row {number}: found {len(cells)} cells, the header has {len(header)}")
        padded = cells + [""] * (len(header) - len(cells))
        rows.append({column: cell for column, cell in zip(header, padded, strict=False) if column})
    return rows


def _whole(cell: str) -> str:
    """A cell of a spreadsheet, where whole numbers may come as 5.0."""
    return cell[:-2] if re.fullmatch(r"-?\d+\.0", cell) else cell


def number_of(cell: str) -> float | None:
    """The number in a cell; None where it is blank or none."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def side_of(word: str) -> Side | None:
    """The side that L, R, LEFT or RIGHT names, in any case; None for other words."""
    return _SIDES.get(word.strip().lower())


def find_one(root: Path, *names: str, need: str) -> Path:
    """The file or folder with one of the names (any case), in the folder or at most two folders below it.

    names  in order of preference: a later one counts only where no earlier one is there
    need   what it is, for the message
    Raises SetupError if none is there, or several at the same depth.
    """
    if not root.is_dir():
        raise SetupError(f"{root.name}: no such folder")
    levels = [[entry for entry in sorted(root.glob(stars)) if not _hidden(entry)] for stars in ("*", "*/*", "*/*/*")]
    for name in names:
        for level in levels:
            found = [entry for entry in level if entry.name.lower() == name.lower()]
            if len(found) > 1:
                places = ", ".join(str(entry.parent.relative_to(root)) for entry in found)
                raise SetupError(f"{name} lies in several folders ({places}): point at one copy of the set")
            if found:
                return found[0]
    raise SetupError(f"no {' or '.join(names)} in {root.name} or two folders below it: need {need}")


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"


def files_below(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Files at any depth, in the order of their names; suffixes: lower case with the dot, none for all files."""
    for file in walk_folder(folder, Listing([], [])):
        if not suffixes or file.suffix in suffixes:
            yield file.path
