"""What a calibration is: maps from raw scores to probabilities at a stated prevalence, and operating points.

A calibration belongs to the readings of one model (one network, or one ensemble) and to one unit. Its probabilities
hold where positives are as frequent as the prevalence that it was fitted at; elsewhere the odds are multiplied by the
ratio of the odds of the two prevalences (Saerens et al. 2002), which is right if positives look alike at both places,
and negatives too. Raw scores stay what they are: calibrated numbers stand beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fourview.exam import FINDINGS, Finding, Score, SetupError

CALIBRATION_NAME = "calibration.json"
CLIP = 1e-7  # scores of 0 and 1 have no logit: taken as this far from the end
Floats = NDArray[np.float64]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    """Unknown keys are errors; nothing changes after loading; no number is NaN or infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Platt(_Section):
    """p = sigmoid(slope * logit(score) + intercept). A positive slope keeps the ranking."""

    kind: Literal["platt"] = "platt"
    slope: float = Field(gt=0)
    intercept: float

    def apply(self, scores: Floats) -> Floats:
        """Probabilities of raw scores, of any shape."""
        return sigmoid(self.slope * logit(scores) + self.intercept)


class Temperature(_Section):
    """p = sigmoid(logit(score) / temperature + offset).

    offset  not fitted: logit(prevalence) - logit(prevalence of the table); 0 if the table is not weighted
    """

    kind: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0)
    offset: float

    def apply(self, scores: Floats) -> Floats:
        """Probabilities of raw scores, of any shape."""
        return sigmoid(logit(scores) / self.temperature + self.offset)


class Isotonic(_Section):
    """Straight lines between knots; below the first and above the last knot the probability stays."""

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _never_falls(self) -> Isotonic:
        if len(self.scores) != len(self.probabilities):
            raise ValueError(f"{len(self.scores)} scores and {len(self.probabilities)} probabilities; need one each")
        if (np.diff(self.scores) <= 0).any() or (np.diff(self.probabilities) < 0).any():
            raise ValueError("need rising scores and probabilities that do not fall")
        return self

    def apply(self, scores: Floats) -> Floats:
        """Probabilities of raw scores, of any shape."""
        return np.asarray(np.interp(scores, self.scores, self.probabilities))


Map = Annotated[Platt | Temperature | Isotonic, Field(discriminator="kind")]


class Measured(_Section):
    """An estimate, written down. value, low, high: None where there is no such number."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    positives: int
    clusters: int
    unit: str
    method: str


class OperatingPoint(_Section):
    """A threshold that someone decided by: raw p >= threshold calls the unit positive.

    population                chosen on data of it;  chosen  how, e.g. "specificity at least 0.9"
    sensitivity, specificity  on the data that it was chosen on
    """

    name: str
    finding: Finding
    threshold: float = Field(ge=0, le=1)
    unit: Literal["image", "breast", "exam"] = "breast"  # an exam's p is the larger one of its breasts
    population: str
    chosen: str = ""
    sensitivity: Measured | None = None
    specificity: Measured | None = None

    def reached(self, score: Score) -> bool:
        """Whether the raw score is called positive."""
        return float(getattr(score, self.finding)) >= self.threshold


class FindingCalibration(_Section):
    """The map of one finding.

    prevalence        that the map's probabilities refer to;  table_prevalence  of the table that it was fitted on
    before, after     what was measured with raw scores, and with probabilities that were fitted on other clusters
    """

    map: Map
    prevalence: Share
    table_prevalence: Share
    n: int = Field(ge=1)
    positives: int = Field(ge=1)
    clusters: int = Field(ge=1)
    cluster: Literal["exam", "patient"]
    before: tuple[Measured, ...] = ()
    after: tuple[Measured, ...] = ()


class Calibration(_Section):
    """The content of calibration.json.

    model, weights_hash  what the readings said of themselves; weights_hash None: they did not say
    files                of the tables that it was fitted on: name -> SHA-256
    """

    format: Literal["fourview-calibration/1"] = "fourview-calibration/1"
    model: str
    weights_hash: str | None
    unit: Literal["image", "breast"]
    population: str
    findings: dict[Finding, FindingCalibration] = Field(min_length=1)
    operating_points: tuple[OperatingPoint, ...] = ()
    files: dict[str, str] = {}

    @model_validator(mode="after")
    def _points_belong(self) -> Calibration:
        for point in self.operating_points:
            if point.unit != self.unit or point.finding not in self.findings:
                raise ValueError(
                    f"operating point {point.name} is of {point.finding}, per {point.unit}; need one of "
                    f"{', '.join(self.findings)}, per {self.unit}"
                )
        return self

    @property
    def calibration_hash(self) -> str:
        """16 hex digits over everything in it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class SiteCalibration:
    """A calibration, and the prevalences of the site where it is used. Makes calibrated numbers of raw scores.

    prevalence  per finding that shall be calibrated: the share of units (e.g. breasts) that have it

    Raises SetupError if a prevalence is no share, or the calibration has no map of its finding.
    """

    calibration: Calibration
    prevalence: Mapping[Finding, float]

    def __post_init__(self) -> None:
        for finding, share in self.prevalence.items():
            if not 0 < share < 1:
                raise SetupError(f"prevalence of {finding} findings: found {share:g}; need a share between 0 and 1")
            if finding not in self.calibration.findings:
                fitted = ", ".join(self.calibration.findings)
                raise SetupError(
                    f"prevalence of {finding} findings: the calibration is of {fitted}; need a prevalence of it"
                )
        if not self.prevalence:
            raise SetupError("calibration: found no prevalence; need that of the site (--prevalence)")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that are calibrated."""
        return tuple(finding for finding in FINDINGS if finding in self.prevalence)

    @property
    def settings(self) -> dict[str, str | float]:
        """What calibrated numbers depend on besides raw ones; to be recorded with them."""
        shares = {f"prevalence_{finding}": self.prevalence[finding] for finding in self.findings}
        return {"calibration": self.calibration.calibration_hash, **shares}

    def calibrate(self, score: Score) -> dict[Finding, float]:
        """Per finding, the probability at the site."""
        found: dict[Finding, float] = {}
        for finding, site in self.prevalence.items():
            fitted = self.calibration.findings[finding]
            p = fitted.map.apply(np.array([getattr(score, finding)], np.float64))
            found[finding] = float(shift_prevalence(p, fitted=fitted.prevalence, site=site)[0])
        return found

    def __str__(self) -> str:
        return " and ".join(
            f"a prevalence of {in_percent(self.prevalence[finding])} ({finding})" for finding in self.findings
        )


def check_model(calibration: Calibration, *, weights_hash: str, unit: str) -> None:
    """Nothing, if the calibration was fitted on readings of these weights. Raises SetupError otherwise."""
    if calibration.weights_hash != weights_hash:
        found = f"readings of {calibration.model or 'a model without a name'} ({calibration.weights_hash or 'no hash'})"
        raise SetupError(f"calibration: was fitted on {found}; need one of these weights ({weights_hash})")
    if calibration.unit != unit:
        raise SetupError(f"calibration: is per {calibration.unit}; these weights read per {unit}, need one of that")


def shift_prevalence(p: Floats, *, fitted: float, site: float) -> Floats:
    """Probabilities at the site's prevalence: logit(p) + logit(site) - logit(fitted), also for p of 0 and 1."""
    factor = site / (1 - site) * (1 - fitted) / fitted
    return np.asarray(p * factor / (p * factor + (1 - p)))


def load_calibration(path: Path) -> Calibration:
    """The checked calibration in a calibration.json, or in the folder that holds one. Raises SetupError."""
    file = path / CALIBRATION_NAME if path.is_dir() else path
    try:
        return Calibration.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SetupError(f"{file}: cannot be read ({error.strerror}); need what `fourview calibrate` wrote") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{file}: not a calibration that this version can read: {problems}") from error


def in_percent(share: float) -> str:
    """0.5 % of 0.005."""
    return f"{100 * share:.4g} %"


def logit(p: Floats) -> Floats:
    """log(p / (1 - p)), of p at least CLIP from 0 and 1."""
    clipped = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))
