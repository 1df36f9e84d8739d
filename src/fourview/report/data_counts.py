"""What a store holds, counted: images, breasts, exams and patients by anything that the manifest says."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fourview.report.document import Cell, Table

MOST_ROWS = 30  # of one table; the rest is one row
UNKNOWN = "not known"
UNIT_COLUMNS = ("images", "malignant images", "breasts", "exams", "patients")
UNIT_NOTE = (
    "Tables count prepared images, and the breasts, exams and patients that they are of: an exam with images in two "
    "rows counts in both. Malignant images: the label of the image is malignant, whatever it is a label of."
)
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
    exam = pl.struct("dataset", "exam")
    breast = pl.struct("dataset", "exam", "side").filter(pl.col("side").is_not_null())
    patient = pl.struct("dataset", "patient").filter(pl.col("patient").is_not_null())
    counts = (
        pl.len(),
        pl.col("malignant").fill_null(value=False).sum(),
        breast.n_unique(),
        exam.n_unique(),
        patient.n_unique(),
    )
    return [count.cast(pl.Int64).alias(name) for count, name in zip(counts, UNIT_COLUMNS, strict=True)]


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
    labelled = images.with_columns(value.cast(pl.String).fill_null(UNKNOWN).alias("_value"))
    grouped = labelled.group_by("_value").agg(count_units())
    place = {text: number for number, text in enumerate(order)}
    place[UNKNOWN] = max(place.get(UNKNOWN, 0), len(grouped) + len(order))  # last
    counts = {str(row[0]): tuple(row[1:]) for row in grouped.rows()}
    values = sorted(counts, key=lambda text: (place.get(text, len(order)), -counts[text][0], text))
    kept, rest = values[:MOST_ROWS], values[MOST_ROWS:]
    rows: list[tuple[Cell, ...]] = [(text, *counts[text]) for text in kept]
    if rest:
        together = labelled.filter(pl.col("_value").is_in(rest)).select(count_units()).row(0)
        rows.append((f"{len(rest):,} further values", *together))
    return Table(name, title, ("", *UNIT_COLUMNS), tuple(rows), note)


def tabulate_totals(manifest: pl.DataFrame) -> Table:
    """Listed, prepared, excluded and failed, of each data set and all together."""
    rows: list[tuple[Cell, ...]] = []
    sets = manifest["dataset"].unique().sort().to_list()
    for dataset in (*sets, None) if len(sets) > 1 else sets:
        own = manifest if dataset is None else manifest.filter(pl.col("dataset") == dataset)
        for status in (None, "prepared", "excluded", "failed"):
            part = own if status is None else own.filter(pl.col("status") == status)
            rows.append((dataset or "all sets", status or "listed", *part.select(count_units()).row(0)))
    return Table("totals", "What became of the images", ("data set", "", *UNIT_COLUMNS), tuple(rows))


def tabulate_sources(images: pl.DataFrame) -> Table:
    """Images by where their labels come from and what they are labels of."""
    cases = (
        ("malignant", pl.col("malignant").fill_null(value=False)),
        ("not malignant", ~pl.col("malignant").fill_null(value=True)),
        ("malignant not known", pl.col("malignant").is_null()),
        ("benign", pl.col("benign").fill_null(value=False)),
        ("benign not known", pl.col("benign").is_null()),
        ("high risk", pl.col("high_risk").fill_null(value=False)),
    )
    by = ("dataset", "label_source", "label_unit")
    grouped = images.group_by(by).agg(
        pl.len().cast(pl.Int64).alias("images"), *(case.sum().cast(pl.Int64).alias(text) for text, case in cases)
    )
    columns = ("data set", "source", "label of the", "images", *(text for text, _ in cases))
    note = (
        "Counts of images. A label of a breast, an exam or a patient is repeated on each of its images: it does not "
        "say that the finding is seen on all of them."
    )
    rows = tuple(grouped.sort(by, nulls_last=True).rows())
    return Table("label_sources", "Where the labels come from", columns, rows, note)


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
