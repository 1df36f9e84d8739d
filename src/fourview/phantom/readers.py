"""A panel of simulated readers, who give every breast a probability of cancer, as the readers of a reader study do.

Model (binormal, with the variance components of a multi-reader multi-case study: reader, case, reader x case). What
reader r feels about breast i is, in units of the standard deviation among healthy breasts,

    healthy    sqrt(c0) case_i + sqrt(1 - c0) own_ri
    malignant  d'_r + s (sqrt(c1) case_i + sqrt(1 - c1) own_ri)

with standard normal case_i (the same for all readers) and own_ri. A part `planted` of the variance of case_i is how
much the breast's findings draw the eye (its place among the breasts of its class by `suspicion`), so readers err where
the images are hard. What feels weaker than the reader's threshold gets 0: most breasts, as in real studies. What is
stronger gets expit(bias + slope (feeling - threshold)), rounded to one of STEPS: people say 0.05, not 0.0473.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.phantom.truth import format_table
from fourview.whole_files import write_whole

Floats = NDArray[np.float64]
STEPS = (
    0.01, 0.02, 0.03, 0.05, 0.08, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50, 0.60, 0.70, 0.75, 0.80, 0.90, 0.95, 1.0,
)  # fmt: skip
_BETWEEN = tuple((low + high) / 2 for low, high in pairwise(STEPS))
_NORMAL = NormalDist()
# Probability up to which a breast gets 1, 2, 3, 4; above: 5 (ACR BI-RADS: 3 up to 2 %, 5 from 95 % on)
_BIRADS = ((0.0, "1"), (0.01, "2"), (0.02, "3"), (0.949, "4"))


@dataclass(frozen=True)
class Reader:
    """One reader.

    d_prime  distance of malignant from healthy breasts, in standard deviations of the healthy
    silent   share of healthy breasts that get 0
    slope    of the logit, per standard deviation beyond the threshold;  bias  logit at the threshold
    """

    d_prime: float
    silent: float
    slope: float
    bias: float

    def __post_init__(self) -> None:
        if not 0 < self.silent < 1 or not self.slope > 0:
            raise SetupError(
                f"reader: found silent {self.silent:g}, slope {self.slope:g}; need silent within 0 to 1, slope above 0"
            )

    @property
    def threshold(self) -> float:
        """What feels weaker gets 0."""
        return _NORMAL.inv_cdf(self.silent)


@dataclass(frozen=True)
class Panel:
    """Readers of the same breasts.

    positive_sd    s: malignant breasts differ more than healthy ones
    case_healthy, case_malignant  c0, c1: share of variance that all readers have in common
    planted        share of that which the breasts' findings explain; the rest is luck
    """

    readers: tuple[Reader, ...]
    positive_sd: float = 1.4
    case_healthy: float = 0.60
    case_malignant: float = 0.68
    planted: float = 0.5

    def __post_init__(self) -> None:
        if not self.readers:
            raise SetupError("panel: found no reader, need at least one")
        shares = (("case_healthy", self.case_healthy), ("case_malignant", self.case_malignant))
        for name, value in (*shares, ("planted", self.planted)):
            if not 0 <= value <= 1:
                raise SetupError(f"panel: found {name} {value:g}, need 0 to 1")
        if not self.positive_sd > 0:
            raise SetupError(f"panel: found positive_sd {self.positive_sd:g}, need more than 0")


# The 14 readers of the NYU reader study (720 exams, 61 malignant breasts; Wu et al. 2019), one by one: silent is their
# share of zeros among healthy breasts, d' reproduces their AUC, slope and bias are fitted to the numbers they gave. The
# spread of d' is drawn in by 15 %, as part of the spread of their AUCs is chance.
PANEL_14 = Panel(
    tuple(
        Reader(round(1.513 + 0.85 * (d_prime - 1.513), 3), silent, slope, bias)
        for d_prime, silent, slope, bias in (
            (1.16, 0.786, 2.43, -4.11),
            (1.42, 0.674, 2.20, -4.27),
            (1.76, 0.835, 2.49, -4.49),
            (1.99, 0.727, 1.96, -3.49),
            (1.26, 0.910, 3.93, -3.86),
            (1.20, 0.766, 2.08, -4.68),
            (1.60, 0.876, 3.47, -2.59),
            (1.37, 0.780, 2.17, -4.39),
            (1.64, 0.835, 2.75, -3.82),
            (1.34, 0.796, 2.82, -3.70),
            (1.50, 0.739, 1.51, -2.51),
            (1.59, 0.719, 2.32, -4.84),
            (1.98, 0.711, 2.11, -4.52),
            (1.37, 0.806, 2.08, -3.47),
        )
    )
)


@dataclass(frozen=True, eq=False)
class PanelReadings:
    """What a panel said. scores (readers, breasts) in [0, 1]; rows: exam, side, patient, malignant of each breast."""

    rows: tuple[dict[str, Any], ...]
    scores: Floats

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"Reader{number:02d}" for number in range(1, len(self.scores) + 1))

    def birads(self) -> list[list[str]]:
        """The categories 1 to 5 that the probabilities stand for, [reader][breast]."""
        return [[assess_probability(p) for p in scores] for scores in self.scores.tolist()]

    def write(self, path: Path) -> None:
        """The study as `fourview readers` takes it: one row per breast, one column per reader. Raises SetupError."""
        columns = self.scores.T.tolist()
        rows = [row | dict(zip(self.names, own, strict=True)) for row, own in zip(self.rows, columns, strict=True)]
        try:
            write_whole(path, format_table(rows))
        except OSError as error:
            raise SetupError(f"{path}: cannot be written ({error.strerror})") from error


def read_breasts(panel: Panel, breasts: Sequence[Mapping[str, Any]], *, rng: np.random.Generator) -> PanelReadings:
    """What the panel says of these breasts.

    breasts  rows of truth.breast_rows (exam, side, patient, malignant, suspicion); unknown counts as healthy

    Raises SetupError if there is no breast, or a row lacks a column.
    """
    needed = ("exam", "side", "patient", "malignant", "suspicion")
    if not breasts:
        raise SetupError("readers: found no breasts, need at least one")
    if missing := [name for name in needed if any(name not in row for row in breasts)]:
        raise SetupError(f"readers: found rows without {', '.join(missing)}, need rows as of breasts.csv")
    malignant = np.array([str(row["malignant"]) == "1" for row in breasts])
    case = _draw_cases(np.array([float(row["suspicion"]) for row in breasts]), malignant, panel.planted, rng)
    shared = np.where(malignant, panel.case_malignant, panel.case_healthy)
    spread = np.where(malignant, panel.positive_sd, 1.0)
    scores = []
    for reader in panel.readers:
        own = rng.standard_normal(len(breasts))
        feeling = spread * (np.sqrt(shared) * case + np.sqrt(1 - shared) * own) + reader.d_prime * malignant
        scores.append(_say(reader, feeling))
    names = ("exam", "side", "patient")
    rows = [{n: row[n] for n in names} | {"malignant": int(m)} for row, m in zip(breasts, malignant, strict=True)]
    return PanelReadings(tuple(rows), np.stack(scores))


def _draw_cases(suspicion: Floats, malignant: NDArray[np.bool_], planted: float, rng: np.random.Generator) -> Floats:
    """(breasts,) standard normal within each class, in part the place of the breast's suspicion in its class."""
    place = np.zeros(len(suspicion))
    ties = rng.random(len(suspicion))
    for label in (False, True):
        own = np.flatnonzero(malignant == label)
        order = own[np.lexsort((ties[own], suspicion[own]))]
        place[order] = [_NORMAL.inv_cdf((number + 0.5) / len(own)) for number in range(len(own))]
    return np.asarray(math.sqrt(planted) * place + math.sqrt(1 - planted) * rng.standard_normal(len(suspicion)))


def _say(reader: Reader, feeling: Floats) -> Floats:
    p = 1 / (1 + np.exp(-(reader.bias + reader.slope * (feeling - reader.threshold))))
    rounded = np.array(STEPS)[np.searchsorted(_BETWEEN, p)]
    return np.where(feeling > reader.threshold, rounded, 0.0)


def assess_probability(p_malignant: float) -> str:
    """The BI-RADS category 1 to 5 of a probability."""
    return next((category for limit, category in _BIRADS if p_malignant <= limit), "5")


def expect_auc(panel: Panel) -> Floats:
    """(readers,) AUC that each would have on endless breasts, ties counted half; exact."""
    found = []
    for reader in panel.readers:
        logits = [math.log(p / (1 - p)) for p in _BETWEEN]
        borders = [reader.threshold, *(reader.threshold + (x - reader.bias) / reader.slope for x in logits)]
        borders = [max(border, reader.threshold) for border in borders]  # the lowest steps may never be said
        healthy = np.diff([0.0, *(_NORMAL.cdf(x) for x in borders), 1.0])
        ill = np.diff([0.0, *(_NORMAL.cdf((x - reader.d_prime) / panel.positive_sd) for x in borders), 1.0])
        found.append(float(ill @ (np.cumsum(healthy) - healthy / 2)))
    return np.array(found)


def at_mean_auc(panel: Panel, auc: float) -> Panel:
    """The same panel with all d' moved alike, so that the mean of expect_auc is `auc`.

    Raises SetupError for an AUC that it cannot reach.
    """
    low, high = -5.0, 10.0

    def moved(by: float) -> Panel:
        return replace(panel, readers=tuple(replace(r, d_prime=r.d_prime + by) for r in panel.readers))

    least, most = (float(expect_auc(moved(by)).mean()) for by in (low, high))
    if not least < auc < most:
        raise SetupError(f"panel: found a wished mean AUC of {auc:g}, need {least:.3f} to {most:.3f}")
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if expect_auc(moved(middle)).mean() < auc else (low, middle)
    return moved((low + high) / 2)


def draw_panel(rng: np.random.Generator, *, readers: int, auc: float = 0.778, spread: float = 0.25) -> Panel:
    """A panel of any size: habits of readers of PANEL_14, d' with standard deviation `spread`, mean AUC `auc`.

    Raises SetupError for no readers, a negative spread, or an AUC that cannot be reached.
    """
    if readers < 1 or spread < 0:
        raise SetupError(f"panel: found {readers} readers and spread {spread:g}, need at least 1 and 0")
    habits = [PANEL_14.readers[n] for n in rng.integers(len(PANEL_14.readers), size=readers)]
    drawn = tuple(replace(habit, d_prime=1.5 + spread * rng.standard_normal()) for habit in habits)
    return at_mean_auc(replace(PANEL_14, readers=drawn), auc)
