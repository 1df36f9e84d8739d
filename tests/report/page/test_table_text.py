"""Tables as text: every estimate with its interval, n, positives, unit and method, each said where it differs."""

from __future__ import annotations

import math
from dataclasses import replace

from fourview.evaluate import share_method
from fourview.report.document import Cell, Table, estimate_table
from fourview.report.page.table_text import PrintedTable, print_table, write_facts
from tests.report.sample_document import AUC, DIFFERENCE, share


def _table(columns: tuple[str, ...], *rows: tuple[Cell, ...]) -> PrintedTable:
    return print_table(Table("t", "T", columns, rows))


def _texts(printed: PrintedTable) -> list[list[str]]:
    return [[" ".join(t for t in (c.text, c.more, c.below, c.marks) if t) for c in row] for row in printed.rows]


def test_what_all_estimates_share_is_said_once_below_the_table() -> None:
    printed = print_table(estimate_table("t", "T", [AUC, replace(AUC, name="B", value=0.5)]))
    assert _texts(printed) == [["AUC", "0.881 (0.837 to 0.915)"], ["B", "0.500 (0.837 to 0.915)"]]
    assert printed.facts == (
        "n = 1,440 breasts, 61 positive, 720 clusters. 95 % intervals: Obuchowski 1997, clustered, logit.",
    )
    assert printed.columns == (("", False), ("estimate", False))


def test_what_differs_between_rows_has_columns_of_its_own() -> None:
    few = replace(AUC, n=300, positives=7, clusters=150, method="DeLong")
    printed = _table(("group", "AUC", "AP"), ("all", AUC, AUC), ("dense", few, few), ("none", None, None))
    assert [c for c, _ in printed.columns] == ["group", "AUC", "AP", "n", "positives", "clusters", "method"]
    assert [is_number for _, is_number in printed.columns[3:]] == [True, True, True, False]
    assert _texts(printed)[1][3:] == ["300", "7", "150", "DeLong"]
    assert _texts(printed)[2] == ["none", "–", "–", "", "", "", ""]
    assert printed.facts == ("Units are breasts.",)


def test_a_column_that_the_table_has_already_is_not_added() -> None:
    printed = _table(("n", "AUC"), (1440, AUC), (300, replace(AUC, n=300)))
    assert [c for c, _ in printed.columns] == ["n", "AUC"]


def test_what_differs_between_columns_is_said_per_column() -> None:
    sensitivity, specificity = share("sensitivity", 60, 61), share("specificity", 541, 1379)
    other = share("sensitivity", 60, 61, value=60 / 61), share("specificity", 541, 1379)
    printed = _table(("", "sensitivity", "specificity"), ("a", sensitivity, specificity), ("b", *other))
    assert printed.facts == (
        "95 % intervals: Wilson, clustered.",
        "sensitivity: 60 of 61 breasts, 60 clusters.",
        "specificity: 541 of 1,379 breasts, 1,378 clusters.",
    )


def test_what_differs_everywhere_stands_in_the_cell() -> None:
    printed = _table(
        ("", "sensitivity", "specificity"),
        ("a", share("sensitivity", 60, 61), share("specificity", 541, 1379)),
        ("b", share("sensitivity", 50, 61), share("specificity", 941, 1379)),
    )
    assert printed.rows[1][1].below == "50 of 61 breasts"
    assert printed.rows[1][2].below == "941 of 1,379 breasts"
    assert "n = 1,379 breasts, 1,378 clusters." in printed.facts[2]


def test_methods_that_differ_in_degrees_of_freedom_alone_are_said_once_with_their_range() -> None:
    rows = [replace(AUC, name=str(df), method=f"logit, t with {df} degrees of freedom") for df in (80, 26, 37)]
    printed = print_table(estimate_table("t", "T", rows))
    assert [c.below for row in printed.rows for c in row] == [""] * 6
    assert printed.facts[0].endswith("95 % intervals: logit, t with 26 to 80 degrees of freedom.")
    other = print_table(estimate_table("t", "T", [rows[0], replace(AUC, method="Wilson")]))
    assert "t with 80 degrees" in other.rows[0][-1].text
    assert share_method([]) == ""


def test_of_a_mean_nothing_is_positive() -> None:
    mean = replace(AUC, name="mean", positives=None)
    assert write_facts(mean) == "n = 1,440 breasts, 720 clusters"
    assert write_facts(replace(mean, value=0.0)) == "n = 1,440 breasts, 720 clusters"  # not "0 of 1,440"
    printed = _table(("", "value"), ("AUC", AUC), ("mean", mean))
    assert [row[printed.columns.index(("positives", True))].text for row in printed.rows] == ["61", "–"]


def test_each_distinct_warning_stands_once_below_with_its_letter_at_every_estimate_it_is_about() -> None:
    few, both = replace(AUC, warnings=("few",)), replace(AUC, warnings=("tied", "few"))
    printed = _table(("AUC",), (few,), (AUC,), (both,))
    assert printed.warnings == (("a", "few"), ("b", "tied"))
    assert [row[0].marks for row in printed.rows] == ["a", "", "b a"]


def test_more_warnings_than_letters_go_on_with_two_letters() -> None:
    printed = _table(("AUC",), (replace(AUC, warnings=tuple(map(str, range(30)))),))
    letters = [letter for letter, _ in printed.warnings]
    assert letters[25:28] == ["z", "aa", "ab"]
    assert len(set(letters)) == 30


def test_a_difference_has_its_p_value_and_a_value_without_interval_says_so() -> None:
    nothing = replace(AUC, low=math.nan, high=math.nan)
    printed = _table(("",), (DIFFERENCE,), (replace(DIFFERENCE, p=math.nan),), (nothing,))
    assert [row[0].more for row in printed.rows] == [
        "(−0.061 to 0.013), p = 0.203",
        "(−0.061 to 0.013), no p value",
        "(no interval)",
    ]


def test_numbers_stand_to_the_right_and_texts_are_left_as_they_are() -> None:
    printed = _table(("what", "number", "yes"), ("a", 1440, True), ("1,5", 0.25, False), ("c", None, True))
    assert printed.columns == (("what", False), ("number", True), ("yes", False))
    assert _texts(printed) == [["a", "1,440", "yes"], ["1,5", "0.25", "no"], ["c", "–", "yes"]]
    assert printed.facts == ()


def test_clusters_are_not_mentioned_where_every_unit_is_one() -> None:
    assert write_facts(replace(AUC, clusters=1440)) == "n = 1,440 breasts, 61 positive"
    printed = _table(("AUC",), (replace(AUC, clusters=1440),), (replace(AUC, n=10, clusters=10),))
    assert "clusters" not in str(printed)
