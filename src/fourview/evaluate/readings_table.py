"""Readings and truths, each a CSV table -> units: what was said about each, and what was true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.columns import NAMES, CsvTable, name_some
from fourview.evaluate.population import FlowStep, Population, take_population
from fourview.exam import Finding, SetupError, hash_label

Unit = Literal["image", "breast", "exam", "patient"]
UNITS: tuple[Unit, ...] = ("image", "breast", "exam", "patient")  # from fine to coarse
_KEYS = {"image": ["exam", "view"], "breast": ["exam", "side"], "exam": ["exam"], "patient": ["patient"]}
_LARGEST = {"biopsied", "visible", "follow_up_days"}  # of the rows that make a unit
SCREENING = Population()


@dataclass(frozen=True, eq=False)
class Units:
    """The units of an evaluation, each once, in the order of the truth table.

    keys        per unit, e.g. "3f2a L"
    truth       (n,) True: the finding is there;  scores  (n,) in [0, 1]
    clusters    (n,) labels of the exam or patient that each unit belongs to: `cluster`
    table       one row per unit: exam, side, patient and every other column of the truth table, as texts
    flow        from the truth table to the units analysed
    unread      (positives, negatives) that have a truth but no score: failed exams, and what `inner` dropped
    readings_of  what the readings say of themselves: model, weights_hash (empty if they do not)
    files       (what, name, sha256) of the tables
    notes       what a reader of the numbers must know about how the tables were joined
    """

    unit: Unit
    finding: Finding
    keys: tuple[str, ...]
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    clusters: NDArray[Any]
    cluster: Literal["exam", "patient"]
    table: pl.DataFrame
    population: Population
    flow: tuple[FlowStep, ...]
    unread: tuple[int, int]
    readings_of: Mapping[str, str]
    files: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def positives(self) -> int:
        return int(self.truth.sum())


def load_units(
    readings: Path,
    truth: Path,
    *,
    unit: Unit = "breast",
    cluster: Literal["exam", "patient"] | None = None,
    finding: Finding = "malignant",
    score: str | None = None,
    inner: bool = False,
    population: Population = SCREENING,
) -> Units:
    """The units that both tables speak of.

    readings    a row per image, breast or exam, e.g. readings.csv of `fourview screen`
    truth       a row per image, breast, exam or patient: exam (its id, or the name that the id is a hash of), side,
                view, patient; malignant, benign (0, 1, nothing = unknown); biopsied, visible, follow_up_days;
                any other column can name subgroups
    unit        finer rows are joined: a breast's score is the mean over its images (as upstream), an exam's the
                larger one of its breasts, a patient's the largest of her exams; any positive makes a unit positive
    cluster     what intervals take as independent; None: patient if every unit has one, else exam
    score       column of the readings; None: p_malignant or p_benign
    inner       drop units that only one table has, and count them, instead of refusing

    Raises SetupError, naming file, column and lines: missing columns, values out of range, mixed units, duplicates,
    units that only one table has, tables that are coarser than the unit.
    """
    given, true = CsvTable.read(readings), CsvTable.read(truth)
    said, failed, facts = _read_readings(given, score or f"p_{finding}", unit)
    known = _read_truth(true, finding, unit, exams=set(said["exam"].to_list()) | failed)
    said = _coarsen_scores(said, given.file, unit)
    keys = [key for key in (*_KEYS[unit], *(["file"] if unit == "image" else [])) if key in known.columns]
    if unit == "image" and "file" not in known.columns:
        said = said.drop("file")
    _refuse_duplicates(said, given.file, keys)

    notes = _marks(given)
    if not (orphans := said.join(known, on=keys, how="anti")).is_empty():
        what = f"{orphans.height:,} {unit}s of {given.file} have no row in {true.file}"
        if not inner:
            raise SetupError(
                f"{what}: {name_some(_key_texts(orphans, keys))}; need their truth, or --inner to drop them"
            )
        notes.append(f"{what} and were dropped (--inner): nothing is known about them")
    flow = [_step("in the truth table", known, removed=False)]
    for rule, gone in take_population(true, known, population):
        flow.append(_step(rule, known.filter(gone)))
        known = known.filter(~gone)
    if unknown := int(known["truth"].null_count()):
        notes.append(f"{unknown:,} {unit}s of unknown truth count as negative")
    known = known.with_columns(pl.col("truth").fill_null(0))

    unread = known.join(said, on=keys, how="anti")
    in_failed = unread.filter(pl.col("exam").is_in(list(failed))) if "exam" in unread.columns else unread.clear()
    missing = unread.join(in_failed, on=keys, how="anti")
    if not missing.is_empty() and not inner:
        raise SetupError(
            f"{missing.height:,} {unit}s of {true.file} have no row in {given.file}: "
            f"{name_some(_key_texts(missing, keys))}; need their readings, or --inner to drop them"
        )
    flow += [_step("the exam failed to be read", in_failed), _step("no reading (--inner)", missing)]
    both = known.join(said, on=keys, how="inner", suffix="_said", maintain_order="left")
    if both.is_empty():
        raise SetupError(
            f"{given.file} and {true.file}: found no {unit} in both that the {population} takes; need some"
        )
    flow.append(_step("analysed", both, removed=False))
    both, cluster = _cluster(both, cluster, files=f"{given.file} and {true.file}")
    positives = int(unread["truth"].sum())
    return Units(
        unit,
        finding,
        tuple(_key_texts(both, keys)),
        both["truth"].to_numpy().astype(bool),
        both["score"].to_numpy(),
        both[cluster].to_numpy(),
        cluster,
        both.drop("score", "truth", "line", *(name for name in both.columns if name.endswith("_said")), strict=False),
        population,
        tuple(step for step in flow if step.units or not step.removed),
        (positives, unread.height - positives),
        facts,
        (("readings", given.file, given.sha256), ("truth", true.file, true.sha256)),
        tuple(notes),
    )


def _read_readings(table: CsvTable, score: str, unit: Unit) -> tuple[pl.DataFrame, set[str], dict[str, str]]:
    """Rows that were read (places, score), exams that failed, what the table says of itself."""
    frame = table.frame
    if "exam" not in frame.columns and "patient" not in frame.columns:
        table.need("exam")
    read = pl.Series([True] * frame.height)
    if "status" in frame.columns:
        read = frame["status"].fill_null("read").str.to_lowercase() != "failed"
    failed = set(frame.filter(~read)["exam"].to_list()) if "exam" in frame.columns else set()
    values = table.probabilities(score)
    empty = f"{score}: found {{}} empty; need a probability in every row, or status failed"
    table.refuse(read & values.is_null(), empty, score)
    rows = _places(table).with_columns(score=values).filter(read)
    if rows.is_empty():
        raise SetupError(f"{table.file}: found {len(failed)} failed exams and no exam that was read; need readings")
    level = _level(rows, table)
    if UNITS.index(level) > UNITS.index(unit):
        raise SetupError(f"{table.file}: found one row per {level}; need one per {unit} or finer")
    facts: dict[str, str] = {}
    for name in ("model", "weights_hash"):
        if name in frame.columns:
            found = frame[name].drop_nulls().unique().to_list()
            if len(found) > 1:
                raise SetupError(f"{table.file}: found readings of {len(found)} models ({name_some(found)}); need one")
            facts[name] = found[0] if found else ""
    return rows, failed, facts


def _marks(table: CsvTable) -> list[str]:
    """What the readings' column `marks` says against them: untrained weights, another pixel size, ..."""
    if "marks" not in table.frame.columns:
        return []
    counts = table.frame.filter(pl.col("marks").fill_null("") != "")["marks"].value_counts(sort=True)
    return [f"marked readings: {mark} ({count:,} of {table.frame.height:,} rows)" for mark, count in counts.iter_rows()]


def _read_truth(table: CsvTable, finding: Finding, unit: Unit, *, exams: set[str]) -> pl.DataFrame:
    """One row per unit: its places, truth (null: unknown), what populations need, and all other columns."""
    rows = _places(table).with_columns(truth=table.truths(finding))
    frame = table.frame
    for name in ("biopsied", "visible"):
        if name in frame.columns:
            rows = rows.with_columns(table.truths(name).alias(name))
    if "biopsied" not in frame.columns and {"malignant", "benign"} <= set(frame.columns):
        either = (table.truths("malignant").fill_null(0) == 1) | (table.truths("benign").fill_null(0) == 1)
        rows = rows.with_columns(biopsied=either.cast(pl.Int8))
    if "follow_up_days" in frame.columns:
        rows = rows.with_columns(follow_up_days=table.numbers("follow_up_days"))
    others = [name for name in frame.columns if name not in {*rows.columns, *NAMES, "line"}]
    rows = rows.with_columns(frame[name] for name in others)
    level = _level(rows, table)
    if UNITS.index(level) > UNITS.index(unit):
        raise SetupError(f"{table.file}: found one truth per {level}; need one per {unit} or finer")
    keys = [key for key in (*_KEYS[level], "file") if key in rows.columns and not rows[key].is_null().all()]
    _refuse_duplicates(rows, table.file, keys)
    if "exam" in rows.columns:
        rows = rows.with_columns(pl.Series("exam", _as_ids(rows["exam"].to_list(), exams), pl.String))
    if rows["file"].is_null().all() or unit != "image":
        rows = rows.drop("file")
    if level == unit:
        return rows
    by = _KEYS[unit]
    # A positive among unknown ones is positive; a negative among them is unknown.
    positive, unknown = pl.col("truth").max() == 1, pl.col("truth").null_count() > 0
    joined = [pl.when(positive).then(1).when(unknown).then(None).otherwise(0).cast(pl.Int8).alias("truth")]
    for name in rows.columns:
        if name in _LARGEST:
            joined.append(pl.col(name).max())
        elif name not in {*by, "truth"}:
            joined.append(pl.when(pl.col(name).n_unique() == 1).then(pl.col(name).first()).alias(name))
    return rows.group_by(by, maintain_order=True).agg(joined)


def _places(table: CsvTable) -> pl.DataFrame:
    """exam, side, view, file, patient of every row, null where the table does not say; line."""
    frame = table.frame
    sides, views = table.sides(), table.views()
    of_views = views.str.slice(0, 1)
    if (wrong := (sides != of_views).fill_null(False)).any():
        lines = [str(line) for line in frame.filter(wrong)["line"]]
        raise SetupError(
            f"{table.file}: found a side that is not the view's, in lines {name_some(lines)}; need one of them"
        )
    columns = [
        pl.Series("side", sides.zip_with(sides.is_not_null(), of_views)),
        views.alias("view"),
        *(
            (frame[name] if name in frame.columns else pl.Series(name, [None] * frame.height, pl.String)).alias(name)
            for name in ("exam", "file", "patient")
        ),
    ]
    empty = pl.when(pl.col("patient") != "").then(pl.col("patient")).alias("patient")
    return pl.DataFrame([frame["line"], *columns]).with_columns(empty)


def _level(rows: pl.DataFrame, table: CsvTable) -> Unit:
    """What one row stands for. Raises SetupError if some rows stand for one thing and some for another."""
    for unit, column in (("image", "view"), ("breast", "side"), ("exam", "exam"), ("patient", "patient")):
        missing = rows.filter(pl.col(column).is_null() | (pl.col(column) == ""))
        if missing.is_empty():
            return unit  # type: ignore[return-value]
        if missing.height < rows.height:
            lines = name_some([str(line) for line in missing["line"]])
            raise SetupError(
                f"{table.file}: mixed units: found a {column} in {rows.height - missing.height:,} rows and none in "
                f"{missing.height:,} (lines {lines}); need one kind of row"
            )
    raise SetupError(f"{table.file}: found no exam and no patient; need one of them in every row")


def _coarsen_scores(rows: pl.DataFrame, file: str, unit: Unit) -> pl.DataFrame:
    """One row per unit: the mean over the images of a breast, then the largest."""
    rows = rows.drop("line")
    if unit == "image":
        return rows.drop("side")
    by = ["exam", "side", "patient"]
    if not rows["view"].is_null().all():
        _refuse_duplicates(rows, file, ["exam", "view", "file"])
        rows = rows.group_by(by, maintain_order=True).agg(pl.col("score").mean())
    else:
        _refuse_duplicates(rows, file, [name for name in by if not rows[name].is_null().all()][:2])
        rows = rows.select(*by, "score")
    if unit == "breast":
        return rows
    rows = rows.drop("side")
    if unit == "exam":
        return rows.group_by(["exam", "patient"], maintain_order=True).agg(pl.col("score").max())
    if rows["patient"].null_count():
        raise SetupError(f"{file}: found {rows['patient'].null_count()} rows without a patient; need one in every row")
    return rows.group_by("patient", maintain_order=True).agg(pl.col("score").max())


def _refuse_duplicates(rows: pl.DataFrame, file: str, keys: list[str]) -> None:
    twice = rows.filter(pl.struct(keys).is_duplicated())
    if not twice.is_empty():
        names = list(dict.fromkeys(_key_texts(twice, keys)))
        raise SetupError(f"{file}: found {len(names)} units more than once: {name_some(names)}; need each once")


def _as_ids(names: list[str], exams: set[str]) -> list[str]:
    """Exam ids as the readings have them: a name whose hash is an id there stands for it."""
    return [name if name in exams or (hashed := hash_label(name)) not in exams else hashed for name in names]


def _cluster(
    both: pl.DataFrame, cluster: Literal["exam", "patient"] | None, *, files: str
) -> tuple[pl.DataFrame, Literal["exam", "patient"]]:
    """`patient` filled from either table, and the column that names clusters."""
    if "patient_said" in both.columns:
        both = both.with_columns(pl.coalesce("patient_said", "patient").alias("patient"))
    complete = {name for name in ("exam", "patient") if name in both.columns and both[name].null_count() == 0}
    chosen = cluster or ("patient" if "patient" in complete else "exam")
    if chosen not in complete:
        found = both[chosen].null_count() if chosen in both.columns else both.height
        raise SetupError(f"{files}: found {found:,} of {both.height:,} units without {chosen}; need it in every row")
    return both, chosen


def _key_texts(rows: pl.DataFrame, keys: list[str]) -> list[str]:
    return rows.select(pl.concat_str([pl.col(key).fill_null("") for key in keys], separator=" ").str.strip_chars())[
        :, 0
    ].to_list()


def _step(what: str, rows: pl.DataFrame, *, removed: bool = True) -> FlowStep:
    return FlowStep(what, rows.height, int(rows["truth"].fill_null(0).sum()), removed)
