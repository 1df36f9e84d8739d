"""The rows of a readings or truth table by what they stand for, and finer rows joined into coarser units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl

from fourview.evaluate.columns import LINE, NAMES, CsvTable, name_some
from fourview.exam import Finding, SetupError

Unit = Literal["image", "breast", "exam", "patient"]
UNITS: tuple[Unit, ...] = ("image", "breast", "exam", "patient")  # from fine to coarse
KEYS: dict[Unit, list[str]] = {
    "image": ["exam", "view"],
    "breast": ["exam", "side"],
    "exam": ["exam"],
    "patient": ["patient"],
}
# Our own columns, named as no column of a file is.
SCORE, TRUTH, UNREAD, NUMBER = "fourview:score", "fourview:truth", "fourview:unread", "fourview:number"
DIFFERS = "(differs within the unit)"


def coarser(first: Unit, second: Unit) -> Unit:
    return max(first, second, key=UNITS.index)


def read_scores(table: CsvTable, score: str) -> tuple[pl.DataFrame, Unit, set[str]]:
    """Rows that were read (places, SCORE), what one stands for, and the exams that failed."""
    read = pl.Series([True] * table.frame.height)
    if "status" in table.columns:
        read = table.texts("status").fill_null("read").str.to_lowercase() != "failed"
    failed = set(table.texts("exam").filter(~read).drop_nulls().to_list())
    values = table.probabilities(score)
    empty = f"{score}: found {{}} empty; need a probability in every row, or status failed"
    table.refuse(read & values.is_null(), empty, score)
    rows = _places(table).with_columns(values.alias(SCORE)).filter(read)
    if rows.is_empty():
        raise SetupError(f"{table.file}: found {len(failed)} failed exams and no exam that was read; need readings")
    level = _level(rows, table)
    refuse_duplicates(rows, table.file, _full_keys(rows, level))
    return rows.drop(LINE), level, failed


def read_truths(table: CsvTable, finding: Finding) -> tuple[pl.DataFrame, Unit]:
    """Every row (places, TRUTH, what populations need, all other columns) and what one stands for."""
    rows = _places(table).with_columns(table.truths(finding).alias(TRUTH))
    kinds = [name for name in ("biopsied", "malignant", "benign") if name in table.columns]
    if "biopsied" in kinds or {"malignant", "benign"} <= set(kinds):  # a finding of either kind was biopsied
        either = [table.truths(name).fill_null(0) == 1 for name in kinds]
        rows = rows.with_columns(
            pl.DataFrame(either).select(pl.any_horizontal(pl.all()).cast(pl.Int8).alias("biopsied"))
        )
    if "visible" in table.columns:
        rows = rows.with_columns(table.truths("visible").alias("visible"))
    if "follow_up_days" in table.columns:
        rows = rows.with_columns(table.numbers("follow_up_days").alias("follow_up_days"))
    others = [name for name in table.columns if name not in {*rows.columns, *NAMES}]
    rows = rows.with_columns(table.frame[name] for name in others)
    level = _level(rows, table)
    refuse_duplicates(rows, table.file, _full_keys(rows, level))
    return rows.drop(LINE), level


def join_scores(rows: pl.DataFrame, level: Unit, unit: Unit) -> pl.DataFrame:
    """One row per unit: the mean over the images of a breast (as upstream), then the largest."""
    if level == "image" and unit != "image":
        by = ["exam", "side"]
        rows = rows.group_by(by, maintain_order=True).agg(
            *_flags(rows), pl.col(SCORE).mean(), pl.col("patient").first()
        )
        level = "breast"
    if level == unit:
        return rows
    keep = [pl.col("patient").first()] if unit != "patient" else []
    grouped = rows.group_by(KEYS[unit], maintain_order=True)
    return grouped.agg(*_flags(rows), pl.col(SCORE).max(), *keep)


def join_truths(rows: pl.DataFrame, level: Unit, unit: Unit) -> pl.DataFrame:
    """One row per unit. A positive among unknown ones is positive; a negative among them is unknown."""
    if level == unit:
        return rows
    positive, unknown = pl.col(TRUTH).max() == 1, pl.col(TRUTH).null_count() > 0
    joined = [pl.when(positive).then(1).when(unknown).then(None).otherwise(0).cast(pl.Int8).alias(TRUTH), *_flags(rows)]
    days = pl.col("follow_up_days")
    rules = {
        "biopsied": pl.col("biopsied").max(),
        "visible": pl.col("visible").filter(pl.col(TRUTH) == 1).max(),  # of positives: one that can be seen is enough
        "follow_up_days": pl.when(days.null_count() == 0).then(days.min()),
        "patient": pl.col("patient").first(),
        NUMBER: pl.col(NUMBER).first(),
    }
    for name in rows.columns:
        if name in rules and name not in KEYS[unit]:
            joined.append(rules[name].alias(name))
        elif name not in {*KEYS[unit], TRUTH, UNREAD, *rules}:
            same = pl.col(name).n_unique() == 1
            joined.append(pl.when(same).then(pl.col(name).first()).otherwise(pl.lit(DIFFERS)).alias(name))
    return rows.group_by(KEYS[unit], maintain_order=True).agg(joined)


def _flags(rows: pl.DataFrame) -> list[pl.Expr]:
    """A unit that has an unread part is unread."""
    return [pl.col(UNREAD).any()] if UNREAD in rows.columns else []


def key_texts(rows: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    """What units are called: "3f2a L". Patients are numbers, in the order of the truth table."""
    if list(keys) == ["patient"]:
        return (
            [f"patient {number}" for number in rows[NUMBER]] if NUMBER in rows.columns else ["a patient"] * rows.height
        )
    texts = pl.concat_str([pl.col(key).fill_null("") for key in keys], separator=" ").str.strip_chars()
    return rows.select(texts)[:, 0].to_list()


def refuse_duplicates(rows: pl.DataFrame, file: str, keys: Sequence[str]) -> None:
    """Raises SetupError if two rows stand for the same thing."""
    twice = rows.filter(pl.struct(keys).is_duplicated())
    if not twice.is_empty():
        names = list(dict.fromkeys(key_texts(twice, keys)))
        raise SetupError(f"{file}: found {len(names)} units more than once: {name_some(names)}; need each once")


def _full_keys(rows: pl.DataFrame, level: Unit) -> list[str]:
    """What tells rows apart: images of one view also by their file."""
    return [*KEYS[level], *(["file"] if level == "image" and not rows["file"].is_null().all() else [])]


def _places(table: CsvTable) -> pl.DataFrame:
    """exam, side, view, file, patient of every row, null where the table does not say; LINE."""
    if "exam" not in table.columns and "patient" not in table.columns:
        table.need("exam")
    sides, views = table.sides(), table.views()
    of_views = views.str.slice(0, 1)
    if (wrong := (sides != of_views).fill_null(False)).any():
        lines = name_some([str(line) for line in table.frame.filter(wrong)[LINE]])
        raise SetupError(f"{table.file}: found a side that is not the view's, lines {lines}; need one of them")
    side = sides.zip_with(sides.is_not_null(), of_views).alias("side")
    columns = [side, views.alias("view"), *(table.texts(name) for name in ("exam", "file", "patient"))]
    return pl.DataFrame([table.frame[LINE], *columns])


def _level(rows: pl.DataFrame, table: CsvTable) -> Unit:
    """What one row stands for. Raises SetupError if some rows stand for one thing and some for another."""
    levels: tuple[tuple[Unit, str], ...] = (
        ("image", "view"), ("breast", "side"), ("exam", "exam"), ("patient", "patient")
    )  # fmt: skip
    for unit, column in levels:
        missing = rows.filter(pl.col(column).is_null())
        if missing.is_empty():
            return unit
        if missing.height < rows.height:
            lines = name_some([str(line) for line in missing[LINE]])
            raise SetupError(
                f"{table.file}: mixed units: found a {column} in {rows.height - missing.height:,} rows and none in "
                f"{missing.height:,} (lines {lines}); need one kind of row"
            )
    raise SetupError(f"{table.file}: found no exam and no patient; need one of them in every row")
