"""Exam number `index` of a recipe's population, without pixels: who, when, what is there, what was biopsied and read.

Every exam is drawn alone, in the time of one: from (recipe, seed, index) and nothing else. Exams rounds * n to
rounds * n + rounds - 1 are one woman's. Her traits, what her breasts hold, what the reader of an exam felt and how the
exam is acquired come from streams of their own, so acquisition cannot know the label.

Course of a woman. At most one of her exams leads to biopsies, in one breast or both, of one or two findings each. A
finding that is visible gets its words (signs.draw_signs) and then its label, malignant with the planted probability;
an occult one has no words, and is malignant with the probability that occult findings have. Exams before that one show
a benign finding unchanged or not yet, a cancer smaller (its volume doubles in `malignant_doubling_days`) or not yet;
exams after it show benign findings unchanged, and of cancers the untreated ones. Distractors (never biopsied) are drawn
for all breasts alike and stay.

Labels (Wu et al. 2019, data report): a breast is malignant, benign or both by its biopsies within 120 days of this
exam; without any it is neither, and unknown.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fourview.exam import SetupError, Side
from fourview.phantom.birads_model import assess, rate_suspicion
from fourview.phantom.course import SIDES, Biopsied, Course, draw_biopsied, draw_course, show_finding
from fourview.phantom.distractor import draw_distractor
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.recipe import Recipe
from fourview.phantom.woman import Density

_WOMAN, _FINDINGS, _DISTRACTORS, _READER, _ACQUISITION = range(1, 6)  # streams


@dataclass(frozen=True)
class PlannedBreast:
    """What is on record of one breast at one exam.

    malignant, benign  by biopsies within 120 days; both can be; neither, if there was none: then nothing is known
    high_risk          a benign biopsy marked a risk
    birads             "0" to "6", see birads_model
    suspicion          what the screening reader's feeling was drawn around
    later_malignant    a biopsy after a later exam found cancer here
    known_malignant    she came with a cancer here that an earlier biopsy had found
    """

    malignant: bool
    benign: bool
    high_risk: bool
    biopsied: bool
    birads: str
    pathologies: tuple[str, ...] = ()
    suspicion: float = 0.0
    later_malignant: bool = False
    known_malignant: bool = False

    @property
    def label_known(self) -> bool:
        return self.biopsied


@dataclass(frozen=True)
class PlannedExam:
    """One exam of a population, before it is drawn.

    round            0 for her first exam
    date             YYYYMMDD
    identity         seeds her anatomy, the same in all her exams
    profile          name of the acquisition profile, the same in all her exams
    findings         all that her breasts hold at this exam. `biopsied`: after this exam, occult ones too. Others are
                     distractors, or, if they have a p_malignant, biopsied after another exam of hers
    follow_up_days   to the exam that led to a cancer diagnosis, else to her last exam
    acquisition_key  seeds positioning, noise, markers
    """

    recipe_hash: str
    seed: int
    index: int
    patient: str
    round: int
    date: str
    age: int
    density: Density
    identity: int
    profile: str
    findings: tuple[PhantomFinding, ...]
    breasts: dict[Side, PlannedBreast]
    acquisition_key: int
    follow_up_days: int

    @property
    def name(self) -> str:
        """What the exam is called: patient and round, "P000123-0"."""
        return f"{self.patient}-{self.round}"

    def biopsied_findings(self, side: Side) -> tuple[PhantomFinding, ...]:
        """Those of one breast that were biopsied after this exam: by them it is labelled."""
        return tuple(finding for finding in self.findings if finding.side is side and finding.biopsied)


def plan_exam(recipe: Recipe, *, seed: int, index: int) -> PlannedExam:
    """Exam number `index` (from 0, without end) of the population that recipe and seed stand for.

    Raises SetupError for a negative seed or index.
    """
    if seed < 0 or index < 0:
        raise SetupError(f"phantom: found seed {seed} and index {index}, need 0 or more")
    patient, round_ = divmod(index, recipe.women.rounds)
    course = draw_course(recipe, _stream(recipe, seed, patient, _WOMAN))
    events = draw_biopsied(recipe, course, _stream(recipe, seed, patient, _FINDINGS)) if course.biopsied else ()
    shown = [show_finding(event, recipe, course, round_) for event in events]
    findings = [finding for finding in shown if finding is not None]
    findings += _draw_distractors(recipe, _stream(recipe, seed, patient, _DISTRACTORS))
    noise = _stream(recipe, seed, patient, _READER, round_).standard_normal(2).tolist()
    breasts = {
        side: _judge(recipe, course, events, findings, side=side, round_=round_, noise=own)
        for side, own in zip(SIDES, noise, strict=True)
    }
    awaited = round_ <= course.biopsied_round and any(event.finding.malignant for event in events)
    return PlannedExam(
        recipe_hash=recipe.hash,
        seed=seed,
        index=index,
        patient=f"P{patient:06d}",
        round=round_,
        date=f"{course.date_at(round_):%Y%m%d}",
        age=course.age_at(round_),
        density=course.density,
        identity=course.identity,
        profile=course.profile,
        findings=tuple(findings),
        breasts=breasts,
        acquisition_key=int(_stream(recipe, seed, patient, _ACQUISITION, round_).integers(2**62)),
        follow_up_days=course.days[course.biopsied_round if awaited else -1] - course.days[round_],
    )


def _stream(recipe: Recipe, seed: int, patient: int, *which: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([_number(recipe.name), seed, patient, *which]))


@lru_cache(maxsize=64)
def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _draw_distractors(recipe: Recipe, rng: np.random.Generator) -> list[PhantomFinding]:
    level = recipe.level
    counts = rng.poisson(level.distractors, 2).tolist()
    drawn = [draw_distractor(rng, side) for side, count in zip(SIDES, counts, strict=True) for _ in range(count)]
    if level.distractor_contrast == 1:
        return drawn
    return [replace(f, contrast=min(max(f.contrast * level.distractor_contrast, 0.01), 1.0)) for f in drawn]


def _judge(
    recipe: Recipe,
    course: Course,
    events: tuple[Biopsied, ...],
    findings: list[PhantomFinding],
    *,
    side: Side,
    round_: int,
    noise: float,
) -> PlannedBreast:
    """Labels and BI-RADS of one breast."""
    own = [finding for finding in findings if finding.side is side]
    biopsied = [finding for finding in own if finding.biopsied]
    cancers = [event for event in events if event.finding.side is side and event.finding.malignant]
    past = round_ > course.biopsied_round >= 0
    known = past and any(event.untreated for event in cancers)
    suspicion = rate_suspicion(own, course.density, recipe.reader)
    return PlannedBreast(
        malignant=any(finding.malignant for finding in biopsied),
        benign=any(not finding.malignant for finding in biopsied),
        high_risk=any(finding.high_risk for finding in biopsied),
        biopsied=bool(biopsied),
        birads=assess(suspicion, noise, recipe.reader, biopsied=bool(biopsied), known=known),
        pathologies=tuple(finding.pathology for finding in biopsied),
        suspicion=suspicion,
        later_malignant=bool(cancers) and round_ < course.biopsied_round,
        known_malignant=known,
    )
