"""Exams from manifest rows: labels per breast, what is left out, and which exams make an epoch."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from fourview.exam import SetupError
from fourview.networks.exam import HEADS, VIEW_NAMES
from fourview.store.manifest import LESION
from fourview.train.exam_cases import (
    ExamCase,
    ExamCases,
    draw_birads_epoch,
    draw_exam_epoch,
    keep_known,
    list_cases,
)
from fourview.train.recipe_parts import ExamSampling

LESIONS = pl.List(LESION)
ELSEWHERE = '{"biopsied": "at another exam"}'


def rows(exam: str, *, views=VIEW_NAMES, part: str = "train", **values: Any) -> list[dict[str, Any]]:
    """An exam's rows of a manifest. values: of all its rows, or a function of the view"""
    usual = {"malignant": None, "benign": None, "label_unit": "breast", "birads_class": None, "more": "{}"}
    return [
        {
            "dataset": "d", "exam": exam, "patient": f"woman of {exam}", "image": f"{exam}/{view}/{number}",
            "view": view, "side": view[0], "part": part, "lesions": [],
            **{name: value(view) if callable(value) else value for name, value in {**usual, **values}.items()},
        }
        for number, view in enumerate(views)
    ]  # fmt: skip


def table(*exams: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {"malignant": pl.Boolean, "benign": pl.Boolean, "birads_class": pl.Int8, "lesions": LESIONS}
    return pl.DataFrame([row for exam in exams for row in exam], schema_overrides=schema)


def cases_of(*exams: list[dict[str, Any]], wiring="view-wise", unbiopsied="negative") -> ExamCases:
    return list_cases(table(*exams), wiring=wiring, heads=HEADS[wiring], unbiopsied=unbiopsied)


def targets_of(*args: Any, **options: Any) -> list[list[int]]:
    return [case.finding_targets.tolist() for case in cases_of(*args, **options).cases]


def left(view: str) -> bool:
    return view[0] == "L"


def test_targets_are_left_benign_right_benign_left_malignant_right_malignant() -> None:
    exam = rows("e", malignant=left, benign=lambda view: not left(view))
    assert targets_of(exam) == [[0, 1, 1, 0]]


def test_a_finding_in_one_image_is_one_of_its_breast() -> None:
    exam = rows("e", malignant=lambda view: view == "R-MLO", benign=False, label_unit="image")
    assert targets_of(exam) == [[0, 0, 0, 1]]


def test_a_finding_of_a_whole_exam_says_nothing_of_either_breast_but_its_absence_does() -> None:
    exam = rows("e", malignant=True, benign=False, label_unit="exam")
    assert targets_of(exam) == [[0, 0, -1, -1]]


@pytest.mark.parametrize(("unbiopsied", "expected"), [("negative", 0), ("unknown", -1)])
def test_a_breast_that_nobody_biopsied_is_what_the_recipe_says(unbiopsied: str, expected: int) -> None:
    exam = rows(
        "e", malignant=lambda view: True if left(view) else None, benign=lambda view: False if left(view) else None
    )
    assert targets_of(exam, unbiopsied=unbiopsied) == [[0, expected, 1, expected]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"malignant": True}, [-1, -1, 1, 1]),  # one of the two questions was answered
        ({"more": json.dumps({"pathology": "unheard of"})}, [-1] * 4),
        ({"lesions": [{"lesion": "1", "pathology": "unknown", "descriptors": "{}"}]}, [-1] * 4),
        ({"lesions": [{"lesion": "1", "pathology": "unknown", "descriptors": ELSEWHERE}]}, [0] * 4),
        ({"lesions": [{"lesion": "1", "pathology": "benign", "descriptors": '{"biopsied": "no"}'}]}, [0] * 4),
    ],
)  # fmt: skip
def test_unknown_labels_of_a_biopsied_breast_stay_unknown(values: dict[str, Any], expected: list[int]) -> None:
    assert targets_of(rows("e", **values)) == [expected]


def test_the_breast_has_the_class_of_its_image_that_needs_most_to_be_done() -> None:
    classes = {"L-CC": 1, "L-MLO": 2, "R-CC": 2, "R-MLO": 0}
    found = cases_of(rows("e", birads_class=classes.get)).cases
    assert found[0].birads_targets.tolist() == [2, 0]


def test_a_view_may_have_several_images_in_the_order_of_the_manifest() -> None:
    found = cases_of(rows("e", views=["L-MLO", *VIEW_NAMES, "L-CC"])).cases[0].images
    assert list(found) == list(VIEW_NAMES)
    assert found["L-CC"] == ("e/L-CC/1", "e/L-CC/5")


def test_networks_that_need_four_views_leave_exams_without_them_out_and_say_so() -> None:
    found = cases_of(rows("a"), rows("b", views=["L-CC", "R-CC"]), rows("c", views=["L-CC", "R-CC"]))
    assert [case.exam for case in found.cases] == ["a"]
    assert found.left_out == {"without L-MLO, R-MLO": 2}


def test_image_wise_networks_take_what_is_there_and_know_nothing_of_a_side_without_an_image() -> None:
    exam = rows("e", views=["R-MLO"], malignant=True, benign=False)
    assert targets_of(exam, wiring="image-wise") == [[-1, 0, -1, 1]]
    of_mlo = [head for head in HEADS["image-wise"] if "MLO" in head.name]
    found = list_cases(table(rows("e", views=["L-CC"])), wiring="image-wise", heads=of_mlo, unbiopsied="negative")
    assert not found.cases
    assert found.left_out == {"without L-MLO, R-MLO": 1}


def test_a_side_whose_images_the_network_does_not_read_is_unknown() -> None:
    of_mlo = [head for head in HEADS["image-wise"] if "MLO" in head.name]
    exam = rows("e", views=["L-MLO", "R-CC"], malignant=True, benign=False, birads_class=2)
    case = list_cases(table(exam), wiring="image-wise", heads=of_mlo, unbiopsied="negative").cases[0]
    assert case.finding_targets.tolist() == [0, -1, 1, -1]
    assert case.birads_targets.tolist() == [2, -1]


def test_images_of_other_parts_and_other_views_are_not_taken() -> None:
    other = rows("b")
    for row in other:
        row["view"] = None
    found = cases_of(rows("a", part="test"), other, rows("c", part="validation"))
    assert [(case.exam, case.part) for case in found.cases] == [("c", "validation")]


def test_an_exam_in_two_parts_is_refused() -> None:
    with pytest.raises(SetupError, match="exam e: found its images in train and validation"):
        cases_of(rows("e", views=["L-CC"]), rows("e", views=["R-CC"], part="validation"))


def test_exams_of_which_nothing_is_known_are_counted_and_left_out() -> None:
    found = cases_of(rows("a", malignant=True, benign=False), rows("b"), unbiopsied="unknown")
    kept = keep_known(found, stage="exam")
    assert [case.exam for case in kept.cases] == ["a"]
    assert kept.left_out == {"without a known label": 1}
    assert keep_known(found, stage="birads").left_out == {"without a BI-RADS class": 2}


def many(positives: int, others: int) -> ExamCases:
    truths = [True] * positives + [False] * others
    images = {"L-CC": ("image",)}
    cases = [ExamCase(str(n), None, "train", images, {("L", "benign"): t}, {}) for n, t in enumerate(truths)]
    return ExamCases((*cases, ExamCase("v", None, "validation", images, {("L", "benign"): True}, {})), {})


@pytest.mark.parametrize("ratio", [0, 0.5, 1, 2])
def test_an_epoch_has_every_positive_exam_and_others_in_the_recipes_ratio(ratio: float) -> None:
    keys = draw_exam_epoch(many(6, 40), ExamSampling(others_per_positive=ratio), seed=1, epoch=0)
    counts = Counter(key.case for key in keys)
    assert set(range(6)) <= set(counts)
    assert set(counts.values()) == {1}
    assert len(keys) == 6 + round(6 * ratio)
    assert [key.place for key in keys] == list(range(len(keys)))
    assert {key.epoch for key in keys} == {0}


def test_others_are_drawn_anew_and_the_order_shuffled_in_every_epoch() -> None:
    found, sampling = many(6, 40), ExamSampling()
    first, again, second = (
        [key.case for key in draw_exam_epoch(found, sampling, seed=1, epoch=epoch)] for epoch in (0, 0, 1)
    )
    assert first == again
    assert sorted(first) != sorted(second)
    assert [case for case in first if case < 6] != [case for case in second if case < 6]


def test_where_others_are_few_each_comes_as_often_as_any_other() -> None:
    keys = draw_exam_epoch(many(10, 4), ExamSampling(), seed=1, epoch=0)
    counts = Counter(key.case for key in keys if key.case >= 10)
    assert sum(counts.values()) == 10
    assert set(counts.values()) == {2, 3}


def test_a_birads_epoch_is_all_exams_or_as_many_as_the_recipe_says() -> None:
    found = many(3, 7)
    assert sorted(k.case for k in draw_birads_epoch(found, ExamSampling(), seed=0, epoch=0)) == list(range(10))
    drawn = [draw_birads_epoch(found, ExamSampling(per_epoch=4), seed=0, epoch=epoch) for epoch in range(30)]
    assert {len({key.case for key in keys}) for keys in drawn} == {4}
    assert np.unique([key.case for keys in drawn for key in keys]).tolist() == list(range(10))


def test_a_finding_of_a_breast_that_is_not_shown_makes_no_exam_positive() -> None:
    exam = [*rows("e", views=["L-CC"], malignant=True), *rows("e", views=["R-MLO"], malignant=False)]
    of_mlo = [head for head in HEADS["image-wise"] if "MLO" in head.name]
    (case,) = list_cases(table(exam), wiring="image-wise", heads=of_mlo, unbiopsied="negative").cases
    assert case.finding_targets.tolist()[3] == 0
    assert not case.is_positive
