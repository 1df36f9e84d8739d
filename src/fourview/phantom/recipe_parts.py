"""The parts of a recipe: sections of its TOML file, each with its numbers, their units and their limits."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fourview.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Span = tuple[float, float]  # low, high: drawn uniformly in between


class Kinds(Section):
    """How often each kind of finding is, relative to the others."""

    mass: Annotated[float, Field(ge=0)]
    calcifications: Annotated[float, Field(ge=0)]
    distortion: Annotated[float, Field(ge=0)]
    asymmetry: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not sum(value for _, value in self) > 0:
            raise ValueError("found only zeros; need at least one kind with a share above 0")
        return self


class KindSpans(Section):
    """A range for each kind of finding."""

    mass: Span
    calcifications: Span
    distortion: Span
    asymmetry: Span

    @model_validator(mode="after")
    def _lie_in_order(self) -> Self:
        for name, span in self:
            check_span(name, span, 0.01, 1.0)
        return self


class Size(Section):
    """Radii in mm at the exam of the biopsy: log-normal, pulled to the limits beyond them."""

    median: Positive
    log_sd: Annotated[float, Field(ge=0, le=2)]
    smallest: Annotated[float, Field(ge=1, le=40)]
    largest: Annotated[float, Field(ge=1, le=40)]

    @model_validator(mode="after")
    def _lies_in_order(self) -> Self:
        if not self.smallest <= self.median <= self.largest:
            found = f"{self.smallest:g} to {self.largest:g} around {self.median:g}"
            raise ValueError(f"found {found}; need the median in between")
        return self


class Sizes(Section):
    mass: Size
    calcifications: Size
    distortion: Size
    asymmetry: Size


class AgeBand(Section):
    """Women of these ages: how many of all, and how many of them have breasts of each density."""

    first: Annotated[int, Field(ge=18, le=100)]  # years, both ends included
    last: Annotated[int, Field(ge=18, le=100)]
    share: Share
    densities: tuple[Share, Share, Share, Share]  # BI-RADS a to d, of this band

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"found ages {self.first} to {self.last}; need the first age first")
        if abs(sum(self.densities) - 1) > 1e-6:
            raise ValueError(f"densities: found a sum of {sum(self.densities):g}; need 1")
        return self


class Women(Section):
    """Who is examined, and when.

    rounds         exams of each woman
    interval_days  between two of them
    first_year, last_year  of her first exam
    ages           at her first exam; density is drawn then and stays hers
    """

    rounds: Annotated[int, Field(ge=1, le=20)]
    interval_days: Span
    first_year: Annotated[int, Field(ge=1990, le=2100)]
    last_year: Annotated[int, Field(ge=1990, le=2100)]
    ages: Annotated[tuple[AgeBand, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        check_span("interval_days", self.interval_days, 120, 3650)
        if self.last_year < self.first_year:
            raise ValueError(f"last_year: found {self.last_year} before first_year {self.first_year}; need it after")
        if abs(sum(band.share for band in self.ages) - 1) > 1e-6:
            raise ValueError(f"ages: found shares with a sum of {sum(band.share for band in self.ages):g}; need 1")
        return self


class Biopsies(Section):
    """What was biopsied within 120 days of an exam, and what came out.

    exams             share of exams with a biopsy
    both_breasts      of these exams: a biopsy in each breast
    two_findings      of biopsied breasts: two findings were biopsied, not one
    malignant         of biopsied findings, visible or not
    age_log_odds      of malignancy, per ten years of age; the share above holds on average
    kinds             of biopsied findings
    """

    exams: Share
    both_breasts: Share
    two_findings: Share
    malignant: Annotated[float, Field(gt=0, lt=1)]
    age_log_odds: Annotated[float, Field(ge=-2, le=2)]
    kinds: Kinds


class Places(Section):
    """Where biopsied findings lie, in the coordinates of PhantomFinding.

    depth    low and high, uniform;  lateral, upper  mean and standard deviation, pulled to +-reach beyond it
    """

    depth: Span
    lateral: tuple[float, Annotated[float, Field(ge=0)]]
    upper: tuple[float, Annotated[float, Field(ge=0)]]
    reach: Annotated[float, Field(gt=0, le=0.9)]

    @model_validator(mode="after")
    def _lie_in_the_breast(self) -> Self:
        check_span("depth", self.depth, 0.1, 0.9)
        return self


class History(Section):
    """What a woman's earlier and later exams show of a finding that is biopsied at one of them.

    malignant_doubling_days  of the volume; earlier exams show the cancer smaller
    appears_mm               radius under which an earlier exam does not show it at all
    benign_new               share of benign findings that no earlier exam shows; others never change
    untreated                share of cancers that are still there, known (BI-RADS 6), at later exams; others are gone
    """

    malignant_doubling_days: Span
    appears_mm: Annotated[float, Field(ge=1, le=40)]
    benign_new: Share
    untreated: Share

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        check_span("malignant_doubling_days", self.malignant_doubling_days, 10, 5000)
        return self


class ScreeningReader(Section):
    """The noisy reader who gives each breast its BI-RADS category: see birads_model.

    typical_contrast  contrast at which a finding of the kind is seen well, not fully
    masking           share of conspicuity that extremely dense tissue takes
    floor             strength of a conspicuous thing that nobody thinks malignant; p_malignant adds to it
    gain              of strength, in standard deviations of the reader's noise
    normal, benign, probably_benign   what is weaker gets 1, 2, 3; what is stronger 0
    highly_suggestive  of biopsied breasts: what is stronger gets 5, what is weaker 4
    """

    typical_contrast: Kinds
    masking: Share
    floor: Share
    gain: Annotated[float, Field(ge=0, le=50)]
    normal: float
    benign: float
    probably_benign: float
    highly_suggestive: float

    @model_validator(mode="after")
    def _lie_in_order(self) -> Self:
        if not self.normal <= self.benign <= self.probably_benign:
            found = (self.normal, self.benign, self.probably_benign)
            raise ValueError(f"normal, benign, probably_benign: found {found}; need them in rising order")
        if not all(value > 0 for _, value in self.typical_contrast):
            raise ValueError("typical_contrast: found 0; need numbers above 0")
        return self


class Level(Section):
    """What a difficulty sets.

    strength          of the centred log-odds of all descriptors: 1 as in CBIS-DDSM; more is easier
    contrast          of biopsied findings
    distractors       mean number in a breast, in all breasts alike
    distractor_contrast  factor, so that distractors are no easier to see than the rest
    occult_malignant, occult_benign  share of biopsied findings that no image shows
    density_shift     log-odds towards denser breasts
    """

    strength: Annotated[float, Field(ge=0, le=5)]
    contrast: KindSpans
    distractors: Annotated[float, Field(ge=0, le=10)]
    distractor_contrast: Annotated[float, Field(gt=0, le=5)]
    occult_malignant: Annotated[float, Field(ge=0, lt=1)]
    occult_benign: Annotated[float, Field(ge=0, lt=1)]
    density_shift: Annotated[float, Field(ge=-5, le=5)]


class Levels(Section):
    easy: Level
    medium: Level
    hard: Level


def check_span(name: str, span: Span, lowest: float, highest: float) -> None:
    """Raises ValueError unless lowest <= low <= high <= highest."""
    if not lowest <= span[0] <= span[1] <= highest:
        raise ValueError(f"{name}: found {list(span)}; need low, high within {lowest:g} to {highest:g}")
