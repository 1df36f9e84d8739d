"""The AUCs on a card: taken from an evaluation of readings by exactly these weights, and compared with a fresh one.

Two independent measurements are compared, so the verdict goes by the interval of their difference: if it holds 0, the
card is reproduced. Where both are of one size and right, one lies outside of the other's own interval about one time in
six: that is shown beside it. Method of the interval: Zou and Donner 2008 (MOVER), from both intervals alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fourview.exam import SetupError
from fourview.report.evaluation_folder import StoredArea, StoredEvaluation, read_evaluation
from fourview.weights.card import Metric
from fourview.weights.ensemble import load_cards, load_metrics, write_metrics


@dataclass(frozen=True)
class Reproduction:
    """One AUC of a card beside that of another evaluation.

    difference, low, high  the evaluation's minus the card's, with its 95 % interval
    """

    card: Metric
    fresh: Metric
    difference: float
    low: float
    high: float

    @classmethod
    def compare(cls, card: Metric, fresh: Metric) -> Reproduction:
        """Raises SetupError if one of them has no interval."""
        if card.interval_95 is None or fresh.interval_95 is None:
            raise SetupError(f"{card.name}: found no interval; need one on the card and of the evaluation")
        (card_low, card_high), (low, high) = card.interval_95, fresh.interval_95
        difference = fresh.value - card.value
        below = math.hypot(fresh.value - low, card_high - card.value)
        above = math.hypot(high - fresh.value, card.value - card_low)
        return cls(card, fresh, difference, difference - below, difference + above)

    @property
    def is_reproduced(self) -> bool:
        """Whether the difference's interval holds 0."""
        return self.low <= 0 <= self.high

    @property
    def fresh_in_card(self) -> bool:
        """Whether the evaluation's value lies in the card's interval."""
        return _holds(self.card, self.fresh.value)

    @property
    def card_in_fresh(self) -> bool:
        """Whether the card's value lies in the evaluation's interval."""
        return _holds(self.fresh, self.card.value)


def _holds(metric: Metric, value: float) -> bool:
    low, high = metric.interval_95 or (math.inf, -math.inf)
    return low <= value <= high


def measure_weights(folder: Path, evaluation: Path, *, population: str) -> tuple[Metric, ...]:
    """The AUCs of an evaluation, written on the card of a weights folder or of an ensemble, and returned.

    population  whom the evaluation is of, in words

    What an earlier evaluation measured is replaced, numbers of the training stay. Raises SetupError, and leaves the
    card as it was, if the evaluation is of other weights, or not one that read_evaluation takes.
    """
    words = " ".join(population.split())
    if not words:
        raise SetupError('population: found no words; need whom the evaluation is of, e.g. "phantoms, seed 5000"')
    stored = _read_own(folder, evaluation)
    measured = tuple(_as_metric(area, stored, population=words) for area in stored.areas)
    others = (metric for metric in load_metrics(folder) if metric.truth_sha256 is None)
    write_metrics(folder, (*others, *measured))
    return measured


def check_weights(folder: Path, evaluation: Path) -> tuple[Reproduction, ...]:
    """Each AUC that was measured for the card, beside the same one of another evaluation.

    Raises SetupError if the card has none, or the evaluation is of other weights, of the very table that the card was
    measured on, or lacks one of the AUCs.
    """
    on_card = [metric for metric in load_metrics(folder) if metric.truth_sha256 is not None]
    if not on_card:
        raise SetupError(f"{folder}: found no measured AUC on the card; need `fourview weights measure` first")
    stored = _read_own(folder, evaluation)
    if stored.truth_sha256 in {metric.truth_sha256 for metric in on_card}:
        raise SetupError(f"{evaluation}: found the table of truths that the card was measured on; need fresh exams")
    fresh = {(m.name, m.unit): m for m in (_as_metric(area, stored, population="") for area in stored.areas)}
    if missing := [metric for metric in on_card if (metric.name, metric.unit) not in fresh]:
        raise SetupError(
            f"{evaluation}: found no {missing[0].name}, per {missing[0].unit}; need an evaluation of the card's "
            "population and unit"
        )
    return tuple(Reproduction.compare(metric, fresh[metric.name, metric.unit]) for metric in on_card)


def _read_own(folder: Path, evaluation: Path) -> StoredEvaluation:
    stored = read_evaluation(evaluation)
    own = "+".join(card.weights_hash for card in load_cards(folder))  # as a Screener names what it reads with
    if stored.weights_hash != own:
        found = (
            f"readings by the weights {stored.weights_hash}" if stored.weights_hash else "readings of unnamed weights"
        )
        raise SetupError(f"{evaluation}: found {found}; need {own} ({folder})")
    return stored


def _as_metric(stored: StoredArea, evaluation: StoredEvaluation, *, population: str) -> Metric:
    area = stored.area
    return Metric.model_validate(
        {
            "name": f"AUC, {stored.finding}, {stored.population}",
            "value": area.value,
            "interval_95": (area.low, area.high),
            "unit": area.unit,
            "n": area.n,
            "positives": area.positives,
            "population": population,
            "truth_sha256": evaluation.truth_sha256,
        }
    )
