"""What a row of the manifest may say: rules, each about one column, and the first row that breaks one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import polars as pl

from fourview.datasets.record import BIRADS, DENSITIES, LESION_KINDS, LabelSource, LabelUnit, Pathology
from fourview.exam import VIEWS, Direction, PixelMode, SetupError, Side
from fourview.store.labels import classify_birads
from fourview.store.selection import CROP_FAILED, RULES, UNREADABLE

STATUSES = ("prepared", "excluded", "failed")
BLOB = r"^images/[0-9a-f]{2}/[0-9a-f]{32}\.h5$"  # prepare_image.name_image, in a folder of its first two digits
STORED = pl.col("blob").is_not_null()  # also images that a rule took out after their pixels had been read
_CLASS_OF = {birads: classify_birads(birads) for birads in BIRADS}
_EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True)
class RowRule:
    """One rule. wrong: of rows that break it (null: not broken); need: what they need instead, in words."""

    column: str
    wrong: pl.Expr
    need: str


def check_rows(table: pl.DataFrame, filled: Iterable[tuple[str, bool]]) -> None:
    """Nothing, if every row is one of a manifest. Raises SetupError, which names the column and the first wrong row.

    table   of the manifest's columns and types, in the order of its file
    filled  (column, True: where there is a stored file or should be; False: in all rows) that must have a value
    """
    asked = {True: (pl.col("status") == "prepared") | STORED, False: pl.lit(True)}
    lacking = [RowRule(name, pl.col(name).is_null() & asked[stored], "a value") for name, stored in filled]
    table = table.with_row_index("row", 1)
    _find_broken(table, [*lacking, *_IN_ROWS])
    lesions = table.select("row", "image", "blob", "rows", "cols", "lesions").explode("lesions")
    lesions = lesions.with_columns(place=pl.int_range(pl.len()).over("row"), there=pl.col("lesions").is_not_null())
    _find_broken(lesions.filter("there").unnest("lesions"), _IN_LESIONS, start="lesions.")


def _find_broken(rows: pl.DataFrame, rules: Sequence[RowRule], *, start: str = "") -> None:
    wrong = rows.select(rule.wrong.fill_null(False).alias(str(number)) for number, rule in enumerate(rules))
    for rule, found in zip(rules, wrong.iter_columns(), strict=True):
        if found.any():
            broken = rows.filter(found)
            first = broken.row(0, named=True)
            more = f" ({broken.height} rows in all)" if broken.height > 1 else ""
            raise SetupError(
                f"manifest.parquet: column {start}{rule.column}, row {first['row']} (image {first['image']!r}): "
                f"found {_show(first[rule.column])}, need {rule.need}{more}"
            )


def _show(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _one_of(column: str, allowed: Iterable[Any]) -> RowRule:
    values = list(allowed)
    return RowRule(column, ~pl.col(column).is_in(values), f"one of {', '.join(map(str, values))}")


def _holds_texts(cell: str) -> bool:
    """True for a JSON object of texts with its words sorted, as image_row writes it."""
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and list(found) == sorted(found) and all(isinstance(v, str) for v in found.values())


_PREPARED = pl.col("status") == "prepared"
_VIEW = pl.when(pl.col("angle").is_in(["CC", "MLO"])).then(pl.concat_str("side", "angle", separator="-"))
_CLASS = pl.col("birads").replace_strict(_CLASS_OF, default=None, return_dtype=pl.Int8)
_IN_ROWS = (
    RowRule("image", pl.col("image").is_duplicated(), "each name once"),
    RowRule("patient", ~pl.col("patient").str.starts_with(pl.col("dataset") + "/"), "the set's name and / before it"),
    _one_of("side", [str(side) for side in Side]),
    _one_of("view", [str(view) for view in VIEWS]),
    RowRule("view", pl.col("view").ne_missing(_VIEW), "the side and angle of its row; nothing for other angles"),
    RowRule("view", _PREPARED & pl.col("view").is_null(), "a view in prepared rows"),
    _one_of("label_unit", get_args(LabelUnit)),
    _one_of("label_source", get_args(LabelSource)),
    _one_of("birads", BIRADS),
    _one_of("birads_class", (0, 1, 2)),
    RowRule(
        "birads_class",
        pl.col("birads").is_not_null() & pl.col("birads_class").ne_missing(_CLASS),
        "the class of the row's birads",
    ),
    _one_of("density", DENSITIES),
    RowRule(
        "more",
        ~pl.col("more").map_elements(_holds_texts, return_dtype=pl.Boolean),
        "a JSON object of texts, words sorted",
    ),
    _one_of("status", STATUSES),
    _one_of("rule", RULES),
    RowRule("rule", pl.col("rule").is_null() != _PREPARED, "the rule that took it out; nothing in prepared rows"),
    RowRule("reason", pl.col("reason").is_null() != _PREPARED, "a reason; nothing in prepared rows"),
    RowRule(
        "rule",
        (pl.col("status") == "failed") != pl.col("rule").is_in([UNREADABLE, CROP_FAILED]),
        f"{UNREADABLE} or {CROP_FAILED} in failed rows, another one in excluded rows",
    ),
    RowRule("blob", STORED & (pl.col("status") == "failed"), "nothing in failed rows"),
    RowRule(
        "blob",
        ~pl.col("blob").str.contains(BLOB) | (pl.col("blob").str.slice(7, 2) != pl.col("blob").str.slice(10, 2)),
        "images/AB/AB....h5, 32 hex digits",
    ),
    RowRule("blob", STORED & pl.col("blob").is_duplicated(), "a file of its own: equal images have two"),
    RowRule("pixels_sha256", ~pl.col("pixels_sha256").str.contains("^[0-9a-f]{64}$"), "64 hex digits"),
    RowRule("bits", ~pl.col("bits").is_between(1, 16), "1 to 16"),
    RowRule("spacing_mm", STORED & ~pl.col("spacing_mm").is_between(0, 10, closed="none"), "more than 0, less than 10"),
    _one_of("pixel_mode", get_args(PixelMode)),
    _one_of("faces", get_args(Direction)),
    RowRule("mirrored", pl.col("mirrored") != (pl.col("faces") == "left"), "true where faces is left, and only there"),
    RowRule("gap_px", pl.col("gap_px") < 0, "0 or more"),
    RowRule("crop_top", pl.col("crop_top") < 0, "0 or more"),
    RowRule("crop_left", pl.col("crop_left") < 0, "0 or more"),
    RowRule("crop_bottom", pl.col("crop_bottom") > pl.col("source_rows"), "at most source_rows"),
    RowRule("crop_right", pl.col("crop_right") > pl.col("source_cols"), "at most source_cols"),
    RowRule("rows", pl.col("rows") < 1, "1 or more"),
    RowRule("cols", pl.col("cols") < 1, "1 or more"),
    RowRule("rows", pl.col("rows") != pl.col("crop_bottom") - pl.col("crop_top"), "crop_bottom - crop_top"),
    RowRule("cols", pl.col("cols") != pl.col("crop_right") - pl.col("crop_left"), "crop_right - crop_left"),
)
_MASKED = pl.col("mask").is_not_null()
_IN_LESIONS = (
    *(RowRule(name, pl.col(name).is_null(), "a value") for name in ("lesion", "kind", "pathology", "high_risk")),
    _one_of("kind", LESION_KINDS),
    _one_of("pathology", get_args(Pathology)),
    *(RowRule(edge, pl.col(edge).is_null() == _MASKED, "a value where there is a mask, else none") for edge in _EDGES),
    RowRule("mask", _MASKED & ~STORED, "none without a stored file"),
    RowRule("mask", pl.col("mask") != pl.col("place"), "the place of the lesion among those of its image, from 0"),
    RowRule("top", (pl.col("top") < 0) | (pl.col("top") >= pl.col("bottom")), "0 or more, less than bottom"),
    RowRule("left", (pl.col("left") < 0) | (pl.col("left") >= pl.col("right")), "0 or more, less than right"),
    RowRule("bottom", pl.col("bottom") > pl.col("rows"), "at most the rows of the crop"),
    RowRule("right", pl.col("right") > pl.col("cols"), "at most the cols of the crop"),
)
