"""The words of findings predict cancer as planted, and no reader of them can beat the ceiling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fourview.exam import SetupError
from fourview.phantom.ceiling import weigh_auc
from fourview.phantom.signs import (
    CALC_TYPES,
    DISTRIBUTIONS,
    KINDS,
    MARGINS,
    SHAPES,
    SIGNS,
    Kind,
    KindSigns,
    draw_signs,
    find_prior_shift,
    list_cells,
)


def ceiling(kind: Kind, strength: float, *, prior_shift: float = 0.0) -> float:
    shares, logits = list_cells(kind, strength=strength)
    return weigh_auc(shares, expit(logits + prior_shift))


def rates(kind: Kind, axis: int) -> dict[str | None, float]:
    """Share of malignant findings for each word, without drawing."""
    own = SIGNS[kind]
    found: dict[str | None, list[tuple[float, float]]] = {}
    for words, count in own.counts.items():
        logit = own.intercept + own.log_odds[0][words[0]] + own.log_odds[1][words[1]]
        found.setdefault(words[axis], []).append((count, 1 / (1 + np.exp(-logit))))
    return {word: sum(c * p for c, p in cells) / sum(c for c, _ in cells) for word, cells in found.items()}


def test_words_of_masses_are_as_often_malignant_as_in_cbis() -> None:
    margins = {"spiculated": 0.88, "ill defined": 0.62, "microlobulated": 0.61, "obscured": 0.20, "circumscribed": 0.14}
    shapes = {"irregular": 0.81, "lobulated": 0.33, "round": 0.30, "oval": 0.25, "lymph node": 0.0}
    for axis, expected in ((0, shapes), (1, margins)):
        found = rates("mass", axis)
        assert found.keys() == expected.keys()
        for word, rate in expected.items():
            assert found[word] == pytest.approx(rate, abs=0.05), word


def test_typically_benign_words_keep_a_small_finite_chance_of_cancer() -> None:
    assert 0 < rates("mass", 0)["lymph node"] < 0.02
    types = rates("calcifications", 0)
    for word in ("lucent centered", "vascular", "dystrophic", "large rodlike"):
        assert 0 < types[word] < 0.08


def test_every_word_of_the_vocabulary_has_log_odds_and_is_drawn() -> None:
    for kind in KINDS:
        own = SIGNS[kind]
        drawn = [{words[axis] for words in own.counts} - {None} for axis in (0, 1)]
        known = (set(CALC_TYPES), set(DISTRIBUTIONS)) if kind == "calcifications" else (set(SHAPES[kind]), set(MARGINS))
        assert drawn[0] == known[0]
        assert drawn[1] <= known[1]
        assert own.log_odds[0].keys() - {None} == known[0]


def recover(kind: Kind, n: int, *, seed: int) -> dict[tuple[int, str | None], tuple[float, float, float, int]]:
    """(axis, word) -> planted contrast to the most frequent word, its estimate, its standard error, findings.

    Unpenalised logistic regression on reference-coded words of n drawn findings.
    """
    rng = np.random.default_rng(seed)
    own = SIGNS[kind]
    drawn = [draw_signs(rng, kind) for _ in range(n)]
    label = np.array([rng.random() < one.p_malignant for one in drawn])
    columns: list[tuple[int, str | None]] = []
    values = []
    for axis in (0, 1):
        words = np.array([one.words.get(own.axes[axis]) or "" for one in drawn])
        names, counts = np.unique(words, return_counts=True)
        for name in names[np.argsort(-counts)][1:]:
            columns.append((axis, str(name) or None))
            values.append(words == name)
    x = np.stack(values, axis=1).astype(float)
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=2000).fit(x, label)
    full = np.column_stack([np.ones(n), x])
    p = model.predict_proba(x)[:, 1]
    error = np.sqrt(np.diag(np.linalg.pinv(full.T @ ((p * (1 - p))[:, None] * full))))[1:]
    first = [
        max({w[axis] for w in own.counts}, key=lambda w, a=axis: sum(c for k, c in own.counts.items() if k[a] == w))
        for axis in (0, 1)
    ]
    return {
        (axis, word): (
            own.log_odds[axis][word] - own.log_odds[axis][first[axis]],
            float(b),
            float(se),
            int(column.sum()),
        )
        for (axis, word), b, se, column in zip(columns, model.coef_[0], error, x.T, strict=True)
    }


@pytest.mark.parametrize("kind", ["mass", "calcifications"])
def test_logistic_regression_on_twenty_thousand_findings_recovers_the_planted_log_odds(kind: Kind) -> None:
    found = recover(kind, 20_000, seed=5)
    largest = {axis: max(abs(planted) for (a, _), (planted, *_) in found.items() if a == axis) for axis in (0, 1)}
    common = {key: row for key, row in found.items() if row[3] >= 1000}
    assert len(common) >= 5
    for (axis, word), (planted, estimate, _, _) in common.items():
        # of the largest contrast of the axis: a small one (round against oval) is known no better than a large one,
        # and with 1,000 findings a standard error is about 7 % of it
        assert abs(estimate - planted) < 0.1 * largest[axis], (word, planted, estimate)
    rare = {key: row for key, row in found.items() if row[3] >= 30}
    z = np.array([(estimate - planted) / se for planted, estimate, se, _ in rare.values()])
    assert np.abs(z).max() < 3
    assert (np.abs(z) < 1.96).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_area_of_the_planted_probability_is_that_of_a_long_simulation(kind: Kind, strength: float) -> None:
    rng = np.random.default_rng(2)
    p = [draw_signs(rng, kind, strength=strength, prior_shift=-1).p_malignant for _ in range(40_000)]
    label = rng.random(len(p)) < p
    error = 0.5 / np.sqrt(min(label.sum(), (~label).sum()))  # an AUC is known no worse than this
    assert roc_auc_score(label, p) == pytest.approx(ceiling(kind, strength, prior_shift=-1), abs=2.5 * error)


def test_a_stronger_recipe_has_a_higher_ceiling_and_none_tells_nothing() -> None:
    for kind in KINDS:
        ceilings = [ceiling(kind, strength) for strength in (0, 0.5, 1, 2)]
        assert ceilings == sorted(ceilings)
        assert ceilings[0] == pytest.approx(0.5)


def test_strength_scales_the_distance_of_logits_from_their_mean_and_shift_adds_to_them() -> None:
    def logits(**options: float) -> np.ndarray:
        rng = np.random.default_rng(3)
        return np.array([draw_signs(rng, "mass", **options).logit for _ in range(200)])

    plain = logits()
    np.testing.assert_allclose(logits(prior_shift=-2.5), plain - 2.5)
    flat = logits(strength=0)
    np.testing.assert_allclose(flat, flat[0])
    np.testing.assert_allclose(logits(strength=0.4), flat + 0.4 * (plain - flat))


@pytest.mark.parametrize("kind", KINDS)
def test_prior_shift_is_found_for_a_prevalence(kind: Kind) -> None:
    for prevalence in (0.05, 0.2, 0.5):
        shares, logits = list_cells(kind)
        found = shares @ expit(logits + find_prior_shift(prevalence, kind))
        assert found == pytest.approx(prevalence, abs=1e-7)


def test_words_left_out_by_the_reader_are_missing() -> None:
    rng = np.random.default_rng(4)
    drawn = [draw_signs(rng, "distortion").words for _ in range(300)]
    assert {words.get("margin") for words in drawn} == {"spiculated", "ill defined", None}
    assert all("margin" not in words or words["margin"] for words in drawn)


def test_wrong_questions_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SetupError, match="kind 'cyst'"):
        draw_signs(rng, "cyst")  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=r"strength -1"):
        draw_signs(rng, "mass", strength=-1)
    with pytest.raises(SetupError, match="margin 'fuzzy' without log-odds"):
        KindSigns(("shape", "margin"), 0, ({"oval": 0}, {None: 0}), {("oval", "fuzzy"): 1})
    with pytest.raises(SetupError, match="found count 0"):
        KindSigns(("shape", "margin"), 0, ({"oval": 0}, {None: 0}), {("oval", None): 0})
