"""The population: determinism, frequencies, independence, labels, courses, planted log-odds, ceilings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from fourview.exam import SetupError, Side
from fourview.phantom.ceiling import breast_ceiling, lesion_ceiling, rate_exam, weigh_auc
from fourview.phantom.chances import find_chances, list_ages, list_cells
from fourview.phantom.pathology import BENIGN, MALIGNANT
from fourview.phantom.population import PlannedExam, plan_exam
from fourview.phantom.recipe import Recipe, load_recipe
from fourview.phantom.recipe_card import count_plans
from fourview.phantom.signs import KINDS

SEED = 7


def changed(name: str, *, distractors: float = 0.5, **biopsies: float) -> Recipe:
    """A built-in recipe with other numbers in [biopsies], and less to draw around them."""
    recipe = load_recipe(name)
    medium = recipe.difficulties.medium.model_copy(update={"distractors": distractors})
    return recipe.model_copy(
        update={
            "biopsies": recipe.biopsies.model_copy(update=biopsies),
            "difficulties": recipe.difficulties.model_copy(update={"medium": medium}),
        }
    )


@lru_cache
def enriched(count: int = 20_000) -> tuple[PlannedExam, ...]:
    recipe = load_recipe("enriched")
    return tuple(plan_exam(recipe, seed=SEED, index=index) for index in range(count))


@lru_cache
def screening(women: int = 5_000) -> tuple[PlannedExam, ...]:
    recipe = load_recipe("screening")
    return tuple(plan_exam(recipe, seed=SEED, index=index) for index in range(recipe.women.rounds * women))


@lru_cache
def courses() -> tuple[tuple[PlannedExam, ...], ...]:
    """Women with three exams, one of which leads to biopsies."""
    recipe = changed("screening", exams=1 / 3)
    return tuple(tuple(plan_exam(recipe, seed=SEED, index=3 * w + r) for r in range(3)) for w in range(3_000))


def leads(plan: PlannedExam) -> bool:
    """Whether the exam leads to biopsies."""
    return any(breast.biopsied for breast in plan.breasts.values())


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    ranks = stats.rankdata(scores)
    positives = truth.sum()
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (~truth).sum()))


def test_any_exam_alone_is_the_one_of_the_sequence() -> None:
    recipe = load_recipe("screening")
    for index in (14_999, 0, 7_000, 3):
        assert plan_exam(load_recipe("screening"), seed=SEED, index=index) == screening()[index]
    assert plan_exam(recipe, seed=SEED + 1, index=3) != screening()[3]
    far = plan_exam(recipe, seed=2**63, index=10**9)
    assert far.index == 10**9
    assert far.patient == f"P{10**9 // 3:06d}"


def test_other_recipes_hold_other_women_and_difficulties_the_same() -> None:
    recipe = load_recipe("enriched")
    identities = {plan_exam(recipe.at(level), seed=0, index=5).identity for level in ("easy", "medium", "hard")}
    assert len(identities) == 1
    assert plan_exam(load_recipe("screening"), seed=0, index=5).identity not in identities


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(SetupError, match="found seed -1 and index 0"):
        plan_exam(load_recipe(), seed=-1, index=0)
    with pytest.raises(SetupError, match="need 0 or more"):
        plan_exam(load_recipe(), seed=0, index=-1)


@pytest.mark.slow
def test_biopsied_breasts_are_as_common_as_in_the_nyu_set() -> None:
    found = count_plans(enriched())
    exact = {  # 5,832 exams = 11,664 breasts, of which 985 malignant, 5,556 benign, 234 both; occult of these
        "breasts malignant": 985 / 11_664,
        "breasts benign": 5_556 / 11_664,
        "breasts both": 234 / 11_664,
        "breasts biopsied": (985 + 5_556 - 234) / 11_664,
        "malignant breasts occult": 130 / 985,
        "benign breasts occult": 2_398 / 5_556,
    }
    for what, share in exact.items():
        value, se = found[what]["value"], found[what]["se"]
        # the set's own counts are chance as well, the rarest within 7 %
        assert value == pytest.approx(share, abs=4 * se + 0.01 * share), what
    assert found["exams biopsied"]["value"] == 1


def test_screening_exams_are_as_common_as_in_the_nyu_set() -> None:
    found = count_plans(screening())
    for what, share in (
        ("exams biopsied", 5_832 / 229_426),
        ("breasts malignant", 985 / 458_852),
        ("breasts benign", 5_556 / 458_852),
    ):
        assert found[what]["value"] == pytest.approx(share, abs=4 * found[what]["se"]), what
    assert found["exams recalled (BI-RADS 0, 4, 5)"]["value"] == pytest.approx(0.10, abs=0.015)
    birads = {c: found[f"breasts BI-RADS {c}"]["value"] for c in "0123456"}
    assert sum(birads.values()) == pytest.approx(1)
    assert birads["1"] > birads["2"] > birads["0"] > birads["5"] > 0
    assert 0.005 < birads["3"] < 0.03


def test_density_given_age_is_that_of_the_recipe() -> None:
    plans = [plan for plan in screening() if plan.round == 0]
    for band in load_recipe("screening").women.ages:
        own = [plan.density for plan in plans if band.first <= plan.age <= band.last]
        counts = Counter(own)
        observed = [counts[d] for d in "abcd"]
        assert stats.chisquare(observed, np.array(band.densities) * len(own)).pvalue > 1e-3
        assert len(own) / len(plans) == pytest.approx(band.share, abs=0.03)


@pytest.mark.slow
def test_acquisition_does_not_know_the_label() -> None:
    plans = enriched()
    for label in ("malignant", "benign"):
        truth = np.array([getattr(plan.breasts[side], label) for plan in plans for side in Side])
        table = Counter((p.profile, getattr(p.breasts[side], label)) for p in plans for side in Side)
        names = sorted({p.profile for p in plans})
        assert stats.chi2_contingency([[table[n, t] for t in (False, True)] for n in names]).pvalue > 1e-3
        for number in (
            [p.acquisition_key for p in plans],
            [int(p.date) for p in plans],
            [p.identity for p in plans],
            [p.age for p in plans],
            [p.follow_up_days for p in plans],
        ):
            area = auc(np.repeat(np.array(number, np.float64), 2), truth)
            assert abs(area - 0.5) < 4 * (1 / (12 * truth.sum())) ** 0.5, (label, number[:2])


def test_distractors_are_alike_on_all_breasts() -> None:
    counts: dict[bool, list[int]] = {False: [], True: []}
    for plan in enriched():
        for side, breast in plan.breasts.items():
            counts[breast.malignant].append(sum(f.side is side and f.p_malignant is None for f in plan.findings))
    mean = load_recipe("enriched").level.distractors
    for own in counts.values():
        assert np.mean(own) == pytest.approx(mean, abs=4 * (mean / len(own)) ** 0.5)
        assert np.var(own) == pytest.approx(mean, rel=0.15)
    assert not any(f.malignant for p in enriched(500) for f in p.findings if f.p_malignant is None)


def test_labels_follow_from_the_biopsies_of_this_exam() -> None:
    kinds = Counter()
    for plan in (p for woman in courses() for p in woman):
        for side, breast in plan.breasts.items():
            own = plan.biopsied_findings(side)
            terms = {f.pathology for f in own}
            assert breast.biopsied == breast.label_known == bool(own)
            assert breast.malignant == any(f.malignant for f in own)
            assert breast.benign == any(not f.malignant for f in own)
            assert breast.high_risk == any(f.high_risk for f in own)
            assert set(breast.pathologies) == terms
            assert all(f.pathology in (MALIGNANT if f.malignant else BENIGN)[f.kind] for f in own)
            if breast.biopsied:
                assert breast.birads in "45"
            kinds[breast.malignant, breast.benign] += 1
            kinds["occult"] += any(not f.visible for f in own)
    assert all(kinds[key] for key in ((True, True), (True, False), (False, True), (False, False), "occult"))


def test_one_woman_stays_herself() -> None:
    for woman in courses()[:500]:
        assert len({(p.patient, p.identity, p.density, p.profile) for p in woman}) == 1
        assert len({p.acquisition_key for p in woman}) == 3
        assert [p.round for p in woman] == [0, 1, 2]
        dates = [p.date for p in woman]
        assert dates == sorted(set(dates))
        assert 1 <= woman[2].age - woman[0].age <= 3
        distractors = [tuple(f for f in p.findings if f.p_malignant is None) for p in woman]
        assert distractors[0] == distractors[1] == distractors[2]


def test_first_exams_are_within_the_years_of_the_recipe() -> None:
    recipe = load_recipe("screening")
    women = recipe.women.model_copy(update={"rounds": 1, "first_year": 2011, "last_year": 2011})
    one_year = recipe.model_copy(update={"women": women})
    dates = [plan_exam(one_year, seed=SEED, index=index).date for index in range(6_000)]
    assert {date[:4] for date in dates} == {"2011"}
    assert len(set(dates)) == 365


def test_exactly_one_exam_of_a_woman_leads_to_biopsies_here() -> None:
    assert {sum(leads(p) for p in woman) for woman in courses()} == {1}


def test_cancers_grow_until_they_are_found_and_benign_findings_stay() -> None:
    history = load_recipe("screening").history
    doublings, shrunk, unchanged, vanished, known = [], 0, 0, 0, 0
    for woman in courses():
        at = next(p.round for p in woman if leads(p))
        for finding in (f for f in woman[at].findings if f.biopsied):
            for plan in woman:
                if plan.round == at:
                    continue
                then = [f for f in plan.findings if f.key == finding.key]
                if not finding.visible:
                    assert then == []
                elif not finding.malignant:
                    assert then in ([], [replace(finding, biopsied=False)])
                    unchanged += bool(then)
                elif plan.round > at:
                    assert then in ([], [replace(finding, biopsied=False)])
                    vanished += not then
                    known += bool(then)
                    breast = plan.breasts[finding.side]
                    assert breast.known_malignant == bool(then) or breast.known_malignant
                    assert not breast.malignant
                    if breast.known_malignant:
                        assert breast.birads == "6"
                else:
                    assert plan.breasts[finding.side].later_malignant
                    assert not plan.breasts[finding.side].biopsied
                    for earlier in then:
                        days = plan.follow_up_days
                        assert history.appears_mm <= earlier.radius_mm < finding.radius_mm
                        place = (earlier.depth, earlier.lateral, earlier.upper, earlier.contrast, earlier.shape)
                        assert place == (finding.depth, finding.lateral, finding.upper, finding.contrast, finding.shape)
                        doublings.append(days / (3 * np.log2(finding.radius_mm / earlier.radius_mm)))
                        shrunk += 1
    assert shrunk > 100
    assert unchanged > 300
    assert vanished > known > 0
    low, high = history.malignant_doubling_days
    assert low - 0.01 <= min(doublings)
    assert max(doublings) <= high + 0.01


def test_a_benign_finding_is_new_or_there_from_the_first_exam_on() -> None:
    new = []
    for woman in courses():
        at = next(p.round for p in woman if leads(p))
        for finding in (f for f in woman[at].findings if f.biopsied and f.visible and not f.malignant):
            seen = [any(f.key == finding.key for f in p.findings) for p in woman]
            assert all(seen[at:])
            assert len(set(seen[:at])) <= 1
            if at:
                new.append(not seen[0])
    share = load_recipe("screening").history.benign_new
    assert np.mean(new) == pytest.approx(share, abs=4 * (share * (1 - share) / len(new)) ** 0.5)


@pytest.mark.parametrize("name", ["screening", "enriched"])
@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_the_share_of_malignant_findings_is_met_exactly(name: str, difficulty: str) -> None:
    recipe = load_recipe(name, difficulty=difficulty)
    chances = find_chances(recipe)
    share, level = recipe.biopsies.malignant, recipe.level
    assert chances.occult == pytest.approx(share * level.occult_malignant + (1 - share) * level.occult_benign)
    weights, ages = list_ages(recipe)
    assert weights.sum() == pytest.approx(1)
    assert weights @ ages == pytest.approx(chances.middle_age)
    plans = [plan_exam(recipe.model_copy(update={"name": "x"}), seed=1, index=i) for i in range(200)]
    assert all(0 < f.p_malignant < 1 for p in plans for f in p.findings if f.biopsied)


def test_ages_that_do_not_count_leave_the_ceiling_of_the_words() -> None:
    recipe = load_recipe("enriched")
    shift = find_chances(recipe).prior_shift
    for kind in (*KINDS, None):
        shares, logits = list_cells(recipe, kind)
        assert lesion_ceiling(recipe, kind) == pytest.approx(weigh_auc(shares, expit(logits + shift)), abs=1e-9)
    assert lesion_ceiling(load_recipe("screening"), "mass") > lesion_ceiling(recipe, "mass")


def test_the_ceiling_of_breasts_is_what_the_planted_probability_reaches() -> None:
    recipe = load_recipe("enriched")
    for label in ("malignant", "benign"):
        rated = [
            (rate_exam(recipe, p, label)[side], getattr(p.breasts[side], label)) for p in enriched() for side in Side
        ]
        p = np.array([score for score, _ in rated])
        truth = np.array([t for _, t in rated])
        assert p.mean() == pytest.approx(truth.mean(), abs=4 * (p * (1 - p)).mean() ** 0.5 / len(p) ** 0.5)
        edges = np.quantile(p, [0, 0.5, 0.7, 0.8, 0.9, 0.95, 1])
        for low, high in pairwise(edges):
            own = (p >= low) & (p <= high)
            error = (p[own] * (1 - p[own])).mean() ** 0.5 / own.sum() ** 0.5
            assert truth[own].mean() == pytest.approx(p[own].mean(), abs=4 * error + 1e-9), (label, low, high)
        assert auc(p, truth) == pytest.approx(breast_ceiling(recipe, label), abs=0.012)


def test_ceilings_fall_with_difficulty() -> None:
    levels = [load_recipe("screening", difficulty=difficulty) for difficulty in ("easy", "medium", "hard")]
    for ceiling in (lesion_ceiling, breast_ceiling):
        areas = [ceiling(level) for level in levels]
        assert areas == sorted(areas, reverse=True)
        assert 0.5 < areas[2] < areas[0] < 1


def test_the_area_of_a_probability_counts_ties_half() -> None:
    assert weigh_auc(np.array([1.0]), np.array([0.3])) == pytest.approx(0.5)
    assert weigh_auc(np.array([0.5, 0.5]), np.array([0.0, 1.0])) == 1
    # positives 0.8 and 0.2 of all, negatives 0.2 and 0.8
    assert weigh_auc(np.array([0.5, 0.5]), np.array([0.2, 0.8])) == pytest.approx(0.8 * 0.8 + (0.8 * 0.2 * 2) / 2)


def test_what_the_reader_felt_tells_of_cancer_but_never_decides() -> None:
    plans = enriched()
    five = [b.malignant for p in plans for b in p.breasts.values() if b.birads == "5"]
    four = [b.malignant for p in plans for b in p.breasts.values() if b.birads == "4"]
    assert 0.35 < np.mean(five) < 1
    assert np.mean(four) < 0.2
