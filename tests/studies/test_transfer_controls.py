"""What the protocols make of noise and of a planted signal; the printed tables; what is said of a useless predictor."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.compare import adjust_holm, choose_pairs, compare_areas, fold_areas
from fourview.studies.transfer.controls import draw_noise, permute_labels, plant_signal
from fourview.studies.transfer.folds import draw_folds
from fourview.studies.transfer.measures import Scored, average_repeats, measure
from fourview.studies.transfer.nested import UnitScores, run_repeat
from fourview.studies.transfer.published import default_kept, find_parents, run_stage, select_count
from fourview.studies.transfer.stages import Stage, climb, open_one, parse_protocol
from fourview.studies.transfer.steps import Method
from fourview.studies.transfer.tables12 import TABLE_1, TABLE_1_BIRADS, TABLE_2, PublishedRow
from tests.studies.drawn_features import draw_cases

CASES = draw_cases(410, 100)
NOISE = draw_noise(CASES, 4096, np.random.default_rng(0), shared=0)
FIXED = Method("lr", share=0.5, value=0.01)


def test_as_published_finds_a_signal_in_noise_and_the_rigorous_run_does_not() -> None:
    """410 images, 4096 features, 100 positives, nothing to find."""
    published = run_stage(NOISE, CASES, Stage(), "linear_svm", kept=350, seed=0)
    assert balanced_accuracy_score(published.y, published.called) >= 0.85
    assert np.mean(published.cv) >= 0.85
    assert (len(published.y), published.kept) == (205, pytest.approx(350, abs=3))
    folds = draw_folds(CASES.y, CASES.patients, folds=5, seed=0)
    said = run_repeat(NOISE, CASES, FIXED, folds=folds, inner=3).units["image"]
    assert 0.40 <= balanced_accuracy_score(CASES.y, said.called) <= 0.60
    assert 0.40 <= roc_auc_score(CASES.y, said.score) <= 0.60


def test_the_rigorous_run_recovers_a_planted_signal() -> None:
    """A feature with a true AUC of 0.80 among 4095 of noise."""
    values = plant_signal(NOISE, CASES, area=0.80)
    folds = draw_folds(CASES.y, CASES.patients, folds=5, seed=0)
    done = run_repeat(values, CASES, FIXED, folds=folds, inner=3)
    assert 0.75 <= roc_auc_score(CASES.y, done.units["image"].score) <= 0.85
    assert all(places is not None and 4095 in places for places in done.kept)


def test_a_selection_on_all_rows_finds_a_signal_in_noise_and_one_in_the_fold_does_not() -> None:
    values, few = NOISE[:, :1500], {"kept": 130, "seed": 0}
    leaky = run_stage(values, CASES, Stage(True, False, True), "linear_svm", **few)
    clean = run_stage(values, CASES, Stage(True, True, True), "linear_svm", **few)
    assert balanced_accuracy_score(leaky.y, leaky.called) > 0.8
    assert balanced_accuracy_score(clean.y, clean.called) < 0.65


def test_patients_in_both_parts_find_what_their_images_share() -> None:
    """Labels by breast, features that a breast's images share: no signal but who it is."""
    breasts = int(CASES.breasts.max()) + 1
    y = np.random.default_rng(1).permutation(np.arange(breasts) % 4 == 0).astype(np.int64)[CASES.breasts]
    cases = Cases(y, CASES.patients, CASES.breasts)
    values = draw_noise(cases, 300, np.random.default_rng(2), shared=0.9)
    stages = Stage(True, True, False), Stage(True, True, True)
    mixed, apart = (run_stage(values, cases, stage, "linear_svm", kept=100, seed=0) for stage in stages)
    assert roc_auc_score(mixed.y, mixed.score) > 0.7
    assert roc_auc_score(apart.y, apart.score) < 0.65
    assert len(np.intersect1d(apart.cluster, cases.patients)) == len(np.unique(apart.cluster))


def test_the_hold_out_is_a_third_and_synthetic_rows_are_in_it_only_while_smote_leaks() -> None:
    for stage, n in ((Stage(), 205), (Stage(True), 136), (Stage(smote=False), 136)):
        scores = run_stage(NOISE[:, :40], CASES, stage, "lr", kept=10, seed=3)
        assert len(scores.y) == n
        assert (scores.synthetic > 40) is (stage.smote and not stage.smote_in_fold)
        assert len(scores.cv) == 10


def test_a_synthetic_rows_parent_is_an_image_it_was_drawn_from() -> None:
    """Also where a third image lies nearer. A tenth of the way from row k to row k + 1, in few dimensions."""
    images = NOISE[:40, :3]
    starts = np.arange(39)
    made = 0.9 * images[starts] + 0.1 * images[starts + 1]
    assert (find_parents(made, images) == starts).all()
    away = np.linalg.norm(made[:, None] - images, axis=2)
    assert (away.argmin(axis=1) != starts).any()


def test_the_selection_keeps_as_many_features_as_asked() -> None:
    kept = [len(select_count(NOISE[:, :600], CASES.y, wanted)) for wanted in (5, 30, 120)]
    assert kept == pytest.approx([5, 30, 120], abs=1)
    assert [default_kept(name, 4096) for name in ("imagenet_resnet50_2048", "nyu_flat4096", "nyu_avg_flat4096")] == [
        217,
        350,
        325,
    ]
    assert default_kept("texture", 100) == 9
    whole = run_stage(NOISE[:, :420], CASES, Stage(smote=False), "lr", kept=420, seed=0)
    assert whole.kept == 420  # more than a Lasso can keep of 410 rows: nothing was selected
    with pytest.raises(SetupError, match="found 7 features to keep of 5"):
        run_stage(NOISE[:, :5], CASES, Stage(), "lr", kept=7, seed=0)
    with pytest.raises(SetupError, match="found the classifier knn; need one of lr"):
        run_stage(NOISE[:, :5], CASES, Stage(), "knn", kept=2, seed=0)


def test_each_stage_lists_the_leaks_that_it_leaves_open() -> None:
    assert Stage().banner == "LEAKS: SMOTE, selection, patient"
    assert Stage(smote=False).banner == "LEAKS: selection, patient"
    stage = parse_protocol("+grouped+smote_in_fold")
    assert stage == Stage(smote_in_fold=True, grouped=True)
    assert stage is not None
    assert stage.banner == "LEAKS: selection"
    assert [s.banner.count(",") + 1 for s in climb()][:3] == [3, 2, 1]
    assert climb()[-1].leaks == ()
    assert [len(s.leaks) for s in (*open_one(), *open_one(smote=False))] == [1] * 5
    assert [s.name for s in climb(smote=False)] == ["as_published", "+selection_in_fold", "+selection_in_fold+grouped"]
    assert parse_protocol("rigorous") is None
    for wrong in ("grouped", "as_published+grouped", "+", "+scaled"):
        with pytest.raises(SetupError, match="--protocol: found"):
            parse_protocol(wrong)


@pytest.mark.parametrize("row", [*TABLE_1, *TABLE_2], ids=lambda row: f"{row.model} {row.extractor} {row.kept}")
def test_the_counts_give_every_printed_digit(row: PublishedRow) -> None:
    for name, value in row.compute().items():
        text = row.printed[name]
        assert abs(value - float(text)) <= 0.5 * 10.0 ** -(len(text) - 1) + 1e-12


def test_the_tables_have_the_test_sets_that_were_worked_out() -> None:
    assert {(r.tp + r.fn, r.tp + r.fn + r.tn + r.fp) for r in TABLE_1} == {(20, 82)}
    assert {r.tp + r.fn + r.tn + r.fp for r in TABLE_2 if r.smote} == {205}
    assert {(r.tp + r.fn, r.tp + r.fn + r.tn + r.fp) for r in TABLE_2 if not r.smote} == {(35, 136)}
    assert [f"{right / 82:.3f}"[1:] for _, right, _ in TABLE_1_BIRADS] == [text for _, _, text in TABLE_1_BIRADS]
    assert len(TABLE_2) == 18


def test_permuted_labels_keep_their_number_and_clump_but_lose_the_features() -> None:
    clumped = Cases((CASES.patients % 4 == 0).astype(np.int64), CASES.patients, CASES.breasts)
    drawn = permute_labels(clumped, np.random.default_rng(0))
    assert drawn.y.sum() == clumped.y.sum()
    assert (drawn.y != clumped.y).mean() > 0.2
    assert drawn.positive_patients == clumped.positive_patients


def test_patients_with_other_numbers_of_images_keep_whole_labels_where_somebody_has_as_many() -> None:
    patients = np.repeat(np.arange(31), [*[2] * 15, *[4] * 15, 5])
    y = np.isin(patients, [0, 1, 2, 3, 20, 21, 22, 23]).astype(np.int64)
    y[-3:] = 1
    cases = Cases(y, patients, patients)
    found = [permute_labels(cases, np.random.default_rng(seed)).y for seed in range(20)]
    for drawn in found:
        shares = np.bincount(patients, drawn) / np.bincount(patients)
        assert sorted(shares[:15]) == [*[0.0] * 11, *[1.0] * 4]
        assert sorted(shares[15:30]) == [*[0.0] * 11, *[1.0] * 4]
        assert shares[30] == 3 / 5
    assert len({tuple(drawn[-5:]) for drawn in found}) > 3
    assert np.mean(found, axis=0)[:30] == pytest.approx(np.full(30, 4 / 15), abs=0.35)


def test_noise_that_a_breasts_images_share_correlates_within_breasts_only() -> None:
    values = draw_noise(CASES, 2000, np.random.default_rng(0), shared=0.5)
    within, between = np.corrcoef(values[0], values[1])[0, 1], np.corrcoef(values[1], values[2])[0, 1]
    assert within == pytest.approx(0.5, abs=0.1)
    assert between == pytest.approx(0, abs=0.1)


def _scored(score: np.ndarray, called: np.ndarray) -> Scored:
    return Scored(CASES.y, CASES.patients, score, called)


def test_useless_predictors_are_called_so_in_words() -> None:
    rng = np.random.default_rng(0)
    nothing, noise = np.zeros(410, np.int64), rng.normal(size=410)
    assert measure([_scored(np.zeros(410), nothing)]).says == "useless: says the same of every one"
    assert "calls every one negative" in measure([_scored(noise, nothing)]).says
    assert measure([_scored(noise, (noise > 0).astype(np.int64))]).says == "not told from chance"
    good = noise + 3 * CASES.y
    assert measure([_scored(good, (good > 1.5).astype(np.int64))]).says == ""
    assert "wrong way round" in measure([_scored(-good, (good < 1.5).astype(np.int64))]).says


def test_repeats_are_averaged_and_their_interval_is_not_narrower_than_theirs() -> None:
    rng = np.random.default_rng(0)
    repeats = [_scored(s := rng.normal(size=410) + CASES.y, (s > 0.5).astype(np.int64)) for _ in range(3)]
    singles = [measure([one]).auc for one in repeats]
    together = measure(repeats)
    assert together.auc.value == pytest.approx(np.mean([s.value for s in singles]))
    assert together.auc.high - together.auc.low >= 0.99 * min(s.high - s.low for s in singles)
    assert average_repeats(singles[:1]) is singles[0]
    assert together.spread == pytest.approx(np.std([s.value for s in singles], ddof=1))
    assert math.isnan(measure(repeats[:1]).spread)


def test_what_differs_from_repeat_to_repeat_is_not_told_as_if_it_were_the_same() -> None:
    one = Estimate(
        "sensitivity", 0.6, 0.3, 0.8, 0.1, 10, 6, 9, "image", "Wilson, t with 8 degrees of freedom", ("only 9 women",)
    )
    other = replace(
        one, value=0.7, positives=7, method="Wilson, t with 6 degrees of freedom", warnings=("only 7 women",)
    )
    found = average_repeats([one, other])
    assert (found.value, found.positives, found.n) == (pytest.approx(0.65), None, 10)
    assert found.method == "mean of 2 repeats, each: Wilson, t with 6 to 8 degrees of freedom"
    assert found.warnings == ("only 7 women",)
    same = average_repeats([one, one])
    assert (same.positives, same.method) == (None, "mean of 2 repeats, each: Wilson, t with 8 degrees of freedom")
    area = replace(one, name="AUC", positives=4)
    assert average_repeats([area, replace(area, value=0.7)]).positives == 4


def _units(score: np.ndarray, seed: int) -> UnitScores:
    folds = draw_folds(CASES.y, CASES.patients, folds=5, seed=seed)
    return UnitScores(folds, score, score, (score > 0).astype(np.int64))


def test_differences_use_the_corrected_t_test() -> None:
    rng = np.random.default_rng(3)
    first = [_units(rng.normal(size=410) + 1.5 * CASES.y, seed) for seed in range(2)]
    second = [_units(rng.normal(size=410) + CASES.y, seed) for seed in range(2)]
    found = compare_areas(CASES.y, CASES.patients, first, second, name="a minus b", unit="image")
    a, b = fold_areas(CASES.y, first), fold_areas(CASES.y, second)
    plain = ttest_rel(a, b)
    assert found.value == pytest.approx((a - b).mean())
    assert found.se == pytest.approx((a - b).std(ddof=1) * math.sqrt(1 / 10 + 1 / 4))
    assert found.p is not None
    assert found.p > plain.pvalue
    same = compare_areas(CASES.y, CASES.patients, first, first, name="a minus a", unit="image")
    assert (same.value, math.isnan(same.low)) == (0, True)
    with pytest.raises(SetupError, match="found other folds"):
        compare_areas(CASES.y, CASES.patients, first, second[::-1], name="a minus b", unit="image")


def test_holms_p_values_are_those_of_his_example() -> None:
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(adjust_holm([0.01, math.nan])[1])
    assert len(choose_pairs("abcdef")) == 15
    assert choose_pairs("abcdefgh") == tuple((0, k) for k in range(1, 8))


def test_a_repeat_without_an_interval_does_not_take_those_of_the_others() -> None:
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    perfect = np.arange(8)[::-1].astype(float)
    other = np.array([8.0, 7, 1, 6, 5, 4, 3, 2])
    repeats = [Scored(y, np.arange(8), score, (score > 4).astype(int)) for score in (perfect, other)]
    alone = measure(repeats[1:]).auc
    both = measure(repeats).auc
    assert (both.low, both.high) == (alone.low, alone.high)
    assert both.value == pytest.approx((1 + alone.value) / 2)
    assert "1 of 2 repeats" in both.warnings[-1]
    assert measure(repeats[:1]).says == "no interval: not judged"
