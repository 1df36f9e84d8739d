"""Subgroups, BI-RADS categories and sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fourview.evaluate.birads import birads_aucs
from fourview.evaluate.sides import check_sides
from fourview.evaluate.subgroups import MISSING, auc_influence, compare_subgroups
from fourview.exam import SetupError


def draw(rng: np.random.Generator, n: int, *, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n exams of two breasts: cluster, truth, score."""
    cluster = np.arange(n).repeat(2)
    truth = rng.random(2 * n) < 0.2
    score = rng.normal(size=n).repeat(2) * 0.7 + rng.normal(size=2 * n) * 0.7 + truth * shift
    return cluster, truth, score


def test_every_group_has_the_auc_of_its_units() -> None:
    cluster, truth, score = draw(np.random.default_rng(0), 300, shift=1)
    density = np.array(["A", "B", "C"])[np.arange(600) // 2 % 3]
    (found,) = compare_subgroups({"density": density.tolist()}, truth, score, cluster=cluster)
    for value, estimate in found.groups:
        own = density == value
        assert estimate.value == pytest.approx(roc_auc_score(truth[own], score[own]))
        assert estimate.n == own.sum()
    assert found.degrees == 2


def test_a_real_interaction_is_found_and_survives_holm() -> None:
    rng = np.random.default_rng(1)
    first, second = draw(rng, 400, shift=0.3), draw(rng, 400, shift=2.0)
    truth, score = np.concatenate([first[1], second[1]]), np.concatenate([first[2], second[2]])
    cluster = np.concatenate([first[0], second[0] + 400])
    columns = {"vendor": ["x"] * 800 + ["y"] * 800, "band": ["1", "1", "2", "2"] * 400}
    vendor, band = compare_subgroups(columns, truth, score, cluster=cluster)
    assert vendor.p < 1e-4
    assert vendor.p_holm == pytest.approx(2 * vendor.p)
    assert band.p > 0.01
    assert band.p_holm == pytest.approx(max(band.p, 2 * vendor.p))


def test_under_no_interaction_p_values_are_uniform_also_where_groups_split_women() -> None:
    rng = np.random.default_rng(2)
    p = []
    for _ in range(300):
        cluster, truth, score = draw(rng, 200, shift=1)
        (found,) = compare_subgroups({"side": ["L", "R"] * 200}, truth, score, cluster=cluster)
        p.append(found.p)
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
    assert 0.4 < np.mean(p) < 0.6


def test_a_group_with_one_class_is_shown_without_an_auc_and_missing_values_are_a_group() -> None:
    cluster, truth, score = draw(np.random.default_rng(3), 50, shift=1)
    values: list[str | None] = [None if k < 10 else "few" if k < 14 else "many" for k in range(100)]
    truth[10:14] = False
    (found,) = compare_subgroups({"group": values}, truth, score, cluster=cluster)
    groups = dict(found.groups)
    assert math.isnan(groups["few"].value)
    assert groups["few"].n == 4
    assert found.groups[-1][0] == MISSING
    assert math.isnan(found.p)  # only one group left to test


def test_zero_is_a_value_and_not_missing() -> None:
    cluster, truth, score = draw(np.random.default_rng(3), 100, shift=1)
    values = [0, 1, None, 1] * 50
    (found,) = compare_subgroups({"visible": values}, truth, score, cluster=cluster)
    assert [(value, estimate.n) for value, estimate in found.groups] == [("0", 50), ("1", 100), (MISSING, 50)]
    assert found.degrees == 1


def test_groups_that_never_differ_are_not_tested() -> None:
    cluster, truth, score = draw(np.random.default_rng(3), 100, shift=1)
    (found,) = compare_subgroups(
        {"side": ["L", "R"] * 100}, truth[::2].repeat(2), score[::2].repeat(2), cluster=cluster
    )
    assert math.isnan(found.p)


def test_a_column_of_numbers_is_no_subgroup() -> None:
    cluster, truth, score = draw(np.random.default_rng(3), 50, shift=1)
    with pytest.raises(SetupError, match="found 50 values; need at most 30"):
        compare_subgroups({"age": [str(k) for k in cluster]}, truth, score, cluster=cluster)


def test_influences_sum_to_nothing_and_give_delongs_variance() -> None:
    from fourview.evaluate import auc

    _, truth, score = draw(np.random.default_rng(5), 200, shift=1)
    influence = auc_influence(truth, score)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    assert math.sqrt(influence @ influence) == pytest.approx(auc(truth, score).se, rel=0.02)


def test_birads_categories_are_judged_one_against_the_others() -> None:
    rng = np.random.default_rng(6)
    category = rng.integers(0, 3, 400)
    p = rng.dirichlet([1, 1, 1], 400) + np.eye(3)[category] * 0.5
    found = birads_aucs(category, p)
    for c in range(3):
        assert found[c].value == pytest.approx(roc_auc_score(category == c, p[:, c]))
    assert found[3].value == pytest.approx(np.mean([e.value for e in found[:3]]))
    drawn = []
    for _ in range(400):
        k = rng.integers(0, 400, 400)
        drawn.append(np.mean([roc_auc_score(category[k] == c, p[k, c]) for c in range(3)]))
    assert found[3].se == pytest.approx(np.std(drawn), rel=0.12)
    with pytest.raises(SetupError, match="three probabilities"):
        birads_aucs(category, p[:, :2])


def sided(rng: np.random.Generator, swap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """200 exams, 60 with one positive breast; a share of exams has its scores exchanged."""
    truth = np.zeros((200, 2), bool)
    truth[np.arange(60), rng.integers(0, 2, 60)] = True
    scores = rng.normal(truth * 2.0)
    swapped = rng.random(200) < swap
    scores[swapped] = scores[swapped, ::-1]
    return np.arange(200).astype(str).repeat(2), truth.ravel(), scores.ravel()


def test_exchanged_sides_are_noticed_although_exams_are_ranked_well() -> None:
    right = check_sides(*sided(np.random.default_rng(7), 0))
    assert right is not None
    assert not right.warning
    assert right.agreement.value > 0.8
    for swap, word in ((1.0, "below chance"), (0.5, "near chance")):
        found = check_sides(*sided(np.random.default_rng(7), swap))
        assert found is not None
        assert word in found.warning
        assert found.exam_auc.value == right.exam_auc.value


def test_scores_that_know_nothing_are_not_said_to_be_exchanged() -> None:
    exams, truth, scores = sided(np.random.default_rng(8), 0)
    found = check_sides(exams, truth, np.random.default_rng(9).permutation(scores))
    assert found is not None
    assert not found.warning


def test_with_few_exams_nothing_is_said_about_sides() -> None:
    exams, truth, scores = sided(np.random.default_rng(7), 0)
    keep = np.r_[0:18, 200:400]
    assert check_sides(exams[keep], truth[keep], scores[keep]) is None
