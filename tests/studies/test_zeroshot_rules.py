"""Rules of zero-shot reading: who chooses a threshold, what a positive is, and what the chart counts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fourview.evaluate.operating import Rule, choose_threshold
from fourview.exam import SetupError
from fourview.studies.transfer.zeroshot_document import ZeroshotReading, call_images, describe_zeroshot, tabulate_calls
from fourview.studies.transfer.zeroshot_rules import (
    UNKNOWN,
    Target,
    call_argmax,
    call_crossfit,
    call_threshold,
    count_calls,
    deal_patients,
    group_birads,
    group_labels,
    list_targets,
)


def make_images(n: int = 80, *, birads: bool = True, source: str = "biopsy", unit: str = "image") -> pl.DataFrame:
    """Two images per woman; scores rise a little with what is known."""
    rng = np.random.default_rng(4)
    suspicious = np.repeat(rng.random(n // 2) < 0.4, 2)
    names = np.where(suspicious, "4b", "2")
    return pl.DataFrame(
        {
            "image": [f"i{k}" for k in range(n)],
            "exam": [f"e{k // 2}" for k in range(n)],
            "patient": [f"s/p{k // 2}" for k in range(n)],
            "birads": names.tolist() if birads else [None] * n,
            "malignant": suspicious.tolist(),
            "benign": (~suspicious & (np.arange(n) % 5 == 0)).tolist(),
            "label_unit": unit,
            "label_source": source,
            "p_malignant": np.clip(0.3 + 0.2 * suspicious + rng.normal(0, 0.1, n), 0, 1),
            "p_benign": rng.random(n),
        },
        schema_overrides={"birads": pl.String},
    )


def make_reading(images: pl.DataFrame, **more: object) -> ZeroshotReading:
    told = {"listed": len(images), "prepared": len(images), "alone": True, "scored": "", "problems": (), "marks": ()}
    return ZeroshotReading("t", images, **{**told, "origin": (), "settings": (), **more})  # type: ignore[arg-type]


def make_target(truth: list[int]) -> Target:
    return Target("birads4+", "BI-RADS 4+", "suspicious", "not", np.array(truth))


def test_the_papers_rule_is_malignant_only_where_it_is_the_larger_and_says_whom_it_favours() -> None:
    call = call_argmax(np.array([0.2, 0.5, 0.6]), np.array([0.5, 0.5, 0.5]))
    assert call.called.tolist() == [False, False, True]
    assert "favours benign" in call.note


def test_a_threshold_is_inclusive_and_a_share() -> None:
    assert call_threshold(np.array([0.1, 0.2, 0.3]), 0.2).called.tolist() == [False, True, True]
    with pytest.raises(SetupError, match="need a number from 0 to 1"):
        call_threshold(np.array([0.1]), 1.5)


def test_a_fold_is_called_by_the_threshold_of_all_other_patients() -> None:
    images = make_images()
    target, p = list_targets(images)[0], images["p_malignant"].to_numpy()
    patients = images["patient"].to_list()
    fold = deal_patients(target, patients, seed=3)
    call = call_crossfit(p, target, patients, seed=3)
    assert fold is not None
    assert call is not None
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3, 4]
    for patient in set(patients):
        assert len({int(f) for f, name in zip(fold, patients, strict=True) if name == patient}) == 1
    for number in range(5):
        others = fold != number
        t = choose_threshold(target.truth[others], p[others], Rule(name="youden", kind="youden"))
        assert (call.called[~others] == (p[~others] >= t)).all()
        assert set(target.truth[others].tolist()) == {0, 1}


def test_what_is_true_of_a_patient_never_reaches_the_threshold_that_it_is_called_by() -> None:
    images = make_images()
    target, p = list_targets(images)[0], images["p_malignant"].to_numpy()
    patients = images["patient"].to_list()
    before = call_crossfit(p, target, patients, seed=0)
    fold = deal_patients(target, patients, seed=0)
    assert before is not None
    assert fold is not None
    own = fold == 2
    shifted = p.copy()
    shifted[own & (target.truth == 0)] = np.maximum(0, shifted[own & (target.truth == 0)] - 0.2)
    after = call_crossfit(shifted, target, patients, seed=0)
    assert after is not None
    kept = own & (target.truth == 1)  # their scores are as they were, and so is their threshold
    assert (before.called[kept] == after.called[kept]).all()
    assert kept.any()


def test_too_few_patients_choose_no_threshold_and_the_page_says_so() -> None:
    truth = [1, 1, 0, 0, 0, UNKNOWN]
    assert call_crossfit(np.linspace(0, 1, 6), make_target(truth), list("aabcde"), seed=0) is None
    images = make_images(6).with_columns(birads=pl.Series(["5", "5", "2", "2", "1", "1"]))
    reading = make_reading(images)
    calls = call_images(reading)
    assert [call.name for call in calls] == ["argmax_pair"]
    section = describe_zeroshot(reading, calls).sections[0]
    assert section.warnings == ("no threshold: found too few patients of each class, and none was given",)


def test_birads_is_suspicion_and_only_biopsies_and_registries_say_malignant() -> None:
    images = make_images(source="birads")
    (target,) = list_targets(images)
    assert (target.name, target.positive) == ("birads4+", "suspicious by BI-RADS 4, 5 or 6, not cancer")
    assert [t.name for t in list_targets(make_images())] == ["birads4+", "malignant"]
    assert list_targets(make_images(birads=False, unit="patient")) == ()  # of some image of hers, nobody knows which
    every = pl.DataFrame({"birads": ["0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6", None]})
    rest = {name: [None] * 11 for name in ("malignant", "label_source", "label_unit")}
    (target,) = list_targets(every.with_columns(**{k: pl.Series(v, dtype=pl.String) for k, v in rest.items()}))
    assert target.truth.tolist() == [UNKNOWN, 0, 0, 0, 1, 1, 1, 1, 1, 1, UNKNOWN]


def test_groups_are_birads_one_to_six_with_four_in_one_or_in_parts() -> None:
    images = pl.DataFrame({"birads": ["1", "4a", "4c", "6", None]})
    assert group_birads(images, parts=False) == (tuple("123456"), ["1", "4", "4", "6", None])
    names, found = group_birads(images, parts=True)
    assert names == ("1", "2", "3", "4a", "4b", "4c", "5", "6")
    assert found == ["1", "4a", "4c", "6", None]
    more = pl.DataFrame({"birads": ["0", "4"]})
    assert group_birads(more, parts=True)[0] == ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")


def test_every_image_of_a_group_is_counted_once() -> None:
    called = np.array([True, False, False, True, True])
    assert count_calls(("1", "2"), ["1", "1", "2", "2", None], called) == [(1, 1), (1, 1)]


def test_a_set_without_birads_is_charted_by_its_labels() -> None:
    images = make_images(birads=False)
    assert group_labels(images)[0] == ("neither", "benign", "malignant")
    reading = make_reading(images)
    calls = call_images(reading)
    table = tabulate_calls(reading, calls[0])
    assert table.columns == ["label", "predicted_benign", "predicted_malignant"]
    assert table.select("predicted_benign", "predicted_malignant").to_numpy().sum() == len(images)
    document = describe_zeroshot(reading, calls)
    assert document.headline[0].name == "AUC of p malignant against malignant"
    assert document.headline[0].clusters == 40
    assert document.sections[0].title == "Predictions by label"
    unknown = images.with_columns(malignant=pl.lit(None, pl.Boolean), benign=pl.lit(None, pl.Boolean))
    assert set(group_labels(unknown)[1]) == {None}
