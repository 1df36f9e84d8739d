"""What did not get into a store, and why: the flow diagram, the rules counted, failures, warnings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import SetupError
from fourview.report.data_counts import UNIT_COLUMNS, count_units
from fourview.report.document import Cell, Figure, Section, Table
from fourview.report.number_text import write_count
from fourview.report.plots.flow import FlowStep, draw_flow
from fourview.store.prepare import FAILURES_FILE, FLOW_FILE
from fourview.store.selection import CROP_FAILED, RULES, UNREADABLE, Selection
from fourview.store.store import Store

MOST_FAILURES = 100  # that are listed
MOST_WARNINGS = 30
_READING = (UNREADABLE, CROP_FAILED)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def draw_exclusions(store: Store) -> tuple[Figure, Table]:
    """The flow diagram of a store, and each rule with what it removed."""
    meanings = _rules(store)
    names = list(meanings)
    first, last = names.index(_READING[0]), names.index(_READING[-1]) + 1
    groups = (
        ("Listed by the data set", "Left out before reading", names[:first]),
        ("Selected", "Failed", names[first:last]),
        ("Read and cropped", "Left out after reading", names[last:]),
    )
    left = store.manifest
    steps: list[FlowStep] = []
    numbers: list[dict[str, int | str]] = []
    for title, heading, rules in groups:
        removed = {rule: left.filter(pl.col("rule") == rule).height for rule in rules}
        reasons = [f"{count:,}: {rule} ({meanings[rule]})" for rule, count in removed.items() if count]
        total = sum(removed.values())
        if not total and steps:
            continue  # the same counts again say nothing
        sides = (f"{heading}: {write_count(total, 'image')}", *reasons) if total else ()
        steps.append(FlowStep(title, _say_units(left), sides))
        numbers.append({"step": title, **_units(left), "left out": total})
        left = left.filter(~pl.col("rule").is_in(rules).fill_null(value=False))
    steps.append(FlowStep("Prepared", _say_units(left)))
    numbers.append({"step": "Prepared", **_units(left), "left out": 0})
    data = {name: [row[name] for row in numbers] for name in numbers[0]}
    figure = Figure("flow", "From the data set to the store", draw_flow(steps), "Counts as in the table.", data)
    return figure, _tabulate_rules(store)


def failures_section(store: Store, broken: dict[str, str]) -> Section:
    """Everything that could not be read, with its reason. broken: images of the store that cannot be read any more."""
    rows: list[tuple[Cell, ...]] = [("store", "", image, "broken in the store", why) for image, why in broken.items()]
    rows += _read_failures(store)
    shown = rows[:MOST_FAILURES]
    note = f"{len(shown):,} of {len(rows):,}. " + (
        f"{FAILURES_FILE} of the store lists those of preparing it. Listing: what the data set's importer found wrong: "
        "a file or case that did not become an image, or an image without what the reason says."
    )
    columns = ("what", "file or case", "image", "rule", "reason")
    text = () if rows else ("Nothing failed.",)
    table = Table("failures", "Failures", columns, tuple(shown), note)
    return Section("failures", "Failures", (table,) if rows else (), text)


def tabulate_warnings(images: pl.DataFrame) -> Table | None:
    """Warnings of prepared images by what they say, numbers left out; None where there are none."""
    warned = images.select("image", "warnings").explode("warnings").drop_nulls()
    kinds = warned.with_columns(pl.col("warnings").str.replace_all(_NUMBER.pattern, "N").alias("kind"))
    grouped = kinds.group_by("kind").agg(
        pl.col("image").n_unique().cast(pl.Int64).alias("images"),
        pl.col("image").sort().first().alias("for example"),
    )
    if not len(grouped):
        return None
    grouped = grouped.sort("images", "kind", descending=[True, False])
    rows = grouped.select("kind", "images", "for example").rows()
    note = f"{min(len(rows), MOST_WARNINGS):,} of {len(rows):,} kinds. N stands for a number."
    columns = ("warning", "images", "for example")
    return Table("warnings", "Warnings of prepared images", columns, tuple(rows[:MOST_WARNINGS]), note)


def count_problems(store: Store) -> int:
    """What the importer found wrong with the data set: cases without an image, images without a region, ..."""
    return sum(row[0] == "listing" for row in _read_failures(store))


def _units(images: pl.DataFrame) -> dict[str, int]:
    return dict(zip(UNIT_COLUMNS, images.select(count_units()).row(0), strict=True))


def _say_units(images: pl.DataFrame) -> tuple[str, ...]:
    return tuple(write_count(count, name.removesuffix("s")) for name, count in _units(images).items())


def _tabulate_rules(store: Store) -> Table:
    """Rule by rule, in order, as the store counted them; also those that were not asked for."""
    selection = _read_selection(store)
    left = store.manifest
    rows: list[tuple[Cell, ...]] = []
    for rule, meaning in _rules(store).items():
        before = left.height
        left = left.filter(pl.col("rule").ne_missing(rule))
        applied = "yes" if selection.applies(rule) else "no"
        exams = left.select(count_units()).row(0)[UNIT_COLUMNS.index("exams")]
        rows.append((rule, meaning, applied, before - left.height, left.height, exams))
    columns = ("rule", "what it leaves out", "applied", "images left out", "images left", "exams left")
    note = "In this order: an image that two rules would leave out counts in the first."
    return Table("rules", "Rules of selection", columns, tuple(rows), note)


def _rules(store: Store) -> dict[str, str]:
    """The rules in their order and what they mean, and after them any that only this store knows."""
    found = store.manifest["rule"].drop_nulls().unique().sort().to_list()
    return {**RULES, **{rule: "a rule of another version" for rule in found if rule not in RULES}}


def read_set_warnings(store: Store) -> tuple[str, ...]:
    """What the set's importer said about the set as a whole. Raises SetupError if flow.json cannot be read."""
    return tuple(str(said) for said in _read_flow(store).get("set_warnings", []))


def _read_selection(store: Store) -> Selection:
    """Which rules were asked for. Raises SetupError if flow.json cannot be read."""
    try:
        return Selection(**_read_flow(store)["selection"])
    except (KeyError, TypeError) as error:
        raise _unreadable(store.path / FLOW_FILE, error) from None


def _read_flow(store: Store) -> dict[str, Any]:
    path = store.path / FLOW_FILE
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> SetupError:
    return SetupError(f"{path}: cannot be read ({type(error).__name__}); prepare the set again")


def _read_failures(store: Store) -> list[tuple[str, ...]]:
    path = store.path / FAILURES_FILE
    try:
        table = pl.read_csv(path, infer_schema=False).fill_null("")
        rows = table.select("kind", "file", "image", "rule", "reason").rows()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from None
    return [tuple(row) for row in rows]
