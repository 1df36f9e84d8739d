"""BI-RADS classes, and what labels of exams say about breasts."""

from __future__ import annotations

import polars as pl
import pytest

from fourview.datasets.record import BIRADS, LabelUnit
from fourview.store.labels import UNITS, classify_birads, known_unit, label_at


def test_birads_classes_are_those_of_the_nyu_report() -> None:
    expected = {"0": 0, "1": 1, "2": 2, "3": 2, "4a": 0, "4b": 0, "4c": 0, "5": 0}
    assert {birads: classify_birads(birads) for birads in expected} == expected


def test_an_undivided_4_is_a_4_and_a_known_cancer_is_no_screening_result() -> None:
    assert classify_birads("4") == 0
    assert classify_birads("6") is None
    assert classify_birads(None) is None


def test_every_birads_that_a_record_may_hold_has_a_class_or_is_6() -> None:
    assert [birads for birads in BIRADS if classify_birads(birads) is None] == ["6"]


def manifest(*rows: tuple[str, bool | None]) -> pl.DataFrame:
    """label_unit and malignant, row by row; of benign nothing is known."""
    table = {"label_unit": [unit for unit, _ in rows], "malignant": [label for _, label in rows]}
    return pl.DataFrame(table, schema={"label_unit": pl.String, "malignant": pl.Boolean}).with_columns(
        benign=pl.lit(None, pl.Boolean)
    )


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("image", [True, None, None, None, False, None]),
        ("breast", [True, True, None, None, False, None]),
        ("exam", [True, True, True, None, False, None]),
        ("patient", [True, True, True, True, False, None]),
    ],
)
def test_a_finding_of_something_larger_may_lie_elsewhere_and_its_absence_holds_everywhere(
    unit: LabelUnit, expected: list[bool | None]
) -> None:
    rows = manifest(*((u, True) for u in UNITS), ("exam", False), ("exam", None))
    assert rows.select(label_at("malignant", unit))["malignant"].to_list() == expected


def test_the_known_unit_is_the_largest_that_a_label_is_of() -> None:
    assert known_unit(manifest(("image", True), ("breast", False), ("patient", None))) == "breast"
    assert known_unit(manifest(("exam", False), ("image", True))) == "exam"
    assert known_unit(manifest(("patient", None))) == "image"
