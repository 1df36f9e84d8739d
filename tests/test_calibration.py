"""What a calibration is: maps, prevalences, operating points; written, loaded and refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourview.calibration import (
    Calibration,
    FindingCalibration,
    Isotonic,
    OperatingPoint,
    Platt,
    SiteCalibration,
    Temperature,
    check_model,
    load_calibration,
    logit,
    shift_prevalence,
)
from fourview.exam import Score, SetupError
from fourview.weights.untrained import untrained_card

SHARES = st.floats(1e-4, 1 - 1e-4)


def fitted(map_: Platt | Temperature | Isotonic, prevalence: float = 0.1) -> FindingCalibration:
    return FindingCalibration(
        map=map_, prevalence=prevalence, table_prevalence=0.3, n=1000, positives=300, clusters=500, cluster="patient"
    )


def a_calibration(**changes: Any) -> Calibration:
    values: dict[str, Any] = {
        "model": "fake",
        "weights_hash": "feed" * 4,
        "unit": "breast",
        "population": "readings.csv with truth.csv",
        "findings": {"malignant": fitted(Platt(slope=0.5, intercept=-2))},
        "operating_points": (
            OperatingPoint(name="recall", finding="malignant", threshold=0.25, population="readings.csv"),
        ),
    }
    return Calibration(**{**values, **changes})


@given(SHARES, SHARES, SHARES)
def test_another_prevalence_moves_the_logit_by_the_difference_of_the_logits(p: float, fit: float, site: float) -> None:
    moved = shift_prevalence(np.array([p]), fitted=fit, site=site)[0]
    wanted = math.log(p / (1 - p)) + math.log(site / (1 - site)) - math.log(fit / (1 - fit))
    assert moved == pytest.approx(1 / (1 + math.exp(-wanted)), rel=1e-9)


def test_certainty_stays_certain_at_every_prevalence() -> None:
    assert shift_prevalence(np.array([0.0, 1.0]), fitted=0.3, site=0.001).tolist() == [0, 1]


@given(SHARES, SHARES)
def test_the_score_is_mapped_and_then_moved_to_the_site(p: float, site: float) -> None:
    found = SiteCalibration(a_calibration(), {"malignant": site}).calibrate(Score(benign=0.9, malignant=p))
    odds = (p / (1 - p)) ** 0.5 * math.exp(-2) * (site / (1 - site)) / (0.1 / 0.9)
    assert found == {"malignant": pytest.approx(odds / (1 + odds))}


def test_the_three_maps_say_what_their_formulas_say() -> None:
    scores = np.array([0.1, 0.5, 0.8])
    assert logit(Temperature(temperature=2, offset=-1).apply(scores)) == pytest.approx(logit(scores) / 2 - 1)
    assert logit(Platt(slope=3, intercept=1).apply(scores)) == pytest.approx(logit(scores) * 3 + 1)
    steps = Isotonic(scores=(0.2, 0.4, 0.6), probabilities=(0.1, 0.1, 0.3))
    assert steps.apply(np.array([0, 0.2, 0.3, 0.5, 0.6, 1])) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.3, 0.3])


def test_scores_of_0_and_1_have_a_probability() -> None:
    low, high = Platt(slope=1, intercept=0).apply(np.array([0.0, 1.0]))
    assert 0 < low < 1e-6
    assert 1 - 1e-6 < high < 1


def test_what_is_written_is_what_is_loaded_from_the_file_or_its_folder(tmp_path: Path) -> None:
    calibration = a_calibration(findings={"benign": fitted(Isotonic(scores=(0.1, 0.2), probabilities=(0, 1)))},
                                operating_points=())  # fmt: skip
    (tmp_path / "calibration.json").write_text(calibration.model_dump_json())
    assert load_calibration(tmp_path) == calibration
    assert load_calibration(tmp_path / "calibration.json").calibration_hash == calibration.calibration_hash


def test_another_map_another_hash() -> None:
    other = a_calibration(findings={"malignant": fitted(Platt(slope=0.5, intercept=-2.1))})
    assert other.calibration_hash != a_calibration().calibration_hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"model"', '"modell"', "modell"),
        ('"kind":"platt"', '"kind":"beta"', "beta"),
        ('"slope":0.5', '"slope":-0.5', "greater than 0"),
        ('"intercept":-2.0', '"intercept":NaN', "finite"),
        ("fourview-calibration/1", "fourview-calibration/9", "format"),
        ('"prevalence":0.1', '"prevalence":1.0', "less than 1"),
        ('"finding":"malignant"', '"finding":"benign"', "operating point recall"),
        ('"threshold":0.25,"unit":"breast"', '"threshold":0.25,"unit":"image"', "per image"),
        ("}", "", "calibration that this version can read"),
    ],
)
def test_a_calibration_that_is_none_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = a_calibration().model_dump_json()
    assert old in text
    (tmp_path / "calibration.json").write_text(text.replace(old, new))
    with pytest.raises(SetupError, match=message):
        load_calibration(tmp_path)


def test_a_missing_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="fourview calibrate"):
        load_calibration(tmp_path)


@pytest.mark.parametrize(
    ("scores", "probabilities"), [((0.2, 0.1), (0, 1)), ((0.1, 0.1), (0, 1)), ((0.1, 0.2), (1, 0)), ((0.1,), (0, 1))]
)
def test_knots_that_fall_or_do_not_pair_are_refused(
    scores: tuple[float, ...], probabilities: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="need"):
        Isotonic(scores=scores, probabilities=probabilities)


@pytest.mark.parametrize("prevalence", [{}, {"malignant": 0.0}, {"malignant": 1.0}, {"benign": 0.1}])
def test_a_site_needs_a_share_of_every_finding_that_it_calibrates(prevalence: dict[Any, float]) -> None:
    with pytest.raises(SetupError, match="prevalence"):
        SiteCalibration(a_calibration(), prevalence)


def test_a_calibration_of_other_weights_or_another_unit_is_refused() -> None:
    check_model(a_calibration(), weights_hash="feed" * 4, unit="breast")
    with pytest.raises(SetupError, match="was fitted on readings of fake"):
        check_model(a_calibration(), weights_hash="dead" * 4, unit="breast")
    with pytest.raises(SetupError, match="no hash"):
        check_model(a_calibration(weights_hash=None), weights_hash="feed" * 4, unit="breast")
    with pytest.raises(SetupError, match="per image"):
        check_model(a_calibration(), weights_hash="feed" * 4, unit="image")


def test_a_score_at_the_threshold_reaches_the_operating_point() -> None:
    (point,) = a_calibration().operating_points
    assert point.reached(Score(benign=0, malignant=0.25))
    assert not point.reached(Score(benign=1, malignant=0.2499))


def test_a_card_may_hold_a_calibration_and_its_hash_stays_that_of_the_raw_scores() -> None:
    card = untrained_card("drawn")
    with_calibration = card.model_copy(update={"calibration": a_calibration(weights_hash=card.weights_hash)})
    assert with_calibration.weights_hash == card.weights_hash
    assert type(card).model_validate_json(with_calibration.model_dump_json()) == with_calibration
