"""Training data -> what both exam stages share: their exams, what reads them, and the card of their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.networks.exam import Head
from fourview.train.crops import reading_card, seen_input
from fourview.train.data import TrainingData
from fourview.train.exam_cases import ExamCase, ExamCases, Part, keep_known, list_cases
from fourview.train.exam_samples import ExamSamples, open_samples
from fourview.train.recipe import Recipe, Stage
from fourview.train.stage import VALIDATION, Key
from fourview.weights.card import Card, Training
from fourview.weights.folder import Weights

PICTURES = 2  # exams that the run's page shows


@dataclass(frozen=True, eq=False)
class ExamData:
    """The exams of training and validation. It pickles, and holds no pixels.

    card  of the weights, but for its name, the name of the data, and its metrics (train.weights_out)
    """

    cases: ExamCases
    samples: ExamSamples
    card: Card

    def case(self, key: Key) -> ExamCase:
        return self.cases.cases[key.case]

    def validation(self) -> tuple[Key, ...]:
        """Each exam of validation once."""
        return tuple(Key(VALIDATION, place, case) for place, case in enumerate(self.cases.of("validation")))

    def targets(self, stage: Stage) -> dict[str, NDArray[np.int64]]:
        """part -> (exams, columns), see ExamCase.targets."""
        parts: tuple[Part, ...] = ("train", "validation")
        return {
            part: np.stack([self.cases.cases[place].targets(stage) for place in self.cases.of(part)]) for part in parts
        }

    def women(self, names: Sequence[str]) -> list[str]:
        """Whose the exams with these names are; an exam without a patient is of a woman of her own."""
        patients = {case.exam: case.patient or case.exam for case in self.cases.cases}
        return [patients[name] for name in names]

    def notes(self) -> list[str]:
        """What was left out."""
        return [f"{count} exams left out: {reason}" for reason, count in self.cases.left_out.items()]

    def name_card(self, name: str, *, data: str) -> Card:
        """The card of the weights. data: what they were trained on, in words."""
        training = self.card.training.model_copy(update={"data": data})
        return self.card.model_copy(update={"name": name, "training": training})


def open_exam_data(recipe: Recipe, data: TrainingData, *, heads: Sequence[Head], patch: Weights | None) -> ExamData:
    """The exams that a network with these heads can learn from and be judged by.

    patch  whose heatmaps are in the store; a network of images only needs none
    Raises SetupError if no exam is left in a part, or heatmaps are missing.
    """
    network, sampling = recipe.exam, recipe.exams
    if network is None or sampling is None:
        raise SetupError(f"recipe {recipe.name}: found no sections exam and exams, need both")
    if network.heatmaps and (patch is None or patch.card.patch is None):
        raise SetupError(f"recipe {recipe.name}: its network reads heatmaps; need --patch, the weights that made them")
    patch = patch if network.heatmaps else None
    found = list_cases(data.table, wiring=network.wiring, heads=heads, unbiopsied=sampling.unbiopsied)
    found = keep_known(found, stage=recipe.stage)
    card = reading_card(recipe, patch=patch.card.patch if patch else None)
    samples, problems = open_samples(
        recipe, data.store, data.table, card=card, patch=patch.card if patch else None, cases=found.cases
    )
    found = _without(found, problems)
    for part in ("train", "validation"):
        if not any(case.part == part for case in found.cases):
            said = "; ".join(f"{count} {reason}" for reason, count in found.left_out.items()) or "there were none"
            raise SetupError(f"{part}: found no exam that the {network.wiring} network can use ({said}); need some")
    training = Training(
        trained=True,
        data="",
        recipe=recipe.name,
        stage=recipe.stage,
        seed=recipe.seed,
        recipe_sha256=recipe.hash,
        data_sha256=data.hash,
    )
    seen = seen_input(recipe, data.rows("train"))
    return ExamData(found, samples, card.model_copy(update={"input": seen, "training": training}))


def _without(found: ExamCases, problems: dict[str, str]) -> ExamCases:
    """Without the exams that have problems, which are counted by what it is."""
    kept = tuple(case for case in found.cases if case.exam not in problems)
    gone = Counter("without heatmaps: " + problems[case.exam] for case in found.cases if case.exam in problems)
    return ExamCases(kept, {**found.left_out, **gone})
