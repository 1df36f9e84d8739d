"""Readings and truths, each a CSV table -> units: what was said about each, and what was true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.columns import CsvTable, name_some
from fourview.evaluate.population import FlowStep, Population, take_population
from fourview.evaluate.unit_rows import (
    KEYS,
    NUMBER,
    SCORE,
    TRUTH,
    UNITS,
    UNREAD,
    Unit,
    coarser,
    join_scores,
    join_truths,
    key_texts,
    read_scores,
    read_truths,
    refuse_duplicates,
)
from fourview.exam import Finding, SetupError, hash_label

SCREENING = Population()


@dataclass(frozen=True, eq=False)
class Units:
    """The units of an evaluation, each once, in the order of the truth table.

    keys        per unit, e.g. "3f2a L"; patients are numbers in the order of the truth table: no id of theirs goes out
    truth       (n,) True: the finding is there;  scores  (n,) in [0, 1], of the column `score`
    clusters    (n,) labels of the exam or patient that each unit belongs to: `cluster`
    table       one row per unit: exam, side, patient and every other column of the truth table, as texts
    flow        from the truth table to the units analysed
    unread      (positives, negatives) that have a truth but no score, or not of all their parts: failed exams, and what
                `inner` dropped
    readings_of what the readings say of themselves: model, weights_hash (empty if they do not)
    files       (what, name, sha256) of the tables
    patients_from  the table whose patients are used, as ids of two tables may be of two alphabets; "": neither has all
    truth_level what one row of the truth table stood for
    notes       what a reader of the numbers must know about how the tables were joined
    """

    unit: Unit
    finding: Finding
    score: str
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
    patients_from: Literal["readings", "truth", ""] = ""
    truth_level: Unit = "breast"
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
                larger one of its breasts, a patient's the largest of her exams; any positive makes a unit positive;
                a unit with an unread part is unread
    cluster     what intervals take as independent; None: patient if one table names one in every row, else exam
    score       column of the readings; None: p_malignant or p_benign
    inner       drop what only one table has, and count it, instead of refusing

    Raises SetupError, naming file, column and lines: missing columns, values out of range, mixed units, duplicates,
    units that only one table has, tables that are coarser than the unit.
    """
    given, true = CsvTable.read(readings), CsvTable.read(truth)
    column = score or f"p_{finding}"
    said, said_level, failed = read_scores(given, column)
    known, known_level = read_truths(true, finding)
    for table, level in ((given, said_level), (true, known_level)):
        if UNITS.index(level) > UNITS.index(unit):
            raise SetupError(f"{table.file}: found one row per {level}; need one per {unit} or finer")
    known = _name_exams(known, true.file, exams={*said["exam"].drop_nulls().to_list(), *failed}, level=known_level)
    said, known, patients_from, notes = _choose_patients(said, known, unit=unit)
    notes = [*_marks(given), *notes]

    common = coarser(said_level, known_level)
    said, known = join_scores(said, said_level, common), join_truths(known, known_level, common)
    matched, keys, more = _match(said, known, common, failed=failed, inner=inner, names=(given.file, true.file))
    notes += more
    in_failed = pl.col("exam").is_in(list(failed)) if "exam" in matched.columns else pl.lit(False)
    scores = join_scores(matched.select(*_score_columns(matched), UNREAD), common, unit)
    units = join_truths(matched.drop(SCORE), common, unit)
    keys = keys if common == unit else list(KEYS[unit])
    units = units.join(scores.select(*keys, SCORE), on=keys, how="left", maintain_order="left")
    flow = [_step("in the truth table", units, removed=False)]
    for rule, gone in take_population(true, units, population):
        flow.append(_step(rule, units.filter(gone.fill_null(False))))
        units = units.filter(~gone.fill_null(False))
    if unknown := int(units[TRUTH].null_count()):
        notes.append(f"{unknown:,} {unit}s of unknown truth count as negative")
    units = units.with_columns(pl.col(TRUTH).fill_null(0))
    unread = units.filter(pl.col(UNREAD))
    parts = "" if common == unit else f", or not all of its {common}s"
    by_failure = in_failed if "exam" in unread.columns else pl.lit(not inner)  # patients: one reason for all
    flow.append(_step(f"the exam failed to be read{parts}", unread.filter(by_failure)))
    flow.append(_step(f"no reading{parts} (--inner)", unread.filter(~by_failure)))
    both = units.filter(~pl.col(UNREAD))
    if both.is_empty():
        raise SetupError(f"{given.file}, {true.file}: found no {unit} in both that the {population} takes; need some")
    flow.append(_step("analysed", both, removed=False))
    chosen = _choose_cluster(both, cluster, files=f"{given.file} and {true.file}")
    positives = int(unread[TRUTH].sum())
    own = {SCORE, TRUTH, UNREAD, NUMBER}
    return Units(
        unit=unit,
        finding=finding,
        score=column,
        keys=tuple(key_texts(both, keys)),
        truth=both[TRUTH].to_numpy().astype(bool),
        scores=both[SCORE].to_numpy(),
        clusters=both[chosen].to_numpy(),
        cluster=chosen,
        table=both.drop(*(name for name in both.columns if name in own)),
        population=population,
        flow=tuple(step for step in flow if step.units or not step.removed),
        unread=(positives, unread.height - positives),
        readings_of=_describe_readings(given),
        files=(("readings", given.file, given.sha256), ("truth", true.file, true.sha256)),
        patients_from=patients_from,
        truth_level=known_level,
        notes=tuple(notes),
    )


def _match(
    said: pl.DataFrame, known: pl.DataFrame, common: Unit, *, failed: set[str], inner: bool, names: tuple[str, str]
) -> tuple[pl.DataFrame, list[str], list[str]]:
    """The truth rows with SCORE and UNREAD, the keys they were matched by, and notes.

    Parts are matched before they are joined into coarser units: a breast that is missing is no negative one.
    Raises SetupError for rows that only one table has, unless `inner`, or their exam failed.
    """
    files = [Path(name).name for name in names]
    keys = list(KEYS[common])
    if common == "image" and not (said["file"].is_null().any() or known["file"].is_null().any()):
        keys.append("file")
    refuse_duplicates(said, names[0], keys)
    notes = []
    orphans = said.join(known, on=keys, how="anti")
    if not orphans.is_empty():
        what = f"{orphans.height:,} {common}s of {files[0]} have no row in {files[1]}"
        if not inner:
            named = name_some(key_texts(orphans, keys))
            raise SetupError(f"{what}: {named}; need their truth, or --inner to drop them")
        notes.append(f"{what} and were dropped (--inner): nothing is known about them")
    matched = known.join(said.select(*keys, SCORE), on=keys, how="left", maintain_order="left")
    matched = matched.with_columns(pl.col(SCORE).is_null().alias(UNREAD))
    in_failed = pl.col("exam").is_in(list(failed)) if "exam" in matched.columns else pl.lit(False)
    missing = matched.filter(pl.col(UNREAD) & ~in_failed)
    if not missing.is_empty() and not inner:
        raise SetupError(
            f"{missing.height:,} {common}s of {files[1]} have no row in {files[0]}: "
            f"{name_some(key_texts(missing, keys))}; need their readings, or --inner to drop them"
        )
    if "exam" in matched.columns and (unnamed := failed - set(matched["exam"].to_list())):
        notes.append(f"{len(unnamed):,} failed exams have no row in {files[1]}: nothing is known about them")
    return matched, keys, notes


def _score_columns(rows: pl.DataFrame) -> list[str]:
    return [name for name in ("exam", "side", "view", "file", "patient", SCORE) if name in rows.columns]


def _name_exams(known: pl.DataFrame, file: str, *, exams: set[str], level: Unit) -> pl.DataFrame:
    """Exam ids as the readings have them: a name whose hash is an id there stands for it."""
    names = known["exam"].to_list()
    ids = [
        name if name is None or name in exams or (hashed := hash_label(name)) not in exams else hashed for name in names
    ]
    known = known.with_columns(pl.Series("exam", ids, pl.String))
    refuse_duplicates(known, file, [*KEYS[level], *(["file"] if level == "image" else [])])
    return known


def _choose_patients(
    said: pl.DataFrame, known: pl.DataFrame, *, unit: Unit
) -> tuple[pl.DataFrame, pl.DataFrame, Literal["readings", "truth", ""], list[str]]:
    """Both tables with the patients of one of them, and notes: keys and ids of two tables are never mixed.

    The truth's patients if it names one in every row, else the readings'; without exams both must name the same.
    """
    notes: list[str] = []
    by_exam = known["exam"].null_count() == 0 and said["exam"].null_count() == 0
    complete = [table["patient"].null_count() == 0 for table in (known, said)]
    if not by_exam:
        return said, _number_patients(known), "truth" if complete[0] else "", notes
    maps = [table.select("exam", "patient").drop_nulls().unique() for table in (known, said)]
    for own in maps:
        if own["exam"].is_duplicated().any():
            exams = own.filter(pl.col("exam").is_duplicated())["exam"].unique().sort().to_list()
            raise SetupError(f"found exams of two patients: {name_some(exams)}; need one patient per exam")
    if all(complete):
        pairs = maps[0].join(maps[1], on="exam", suffix="_said").select("patient", "patient_said").unique()
        if pairs["patient"].is_duplicated().any() or pairs["patient_said"].is_duplicated().any():
            notes.append("the two tables group exams into patients differently; the truth table's patients are used")
    source: Literal["readings", "truth", ""] = "truth" if complete[0] else "readings" if complete[1] else ""
    if not source and any(not own.is_empty() for own in maps):
        notes.append("some rows name no patient: exams, not patients, are kept together")
    chosen = maps[0] if source == "truth" else maps[1]
    if source:
        said, known = (
            table.drop("patient").join(chosen, on="exam", how="left", maintain_order="left") for table in (said, known)
        )
    if unit == "patient" and known["patient"].null_count():
        raise SetupError(
            f"found {known['patient'].null_count():,} rows of the truth table without a patient; need one in every row "
            "of it, or of the readings"
        )
    return said, _number_patients(known), source, notes


def _number_patients(known: pl.DataFrame) -> pl.DataFrame:
    """With NUMBER: 1, 2, ... in the order in which patients first appear."""
    places: dict[str | None, int] = {}
    numbers = [places.setdefault(label, len(places) + 1) for label in known["patient"].to_list()]
    return known.with_columns(pl.Series(NUMBER, numbers, pl.Int64))


def _choose_cluster(
    both: pl.DataFrame, cluster: Literal["exam", "patient"] | None, *, files: str
) -> Literal["exam", "patient"]:
    complete = {name for name in ("exam", "patient") if name in both.columns and both[name].null_count() == 0}
    chosen = cluster or ("patient" if "patient" in complete else "exam")
    if chosen not in complete:
        found = both[chosen].null_count() if chosen in both.columns else both.height
        raise SetupError(f"{files}: found {found:,} of {both.height:,} units without {chosen}; need it in every row")
    return chosen


def _describe_readings(table: CsvTable) -> dict[str, str]:
    """model and weights_hash. Raises SetupError if the table holds readings of several."""
    facts: dict[str, str] = {}
    for name in ("model", "weights_hash"):
        if name in table.columns:
            found = table.texts(name).drop_nulls().unique().to_list()
            if len(found) > 1:
                raise SetupError(f"{table.file}: found readings of {len(found)} models ({name_some(found)}); need one")
            facts[name] = found[0] if found else ""
    return facts


def _marks(table: CsvTable) -> list[str]:
    """What the readings' column `marks` says against them: untrained weights, another pixel size, ..."""
    counts = table.texts("marks").drop_nulls().value_counts(sort=True)
    return [f"marked readings: {mark} ({count:,} of {table.frame.height:,} rows)" for mark, count in counts.iter_rows()]


def _step(what: str, rows: pl.DataFrame, *, removed: bool = True) -> FlowStep:
    return FlowStep(what, rows.height, int(rows[TRUTH].fill_null(0).sum()), removed)
