"""Which classifier `fourview screen` is given: what could be, and which one inner folds or the user choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureCard
from fourview.studies.transfer.steps import NAMES, Classifier, Method

WRITABLE: tuple[Classifier, ...] = ("lr", "l1_lr", "linear_svm", "rbf_svm")
BEST = "best"


@dataclass(frozen=True)
class Candidate:
    """A feature set, by its name in the study, and a classifier of it."""

    features: str
    method: Method

    def __str__(self) -> str:
        return f"{self.features}, {NAMES[self.method.classifier]}"


def find_obstacle(card: FeatureCard, method: Method) -> str | None:
    """Why `screen` could not read such a classifier; None if nothing is in the way."""
    if method.classifier not in WRITABLE:
        return f"classifier {method.classifier}: cannot be written as plain arrays; need one of {', '.join(WRITABLE)}"
    if card.extractor == "noise":
        return "features noise: know nothing of an image; need others"
    return None


def pick_first_best(areas: Sequence[float]) -> int:
    """The place of the largest AUC of inner folds; of equals the one that was named first."""
    return int(np.argmax(np.round(areas, 9)))


def read_choice(text: str, cards: Mapping[str, FeatureCard], methods: Sequence[Method]) -> Candidate | None:
    """What `--choose` names: EXTRACTOR:CLASSIFIER, or best, which is None: the inner folds choose.

    cards  feature sets by name. Raises SetupError for what is not in the study, or cannot be written.
    """
    if text == BEST:
        return None
    name, _, classifier = text.rpartition(":")
    method = next((method for method in methods if method.classifier == classifier), None)
    if method is None or name not in cards:
        pairs = [f"{own}:{method.classifier}" for own in cards for method in methods]
        raise SetupError(f"--choose: found {text!r}; need {BEST}, or one of {', '.join(pairs)}")
    if why := find_obstacle(cards[name], method):
        raise SetupError(f"--choose {text}: {why}")
    return Candidate(name, method)
