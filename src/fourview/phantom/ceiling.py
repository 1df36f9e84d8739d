"""What nobody can beat: the AUC of the planted probability itself, exact, for each task of a recipe's population.

Labels are drawn with planted probabilities, so even an observer who knows these errs. Ours knows, of one exam, which
visible findings were biopsied, their words, and her age; not what occult findings there are. A reader of the pixels
must besides tell such findings from distractors and see their words, so stays below.

Method: all that such an observer can see, with its share and the probability of the label given it, enumerated; the AUC
of a calibrated probability p with share w is that of weights w p against w (1 - p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fourview.exam import Finding, Side
from fourview.phantom.chances import Chances, find_chances, list_ages, list_cells, logistic
from fourview.phantom.logits import Floats, find_probability
from fourview.phantom.population import PlannedExam
from fourview.phantom.recipe import Recipe
from fourview.phantom.signs import Kind


@dataclass(frozen=True)
class _Breasts:
    """Shares of breasts by what can be seen, and what may be hidden there.

    seen     share with 0, 1, 2 visible biopsied findings
    hidden   of breasts with 1 of them: share with an occult one besides
    one_occult, two_occult  of biopsied breasts with none visible: share with one, two occult findings
    alone, beside  probability that a breast with none visible was biopsied, if the other breast shows none, shows some;
    both_empty  share of exams in which neither breast shows any
    """

    seen: tuple[float, float, float]
    hidden: float
    one_occult: float
    two_occult: float
    alone: float
    beside: float
    both_empty: float


def _count_breasts(recipe: Recipe, chances: Chances) -> _Breasts:
    exams, both, two = recipe.biopsies.exams, recipe.biopsies.both_breasts, recipe.biopsies.two_findings
    o, v = chances.occult, 1 - chances.occult
    none, one, pair = (1 - two) * o + two * o * o, (1 - two) * v + 2 * two * v * o, two * v * v
    side = exams * (1 + both) / 2
    single = exams * (1 - both) / 2  # one given breast only
    empty = single * none + exams * both * none * none  # this breast was biopsied, and neither shows anything
    both_empty = empty + single * none + 1 - exams
    return _Breasts(
        seen=(1 - side * (one + pair), side * one, side * pair),
        hidden=2 * two * v * o / one if one else 0.0,
        one_occult=(1 - two) * o / none if none else 0.0,
        two_occult=two * o * o / none if none else 0.0,
        alone=empty / both_empty if both_empty else 0.0,
        beside=both * none / (both * none + (1 - both) / 2) if both < 1 or none else 0.0,
        both_empty=both_empty,
    )


def rate_breast(breasts: _Breasts, p_visible: Floats, p_occult: float, *, other_shows: bool = False) -> Floats:
    """Probability that at least one finding of a breast is of a class, given those that can be seen.

    p_visible  (findings, ...) probability of the class for each visible biopsied finding, 0 to 2 of them
    p_occult   the same for an occult one
    """
    if len(p_visible) == 0:
        biopsied = breasts.beside if other_shows else breasts.alone
        miss = breasts.one_occult * (1 - p_occult) + breasts.two_occult * (1 - p_occult) ** 2
        return np.array(biopsied * (1 - miss))
    left = np.prod(1 - p_visible, axis=0)
    hidden = breasts.hidden if len(p_visible) == 1 else 0.0
    return np.asarray(1 - left * (1 - hidden * p_occult))


def rate_exam(recipe: Recipe, plan: PlannedExam, finding: Finding = "malignant") -> dict[Side, float]:
    """For each breast the probability of the label, given what the observer above knows."""
    chances = find_chances(recipe)
    breasts = _count_breasts(recipe, chances)
    occult = logistic(chances.occult_logit + chances.age_logit(plan.age))
    seen = {side: [f for f in plan.biopsied_findings(side) if f.visible] for side in Side}
    found = {}
    for side, other in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT)):
        p = np.array([_of(f.p_malignant or 0.0, finding) for f in seen[side]])
        found[side] = float(rate_breast(breasts, p, _of(occult, finding), other_shows=bool(seen[other])))
    return found


def _of(p_malignant: Any, finding: Finding) -> Any:
    return p_malignant if finding == "malignant" else 1 - p_malignant


def weigh_auc(shares: Floats, p: Floats) -> float:
    """AUC of a calibrated probability p that holds for these shares of units, ties half; NaN if a class is missing."""
    order = np.argsort(p, kind="stable")
    p = p[order]
    positive, negative = (shares[order] * p), (shares[order] * (1 - p))
    first = np.searchsorted(p, p - 1e-12, side="left")
    after = np.searchsorted(p, p + 1e-12, side="right")
    below = np.concatenate([[0.0], np.cumsum(negative)])
    if not positive.sum() * negative.sum() > 0:
        return float("nan")
    return float(positive @ (below[first] + below[after]) / 2 / (positive.sum() * negative.sum()))


def lesion_ceiling(recipe: Recipe, kind: Kind | None = None) -> float:
    """AUC, malignant against benign, of visible biopsied findings; of one kind, or of all."""
    chances = find_chances(recipe)
    shares, logits = list_cells(recipe, kind)
    weights, ages = list_ages(recipe)
    p = find_probability(logits[None, :] + chances.prior_shift + _by_age(chances, ages)[:, None])
    return weigh_auc((weights[:, None] * shares).ravel(), p.ravel())


def breast_ceiling(recipe: Recipe, finding: Finding = "malignant") -> float:
    """AUC of breasts with the label against all others, with and without biopsies."""
    chances = find_chances(recipe)
    breasts = _count_breasts(recipe, chances)
    cells, logits = list_cells(recipe)
    weights, ages = list_ages(recipe)
    shares, values = [], []
    for weight, older in zip(weights, _by_age(chances, ages), strict=True):
        p = _of(find_probability(logits + chances.prior_shift + older), finding)
        occult = _of(logistic(chances.occult_logit + older), finding)
        nothing = np.empty(0)
        for other_shows, share in ((False, breasts.both_empty), (True, breasts.seen[0] - breasts.both_empty)):
            shares.append(np.array([weight * share]))
            values.append(rate_breast(breasts, nothing, occult, other_shows=other_shows)[None])
        shares.append(weight * breasts.seen[1] * cells)
        values.append(rate_breast(breasts, p[None, :], occult))
        first, second = (x.ravel() for x in np.meshgrid(p, p, indexing="ij"))
        shares.append(weight * breasts.seen[2] * np.outer(cells, cells).ravel())
        values.append(rate_breast(breasts, np.stack([first, second]), occult))
    return weigh_auc(np.concatenate(shares), np.concatenate(values))


def _by_age(chances: Chances, ages: Floats) -> Floats:
    return np.array([chances.age_logit(age) for age in ages])
