"""A CSV file -> a table whose columns are named, typed and checked; every complaint names the file and its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars as pl

from fourview.exam import SetupError, View

SHOWN = 5  # lines or cases that a complaint names; it counts the others

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
}
_SIDES = {"l": "L", "r": "R", "left": "L", "right": "R"}
_VIEWS = {name.lower(): view.value for view in View for name in (view.value, view.value.replace("-", ""))}
_TRUTHS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "no": 0, "yes": 1, "": None, "unknown": None}


@dataclass(frozen=True, eq=False)
class CsvTable:
    """The cells of one file as texts.

    frame  columns renamed as in NAMES where their name is known, others as they are; `line` of each row in the file
    names  of our columns -> what the file calls them
    """

    file: str
    sha256: str
    frame: pl.DataFrame
    names: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> CsvTable:
        """Raises SetupError if the file is no CSV table with a header, or if two columns mean the same."""
        try:
            content = path.read_bytes()
            frame = pl.read_csv(content, infer_schema=False, encoding="utf8")
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
            raise SetupError(f"{path}: cannot be read as a CSV table ({reason})") from error
        if frame.is_empty():
            raise SetupError(f"{path}: found no rows below the header; need one row per unit")
        found: dict[str, str] = {}
        for ours, theirs in NAMES.items():
            own = [column for column in frame.columns if column.strip().lower() in theirs]
            if ours in own and len(own) > 1:  # our own name wins, e.g. exam beside case
                own = [ours]
            if len(own) > 1:
                raise SetupError(f"{path}: found the columns {' and '.join(own)}; need one that means {ours!r}")
            if own:
                found[ours] = own[0]
        frame = frame.rename({theirs: ours for ours, theirs in found.items()})
        frame = frame.with_columns(pl.all().str.strip_chars()).with_row_index("line", offset=2)
        return cls(str(path), sha256(content).hexdigest(), frame, found)

    def need(self, *columns: str) -> None:
        """Raises SetupError if a column is missing."""
        missing = [column for column in columns if column not in self.frame.columns]
        if missing:
            known = {theirs: ours for ours, theirs in self.names.items()}
            own = [known.get(name, name) for name in self.frame.columns if name != "line"]
            raise SetupError(f"{self.file}: found the columns {', '.join(own)}; need {', '.join(missing)}")

    def numbers(self, column: str) -> pl.Series:
        """A column as numbers; null where it is empty. Raises SetupError at a text that is no number."""
        self.need(column)
        texts = self.frame[column]
        values = texts.cast(pl.Float64, strict=False)
        empty = texts.is_null() | (texts == "")
        self.refuse(values.is_null() & ~empty, f"{column}: found {{}} that are no numbers; need numbers", column)
        return values

    def probabilities(self, column: str) -> pl.Series:
        """The same, refused where a number is not one in [0, 1]."""
        values = self.numbers(column)
        wrong = values.is_nan() | (values < 0) | (values > 1)
        percent = "; if these are percentages, divide them by 100" if (values.max() or 0) > 1 else ""  # type: ignore[operator]
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

    def _words(self, column: str, words: dict[str, str], need: str) -> pl.Series:
        if column not in self.frame.columns:
            return pl.Series(column, [None] * self.frame.height, pl.String)
        lowered = self.frame[column].fill_null("").str.to_lowercase()
        self.refuse(~lowered.is_in([*words, ""]), f"{column}: found {{}}; need {need}", column)
        return lowered.replace_strict(words, default=None, return_dtype=pl.String)

    def refuse(self, wrong: pl.Series, message: str, column: str) -> None:
        """Raises SetupError with the message, {} filled with the first values and lines, if any row is wrong."""
        rows = self.frame.filter(wrong.fill_null(False))
        if rows.is_empty():
            return
        head = ", ".join(f"{row[column]!r} (line {row['line']})" for row in rows.head(SHOWN).iter_rows(named=True))
        raise SetupError(f"{self.file}: {message.format(head + and_more(rows.height))}")


def and_more(count: int) -> str:
    """ "" or " and 12 more", of things of which SHOWN are named."""
    return f" and {count - SHOWN:,} more" if count > SHOWN else ""


def name_some(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    return ", ".join(names[:SHOWN]) + and_more(len(names))
