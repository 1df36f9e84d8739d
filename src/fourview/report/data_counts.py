"""What a store holds, counted: images, breasts, exams and patients by anything that the manifest says."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fourview.report.document import Cell, Table
from fourview.store.labels import UNIT_KEYS, UNITS, LabelUnit, known_unit, label_at

MOST_ROWS = 30  # of one table; the rest is one row
UNKNOWN = "not known"
UNIT_COLUMNS = ("images", "breasts", "exams", "patients")
UNIT_NOTE = (
    "Tables count prepared images, and the breasts, exams and patients that they are of: an exam with images in two "
    "rows counts in both. What is malignant is counted in the smallest unit that all labels of the store say something "
    "about: the label of an exam does not say which breast."
)
_ELSEWHERE = "The label of an exam with a finding does not say which breast has it: its breasts are not known."
LABELS = (
    "malignant and benign",
    "malignant",
    "malignant, benign not known",
    "benign",
    "benign, malignant not known",
    "neither",
    "not malignant, benign not known",
    "not benign, malignant not known",
    UNKNOWN,
)


def count_units() -> list[pl.Expr]:
    """What to aggregate rows of a manifest by: the columns of UNIT_COLUMNS, each a count.

    A breast is one side in one exam; images without a side belong to none, images without a patient to no patient.
    """
    return [_count(unit, pl.lit(value=True)).alias(f"{unit}s") for unit in UNITS]


def count_with(column: str, unit: LabelUnit) -> pl.Expr:
    """The images or breasts that are malignant or benign, or the exams or patients with that; see count_units.

    column  "malignant" or "benign"
    unit    what to count: labels of anything larger do not say of a finding where it is, and count none
    """
    name = f"{column} {unit}s" if unit in ("image", "breast") else f"{unit}s with {column} finding"
    return _count(unit, label_at(column, unit).fill_null(value=False)).alias(name)


def _count(unit: LabelUnit, which: pl.Expr) -> pl.Expr:
    key = pl.struct(UNIT_KEYS[unit])
    return key.filter(which & pl.col(UNIT_KEYS[unit][-1]).is_not_null()).n_unique().cast(pl.Int64)


def label_of() -> pl.Expr:
    """One of LABELS per image: two questions, each yes, no or not known."""
    malignant, benign = pl.col("malignant"), pl.col("benign")
    both, neither = malignant & benign, ~malignant & ~benign
    found = pl.lit(UNKNOWN)
    for case, text in reversed(
        [
            (both, LABELS[0]),
            (malignant & ~benign, LABELS[1]),
            (malignant & benign.is_null(), LABELS[2]),
            (~malignant & benign, LABELS[3]),
            (malignant.is_null() & benign, LABELS[4]),
            (neither, LABELS[5]),
            (~malignant & benign.is_null(), LABELS[6]),
            (malignant.is_null() & ~benign, LABELS[7]),
        ]
    ):
        found = pl.when(case.fill_null(value=False)).then(pl.lit(text)).otherwise(found)
    return found


def tabulate_by(
    name: str, title: str, images: pl.DataFrame, value: pl.Expr, *, order: Sequence[str] = (), note: str = ""
) -> Table:
    """One row per value of an expression over the images, null as "not known".

    order  the values that come first, in this order; the others follow, the most frequent first
    """
    counts_of = [*count_units(), count_with("malignant", known_unit(images))]
    labelled = images.with_columns(value.cast(pl.String).fill_null(UNKNOWN).alias("_value"))
    grouped = labelled.group_by("_value").agg(counts_of)
    place = {text: number for number, text in enumerate(order)}
    place[UNKNOWN] = max(place.get(UNKNOWN, 0), len(grouped) + len(order))  # last
    counts = {str(row[0]): tuple(row[1:]) for row in grouped.rows()}
    values = sorted(counts, key=lambda text: (place.get(text, len(order)), -counts[text][0], text))
    kept, rest = values[:MOST_ROWS], values[MOST_ROWS:]
    rows: list[tuple[Cell, ...]] = [(text, *counts[text]) for text in kept]
    if rest:
        together = labelled.filter(pl.col("_value").is_in(rest)).select(counts_of).row(0)
        rows.append((f"{len(rest):,} further values", *together))
    return Table(name, title, ("", *grouped.columns[1:]), tuple(rows), note)


def tabulate_totals(manifest: pl.DataFrame) -> Table:
    """Listed, prepared, excluded and failed, of each data set and all together."""
    counts = [*count_units(), count_with("malignant", known_unit(manifest))]
    rows: list[tuple[Cell, ...]] = []
    sets = manifest["dataset"].unique().sort().to_list()
    for dataset in (*sets, None) if len(sets) > 1 else sets:
        own = manifest if dataset is None else manifest.filter(pl.col("dataset") == dataset)
        for status in (None, "prepared", "excluded", "failed"):
            part = own if status is None else own.filter(pl.col("status") == status)
            rows.append((dataset or "all sets", status or "listed", *part.select(counts).row(0)))
    columns = ("data set", "", *manifest.head(0).select(counts).columns)
    return Table("totals", "What became of the images", columns, tuple(rows))


def tabulate_labels(images: pl.DataFrame) -> list[Table]:
    """A table for each unit that labels are of, each of it in one row; also of breasts, where labels are of more.

    A unit has a finding where one of its images has it. The breasts of an exam or a patient with a finding are not
    known: nothing says which of them has it.
    """
    there = [unit for unit in UNITS if unit in set(images["label_unit"])]
    larger = not {"exam", "patient"}.isdisjoint(there)
    tables = []
    for unit in dict.fromkeys((*there, "breast") if larger else there):
        labels = [
            label_at(column, unit).any(ignore_nulls=False).over(UNIT_KEYS[unit]) for column in ("malignant", "benign")
        ]
        known = images.filter(pl.col(UNIT_KEYS[unit][-1]).is_not_null()).with_columns(labels)
        shown = dict.fromkeys((unit, "image", *UNITS[UNITS.index(unit) :]))
        counts = [_count(of, pl.lit(value=True)).alias(f"{of}s") for of in shown]
        grouped = known.with_columns(label_of().alias("_label")).group_by("_label").agg(counts)
        found = {str(row[0]): tuple(row[1:]) for row in grouped.rows()}
        rows: list[tuple[Cell, ...]] = [(text, *found[text]) for text in LABELS if text in found]
        note = _ELSEWHERE if unit == "breast" and larger else ""
        tables.append(
            Table(f"labels_{unit}", f"Labels of {unit}s", (f"{unit}s with", *grouped.columns[1:]), tuple(rows), note)
        )
    return tables


def tabulate_sources(images: pl.DataFrame) -> Table:
    """What labels are labels of, counted, by where they come from."""
    cases = {
        "malignant": pl.col("malignant").fill_null(value=False),
        "not malignant": ~pl.col("malignant").fill_null(value=True),
        "malignant not known": pl.col("malignant").is_null(),
        "benign": pl.col("benign").fill_null(value=False),
        "benign not known": pl.col("benign").is_null(),
        "high risk": pl.col("high_risk"),
    }
    rows: list[tuple[Cell, ...]] = []
    for unit in UNITS:
        each = (
            images.filter(label_unit=unit)
            .group_by("label_source", *UNIT_KEYS[unit])
            .agg(pl.len().alias("images"), pl.col("malignant", "benign", "high_risk").any(ignore_nulls=False))
        )
        counts = (pl.len(), pl.col("images").sum(), *(case.sum().alias(text) for text, case in cases.items()))
        grouped = each.group_by("dataset", "label_source").agg(count.cast(pl.Int64) for count in counts)
        rows += [(*row[:2], unit, *row[2:]) for row in grouped.rows()]
    columns = ("data set", "source", "label of the", "how many", "images", *cases)
    note = (
        "Counts of what the labels are of; images: those that the labels are repeated on, whether the finding is seen "
        "on them or not."
    )
    return Table("label_sources", "Where the labels come from", columns, tuple(sorted(rows, key=str)), note)


def tabulate_lesions(images: pl.DataFrame) -> Table | None:
    """Lesions by kind and pathology; None where no image names one."""
    lesions = explode_lesions(images)
    if not len(lesions):
        return None
    outlined = pl.col("mask").is_not_null()
    grouped = lesions.group_by("kind", "pathology").agg(
        pl.struct("dataset", "exam", "lesion").n_unique().cast(pl.Int64).alias("lesions"),
        pl.struct("dataset", "exam", "image").n_unique().cast(pl.Int64).alias("images"),
        pl.struct("dataset", "patient")
        .filter(pl.col("patient").is_not_null())
        .n_unique()
        .cast(pl.Int64)
        .alias("patients"),
        outlined.sum().cast(pl.Int64).alias("outlines"),
        (~outlined).sum().cast(pl.Int64).alias("without outline"),
    )
    return Table(
        "lesions",
        "Lesions",
        tuple(grouped.columns),
        tuple(grouped.sort("kind", "pathology").rows()),
        "A lesion that two images of an exam show is one lesion with two outlines. Without: the data set gives no "
        "place, or it lies outside the crop.",
    )


def explode_lesions(images: pl.DataFrame) -> pl.DataFrame:
    """One row per lesion and image: what the image is, and the fields of the lesion."""
    return (
        images.filter(pl.col("lesions").list.len() > 0)
        .select("dataset", "patient", "exam", "image", "rows", "cols", "lesions")
        .explode("lesions")
        .unnest("lesions")
    )
