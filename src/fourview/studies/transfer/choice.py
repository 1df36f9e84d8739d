"""What choosing by inner folds is worth: in each outer fold the candidate that was best in its inner folds.

The candidates of a fold share its training images and its inner folds, so the largest mean AUC of inner folds chooses
among them as it chooses among the settings of each. The images of the outer fold take no part in it, so the numbers
are those of the whole procedure (nested cross-validation: Varma and Simon 2006; Cawley and Talbot 2010), not of the row
that came out best. The classifier that is written is the same procedure's on all images.

Scores of different candidates have nothing in common. What stands in their place is the probability that each one's
inner folds gave (Platt's map of their out-of-fold scores, before the outer fold is seen); calls are by each one's own
threshold. Where one candidate wins everywhere, the AUC may still differ a little from its row's, which ranks scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fourview.exam import SetupError
from fourview.studies.transfer.candidates import Candidate, pick_first_best
from fourview.studies.transfer.cases import UNITS, Cases, Unit
from fourview.studies.transfer.measures import Measures, Scored, measure
from fourview.studies.transfer.nested import Repeat, UnitScores

CHOSEN = "chosen in the inner folds"  # its row in tables


@dataclass(frozen=True, eq=False)
class Choice:
    """times, inner, whole: per candidate.

    times     outer folds of all repeats in which it won
    inner     its AUC in the inner folds, mean over all outer folds
    whole     the same within all images, which decides
    repeats   what the winners said, score and probability being the same
    measures  of that
    """

    candidates: tuple[Candidate, ...]
    times: tuple[int, ...]
    inner: tuple[float, ...]
    whole: tuple[float, ...]
    repeats: tuple[Mapping[Unit, UnitScores], ...]
    measures: Mapping[Unit, Measures]

    @property
    def best(self) -> Candidate:
        return self.candidates[pick_first_best(self.whole)]

    @property
    def folds(self) -> int:
        """Outer folds of all repeats."""
        return sum(self.times)


def make_choice(
    cases: Cases, candidates: Sequence[Candidate], said: Sequence[Sequence[Repeat]], whole: Sequence[float]
) -> Choice:
    """said: per candidate its repeats, on the same outer folds; whole: its AUC in the inner folds of all images.

    Raises SetupError if the candidates have other folds.
    """
    times: Counter[int] = Counter()
    repeats = []
    for runs in zip(*said, strict=True):
        found, winners = _join_winners(runs)
        repeats.append(found)
        times.update(winners)
    measures = {unit: measure([_as_scored(cases, unit, found[unit]) for found in repeats], unit=unit) for unit in UNITS}
    inner = tuple(float(np.mean([run.areas for run in runs])) for runs in said)
    counts = tuple(times[place] for place in range(len(candidates)))
    return Choice(tuple(candidates), counts, inner, tuple(whole), tuple(repeats), measures)


def _join_winners(runs: Sequence[Repeat]) -> tuple[dict[Unit, UnitScores], list[int]]:
    """Of one repeat of all candidates: what each fold's winner said of it, and the winners' places."""
    if any((run.units[unit].fold != runs[0].units[unit].fold).any() for run in runs for unit in UNITS):
        raise SetupError("choice: found other folds in the candidates; need the same")
    winners = [pick_first_best(areas) for areas in zip(*(run.areas for run in runs), strict=True)]
    found: dict[Unit, UnitScores] = {}
    for unit in UNITS:
        fold = runs[0].units[unit].fold
        own = np.array(winners)[fold]  # (units,)
        units = np.arange(len(fold))
        probability = np.stack([run.units[unit].probability for run in runs])[own, units]
        called = np.stack([run.units[unit].called for run in runs])[own, units]
        found[unit] = UnitScores(fold, probability, probability, called)
    return found, winners


def _as_scored(cases: Cases, unit: Unit, said: UnitScores) -> Scored:
    return Scored(cases.truth(unit), cases.clusters(unit), said.score, said.called, said.probability)
