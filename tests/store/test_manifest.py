"""The manifest: written, read, refused."""

from __future__ import annotations

import re
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

LESION = {
    "lesion": "m1",
    "kind": "mass",
    "pathology": "malignant",
    "high_risk": False,
    "descriptors": "{}",
    "top": 1,
    "bottom": 3,
    "left": 4,
    "right": 6,
    "mask": 0,
}
OUT = {"status": "excluded", "rule": "gap at the chest wall", "reason": "a gap"}
DOCS = Path(__file__).parents[2] / "docs" / "data.md"


BLOB, OTHER_BLOB = (f"images/{start}/{start}{'0' * 30}.h5" for start in ("ab", "cd"))


def row(**changes: Any) -> dict[str, Any]:
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
        "more": '{"a": "1", "b": ""}',
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
        "pixels_sha256": "0" * 64,
        "blob": BLOB,
        "lesions": [LESION],
        "warnings": ["a"],
    } | changes


def test_a_manifest_comes_back_as_it_was_written_and_as_the_same_bytes(tmp_path: Path) -> None:
    table = make_table([row(), row(image="2", **OUT, blob=None, rows=None, lesions=[])])
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
        ({"exam": None}, "exam, row 2 (image 'b'): found nothing, need a value"),
        ({"blob": None}, "blob, row 2 (image 'b'): found nothing, need a value"),
        ({"blob": "images/ab/../../secret.h5"}, "blob, row 2 (image 'b'): found 'images/ab/../../secret.h5'"),
        ({"blob": OTHER_BLOB.replace("cd/", "ce/")}, "blob, row 2"),
        ({"pixels_sha256": "0" * 63}, "pixels_sha256, row 2"),
        ({"patient": "other/1"}, "patient, row 2 (image 'b'): found 'other/1'"),
        ({"side": "R"}, "view, row 2 (image 'b'): found 'L-CC', need the side and angle of its row"),
        ({"side": "X"}, "side, row 2 (image 'b'): found 'X', need one of L, R"),
        ({"angle": "MLO"}, "view, row 2"),
        ({"view": "R-CC"}, "view, row 2"),
        ({"view": None}, "view, row 2 (image 'b'): found nothing"),
        ({"angle": "LM", "view": None}, "view, row 2 (image 'b'): found nothing, need a view in prepared rows"),
        ({"angle": "LM", "view": "L-LM"}, "view, row 2 (image 'b'): found 'L-LM'"),
        ({"label_unit": "lesion"}, "label_unit, row 2"),
        ({"label_source": "rumour"}, "label_source, row 2"),
        ({"birads": "4d"}, "birads, row 2 (image 'b'): found '4d'"),
        ({"birads_class": 3}, "birads_class, row 2 (image 'b'): found 3, need one of 0, 1, 2"),
        ({"birads_class": 1}, "birads_class, row 2 (image 'b'): found 1, need the class of the row's birads"),
        ({"birads_class": None}, "birads_class, row 2 (image 'b'): found nothing"),
        ({"birads": "6"}, "birads_class, row 2"),
        ({"density": "E"}, "density, row 2"),
        ({"more": "north"}, "more, row 2 (image 'b'): found 'north', need a JSON object of texts, words sorted"),
        ({"more": '["north"]'}, "more, row 2"),
        ({"more": '{"site": 1}'}, "more, row 2"),
        ({"more": '{"b": "1", "a": "2"}'}, "more, row 2"),
        ({"more": "[" * 100_000}, "more, row 2"),
        ({"status": "done"}, "status, row 2 (image 'b'): found 'done', need one of prepared, excluded, failed"),
        ({"reason": "because"}, "reason, row 2 (image 'b'): found 'because'"),
        ({"rule": "mood"}, "rule, row 2 (image 'b'): found 'mood'"),
        ({"rule": "unreadable"}, "rule, row 2 (image 'b'): found 'unreadable'"),
        ({"status": "failed"}, "rule, row 2 (image 'b'): found nothing"),
        ({"status": "failed", "rule": "not CC or MLO", "reason": "r"}, "rule, row 2"),
        ({"status": "excluded", "rule": "unreadable", "reason": "r"}, "rule, row 2"),
        ({"status": "failed", "rule": "unreadable", "reason": "r"}, "blob, row 2 (image 'b'): found 'images/cd"),
        ({"bits": 0}, "bits, row 2"),
        ({"spacing_mm": 0.0}, "spacing_mm, row 2"),
        ({"spacing_mm": float("nan")}, "spacing_mm, row 2"),
        ({"pixel_mode": "raw"}, "pixel_mode, row 2"),
        ({"faces": "up"}, "faces, row 2"),
        ({"mirrored": True}, "mirrored, row 2"),
        ({"gap_px": -1}, "gap_px, row 2"),
        ({"crop_top": -1, "rows": 91}, "crop_top, row 2 (image 'b'): found -1, need 0 or more"),
        ({"crop_left": -1, "cols": 51}, "crop_left, row 2"),
        ({"crop_bottom": 101, "rows": 91}, "crop_bottom, row 2 (image 'b'): found 101, need at most source_rows"),
        ({"crop_right": 81, "cols": 81}, "crop_right, row 2"),
        ({"rows": 79}, "rows, row 2"),
        ({"cols": 51}, "cols, row 2"),
        ({"crop_bottom": 10, "rows": 0}, "rows, row 2"),
        ({"lesions": [LESION | {"kind": "lump"}]}, "lesions.kind, row 2 (image 'b'): found 'lump'"),
        ({"lesions": [LESION | {"pathology": None}]}, "lesions.pathology, row 2 (image 'b'): found nothing"),
        ({"lesions": [LESION | {"mask": 1}]}, "lesions.mask, row 2"),
        ({"lesions": [LESION | {"mask": None}]}, "lesions.top, row 2"),
        ({"lesions": [LESION | {"right": None}]}, "lesions.right, row 2 (image 'b'): found nothing"),
        ({"lesions": [LESION | {"bottom": 81}]}, "lesions.bottom, row 2 (image 'b'): found 81, need at most the rows"),
        ({"lesions": [LESION | {"left": 6}]}, "lesions.left, row 2"),
        (
            OUT | {"blob": None, "rows": None},
            "lesions.mask, row 2 (image 'b'): found 0, need none without a stored file",
        ),
        (OUT | {"rows": None}, "rows, row 2 (image 'b'): found nothing, need a value"),
    ],
)
def test_a_wrong_row_is_refused_by_its_column_and_its_place(changed: dict[str, Any], named: str) -> None:
    good = row(image="b", blob=OTHER_BLOB)
    check_manifest(make_table([row(), good, row(image="c", blob=None, **OUT, lesions=[])]))
    with pytest.raises(SetupError, match=re.escape(f"manifest.parquet: column {named}")):
        check_manifest(make_table([row(), good | changed]))


def test_two_images_of_equal_pixels_have_a_file_each() -> None:
    check_manifest(make_table([row(), row(image="b", blob=OTHER_BLOB)]))
    with pytest.raises(SetupError, match=r"column blob, row 1 \(image '1_L_CC'\): .* a file of its own.*2 rows in all"):
        check_manifest(make_table([row(), row(image="b")]))


def test_an_image_that_is_there_twice_is_refused() -> None:
    with pytest.raises(SetupError, match=r"column image, row 1 .*need each name once \(2 rows in all\)"):
        check_manifest(make_table([row(), row(blob=OTHER_BLOB)]))


def test_an_image_that_a_rule_took_out_after_it_was_read_keeps_its_file() -> None:
    check_manifest(make_table([row(**OUT)]))


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


def test_a_manifest_on_which_polars_itself_breaks_down_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(path: Path) -> pl.DataFrame:  # seen for some changed bytes; no Exception, so it would end the program
        raise pl.exceptions.PanicException("called `Result::unwrap()` on an `Err` value")

    write_manifest(tmp_path, make_table([row()]))
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(SetupError, match="cannot be read as Parquet"):
        read_manifest(tmp_path)


def test_the_documentation_holds_the_columns_of_the_code() -> None:
    assert explain_columns() in DOCS.read_text()


def test_every_column_that_must_be_filled_is_checked() -> None:
    for column in COLUMNS:
        if column.filled:
            with pytest.raises(SetupError, match=rf"column {column.name}, row 1 .*: found nothing, need a value"):
                check_manifest(make_table([row(**{column.name: None})]))
