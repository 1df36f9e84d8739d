"""Power of reader studies against published numbers, against formulas, and against simulated studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.mrmc_null import Design, analyse, draw_study

from fourview.evaluate.hybrid_results import compare_hybrid
from fourview.evaluate.plan import (
    KNOWN,
    VarianceComponents,
    assume_components,
    count_positives,
    find_cases,
    find_power,
    hanley_mcneil,
    pilot_components,
)
from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError

VAN_DYKE = VarianceComponents(
    0.0002004025, 0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284, 114, 45, "Van Dyke 1993"
)
SEEN = 0.0438003  # the difference that Van Dyke's study saw


@pytest.mark.parametrize(("readers", "cases"), [(6, 251), (7, 211), (10, 163)])
def test_as_many_cases_are_needed_as_published_for_van_dykes_study(readers: int, cases: int) -> None:
    assert find_cases(VAN_DYKE, readers=readers, effect=SEEN, power=0.8) == cases
    assert find_power(VAN_DYKE, readers=readers, cases=cases, effect=SEEN) == pytest.approx(0.8, abs=0.002)


def test_power_grows_with_readers_cases_and_effect_and_not_with_the_sign() -> None:
    power = find_power(VAN_DYKE, readers=6, cases=200, effect=0.04)
    assert find_power(VAN_DYKE, readers=8, cases=200, effect=0.04) > power
    assert find_power(VAN_DYKE, readers=6, cases=300, effect=0.04) > power
    assert find_power(VAN_DYKE, readers=6, cases=200, effect=0.05) > power
    assert find_power(VAN_DYKE, readers=6, cases=200, effect=-0.04) == power
    assert find_power(VAN_DYKE, readers=6, cases=200, effect=1e-9) == pytest.approx(0.05, abs=1e-6)


def test_the_smallest_number_of_cases_is_the_smallest() -> None:
    found = find_cases(VAN_DYKE, readers=8, effect=0.05, power=0.9)
    assert found is not None
    assert find_power(VAN_DYKE, readers=8, cases=found, effect=0.05) >= 0.9
    assert find_power(VAN_DYKE, readers=8, cases=found - 1, effect=0.05) < 0.9


def test_where_readers_differ_too_much_no_number_of_cases_is_enough() -> None:
    varied = assume_components(0.8, cases=400, positives=100, like=KNOWN["van-dyke"], reader_sd=0.1)
    assert find_cases(varied, readers=5, effect=0.05, power=0.8) is None
    assert find_cases(varied, readers=60, effect=0.05, power=0.8) is not None


def test_the_variance_of_an_area_is_hanley_and_mcneils() -> None:
    q1, q2 = 0.9 / 1.1, 2 * 0.81 / 1.9
    expected = (0.09 + 49 * (q1 - 0.81) + 99 * (q2 - 0.81)) / 5000
    assert hanley_mcneil(0.9, positives=50, negatives=100) == pytest.approx(expected)


def test_known_studies_give_correlations_and_the_given_area_the_variance() -> None:
    found = assume_components(0.78, cases=1440, positives=61, like=KNOWN["fed"])
    assert found.variance == pytest.approx(hanley_mcneil(0.78, positives=61, negatives=1379))
    assert [found.cov1, found.cov2, found.cov3] == pytest.approx([c * found.variance for c in (0.374, 0.296, 0.269)])
    assert found.variance_tr == 0
    assert "Zanca 2009" in found.source
    assert assume_components(
        0.78, cases=1440, positives=61, like=KNOWN["fed"], reader_sd=0.02
    ).variance_tr == pytest.approx(0.0002)


def test_the_known_correlations_are_those_of_the_published_components() -> None:
    v, like = VAN_DYKE, KNOWN["van-dyke"]
    assert [like.r1, like.r2, like.r3] == pytest.approx([c / v.variance for c in (v.cov1, v.cov2, v.cov3)], abs=5e-4)
    assert like.variance_tr == pytest.approx(v.variance_tr, abs=5e-7)


def test_cases_keep_their_share_of_positives() -> None:
    assert count_positives(VAN_DYKE, 228) == 90
    assert count_positives(VAN_DYKE, 100) == 40  # 39.5


def test_components_come_from_a_pilot(shared: Path) -> None:
    study = ReaderStudy.read(shared / "data/nyu_reader_study/reader_study_results.csv")
    mrmc = compare_hybrid(study, "AI_DMVCNN_POM").mrmc
    found = pilot_components(mrmc, cases=study.n, positives=study.positives, source="pilot")
    assert found.variance_tr == pytest.approx(0.000287, abs=5e-7)
    power = find_power(found, readers=14, cases=study.n, effect=mrmc.difference.value)
    assert power > 0.98  # what was seen with p = 2e-5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_power(VAN_DYKE, readers=1, cases=100, effect=0.05), "readers: found 1"),
        (lambda: find_power(VAN_DYKE, readers=5, cases=100, effect=0.0), "effect: found 0"),
        (lambda: assume_components(0.4, cases=100, positives=50, like=KNOWN["fed"]), "AUC: found 0.4"),
        (lambda: assume_components(0.8, cases=100, positives=100, like=KNOWN["fed"]), "found 100 positives"),
        (lambda: assume_components(0.8, cases=100, positives=50, like=KNOWN["fed"], reader_sd=-1), "found -1"),
        (lambda: VarianceComponents(0, 1e-3, 2e-3, 0, 0, 100, 50, ""), "covariances below"),
    ],
)
def test_what_cannot_be_planned_is_refused(call, message) -> None:
    with pytest.raises(SetupError, match=message):
        call()


@pytest.mark.slow
@pytest.mark.parametrize(("design", "shift"), [(Design("LL", 5, 180), 0.35), (Design("HL", 10, 180), 0.45)])
def test_simulated_studies_find_a_difference_as_often_as_planned(design: Design, shift: float) -> None:
    rng = np.random.default_rng(7)
    studies = [draw_study(design, rng, shift=shift) for _ in range(2000)]
    found = [analyse(study, "clustered") for study in studies]
    mean = {name: float(np.mean([getattr(r, name) for r in found])) for name in ("variance", "cov1", "cov2", "cov3")}
    ms_tr = float(np.mean([r.ms_tr for r in found]))
    variance_tr = ms_tr - mean["variance"] + mean["cov1"] + mean["cov2"] - mean["cov3"]
    truth = studies[0][0]
    true = VarianceComponents(max(0.0, variance_tr), **mean, cases=len(truth), positives=int(truth.sum()), source="")
    effect = float(np.mean([r.difference.value for r in found]))
    planned = find_power(true, readers=design.readers, cases=len(truth), effect=effect)
    seen = np.mean([r.difference.p < 0.05 for r in found])
    assert 0.4 < planned < 0.95
    assert seen == pytest.approx(planned, abs=0.04)
