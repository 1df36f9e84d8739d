"""Rules with names, each counted."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fourview.datasets.record import ImageRecord
from fourview.exam import SetupError, Side
from fourview.store.manifest import make_table
from fourview.store.selection import (
    CROP_FAILED,
    FOUR_LEFT,
    FOUR_LISTED,
    GAP,
    NO_LABEL,
    NO_SIDE,
    OTHER_VIEW,
    RULES,
    UNREADABLE,
    Selection,
    count_flow,
    select_listed,
    select_prepared,
)

NYU = Selection("four-views", "reject", "keep")


def record(exam: str, name: str, *, labelled: bool = True) -> ImageRecord:
    side, _, angle = name.partition("-")
    malignant = False if labelled else None
    return ImageRecord(
        "s",
        patient=exam,
        exam=exam,
        image=f"{exam}{name}",
        path=Path(name),
        side=Side(side) if side else None,
        angle=angle,
        malignant=malignant,
    )


def table(*rows: tuple[str, str, str | None, int]) -> pl.DataFrame:
    """exam, view, rule or None, gap."""
    listed = [
        {
            "exam": exam,
            "image": f"{exam}{view}{n}",
            "view": view,
            "rule": rule,
            "reason": rule,
            "status": "prepared" if rule is None else "failed",
            "gap_px": gap,
        }
        for n, (exam, view, rule, gap) in enumerate(rows)
    ]
    return make_table(listed)


FOUR = ("L-CC", "R-CC", "L-MLO", "R-MLO")


def test_a_side_that_is_unknown_and_other_angles_are_two_rules() -> None:
    records = [record("a", "L-CC"), record("a", "-CC"), record("a", "R-LM"), record("a", "R-FB")]
    assert select_listed(records, Selection()) == [None, NO_SIDE, OTHER_VIEW, OTHER_VIEW]


def test_four_views_are_asked_of_the_exam_and_extra_images_stay() -> None:
    whole = [record("a", view) for view in (*FOUR, "L-CC")]
    half = [record("b", view) for view in FOUR[:3]]
    assert select_listed(whole + half, NYU) == [None] * 5 + [FOUR_LISTED] * 3
    assert select_listed(whole + half, Selection()) == [None] * 8


def test_another_angle_does_not_stand_in_for_a_standard_view() -> None:
    records = [record("a", view) for view in (*FOUR[:3], "R-LM")]
    assert select_listed(records, NYU) == [FOUR_LISTED] * 3 + [OTHER_VIEW]


def test_images_without_label_are_excluded_only_when_asked() -> None:
    records = [record("a", "L-CC"), record("a", "R-CC", labelled=False)]
    assert select_listed(records, Selection()) == [None, None]
    assert select_listed(records, Selection(unlabelled="exclude")) == [None, NO_LABEL]


def test_a_gap_takes_the_image_and_then_the_exam_that_needed_it() -> None:
    rows = [("a", view, None, 0) for view in FOUR] + [("b", view, None, 3 * (view == "L-CC")) for view in FOUR]
    found = select_prepared(table(*rows), NYU)
    assert found["rule"].to_list() == [None] * 4 + [GAP] + [FOUR_LEFT] * 3
    assert found["status"].to_list() == ["prepared"] * 4 + ["excluded"] * 4
    assert found["reason"][4] == RULES[GAP]


def test_a_second_image_of_the_view_saves_the_exam() -> None:
    rows = [("a", view, None, 0) for view in (*FOUR, "L-CC")]
    rows[0] = ("a", "L-CC", UNREADABLE, 0)
    assert select_prepared(table(*rows), NYU)["rule"].to_list() == [UNREADABLE, None, None, None, None]


def test_nothing_is_taken_out_by_rules_that_were_not_asked_for() -> None:
    rows = table(("a", "L-CC", None, 9), ("a", "R-CC", CROP_FAILED, 0))
    assert select_prepared(rows, Selection()).equals(rows)


def test_the_flow_counts_each_image_once_and_ends_with_the_prepared_ones() -> None:
    rows = [("a", view, None, 0) for view in FOUR] + [("b", "L-CC", None, 5), ("b", "R-CC", UNREADABLE, 0)]
    found = select_prepared(table(*rows), NYU)
    flow = count_flow(found, NYU)
    assert [step.name for step in flow] == [*RULES]
    assert {step.name: step.images_removed for step in flow if step.images_removed} == {UNREADABLE: 1, GAP: 1}
    assert sum(step.images_removed for step in flow) + flow[-1].images_left == 6
    assert (flow[-1].images_left, flow[-1].exams_left) == (4, 1)
    assert flow[-1].images_left == found.filter(status="prepared").height


def test_rules_that_were_not_asked_for_are_in_the_flow_and_say_so() -> None:
    flow = count_flow(table(("a", "L-CC", None, 9)), Selection())
    assert [step.name for step in flow if not step.applied] == [NO_LABEL, FOUR_LISTED, GAP, FOUR_LEFT]


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(SetupError, match="gap: found 'drop'"):
        Selection(gap="drop")  # type: ignore[arg-type]
