"""A recipe and its data -> the stage that is trained, its network drawn or started from other weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fourview.exam import SetupError
from fourview.train.data import OnStep, TrainingData
from fourview.train.exam_stage import ExamStage, open_exam_stage
from fourview.train.initialise import start_from
from fourview.train.patch_stage import PatchStage
from fourview.train.recipe import CLASSES, Recipe
from fourview.train.stage import WeightsStage
from fourview.weights.folder import Weights


def open_stage(
    recipe: Recipe,
    data: TrainingData,
    *,
    init: Weights | None = None,
    patch: Weights | None = None,
    jobs: int = 1,
    on_step: OnStep = lambda what, done, total: None,
) -> WeightsStage:
    """The stage of the recipe.

    init     weights that its network starts from, see initialise.start_from; None: all of it is drawn
    patch    weights whose heatmaps the store was filled with; None: those of `init`, if it has a patch network
    jobs     processes that look at the images before training (patch stage)
    on_step  called while they do: what is done, items done, items in all; may raise

    Raises SetupError if the data cannot teach it, or the weights do not fit or have learned from women who are to be
    judged here.
    """
    if patch is None and init is not None and init.patch is not None:
        patch = init
    begun = {"--init": init, "--patch": None if patch is init else patch}
    notes = tuple(_check_unseen(weights, role, data) for role, weights in begun.items() if weights is not None)
    stage: PatchStage | ExamStage
    if recipe.stage == "patch":
        stage = PatchStage.open(recipe, data, jobs=jobs, on_step=on_step)
    else:
        stage = open_exam_stage(recipe, data, patch=patch)
    taken = tuple(filter(None, notes))
    if init is not None:
        taken = (*start_from(stage.network, init, classes=CLASSES), *taken)
    if isinstance(stage, PatchStage):
        stage.notes += taken
    else:
        stage = replace(stage, notes=(*stage.notes, *taken))
    return stage


def _check_unseen(weights: Weights, role: str, data: TrainingData) -> str:
    """What to say if nobody knows whom the weights have learned from. Raises SetupError: from some who are judged."""
    card = weights.card
    if weights.learned is None:
        known = card.training.phantoms_only or card.training.trained is False
        unknown = f"{card.name} does not say whom it has learned from: if they are judged here, the numbers flatter it"
        return "" if known else unknown
    seen, chosen = weights.learned.train, weights.learned.validation
    judged, tested = data.whom("validation"), data.whom("test")
    both = np.union1d(np.intersect1d(seen, np.union1d(judged, tested)), np.intersect1d(chosen, tested))
    if len(both):
        who = "images of phantoms" if data.phantoms_only else "women"
        raise SetupError(
            f"{role}: {card.name} has learned from {len(both)} of the {len(np.union1d(judged, tested))} {who} of "
            f"validation and test in split {data.split}; need weights that have not, or a split with these in its "
            "part train"
        )
    return ""
