"""A CSV file -> a table whose columns are named, typed and checked; every complaint names the file and its lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars as pl

from fourview.exam import SetupError, View

SHOWN = 5  # lines or cases that a complaint names; it counts the others
LINE = "fourview:line"  # our own column: where each row stands in the file

# What a column may be called in a user's file (any case) -> what it is called here.
NAMES = {
    "exam": ("exam", "exam_id", "case_id", "case"),
    "side": ("side", "laterality", "breast"),
    "view": ("view",),
    "file": ("files", "file"),
    "patient": ("patient", "patient_key", "patient_id"),
    "malignant": ("malignant", "label", "cancer"),
    "benign": ("benign",),
    "status": ("status",),
    "biopsied": ("biopsied",),
    "visible": ("visible",),
    "follow_up_days": ("follow_up_days",),
}
_SIDES = {"l": "L", "r": "R", "left": "L", "right": "R"}
_VIEWS = {name.lower(): view.value for view in View for name in (view.value, view.value.replace("-", ""))}
_TRUTHS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "no": 0, "yes": 1, "": None, "unknown": None}


@dataclass(frozen=True, eq=False)
class CsvTable:
    """The cells of one file as texts.

    frame  columns renamed as in NAMES where their name is known, others as they are; LINE of each row in the file
    names  of our columns -> what the file calls them
    """

    file: str
    sha256: str
    frame: pl.DataFrame
    names: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> CsvTable:
        """Columns may be separated by commas, semicolons or tabs; empty lines do not count.

        Raises SetupError if the file is no such table with a header, or if two columns mean the same.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SetupError(f"{path}: cannot be read as a CSV table ({error.strerror})") from error
        text = _decode(content, path)
        head = next(csv.reader(io.StringIO(text)), [])
        separator = "," if len(head) > 1 else next((s for s in ";\t" if s in "".join(head)), ",")
        header = [name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=separator), [])]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise SetupError(f"{path}: found more than one column {', '.join(map(repr, twice))}; need each name once")
        try:
            frame = pl.read_csv(text.encode(), infer_schema=False, separator=separator)
        except pl.exceptions.PolarsError as error:
            raise SetupError(f"{path}: cannot be read as a CSV table ({str(error).splitlines()[0]})") from error
        frame = frame.rename({old: old.strip() for old in frame.columns}).with_columns(pl.all().str.strip_chars())
        frame = frame.with_columns(_lines(text, frame.height, separator))
        cells = pl.exclude(LINE)
        frame = frame.filter(pl.any_horizontal(cells.is_not_null() & (cells != "")))
        if frame.is_empty():
            raise SetupError(f"{path}: found no rows below the header; need one row per unit")
        found: dict[str, str] = {}
        for ours, theirs in NAMES.items():
            own = [column for column in frame.columns if column.lower() in theirs]
            if ours in own and len(own) > 1:  # our own name wins, e.g. exam beside case
                own = [ours]
            if len(own) > 1:
                raise SetupError(f"{path}: found the columns {' and '.join(own)}; need one that means {ours!r}")
            if own:
                found[ours] = own[0]
        for ours, name in found.items():
            if ours != name and ours in frame.columns:  # e.g. "Exam" beside "exam"
                raise SetupError(f"{path}: found the columns {name} and {ours}; need one that means {ours!r}")
        return cls(str(path), sha256(content).hexdigest(), frame.rename({v: k for k, v in found.items()}), found)

    @property
    def columns(self) -> list[str]:
        """The file's columns under our names."""
        return [name for name in self.frame.columns if name != LINE]

    def need(self, *columns: str) -> None:
        """Raises SetupError if a column is missing."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            own = [self.names.get(name, name) for name in self.columns]
            raise SetupError(f"{self.file}: found the columns {', '.join(own)}; need {', '.join(missing)}")

    def numbers(self, column: str) -> pl.Series:
        """A column as numbers; null where it is empty. Raises SetupError at a text that is no number, or at NaN."""
        self.need(column)
        texts = self.frame[column]
        values = texts.cast(pl.Float64, strict=False)
        empty = texts.is_null() | (texts == "")
        wrong = (values.is_null() & ~empty) | values.is_nan() | values.is_infinite()
        self.refuse(wrong, f"{column}: found {{}} that are no numbers; need numbers", column)
        return values

    def probabilities(self, column: str) -> pl.Series:
        """The same, refused where a number is not one in [0, 1]."""
        values = self.numbers(column)
        largest = float(values.max() or 0)  # type: ignore[arg-type]
        percent = "; if these are percentages, divide them by 100" if largest > 1 else ""
        wrong = (values < 0) | (values > 1)
        self.refuse(wrong, f"{column}: found {{}} outside of [0, 1]; need probabilities{percent}", column)
        return values

    def truths(self, column: str) -> pl.Series:
        """A column of 0, 1, and null where the truth is unknown ("", "unknown")."""
        self.need(column)
        lowered = self.frame[column].fill_null("").str.to_lowercase()
        self.refuse(
            ~lowered.is_in(list(_TRUTHS)), f"{column}: found {{}}; need 0, 1, or nothing where it is unknown", column
        )
        return lowered.replace_strict(_TRUTHS, return_dtype=pl.Int8)

    def sides(self) -> pl.Series:
        """L, R, or null."""
        return self._words("side", _SIDES, "L or R")

    def views(self) -> pl.Series:
        """L-CC, R-CC, L-MLO, R-MLO, or null."""
        return self._words("view", _VIEWS, "L-CC, R-CC, L-MLO or R-MLO")

    def texts(self, column: str) -> pl.Series:
        """A column as it is, null where it is empty or missing."""
        if column not in self.columns:
            return pl.Series(column, [None] * self.frame.height, pl.String)
        return self.frame.select(pl.when(pl.col(column) != "").then(pl.col(column)).alias(column))[column]

    def _words(self, column: str, words: dict[str, str], need: str) -> pl.Series:
        lowered = self.texts(column).str.to_lowercase()
        wrong = lowered.is_not_null() & ~lowered.is_in(list(words))
        if wrong.any():
            self.refuse(wrong, f"{column}: found {{}}; need {need}", column)
        return lowered.replace_strict(words, default=None, return_dtype=pl.String)

    def refuse(self, wrong: pl.Series, message: str, column: str) -> None:
        """Raises SetupError with the message, {} filled with the first values and lines, if any row is wrong."""
        rows = self.frame.filter(wrong.fill_null(False))
        if rows.is_empty():
            return
        shown = rows.head(SHOWN).iter_rows(named=True)
        head = ", ".join(f"{(row[column] or '')!r} (line {row[LINE]})" for row in shown)
        raise SetupError(f"{self.file}: {message.format(head + and_more(rows.height))}")


def _decode(content: bytes, path: Path) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SetupError(f"{path}: found bytes that are no UTF-8 text (at {error.start}); save it as UTF-8") from error


def _lines(text: str, rows: int, separator: str) -> pl.Series:
    """The line of the file on which each row begins: the header is line 1, and quoted cells may hold line breaks."""
    plain = range(2, rows + 2)
    if '"' not in text or text.count("\n") in (rows, rows + 1):
        return pl.Series(LINE, plain, pl.Int64)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    next(reader)
    begins = []
    line = reader.line_num
    for _ in reader:
        begins.append(line + 1)
        line = reader.line_num
    return pl.Series(LINE, begins if len(begins) == rows else plain, pl.Int64)


def and_more(count: int) -> str:
    """ "" or " and 12 more", of things of which SHOWN are named."""
    return f" and {count - SHOWN:,} more" if count > SHOWN else ""


def name_some(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    return ", ".join(names[:SHOWN]) + and_more(len(names))
