"""manifest.parquet: one row per image of a prepared set, its columns, written and read (rows: manifest_rows)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import SetupError
from fourview.store.manifest_rows import check_rows
from fourview.whole_files import write_whole

FILE = "manifest.parquet"
FORMAT = "fourview store 2"
FORMAT_KEY = "fourview"  # of the Parquet file's own metadata

LESION = pl.Struct(
    {
        "lesion": pl.String,
        "kind": pl.String,
        "pathology": pl.String,
        "high_risk": pl.Boolean,
        "descriptors": pl.String,
        "top": pl.Int32,
        "bottom": pl.Int32,
        "left": pl.Int32,
        "right": pl.Int32,
        "mask": pl.Int32,
    }
)


@dataclass(frozen=True)
class Column:
    """One column. filled: which rows must have a value: "all", "prepared" (or stored), "" for none."""

    name: str
    dtype: Any  # a polars type, given as a class or an instance
    filled: str
    meaning: str


_BEFORE = (
    Column("dataset", pl.String, "all", "name of the set"),
    Column(
        "patient",
        pl.String,
        "",
        "DATASET/pseudonym (own sets: a key of the site); null: unknown, nothing can be split",
    ),
    Column("exam", pl.String, "all", "the views of one woman on one day"),
    Column("image", pl.String, "all", "unique in the store"),
    Column(
        "file",
        pl.String,
        "all",
        "the image's file, relative to ROOT (own sets and exam lists: its name without ids)",
    ),
    Column("side", pl.String, "", "L, R"),
    Column("angle", pl.String, "all", "CC, MLO, or the set's own word for another one"),
    Column("view", pl.String, "", "L-CC, R-CC, L-MLO, R-MLO; null: not one of them"),
    Column("malignant", pl.Boolean, "", "null: unknown"),
    Column("benign", pl.Boolean, "", "null: unknown; both can be true"),
    Column("high_risk", pl.Boolean, "all", "a benign finding that marks a risk"),
    Column("label_unit", pl.String, "all", "what the labels are labels of: image, breast, exam, patient"),
    Column("label_source", pl.String, "all", "biopsy, birads, registry, unknown"),
    Column("birads", pl.String, "", "as the set writes it: 0 1 2 3 4 4a 4b 4c 5 6"),
    Column("birads_class", pl.Int8, "", "0 incomplete or suspicious, 1 normal, 2 benign (see Labels)"),
    Column("density", pl.String, "", "A, B, C, D"),
    Column("age", pl.Float64, "", "years"),
    Column("vendor", pl.String, "", "of the machine or scanner"),
    Column("date", pl.String, "", "of the exam, as the set writes it"),
    Column("split", pl.String, "", "the official one: train, validation, test"),
    Column("more", pl.String, "all", "the set's other columns: a JSON object of texts, words sorted; {} for none"),
    Column("status", pl.String, "all", "prepared, excluded (by a rule), failed (unreadable)"),
    Column("rule", pl.String, "", "name of the step of flow.json that took the image out; null: prepared"),
    Column("reason", pl.String, "", "the same in words; of failed images the error; null: prepared"),
)
_PIXELS = (
    Column("source_rows", pl.Int32, "prepared", "size of the file's image, pixels"),
    Column("source_cols", pl.Int32, "prepared", ""),
    Column("bits", pl.Int8, "prepared", "stored bits of the file's pixels"),
    Column("pixel_mode", pl.String, "prepared", "stored, presentation (DICOM), file (others)"),
    Column("spacing_mm", pl.Float64, "", "pixel size; null: unknown"),
    Column("faces", pl.String, "prepared", "where the nipple points in the file: left, right"),
    Column("crop_top", pl.Int32, "prepared", "the crop's box in source pixels, half-open"),
    Column("crop_bottom", pl.Int32, "prepared", ""),
    Column("crop_left", pl.Int32, "prepared", ""),
    Column("crop_right", pl.Int32, "prepared", ""),
    Column("mirrored", pl.Boolean, "prepared", "the stored crop is a left-right mirror image: it faces right"),
    Column("gap_px", pl.Int32, "prepared", "pixels between the breast and the chest-wall edge of the file"),
    Column("rows", pl.Int32, "prepared", "size of the stored crop"),
    Column("cols", pl.Int32, "prepared", ""),
    Column("pixels_sha256", pl.String, "prepared", "of the crop's pixels: rows, cols, then values as uint16"),
    Column("blob", pl.String, "prepared", "the stored file, relative to the store"),
    Column("lesions", pl.List(LESION), "all", "the lesions of the image (below)"),
    Column("warnings", pl.List(pl.String), "all", "of the set, the reader and the crop"),
)
COLUMNS: tuple[Column, ...] = (*_BEFORE, *_PIXELS)
LESION_MEANING = {
    "lesion": "the same in two images of an exam: the same finding",
    "kind": "mass, calcification, distortion, asymmetry, other",
    "pathology": "benign, malignant, unknown",
    "high_risk": "benign, but a marker of risk",
    "descriptors": "the set's own words, JSON",
    "top": "box of its mask in crop pixels, half-open; null without a mask",
    "bottom": "",
    "left": "",
    "right": "",
    "mask": "number of its mask in the stored file; null: no outline, or outside the crop",
}
SCHEMA = pl.Schema({column.name: column.dtype for column in COLUMNS})


def make_table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows (one value per column, in any order) as a table of the manifest's types, not checked."""
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def check_manifest(table: pl.DataFrame) -> pl.DataFrame:
    """The table, if it is a manifest. Raises SetupError, which names the column, the row, and what is wrong with it."""
    missing = [name for name in SCHEMA if name not in table.columns]
    if missing:
        raise SetupError(f"{FILE}: no column {', '.join(missing)}; need the columns of {FORMAT!r}")
    unknown = [name for name in table.columns if name not in SCHEMA]
    if unknown:
        raise SetupError(f"{FILE}: unknown column {', '.join(unknown)}; need the columns of {FORMAT!r} and no others")
    for column in COLUMNS:
        if table.schema[column.name] != column.dtype:
            raise SetupError(f"{FILE}: column {column.name} is {table.schema[column.name]}, need {SCHEMA[column.name]}")
    check_rows(table, [(column.name, column.filled == "prepared") for column in COLUMNS if column.filled])
    return table.select(SCHEMA.names())


def write_manifest(folder: Path, table: pl.DataFrame) -> None:
    """manifest.parquet in the folder, whole; the same table gives the same bytes. Raises SetupError, OSError."""
    content = io.BytesIO()
    check_manifest(table).write_parquet(content, metadata={FORMAT_KEY: FORMAT})
    write_whole(folder / FILE, content.getvalue())


def read_manifest(folder: Path) -> pl.DataFrame:
    """The manifest of a store, checked. Raises SetupError if it is missing, of another version, or wrong."""
    path = folder / FILE
    if not path.is_file():
        raise SetupError(f"{folder}: no {FILE} in it: no store, or one whose `prepare` did not end (add --resume)")
    try:
        found = pl.read_parquet_metadata(path).get(FORMAT_KEY)
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise SetupError(f"{path}: cannot be read as Parquet ({type(error).__name__})") from error
    if found != FORMAT:
        raise SetupError(f"{path}: found the format {found!r}, need {FORMAT!r}: prepare the set again")
    return check_manifest(table)


def explain_columns() -> str:
    """The columns as the Markdown table of docs/data.md, which a test holds to it."""
    head = ["| column | type | in | meaning |", "|---|---|---|---|"]
    rows = [f"| {c.name} | {_type(c.dtype)} | {c.filled or 'some'} | {c.meaning} |" for c in COLUMNS]
    lesion = ["| field of `lesions` | type | meaning |", "|---|---|---|"]
    fields = [f"| {f.name} | {_type(f.dtype)} | {LESION_MEANING[f.name]} |" for f in LESION.fields]
    return "\n".join([*head, *rows, "", *lesion, *fields]) + "\n"


def _type(dtype: Any) -> str:
    if isinstance(dtype, pl.List):
        return f"list of {_type(dtype.inner)}"
    return "struct" if isinstance(dtype, pl.Struct) else str(dtype)


def join_tables(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all parts, in order; an empty manifest for none."""
    return pl.concat(parts, rechunk=True) if parts else make_table([])
