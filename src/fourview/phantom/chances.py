"""How probable cancer is in a recipe's findings: the shares it asks for -> the numbers that labels are drawn with.

Visible findings are malignant with logit = words (signs.py) + prior_shift + age; occult ones, which have no words, with
logit = occult_logit + age. Both constants are found so that, over all words and ages, the recipe's shares come out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fourview.phantom import signs
from fourview.phantom.logits import Floats, find_probability, solve_rising
from fourview.phantom.recipe import Recipe
from fourview.phantom.signs import KINDS, Kind


@dataclass(frozen=True)
class Chances:
    """occult: share of biopsied findings that no image shows; age counts per ten years, from middle_age on."""

    occult: float
    prior_shift: float
    occult_logit: float
    age_log_odds: float
    middle_age: float

    def age_logit(self, age: float) -> float:
        """What her age adds to the logit of a biopsied finding."""
        return self.age_log_odds * (age - self.middle_age) / 10


@lru_cache(maxsize=64)
def find_chances(recipe: Recipe) -> Chances:
    """Both constants, to 1e-9."""
    share, level = recipe.biopsies.malignant, recipe.level
    occult_malignant, occult_benign = share * level.occult_malignant, (1 - share) * level.occult_benign
    occult = occult_malignant + occult_benign
    shares, logits = list_cells(recipe)
    weights, ages = list_ages(recipe)
    middle = float(weights @ ages)
    by_age = recipe.biopsies.age_log_odds * (ages - middle) / 10

    def visible(shift: float) -> float:
        return float(weights @ find_probability(logits[None, :] + shift + by_age[:, None]) @ shares)

    def hidden(logit: float) -> float:
        return float(weights @ find_probability(logit + by_age))

    return Chances(
        occult=occult,
        prior_shift=solve_rising(visible, (share - occult_malignant) / (1 - occult)),
        occult_logit=solve_rising(hidden, occult_malignant / occult if occult else 0.0),
        age_log_odds=recipe.biopsies.age_log_odds,
        middle_age=middle,
    )


def list_cells(recipe: Recipe, kind: Kind | None = None) -> tuple[Floats, Floats]:
    """Share and logit (before prior_shift) of every pair of words of the recipe's findings, or those of one kind."""
    mix = {k: getattr(recipe.biopsies.kinds, k) if kind is None else float(k == kind) for k in KINDS}
    cells = {k: signs.list_cells(k, strength=recipe.level.strength) for k in KINDS}
    shares = [cells[k][0] * mix[k] / sum(mix.values()) for k in KINDS]
    return np.concatenate(shares), np.concatenate([cells[k][1] for k in KINDS])


def list_ages(recipe: Recipe) -> tuple[Floats, Floats]:
    """Share and years of every age that women have at their exams."""
    shares: dict[int, float] = {}
    rounds = recipe.women.rounds
    interval = sum(recipe.women.interval_days) / 2
    for band in recipe.women.ages:
        years = range(band.first, band.last + 1)
        for age in years:
            for number in range(rounds):
                later = age + int(number * interval / 365.25)
                shares[later] = shares.get(later, 0.0) + band.share / len(years) / rounds
    return np.array(list(shares.values())), np.array(list(shares), np.float64)


def logistic(logit: float) -> float:
    """The probability of a logit."""
    return 1 / (1 + math.exp(-logit))
