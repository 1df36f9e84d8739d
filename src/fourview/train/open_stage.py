"""A recipe and its data -> the stage that is trained, its network drawn or started from other weights."""

from __future__ import annotations

from dataclasses import replace

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

    Raises SetupError if the data cannot teach it, or the weights do not fit.
    """
    if patch is None and init is not None and init.patch is not None:
        patch = init
    stage: PatchStage | ExamStage
    if recipe.stage == "patch":
        stage = PatchStage.open(recipe, data, jobs=jobs, on_step=on_step)
    else:
        stage = open_exam_stage(recipe, data, patch=patch)
    if init is not None:
        taken = start_from(stage.network, init, classes=CLASSES)
        if isinstance(stage, PatchStage):
            stage.notes += taken
        else:
            stage = replace(stage, notes=(*stage.notes, *taken))
    return stage
