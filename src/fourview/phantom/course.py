"""A woman's course: who she is, when she is examined, which exam leads to biopsies, what her other exams show of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np

from fourview.exam import Side
from fourview.phantom.chances import find_chances, logistic
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.pathology import draw_pathology
from fourview.phantom.recipe import Recipe
from fourview.phantom.signs import KINDS, draw_signs
from fourview.phantom.woman import DENSITIES, Density

SIDES = (Side.LEFT, Side.RIGHT)


@dataclass(frozen=True)
class Course:
    """What stays, and what happens when.

    age, first      at her first exam, and its date
    days            of each exam, since the first
    identity        seeds her anatomy
    biopsied_round  the exam that leads to biopsies, in the breasts `biopsied`; -1: none of hers
    """

    age: int
    density: Density
    profile: str
    first: date
    days: tuple[int, ...]
    identity: int
    biopsied_round: int
    biopsied: tuple[Side, ...]

    def age_at(self, round_: int) -> int:
        return self.age + int(self.days[round_] / 365.25)

    def date_at(self, round_: int) -> date:
        return self.first + timedelta(days=self.days[round_])


@dataclass(frozen=True)
class Biopsied:
    """A finding as it is at the exam that leads to its biopsy, and its course.

    doubling_days  of its volume, if it is malignant
    new            if it is benign: no earlier exam shows it;  untreated  if it is malignant: later exams still show it
    """

    finding: PhantomFinding
    doubling_days: float
    new: bool
    untreated: bool


@dataclass(frozen=True)
class _Borders:
    """A recipe's shares, summed up for drawing."""

    ages: tuple[float, ...]
    densities: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    profiles: tuple[float, ...]
    kinds: tuple[float, ...]


@lru_cache(maxsize=64)
def _sum_recipe(recipe: Recipe) -> _Borders:
    profiles = sorted(recipe.profiles.items())  # the hash does not know their order, so drawing must not either
    return _Borders(
        ages=_sum_up([band.share for band in recipe.women.ages]),
        densities=tuple(_shift(band.densities, recipe.level.density_shift) for band in recipe.women.ages),
        names=tuple(name for name, _ in profiles),
        profiles=_sum_up([share for _, share in profiles]),
        kinds=_sum_up([getattr(recipe.biopsies.kinds, kind) for kind in KINDS]),
    )


def _sum_up(shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(accumulate(share / sum(shares) for share in shares))


def _shift(densities: Sequence[float], by: float) -> tuple[float, ...]:
    """Cumulated shares of a to d, the odds of being denser multiplied by exp(by) at each border."""
    cumulated = tuple(accumulate(densities))[:-1]
    return (*(c / (c + (1 - c) * math.exp(by)) for c in cumulated), 1.0)


def _pick(borders: Sequence[float], u: float) -> int:
    return min(bisect_right(borders, u), len(borders) - 1)


def draw_course(recipe: Recipe, rng: np.random.Generator) -> Course:
    """One woman of the recipe's population. Profile and dates do not depend on anything else."""
    women, borders = recipe.women, _sum_recipe(recipe)
    identity = int(rng.integers(2**62))
    u = rng.random(9 + women.rounds).tolist()
    number = _pick(borders.ages, u[0])
    band = women.ages[number]
    low, high = women.interval_days
    start = date(women.first_year, 1, 1)
    days = (date(women.last_year + 1, 1, 1) - start).days
    leads = u[5] < women.rounds * recipe.biopsies.exams
    sides = SIDES if u[8] < recipe.biopsies.both_breasts else (SIDES[int(u[7] * 2)],)
    return Course(
        age=band.first + int(u[1] * (band.last - band.first + 1)),
        density=DENSITIES[_pick(borders.densities[number], u[2])],
        profile=borders.names[_pick(borders.profiles, u[3])],
        first=start + timedelta(days=int(u[4] * days)),
        days=(0, *accumulate(round(low + (high - low) * v) for v in u[9 : 8 + women.rounds])),
        identity=identity,
        biopsied_round=int(u[6] * women.rounds) if leads else -1,
        biopsied=sides if leads else (),
    )


def draw_biopsied(recipe: Recipe, course: Course, rng: np.random.Generator) -> tuple[Biopsied, ...]:
    """The findings that are biopsied: one or two in each of the breasts in question."""
    if not course.biopsied:
        return ()
    age = course.age_at(course.biopsied_round)
    counts = [(side, 1 + int(rng.random() < recipe.biopsies.two_findings)) for side in course.biopsied]
    return tuple(_draw_finding(recipe, side, age=age, rng=rng) for side, count in counts for _ in range(count))


def _draw_finding(recipe: Recipe, side: Side, *, age: int, rng: np.random.Generator) -> Biopsied:
    chances, level, places = find_chances(recipe), recipe.level, recipe.places
    u, normal = rng.random(8).tolist(), rng.standard_normal(3).tolist()
    kind = KINDS[_pick(_sum_recipe(recipe).kinds, u[0])]
    visible = u[1] >= chances.occult
    words: dict[str, str] = {}
    logit = chances.occult_logit
    if visible:
        drawn = draw_signs(rng, kind, strength=level.strength, prior_shift=chances.prior_shift)
        words, logit = drawn.words, drawn.logit
    p_malignant = logistic(logit + chances.age_logit(age))
    malignant = u[2] < p_malignant
    pathology, high_risk = draw_pathology(rng, kind, malignant=malignant)
    size = getattr(recipe.sizes, kind)
    finding = PhantomFinding(
        side=side,
        kind=kind,
        malignant=malignant,
        depth=_between(places.depth, u[3]),
        lateral=_clip(places.lateral[0] + places.lateral[1] * normal[0], -places.reach, places.reach),
        upper=_clip(places.upper[0] + places.upper[1] * normal[1], -places.reach, places.reach),
        radius_mm=_clip(size.median * math.exp(size.log_sd * normal[2]), size.smallest, size.largest),
        contrast=_between(getattr(level.contrast, kind), u[4]),
        high_risk=high_risk,
        visible=visible,
        pathology=pathology,
        p_malignant=p_malignant,
        key=int(rng.integers(2**62)),
        **words,  # type: ignore[arg-type]
    )
    fast, slow = recipe.history.malignant_doubling_days
    return Biopsied(
        finding,
        doubling_days=fast * (slow / fast) ** u[5],
        new=u[6] < recipe.history.benign_new,
        untreated=u[7] < recipe.history.untreated,
    )


def show_finding(event: Biopsied, recipe: Recipe, course: Course, round_: int) -> PhantomFinding | None:
    """The finding as it is at this exam, `biopsied` or not; None if there is nothing to see and nothing to biopsy."""
    if round_ == course.biopsied_round:
        return event.finding
    finding = replace(event.finding, biopsied=False)
    if not finding.visible:
        return None
    if round_ > course.biopsied_round:
        return None if finding.malignant and not event.untreated else finding
    if not finding.malignant:
        return None if event.new else finding
    days = course.days[course.biopsied_round] - course.days[round_]
    radius_mm = finding.radius_mm * 2 ** (-days / (3 * event.doubling_days))
    return None if radius_mm < recipe.history.appears_mm else replace(finding, radius_mm=radius_mm)


def _between(span: tuple[float, float], u: float) -> float:
    return span[0] + (span[1] - span[0]) * u


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
