"""Tables of a set as text, and the files that lie in its folder."""

from __future__ import annotations

import codecs
import csv
import importlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fourview.exam import SetupError, Side
from fourview.ingest.files import Listing, walk_folder

_BLOCK = 1 << 20  # bytes
_SIDES = {"l": Side.LEFT, "left": Side.LEFT, "r": Side.RIGHT, "right": Side.RIGHT}


def read_table(
    path: Path,
    *,
    separator: str = ",",
    needs: Iterable[str] = (),
    keep: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The rows of a text table, column -> cell, headers and cells without blanks and line ends around them.

    needs    columns that must be there
    keep     further columns to keep where they are there, and with `needs` all that a row then has; None: keep all
    renamed  header as some copies write it -> the name that `needs`, `keep` and the caller use
    Rows without any text are dropped. Raises SetupError if the file is missing, empty, lacks a column, names one
    twice, or holds a row with more cells than columns.
    """
    return list(stream_table(path, separator=separator, needs=needs, keep=keep, renamed=renamed))


def stream_table(
    path: Path,
    *,
    separator: str = ",",
    needs: Iterable[str] = (),
    keep: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """The rows of read_table one at a time, for tables that are too large to hold; errors come with the rows."""
    try:
        with path.open(encoding=_encoding_of(path), newline="") as file:
            lines = csv.reader(file, delimiter=separator)
            yield from stream_rows(lines, path.name, needs=needs, keep=keep, renamed=renamed)
    except OSError as error:
        raise SetupError(f"{path.name}: cannot be read ({error.strerror}); need this table of the set") from None
    except csv.Error as error:
        raise SetupError(f"{path.name}: no table of text separated by {separator!r} ({error})") from None


def _encoding_of(path: Path) -> str:
    """UTF-8 where the whole file is; else Latin-1: spreadsheets write notes so, and labels are ASCII in both."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


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
    lines: Iterable[Sequence[str]], name: str, *, needs: Iterable[str], renamed: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Lines of cells, the first one the header, as rows; see read_table. name: of the file, for messages."""
    return list(stream_rows(lines, name, needs=needs, renamed=renamed))


def stream_rows(
    lines: Iterable[Sequence[str]],
    name: str,
    *,
    needs: Iterable[str],
    keep: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """The rows of rows_of one at a time; see read_table."""
    needs, numbered = tuple(needs), enumerate(lines, start=1)
    first = next(numbered, None)
    if first is None:
        raise SetupError(f"{name}: an empty table, need its header and rows")
    header = [cell.strip() for cell in first[1]]
    header = [(renamed or {}).get(column, column) for column in header]
    missing = [column for column in needs if column not in header]
    if missing:
        raise SetupError(f"{name}: no column {', '.join(missing)}; found {', '.join(filter(None, header)) or 'none'}")
    kept = None if keep is None else {*needs, *keep}
    places = [(at, column) for at, column in enumerate(header) if column and (kept is None or column in kept)]
    counts = Counter(column for column in header if column)
    doubled = sorted(column for column, count in counts.items() if count > 1 and (kept is None or column in kept))
    if doubled:
        raise SetupError(f"{name}: the column {', '.join(doubled)} is there twice, need it once")
    for number, line in numbered:
        if not any(map(str.strip, line)):
            continue
        if any(map(str.strip, line[len(header) :])):
            raise SetupError(f"{name}, row {number}: found {len(line)} cells, the header has {len(header)}")
        yield {column: line[at].strip() if at < len(line) else "" for at, column in places}


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
