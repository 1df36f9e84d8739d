"""Answers of networks and views put together, and what they are worth."""

from __future__ import annotations

import math

import polars as pl
import pytest

from fourview.exam import SetupError
from fourview.studies.lesion.comparison import MEAN, NETWORK, Candidate, compare_runs
from fourview.studies.lesion.ensemble import LESION_COLUMNS, ViewAnswer, join_views, tabulate_lesions
from fourview.studies.lesion.measures import choose_thresholds, compare_views, mean_tables, measure_lesions
from fourview.studies.lesion.pairs import pair_views
from tests.studies.test_lesion_folds import view


def answers(*p: float) -> list[ViewAnswer]:
    return [ViewAnswer(one, math.log(one / (1 - one))) for one in p]


def table(*rows: tuple[bool, float | None, float | None], fold: int = 1) -> pl.DataFrame:
    """A lesion per row, each of another patient: malignant, p of CC, p of MLO."""
    made = [
        {
            "patient": f"p{number}",
            "exam": "e",
            "side": "L",
            "lesion": "a",
            "kind": "mass",
            "malignant": malignant,
            "fold": fold,
            "disputed": False,
            "p_cc": cc,
            "p_mlo": mlo,
            "p": sum(p for p in (cc, mlo) if p is not None) / sum(p is not None for p in (cc, mlo)),
        }
        for number, (malignant, cc, mlo) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=LESION_COLUMNS, orient="row")


MIXED = table(
    (True, 0.9, 0.7), (True, 0.6, 0.3), (True, 0.4, None), (False, 0.2, 0.5), (False, 0.5, 0.1), (False, None, 0.6)
)


def test_a_lesion_has_the_mean_of_its_views_and_each_view_that_of_its_networks() -> None:
    (pair,) = pair_views([view("p"), view("p", "MLO")])
    said = {"p-L-CC#a": answers(0.2, 0.4), "p-L-MLO#a": answers(0.9)}
    assert join_views(pair, said, "probability") == pytest.approx((0.3, 0.9, 0.6))


def test_a_missing_view_leaves_the_answer_to_the_other_one() -> None:
    (pair,) = pair_views([view("p", "MLO")])
    cc, mlo, both = join_views(pair, {"p-L-MLO#a": answers(0.8)}, "probability")
    assert math.isnan(cc)
    assert (mlo, both) == (0.8, 0.8)
    made = tabulate_lesions([pair], {"p-L-MLO#a": answers(0.8)}, mean="probability", fold_of={"p-L-MLO#a": 2})
    assert made.select("p_cc", "p_mlo", "p", "fold").row(0) == (None, 0.8, 0.8, 2)


def test_several_images_of_one_angle_count_as_one_view() -> None:
    first, second = view("p"), view("p")
    object.__setattr__(second, "image", "p-L-CC-2")
    (pair,) = pair_views([first, second, view("p", "MLO")])
    said = {"p-L-CC#a": answers(0.2), "p-L-CC-2#a": answers(0.4), "p-L-MLO#a": answers(0.9)}
    assert join_views(pair, said, "probability")[2] == pytest.approx(0.6)


def test_logits_can_be_averaged_in_place_of_probabilities() -> None:
    (pair,) = pair_views([view("p"), view("p", "MLO")])
    said = {"p-L-CC#a": answers(0.99), "p-L-MLO#a": answers(0.5)}
    assert join_views(pair, said, "probability")[2] == pytest.approx(0.745)
    assert join_views(pair, said, "logit")[2] == pytest.approx(1 / (1 + math.exp(-math.log(99) / 2)))


def test_areas_are_told_by_view_and_again_for_lesions_with_both() -> None:
    worth = {one.name: one for one in measure_lesions(MIXED, {1: {"p_cc": 0.45, "p_mlo": 0.55, "p": 0.35}})}
    cc, both = worth["CC"], worth["CC and MLO"]
    assert (cc.lesions, both.lesions, worth["MLO, lesions with both views"].lesions) == (5, 6, 4)
    assert cc.area is not None
    assert cc.area.value == pytest.approx(5 / 6)  # 3 x 2 pairs; .4 lies below .5
    assert cc.at_half["accuracy"].value == pytest.approx(3 / 5)  # .4 is missed, .5 is called
    assert cc.at_chosen["sensitivity"].value == pytest.approx(2 / 3)
    assert both.at_chosen["specificity"].value == pytest.approx(1 / 3)  # .35, .3, .6
    assert cc.area.clusters == 5
    assert cc.area.unit == "lesion"


def test_kinds_of_answers_without_both_classes_or_without_a_threshold_say_so() -> None:
    one_class = table((True, 0.9, None), (False, None, 0.4), (True, 0.2, 0.3))
    worth = {one.name: one for one in measure_lesions(one_class, {})}
    assert worth["CC"].area is None
    assert worth["CC and MLO"].area is not None
    assert not worth["CC and MLO"].at_chosen


def test_the_threshold_has_the_largest_sum_of_sensitivity_and_specificity() -> None:
    assert choose_thresholds(MIXED)["p_mlo"] == 0.7
    assert "p_cc" not in choose_thresholds(table((True, None, 0.5), (False, None, 0.2)))


def test_what_a_second_view_adds_is_measured_on_the_same_lesions() -> None:
    cc, mlo = compare_views(MIXED)
    assert cc.n == mlo.n == 4
    assert cc.value == pytest.approx(1 - 1)
    assert mlo.value == pytest.approx(1 - 0.75)
    assert compare_views(table((True, 0.9, None), (False, 0.4, None))) == ()


def test_the_mean_over_architectures_is_of_each_lesions_probabilities() -> None:
    other = MIXED.with_columns(pl.col("p") / 2, p_cc=pl.col("p_cc") / 2)
    mean = mean_tables([MIXED, other])
    assert mean["p"].to_list() == pytest.approx([0.75 * p for p in MIXED["p"]])
    assert mean["p_cc"].null_count() == 1


def test_runs_are_compared_on_lesions_that_both_have() -> None:
    less = Candidate(NETWORK, "less", MIXED.head(5), folds=1)
    found = compare_runs([Candidate("words", "words", MIXED), Candidate(NETWORK, "whole", MIXED, folds=3), less])
    assert [one.name for one in found.candidates] == ["whole", "less", "words"]  # one alone has all lesions: no mean
    assert [one.n for one in found.differences] == [5, 6]
    assert found.notes == ("less: 1 of 3 folds, 5 of 6 lesions, not in the mean",)
    tested_alike = compare_runs(
        [Candidate(NETWORK, name, MIXED, folds=n) for name, n in (("a", 5), ("b", 5), ("c", 1))]
    )
    assert tested_alike.candidates[3].name == "mean of 2 networks"  # an official part tests also a run of one fold
    assert tested_alike.notes == ("c: 1 of 5 folds, 6 of 6 lesions, not in the mean",)
    both = compare_runs([Candidate(NETWORK, "a", MIXED), Candidate(NETWORK, "a", MIXED)])
    assert [(one.kind, one.name) for one in both.candidates] == [
        (NETWORK, "a (1)"),
        (NETWORK, "a (2)"),
        (MEAN, "mean of 2 networks"),
    ]


def test_runs_on_other_lesions_or_folds_are_not_compared() -> None:
    first = Candidate(NETWORK, "a", MIXED)
    with pytest.raises(SetupError, match="another fold"):
        compare_runs([first, Candidate(NETWORK, "b", MIXED.with_columns(fold=pl.lit(2, pl.Int64)))])
    with pytest.raises(SetupError, match="no lesion in common"):
        compare_runs([first, Candidate(NETWORK, "b", MIXED.with_columns(exam=pl.lit("other")))])
