"""Numbers as text: digits that the interval supports, and nothing that looks like a number but is none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourview.report.number_text import write_count, write_estimate, write_number, write_p
from tests.report.sample_document import AUC


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.8811, 0.8371, 0.9151, "0.881 (0.837 to 0.915)"),
        (0.8811, 0.8808, 0.8814, "0.881 (0.881 to 0.881)"),  # three decimals, however narrow
        (0.001234, 0.000801, 0.001902, "0.00123 (0.00080 to 0.00190)"),
        (-0.0041, -0.0312, 0.0231, "−0.004 (−0.031 to 0.023)"),
        (-0.0001, -0.05, 0.05, "0.000 (−0.050 to 0.050)"),  # no minus before a zero
        (0.00012345, math.nan, math.nan, "0.0001234 (no interval)"),
        (0.0, 0.0, 0.0, "0.000 (0.000 to 0.000)"),
        (math.nan, math.nan, math.nan, "– (no interval)"),
        (12345.6789, 0.5, math.inf, "12,345.679 (0.500 to ∞)"),
    ],
)
def test_an_estimate_has_three_decimals_and_more_where_it_is_tiny(
    value: float, low: float, high: float, text: str
) -> None:
    assert write_estimate(replace(AUC, value=value, low=low, high=high)) == text


def test_a_p_value_is_exact_to_three_decimals_and_never_zero() -> None:
    assert [write_p(p) for p in (0.0119, 0.5, 0.00099, 0.0, 0.001, math.nan)] == [
        "p = 0.012",
        "p = 0.500",
        "p < 0.001",
        "p < 0.001",
        "p = 0.001",
        "no p value",
    ]


def test_a_count_has_separators_and_its_noun() -> None:
    assert [write_count(1440, "breast"), write_count(1, "exam"), write_count(12)] == ["1,440 breasts", "1 exam", "12"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1440, "1,440"),
        (-3, "−3"),
        (2.0, "2"),
        (-0.0, "0"),
        (0.02, "0.02"),
        (0.042361, "0.04236"),
        (1234.56, "1,235"),
        (0.0001234567, "0.0001235"),
        (1.5e-9, "1.500e−09"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_any_other_number_has_four_significant_digits(number: float, text: str) -> None:
    assert write_number(number) == text


@given(st.floats(1e-5, 1e14))
def test_what_is_written_is_near_the_number(number: float) -> None:
    assert float(write_number(number).replace(",", "")) == pytest.approx(number, rel=6e-4)
