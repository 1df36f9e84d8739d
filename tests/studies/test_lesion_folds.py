"""Which views are one lesion, and which lesions train, choose and are tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fourview.exam import Box, Frame, SetupError
from fourview.studies.lesion.cases import Angle, Lesions, LesionView
from fourview.studies.lesion.folds import OFFICIAL_TEST, divide_lesions
from fourview.studies.lesion.pairs import pair_views

FRAME = Frame((100, 80), (100, 80), Box(0, 100, 0, 80), mirrored=False)


def view(
    patient: str,
    angle: Angle = "CC",
    lesion: str = "a",
    *,
    malignant: bool = False,
    side: str = "L",
    official: str = "",
) -> LesionView:
    return LesionView(
        image=f"{patient}-{side}-{angle}",
        patient=patient,
        exam=patient,
        dataset="set",
        side=side,
        angle=angle,
        lesion=lesion,
        kind="mass",
        malignant=malignant,
        spacing_mm=None,
        box=Box(10, 20, 10, 20),
        frame=FRAME,
        words={},
        official=official,
    )


def many(count: int, *, official: Sequence[str] = ("",)) -> Lesions:
    """Patients with a lesion in both views, every third malignant."""
    views = [
        view(f"p{number:03d}", angle, malignant=number % 3 == 0, official=official[number % len(official)])
        for number in range(count)
        for angle in ("CC", "MLO")
    ]
    return Lesions(tuple(views), {})


def test_views_of_a_breast_with_the_same_number_are_one_lesion() -> None:
    pairs = pair_views([view("p"), view("p", "MLO"), view("p", lesion="b"), view("p", side="R"), view("q", "MLO")])
    assert [(pair.key.patient, pair.key.side, pair.key.lesion, pair.angles) for pair in pairs] == [
        ("p", "L", "a", ("CC", "MLO")),
        ("p", "L", "b", ("CC",)),
        ("p", "R", "a", ("CC",)),
        ("q", "L", "a", ("MLO",)),
    ]
    assert [pair.is_pair for pair in pairs] == [True, False, False, False]
    assert not any(pair.disputed for pair in pairs)


def test_views_that_disagree_on_the_pathology_are_lesions_of_their_own_and_said_to_be_disputed() -> None:
    pairs = pair_views([view("p", malignant=True), view("p", "MLO")])
    assert [(pair.key.lesion, pair.malignant, pair.disputed) for pair in pairs] == [
        ("a_CC", True, True),
        ("a_MLO", False, True),
    ]


def test_lesions_that_the_set_named_apart_are_disputed_too() -> None:
    apart = [view("p", lesion="m_1_CC", malignant=True), view("p", "MLO", "m_1_MLO"), view("q", lesion="m_1_CC")]
    assert [(pair.key.patient, pair.disputed) for pair in pair_views(apart)] == [("p", True), ("p", True), ("q", False)]


def test_no_patient_is_in_two_folds_and_every_fold_has_both_classes() -> None:
    folds = divide_lesions(many(40), folds=5, seed=2)
    patients = np.array([one.patient for one in folds.views])
    for number in range(5):
        own = folds.fold == number
        assert set(patients[own]).isdisjoint(patients[~own])
        assert 0 < folds.malignant[own].sum() < own.sum()


def test_each_fold_is_tested_once_and_chooses_once() -> None:
    folds = divide_lesions(many(40), folds=5)
    parts = [folds.parts(number) for number in range(5)]
    for name in ("test", "validation"):
        assert (sum(part == name for part in parts) == 1).all()
    for part in parts:
        assert set(part) == {"train", "validation", "test"}


def test_the_same_seed_gives_the_same_folds_and_another_one_others() -> None:
    first, again, other = (divide_lesions(many(40), folds=5, seed=seed).fold for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_the_official_test_part_is_tested_by_every_fold_and_never_learned() -> None:
    folds = divide_lesions(many(60, official=("train", "train", "train", "test")), split="official", folds=3)
    of_test = np.array([one.official == "test" for one in folds.views])
    assert ((folds.fold == OFFICIAL_TEST) == of_test).all()
    for number in range(3):
        part = folds.parts(number)
        assert ((part == "test") == of_test).all()
        assert (part == "validation").sum() > 0


def test_patients_without_an_official_part_are_left_out_and_counted() -> None:
    lesions = many(60, official=("train", "test", "train", "train", ""))
    folds = divide_lesions(lesions, split="official", folds=3)
    assert len(folds.views) == 96
    assert folds.notes == ("left out: 24 lesion images of 12 patients whom the set gives no part",)


def test_folds_that_cannot_be_are_refused() -> None:
    with pytest.raises(SetupError, match="came without parts"):
        divide_lesions(many(30), split="official")
    with pytest.raises(SetupError, match="need one per fold"):
        divide_lesions(many(9), folds=5)
    with pytest.raises(SetupError, match="need 3 or more"):
        divide_lesions(many(30), folds=2)


def test_patients_with_lesions_in_both_official_parts_are_left_out_and_no_others() -> None:
    crossing = [view("both", official="train"), view("both", lesion="c", official="test", malignant=True)]
    lesions = many(60, official=("train", "train", "train", "test"))
    folds = divide_lesions(Lesions((*crossing, *lesions.views), {}), split="official", folds=3)
    assert [one.name for one in folds.views] == [one.name for one in lesions.views]
    assert folds.notes == ("left out: 2 lesion images of 1 patients whom the set has in training and test",)


def test_scanners_that_differ_in_how_much_is_malignant_are_told() -> None:
    """As DDSM: every film of one scanner is of a cancer."""
    scanned = [
        replace(view(f"p{number}", angle, malignant=number < 40), vendor="dba" if number < 30 else "howtek")
        for number in range(80)
        for angle in ("CC", "MLO")
    ]
    (note,) = Lesions(tuple(scanned), {}).notes
    assert "dba 30 of 30, howtek 10 of 50 (patients)" in note
    spread = [replace(one, vendor="dba" if int(one.patient[1:]) % 2 else "howtek") for one in scanned]
    assert Lesions(tuple(spread), {}).notes == ()
    assert Lesions(tuple(replace(one, vendor="") for one in scanned), {}).notes == ()
