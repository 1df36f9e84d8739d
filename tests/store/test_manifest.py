"""The manifest: written, read, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fourview.exam import SetupError
from fourview.store.manifest import (
    COLUMNS,
    FILE,
    SCHEMA,
    check_manifest,
    explain_columns,
    make_table,
    read_manifest,
    write_manifest,
)

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def row(**changes: Any) -> dict[str, Any]:
    lesion = {"lesion": "m1", "kind": "mass", "pathology": "malignant", "high_risk": False, "descriptors": "{}"}
    return {
        "dataset": "s",
        "patient": "s/1",
        "exam": "1",
        "image": "1_L_CC",
        "file": "1.png",
        "side": "L",
        "angle": "CC",
        "view": "L-CC",
        "malignant": True,
        "high_risk": False,
        "label_unit": "image",
        "label_source": "biopsy",
        "birads": "4a",
        "birads_class": 0,
        "status": "prepared",
        "source_rows": 100,
        "source_cols": 80,
        "bits": 12,
        "pixel_mode": "stored",
        "faces": "right",
        "crop_top": 10,
        "crop_bottom": 90,
        "crop_left": 0,
        "crop_right": 50,
        "mirrored": False,
        "gap_px": 0,
        "rows": 80,
        "cols": 50,
        "pixels_sha256": "0",
        "blob": "images/00/0.h5",
        "lesions": [lesion | {"top": 1, "bottom": 3, "left": 4, "right": 6, "mask": 0}],
        "warnings": ["a"],
    } | changes


OUT = {"status": "excluded", "rule": "not CC or MLO", "reason": "an angle"}


def test_a_manifest_comes_back_as_it_was_written_and_as_the_same_bytes(tmp_path: Path) -> None:
    table = make_table([row(), row(image="2", **OUT, blob=None, rows=None)])
    write_manifest(tmp_path, table)
    first = (tmp_path / FILE).read_bytes()
    assert read_manifest(tmp_path).equals(table)
    write_manifest(tmp_path, table)
    assert (tmp_path / FILE).read_bytes() == first


def test_an_empty_lesion_list_keeps_its_type(tmp_path: Path) -> None:
    write_manifest(tmp_path, make_table([row(lesions=[], warnings=[])]))
    assert read_manifest(tmp_path).schema == SCHEMA


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"exam": None}, "column exam is empty in 1 rows"),
        ({"blob": None}, "column blob is empty in 1 prepared rows"),
        ({"status": "done"}, "column status"),
        ({"reason": "because"}, "column reason"),
        ({"rule": "gap"}, "column rule"),
        ({"crop_bottom": 101, "rows": 91}, "column crop_top"),
        ({"crop_left": -1, "cols": 51}, "column crop_top"),
        ({"rows": 79}, "column rows"),
        ({"cols": 51}, "column cols"),
        ({"view": None}, "column view"),
        ({"status": "failed"}, "column reason"),
    ],
)
def test_a_wrong_row_is_refused_by_the_name_of_its_column(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(SetupError, match=named):
        check_manifest(make_table([row(**changed)]))


def test_an_image_that_is_there_twice_is_refused() -> None:
    with pytest.raises(SetupError, match="column image is wrong in 2 rows"):
        check_manifest(make_table([row(), row()]))


def test_missing_unknown_and_mistyped_columns_are_named() -> None:
    table = make_table([row()])
    with pytest.raises(SetupError, match="no column birads_class"):
        check_manifest(table.drop("birads_class"))
    with pytest.raises(SetupError, match="unknown column colour"):
        check_manifest(table.with_columns(colour=pl.lit("grey")))
    with pytest.raises(SetupError, match="column bits is Int64, need Int8"):
        check_manifest(table.with_columns(pl.col("bits").cast(pl.Int64)))


def test_a_manifest_of_another_version_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no manifest\.parquet"):
        read_manifest(tmp_path)
    make_table([row()]).write_parquet(tmp_path / FILE, metadata={"fourview": "fourview store 99"})
    with pytest.raises(SetupError, match="store 99"):
        read_manifest(tmp_path)
    (tmp_path / FILE).write_bytes(b"no parquet")
    with pytest.raises(SetupError, match="cannot be read as Parquet"):
        read_manifest(tmp_path)


def test_the_documentation_holds_the_columns_of_the_code() -> None:
    assert explain_columns() in DOCS.read_text()


def test_every_column_that_must_be_filled_is_checked() -> None:
    for column in COLUMNS:
        if column.filled:
            with pytest.raises(SetupError, match=f"column {column.name} is empty"):
                check_manifest(make_table([row(**{column.name: None})]))
