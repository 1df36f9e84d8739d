"""The checklists: complete, in order, and every answer where it belongs."""

from __future__ import annotations

import itertools
import re

import pytest

from fourview.report.checklist import KEYS, fill_checklist

CLAIM, TRIPOD = "CLAIM 2024", "TRIPOD+AI"


def numbers(guideline: str) -> list[str]:
    return [line.item for line in fill_checklist({}) if line.guideline == guideline]


def places(key: str) -> set[tuple[str, str]]:
    return {(line.guideline, line.item) for line in fill_checklist({key: "THE ANSWER"}) if line.answer}


def test_claim_has_items_1_to_44() -> None:
    assert numbers(CLAIM) == [str(number) for number in range(1, 45)]


def test_tripod_has_27_items_with_52_parts_lettered_without_gaps() -> None:
    parts = [re.fullmatch(r"(\d+)([a-z]?)", item).groups() for item in numbers(TRIPOD)]
    assert len(parts) == 52
    letters = {
        int(number): "".join(p[1] for p in of_item) for number, of_item in itertools.groupby(parts, lambda p: p[0])
    }
    assert list(letters) == list(range(1, 28))
    assert all(found == "abcdefg"[: len(found)] for found in letters.values())
    split = {number: len(found) for number, found in letters.items() if found}
    assert split == {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}  # as published


def test_every_item_asks_something_of_its_own() -> None:
    for guideline in (CLAIM, TRIPOD):
        asked = [line.asks for line in fill_checklist({}) if line.guideline == guideline]
        assert all(asked)
        assert len(set(asked)) == len(asked)


def test_without_answers_everything_is_left_to_the_authors() -> None:
    assert {line.answer for line in fill_checklist({})} == {""}
    assert fill_checklist({"metrics": ""}) == fill_checklist({})


@pytest.mark.parametrize("key", KEYS)
def test_no_answer_is_lost(key) -> None:
    assert places(key)
    assert {line.answer for line in fill_checklist({key: "THE ANSWER"})} == {"", "THE ANSWER"}


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("data source", {(CLAIM, "7"), (TRIPOD, "5a")}),
        ("missing data", {(CLAIM, "12"), (TRIPOD, "11")}),
        ("reference standard", {(CLAIM, "14"), (TRIPOD, "8a")}),
        ("partitions", {(CLAIM, "19"), (CLAIM, "20"), (TRIPOD, "12a")}),
        ("software", {(CLAIM, "23"), (TRIPOD, "12g")}),
        ("metrics", {(CLAIM, "28"), (TRIPOD, "12e")}),
        ("intervals", {(CLAIM, "29"), (TRIPOD, "12e")}),
        ("thresholds", {(CLAIM, "28"), (TRIPOD, "12e"), (TRIPOD, "15")}),
        ("n", {(CLAIM, "35"), (TRIPOD, "20a"), (TRIPOD, "21")}),
        ("results", {(CLAIM, "38"), (TRIPOD, "23a")}),
        ("failures", {(CLAIM, "39")}),
        ("fairness", {(TRIPOD, "14")}),
        ("updating", {(TRIPOD, "12f"), (TRIPOD, "24")}),
        ("reproduction", {(CLAIM, "43"), (TRIPOD, "18f")}),
    ],
)
def test_an_answer_lands_at_the_items_that_ask_for_it(key, where) -> None:
    assert places(key) == where


def test_several_answers_to_one_item_stand_together() -> None:
    filled = fill_checklist({"exclusions": "Two exams were left out.", "n": "60 breasts."})
    (item,) = [line for line in filled if (line.guideline, line.item) == (CLAIM, "35")]
    assert item.answer == "60 breasts. Two exams were left out."


@pytest.mark.parametrize(
    ("guideline", "items"),
    [(CLAIM, ("5", "15", "21", "34", "40", "44")), (TRIPOD, ("3c", "10", "17", "18a", "18b", "19", "26"))],
)
def test_what_only_authors_know_stays_empty_whatever_a_run_knows(guideline, items) -> None:
    filled = {(i.guideline, i.item): i.answer for i in fill_checklist(dict.fromkeys(KEYS, "known"))}
    assert [filled[guideline, item] for item in items] == [""] * len(items)


def test_an_answer_that_no_item_asks_for_is_refused() -> None:
    with pytest.raises(ValueError, match="found colour, mood; need keys among data source"):
        fill_checklist({"metrics": "AUC", "mood": "good", "colour": "blue"})
