"""Thresholds: chosen on one table, locked in a file, applied to another; and what a threshold does.

Intervals. Shares of units: Wilson at the effective sample size (see proportion). Predictive values at another
prevalence follow from the likelihood ratios; their interval is linearised on the logit scale, clusters kept together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fourview.evaluate.estimate import Z_95, Estimate, logit_interval
from fourview.evaluate.logistic import deviations, weights_at
from fourview.evaluate.proportion import proportion
from fourview.evaluate.readings_table import Units
from fourview.evaluate.resample import clustered_se
from fourview.evaluate.table import check_scores, check_truth, few_units, number_clusters
from fourview.evaluate.unit_rows import Unit
from fourview.exam import Finding, SetupError

LOCK_FILE = "thresholds.json"
SAME_TABLE = "these thresholds were chosen on this very table: what they do here flatters them"
Floats = NDArray[np.float64]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Section):
    """How a threshold is chosen: the smallest one with at least this specificity, the largest one with at least this
    sensitivity, or the one with the largest sum of both (Youden)."""

    name: str
    kind: Literal["specificity", "sensitivity", "youden"]
    least: float = Field(0, ge=0, le=1)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """From "NAME:specificity=0.9", "NAME:sensitivity=0.95" or "NAME:youden". Raises SetupError."""
        name, _, rule = text.rpartition(":")
        kind, _, least = rule.partition("=")
        try:
            return cls(name=name.strip() or rule.strip(), kind=kind.strip(), least=float(least or 0))
        except (ValueError, ValidationError) as error:
            raise SetupError(
                f"threshold {text!r}: need NAME:specificity=0.9, NAME:sensitivity=0.9 or NAME:youden"
            ) from error

    def __str__(self) -> str:
        return "largest sensitivity + specificity" if self.kind == "youden" else f"{self.kind} at least {self.least:g}"


class LockedThreshold(_Section):
    """A threshold and what it did where it was chosen: a unit with p >= threshold is called positive."""

    rule: Rule
    finding: Finding
    unit: Unit
    score: str
    threshold: float = Field(ge=0, le=1)
    sensitivity: float
    specificity: float
    n: int
    positives: int


class ThresholdLock(_Section):
    """The content of a lock file. readings_sha256, truth_sha256, model, weights_hash: of the table it was chosen on."""

    format: Literal["fourview thresholds 1"] = "fourview thresholds 1"
    readings_sha256: str
    truth_sha256: str
    model: str = ""
    weights_hash: str = ""
    population: str
    thresholds: tuple[LockedThreshold, ...]


def choose_threshold(truth: ArrayLike, scores: ArrayLike, rule: Rule) -> float:
    """The threshold that the rule chooses among the scores. Raises SetupError if no score satisfies it."""
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    candidates = np.unique(score)
    below = np.searchsorted(np.sort(score[~yes]), candidates, side="left") / (~yes).sum()  # specificity
    reached = 1 - np.searchsorted(np.sort(score[yes]), candidates, side="left") / yes.sum()  # sensitivity
    if rule.kind == "youden":
        return float(candidates[np.argmax(below + reached)])
    good = np.flatnonzero((below if rule.kind == "specificity" else reached) >= rule.least - 1e-12)
    if len(good) == 0:
        raise SetupError(f"threshold {rule.name}: no score has a {rule}; the highest {rule.kind} is {below.max():.3f}")
    return float(candidates[good[0] if rule.kind == "specificity" else good[-1]])


def lock_thresholds(units: Sequence[Units], rules: Sequence[Rule]) -> ThresholdLock:
    """Every rule applied to every finding's units, of one pair of tables. Raises SetupError if names are not unique."""
    if len({rule.name for rule in rules}) < len(rules):
        raise SetupError(f"thresholds: found the names {', '.join(rule.name for rule in rules)}; need each once")
    locked = []
    for own in units:
        for rule in rules:
            threshold = choose_threshold(own.truth, own.scores, rule)
            called = own.scores >= threshold
            locked.append(
                LockedThreshold(
                    rule=rule,
                    finding=own.finding,
                    unit=own.unit,
                    score=own.score,
                    threshold=threshold,
                    sensitivity=float(called[own.truth].mean()),
                    specificity=float(1 - called[~own.truth].mean()),
                    n=len(called),
                    positives=own.positives,
                )
            )
    first = units[0]
    digests = {what: digest for what, _, digest in first.files}
    return ThresholdLock(
        readings_sha256=digests["readings"],
        truth_sha256=digests["truth"],
        model=first.readings_of.get("model", ""),
        weights_hash=first.readings_of.get("weights_hash", ""),
        population=str(first.population),
        thresholds=tuple(locked),
    )


def load_lock(path: Path) -> ThresholdLock:
    """The lock file at `path`. Raises SetupError if it is missing or is none."""
    try:
        return ThresholdLock.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SetupError(f"{path}: cannot be read ({error.strerror}); need a lock file of --choose") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SetupError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; need a lock file") from error


def take_thresholds(lock: ThresholdLock, units: Units, *, file: str) -> tuple[list[LockedThreshold], tuple[str, ...]]:
    """The thresholds of the lock file for these units, and warnings.

    Raises SetupError if it has none for this finding, unit and score column, or if it was made for another model.
    """
    for what, locked in (("weights_hash", lock.weights_hash), ("model", lock.model)):
        own = units.readings_of.get(what, "")
        if own and locked and own != locked:
            raise SetupError(
                f"{file}: found thresholds for the {what} {locked}, readings of {own}; need the same model"
            )
    chosen = [t for t in lock.thresholds if t.finding == units.finding and t.unit == units.unit]
    if not chosen:
        there = sorted({f"{t.finding} per {t.unit}" for t in lock.thresholds})
        raise SetupError(f"{file}: found thresholds for {', '.join(there)}; need {units.finding} per {units.unit}")
    if others := sorted({t.score for t in chosen} - {units.score}):
        raise SetupError(f"{file}: found thresholds on the column {', '.join(others)}; need ones on {units.score}")
    digests = {what: digest for what, _, digest in units.files}
    warnings = []
    if lock.truth_sha256 == digests["truth"] or lock.readings_sha256 == digests["readings"]:
        warnings.append(SAME_TABLE)
    if lock.population != str(units.population):
        warnings.append(f"these thresholds were chosen in another population: {lock.population}")
    return chosen, tuple(warnings)


def operate(
    truth: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> tuple[Estimate, ...]:
    """What calling units with score >= threshold positive does.

    Sensitivity, specificity, positive and negative predictive value as in this table (and at `prevalence`, if
    given), accuracy, balanced accuracy, share called positive.
    """
    yes = check_truth(truth)
    called = check_scores(scores, len(yes))[0] >= threshold
    labels = None if cluster is None else np.asarray(cluster)
    numbers = np.arange(len(yes)) if labels is None else number_clusters(labels, len(yes))

    def share(name: str, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        if not among.any():
            nothing = (math.nan,) * 4
            return Estimate(name, *nothing, 0, 0, 0, unit, "none", ("no unit to count",))
        return proportion(hits[among], cluster=None if labels is None else labels[among], unit=unit, name=name)

    everyone = np.ones(len(yes), bool)
    sensitivity, specificity = share("sensitivity", called, yes), share("specificity", ~called, ~yes)
    found = [
        sensitivity,
        specificity,
        share("PPV in this table", yes, called),
        share("NPV in this table", ~yes, ~called),
    ]
    if prevalence is not None:
        found += _predictive_values(yes, called, numbers, prevalence, unit=unit)
    found += [
        _balance(sensitivity, specificity, yes, called, numbers),
        share("accuracy", called == yes, everyone),
        share("called positive", called, everyone),
    ]
    return tuple(found)


def _balance(
    sensitivity: Estimate,
    specificity: Estimate,
    yes: NDArray[np.bool_],
    called: NDArray[np.bool_],
    numbers: NDArray[Any],
) -> Estimate:
    """Balanced accuracy: half the sum of both shares, and of it an interval from both Wilson intervals.

    A share of which no call was wrong still has a width, so that a rare class is not taken to be known.
    Method: Zou and Donner 2008 (square-and-add).
    """
    shares = (sensitivity, specificity)
    value = sum(share.value for share in shares) / 2
    below = math.hypot(*(share.value - share.low for share in shares)) / 2
    above = math.hypot(*(share.high - share.value for share in shares)) / 2
    influence = np.where(
        yes,
        (called - sensitivity.value) / max(yes.sum(), 1),
        (~called - specificity.value) / max((~yes).sum(), 1),
    )
    return Estimate(
        "balanced accuracy",
        value,
        value - below,
        value + above,
        clustered_se(influence / 2, numbers),
        len(yes),
        int(yes.sum()),
        int(numbers.max()) + 1,
        sensitivity.unit,
        "both Wilson intervals, squared and added",
        few_units(yes, numbers),
    )


def _predictive_values(
    yes: NDArray[np.bool_], called: NDArray[np.bool_], numbers: NDArray[np.int64], prevalence: float, *, unit: str
) -> list[Estimate]:
    """PPV and NPV at a prevalence, from sensitivity and specificity."""
    # PPV: odds(P) * P(called | yes) / P(called | no); NPV: odds(1 - P) * P(not called | no) / P(not called | yes).
    odds = prevalence / (1 - prevalence)
    found = []
    for name, hit, top, prior in (("PPV", called, yes, odds), ("NPV", ~called, ~yes, 1 / odds)):
        a, b = float(hit[top].mean()), float(hit[~top].mean())
        value = low = high = se = math.nan
        warnings = few_units(yes, numbers)
        if a == 0 or b == 0:
            value = math.nan if a == b else float(a > 0)
            warnings += ("a share is 0: no interval can be given",)
        else:
            influence = np.zeros(len(yes))
            influence[top] = (hit[top] - a) / (a * top.sum())
            influence[~top] = -(hit[~top] - b) / (b * (~top).sum())
            scale, centre = clustered_se(influence, numbers), math.log(prior * a / b)
            value, low, high = (1 / (1 + math.exp(-(centre + z * scale))) for z in (0, -Z_95, Z_95))
            se = scale * value * (1 - value)
        n, positives, clusters = len(yes), int(yes.sum()), int(numbers.max()) + 1
        full = f"{name} at a prevalence of {prevalence:g}"
        method = "likelihood ratio, linearised, logit"
        found.append(Estimate(full, value, low, high, se, n, positives, clusters, unit, method, warnings))
    return found


def probabilistic_f1(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    prevalence: float | None = None,
    unit: str = "breast",
) -> Estimate:
    """The F1 score of probabilities, 2 sum(p y) / (sum(p) + sum(y)): no threshold, but the scale of p matters.

    At `prevalence`, positives and negatives are weighted to it. Interval: linearised. Method: Yacouby and Axman 2020.
    """
    yes = check_truth(truth)
    p = check_scores(scores, len(yes))[0]
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    weight = weights_at(yes, prevalence)
    top, bottom = 2 * p * yes, p + yes
    value = float(weight @ top / (weight @ bottom))
    se = clustered_se(deviations(top - value * bottom, yes, prevalence) / float(weight @ bottom), numbers)
    name = "pF1" if prevalence is None else f"pF1 at a prevalence of {prevalence:g}"
    low, high = logit_interval(value, se) if se > 0 else (math.nan, math.nan)
    method = f"linearised ratio, {'independent units' if cluster is None else 'clustered'}, logit"
    return Estimate(
        name,
        value,
        low,
        high,
        se,
        len(yes),
        int(yes.sum()),
        int(numbers.max()) + 1,
        unit,
        method,
        few_units(yes, numbers),
    )
