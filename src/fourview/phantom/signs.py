"""What a finding looks like, in words, and how probable that makes cancer: the planted truth of the phantoms.

The model is an explicit additive logit. For every kind of finding

    logit(p) = intercept + log-odds of the first word + log-odds of the second word

(mass: shape + margin; calcifications: type + distribution). Words are drawn together, as often as they come
together in the CBIS-DDSM tables, and the label is drawn with probability p. So words predict and do not decide, and
nobody can tell malignant from benign better than the ceiling (ceiling.py) says.

Source of the numbers: the four CBIS-DDSM description tables (Lee et al., Sci Data 2017; train and test together, 1,696
mass rows and 1,872 calcification rows; benign without callback counts as benign). Descriptors joined by hyphens were
split and share the row's weight. Log-odds: Firth's penalised logistic regression of malignant on both words (Firth,
Biometrika 1993), which stays finite for words that never were malignant (lymph node, vascular, ...); rounded to 0.01.
The mass table holds distortions and asymmetries too, as shapes: one fit for the three kinds, so that a margin
weighs the same in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from fourview.exam import SetupError
from fourview.phantom.logits import Floats, find_probability, solve_rising

Kind = Literal["mass", "calcifications", "distortion", "asymmetry"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Words = tuple[str | None, str | None]  # None: not described

MARGINS = ("circumscribed", "ill defined", "microlobulated", "obscured", "spiculated")
SHAPES: dict[Kind, tuple[str, ...]] = {
    "mass": ("irregular", "lobulated", "lymph node", "oval", "round"),
    "calcifications": (),
    "distortion": ("architectural distortion",),
    "asymmetry": ("asymmetric breast tissue", "focal asymmetric density"),
}
CALC_TYPES = (
    "amorphous",
    "coarse",
    "dystrophic",
    "eggshell",
    "fine linear branching",
    "large rodlike",
    "lucent centered",
    "milk of calcium",
    "pleomorphic",
    "punctate",
    "round and regular",
    "skin",
    "vascular",
)
DISTRIBUTIONS = ("clustered", "diffusely scattered", "linear", "regional", "segmental")


@dataclass(frozen=True, eq=False)
class KindSigns:
    """The words of one kind of finding.

    axes       what the two words of a finding are called, as fields of PhantomFinding
    intercept  the logit of a finding whose words both have log-odds 0
    log_odds   of malignancy, for each axis and word; None is a word that the reader left out
    counts     how often two words come together (any scale)
    """

    axes: tuple[str, str]
    intercept: float
    log_odds: tuple[Mapping[str | None, float], Mapping[str | None, float]]
    counts: Mapping[Words, float]

    def __post_init__(self) -> None:
        for words, count in self.counts.items():
            for axis, known, word in zip(self.axes, self.log_odds, words, strict=True):
                if word not in known:
                    raise SetupError(f"phantom signs: found {axis} {word!r} without log-odds")
            if not count > 0:
                raise SetupError(f"phantom signs: found count {count} of {words}, need more than 0")


@dataclass(frozen=True)
class DrawnSigns:
    """The words of one finding (axis -> word; a word left out is missing) and the planted probability of cancer."""

    words: dict[str, str]
    logit: float
    p_malignant: float


def _cross(columns: tuple[str | None, ...], rows: Mapping[str, tuple[float, ...]]) -> dict[Words, float]:
    """The cells of a table of counts that are not 0."""
    return {
        (row, column): count
        for row, counts in rows.items()
        for column, count in zip(columns, counts, strict=True)
        if count
    }


_MARGIN_LOG_ODDS: dict[str | None, float] = {
    "circumscribed": 0.0,
    "ill defined": 1.98,
    "microlobulated": 2.21,
    "obscured": 0.15,
    "spiculated": 3.35,
    None: 1.03,
}
_MASS = KindSigns(
    axes=("shape", "margin"),
    intercept=-2.19,
    log_odds=(
        {"oval": 0.0, "round": 0.16, "lobulated": 0.56, "irregular": 1.24, "lymph node": -2.68},
        _MARGIN_LOG_ODDS,
    ),
    # rows of the table in which both words are given
    counts=_cross(
        MARGINS,
        {
            "irregular": (3.7, 188.3, 18.8, 29.0, 255.2),
            "lobulated": (169.2, 71.2, 55.8, 86.6, 8.8),
            "lymph node": (26.0, 0, 0, 0, 0),
            "oval": (151.3, 68.5, 48.0, 123.7, 26.0),
            "round": (72.2, 27.5, 12.0, 33.2, 21.3),
        },
    ),
)
_DISTORTION = KindSigns(
    axes=("shape", "margin"),
    intercept=-1.76,
    log_odds=({"architectural distortion": 0.0}, _MARGIN_LOG_ODDS),
    counts=_cross(("ill defined", "spiculated", None), {"architectural distortion": (34.8, 72.6, 20.0)}),
)
_ASYMMETRY = KindSigns(
    axes=("shape", "margin"),
    intercept=-2.54,
    log_odds=({"focal asymmetric density": 0.0, "asymmetric breast tissue": 0.28}, _MARGIN_LOG_ODDS),
    counts=_cross(
        ("ill defined", None), {"asymmetric breast tissue": (12.5, 12.0), "focal asymmetric density": (14.0, 12.0)}
    ),
)
_CALCIFICATIONS = KindSigns(
    axes=("calc_type", "distribution"),
    intercept=-0.07,
    log_odds=(
        {
            "pleomorphic": 0.0,
            "amorphous": -0.67,
            "coarse": -2.34,
            "dystrophic": -3.74,
            "eggshell": -2.17,
            "fine linear branching": 1.16,
            "large rodlike": -3.64,
            "lucent centered": -3.15,
            "milk of calcium": -1.54,
            "punctate": -0.96,
            "round and regular": -1.70,
            "skin": -2.32,
            "vascular": -3.69,
        },
        {
            "clustered": 0.0,
            "diffusely scattered": -0.63,
            "linear": 1.01,
            "regional": 0.78,
            "segmental": 0.64,
        },
    ),
    # rows in which both words are given; the 439 without a distribution are benign, and nearly all were not called back
    counts=_cross(
        DISTRIBUTIONS,
        {
            "amorphous": (137.6, 3.0, 6.2, 13.2, 37.0),
            "coarse": (4.0, 0, 0, 0.4, 0),
            "dystrophic": (18.0, 0.7, 0, 0, 2.0),
            "eggshell": (0, 0, 0, 0, 2.0),
            "fine linear branching": (44.2, 0, 46.2, 5.0, 20.0),
            "large rodlike": (0, 0, 0, 5.5, 4.0),
            "lucent centered": (0, 8.7, 1.0, 1.9, 0),
            "milk of calcium": (2.0, 0, 0, 0, 0),
            "pleomorphic": (635.6, 6.0, 58.2, 37.0, 123.0),
            "punctate": (94.1, 12.5, 4.2, 13.1, 20.0),
            "round and regular": (15.5, 9.2, 0, 8.6, 0),
            "skin": (0, 0, 0, 2.0, 0),
            "vascular": (0, 0, 7.0, 0.4, 0),
        },
    ),
)
SIGNS: dict[Kind, KindSigns] = {
    "mass": _MASS,
    "calcifications": _CALCIFICATIONS,
    "distortion": _DISTORTION,
    "asymmetry": _ASYMMETRY,
}


def draw_signs(rng: np.random.Generator, kind: Kind, *, strength: float = 1.0, prior_shift: float = 0.0) -> DrawnSigns:
    """Words for one finding of this kind, drawn as often as they come together, with the probability of cancer.

    strength     multiplies the distance of each logit from their mean over the words: 0 makes words tell nothing
    prior_shift  is added to every logit: moves how many are malignant, not the odds ratios

    Raises SetupError for an unknown kind or a negative strength.
    """
    table = _table(kind, strength, prior_shift)
    cell = int(np.searchsorted(table.cumulated, rng.random(), side="right"))
    cell = min(cell, len(table.cells) - 1)
    axes = SIGNS[kind].axes
    words = {axis: word for axis, word in zip(axes, table.cells[cell], strict=True) if word is not None}
    return DrawnSigns(words, float(table.logits[cell]), float(table.p[cell]))


def find_prior_shift(prevalence: float, kind: Kind) -> float:
    """The prior_shift at which this share of the findings of a kind is malignant, to 1e-9."""
    shares, logits = list_cells(kind)
    return solve_rising(lambda shift: float(shares @ find_probability(logits + shift)), prevalence)


def list_cells(kind: Kind, *, strength: float = 1.0) -> tuple[Floats, Floats]:
    """Share and logit of every pair of words of a kind, in the order of its counts; shares add to 1.

    Raises SetupError for an unknown kind or a negative strength.
    """
    table = _table(kind, strength, 0.0)
    return table.shares, table.logits


@dataclass(frozen=True, eq=False)
class _Table:
    """Every pair of words of a kind: shares add to 1."""

    cells: tuple[Words, ...]
    shares: Floats
    cumulated: Floats
    logits: Floats
    p: Floats


@lru_cache(maxsize=256)
def _table(kind: Kind, strength: float, prior_shift: float) -> _Table:
    if kind not in SIGNS:
        raise SetupError(f"phantom signs: found kind {kind!r}, need one of: {', '.join(SIGNS)}")
    if not strength >= 0:
        raise SetupError(f"phantom signs: found strength {strength}, need 0 or more")
    own = SIGNS[kind]
    cells = tuple(own.counts)
    counts = np.array([own.counts[cell] for cell in cells])
    shares = counts / counts.sum()
    logits = np.array([own.intercept + own.log_odds[0][first] + own.log_odds[1][second] for first, second in cells])
    middle = shares @ logits
    logits = middle + strength * (logits - middle) + prior_shift
    return _Table(cells, shares, np.cumsum(shares), logits, find_probability(logits))
