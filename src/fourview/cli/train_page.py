"""What a finished run's page is made of: the stage, what came out, and the recipe, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fourview.evaluate.question import Question
from fourview.exam import FINDINGS
from fourview.report.document import Document
from fourview.report.meaning import in_words
from fourview.report.number_text import write_number
from fourview.report.training_document import Confusion, TrainingRun, describe_training, write_setting
from fourview.report.training_pictures import TrainingInput
from fourview.report.versions import package_versions
from fourview.train.data import TrainingData
from fourview.train.questions import find_women
from fourview.train.recipe import CLASSES, Recipe
from fourview.train.stage import UNKNOWN, Sample, WeightsStage
from fourview.train.trained import Trained
from fourview.weights.card import Card
from fourview.weights.folder import Weights

_TARGETS = {
    "exam": tuple(f"{side} {finding}" for finding in FINDINGS for side in ("left", "right")),
    "birads": ("left BI-RADS", "right BI-RADS"),
}
_ANSWERS = {UNKNOWN: "unknown", 0: "no", 1: "yes"}


def describe_run(
    stage: WeightsStage,
    trained: Trained,
    card: Card,
    *,
    data: TrainingData,
    questions: Sequence[Question],
    unasked: Sequence[str],
    starts: Mapping[str, Weights | None],
) -> Document:
    """The page of a finished run. Reads a few samples."""
    recipe = stage.recipe
    settings = {
        "data": data.name,
        "split": data.split,
        "data SHA-256 (images, pixels, labels, parts)": data.hash,
        "recipe SHA-256": recipe.hash,
        **{f"--{name}": f"{w.card.name}, {w.card.weights_hash}" for name, w in starts.items() if w is not None},
        "weights": f"{card.name}, {card.weights_hash}",
        **{f"SHA-256 of weights/{name}": sha256 for name, sha256 in card.sha256.items()},
        "licence of the weights": card.licence,
    }
    run = TrainingRun(
        name=recipe.name,
        stage=recipe.stage,
        history=trained.history,
        best_epoch=trained.best_epoch,
        stopped=trained.stopped,
        questions=tuple(questions),
        unasked=tuple(unasked),
        confusion=_confuse(trained, data) if recipe.stage == "patch" and recipe.is_judged else None,
        is_judged=recipe.is_judged,
        inputs=tuple(_describe_input(sample, recipe) for sample in stage.pictures()),
        facts=_list_facts(stage, trained, card),
        recipe=tuple((name, write_setting(value)) for name, value in recipe.flat().items() if name != "reasons"),
        deviations=tuple(
            (d.field, write_setting(d.paper), write_setting(d.value), d.reason or "not said")
            for d in recipe.deviations()
        ),
        phantoms_only=card.training.phantoms_only,
        settings=tuple(settings.items()),
        versions=package_versions(),
    )
    return describe_training(run)


def _list_facts(stage: WeightsStage, trained: Trained, card: Card) -> tuple[tuple[str, str], ...]:
    per_second = trained.history["samples_per_second"].to_numpy().mean()
    unit = "patches" if stage.recipe.stage == "patch" else "exams"
    return (
        ("population", card.training.population),
        ("parameters", f"{sum(p.numel() for p in stage.network.parameters()):,}"),
        ("time, all sittings", in_words(trained.seconds)),
        (f"{unit} per second while training", write_number(float(per_second))),
        ("waiting for data", f"{trained.waiting_share:.1%} of the time of all steps"),
        ("on", card.training.trained_on),
        *(("note", note) for note in stage.notes),
    )


def _confuse(trained: Trained, data: TrainingData) -> Confusion:
    table = trained.best.table
    women = find_women("patch", data.rows("validation"))
    true, said = (np.array([CLASSES.index(name) for name in table[column]]) for column in ("class", "said"))
    return Confusion(CLASSES, true, said, np.array([women[image] for image in table["image"]], np.str_), "patch")


def _describe_input(sample: Sample, recipe: Recipe) -> TrainingInput:
    """Targets in words; those of patches are in their names."""
    if recipe.stage == "patch":
        name, _, image = sample.name.partition(": ")
        return TrainingInput(name, (image,), sample.inputs)
    targets = [int(target) for target in sample.targets]
    if recipe.stage == "birads":
        words = ["unknown" if target == UNKNOWN else str(target) for target in targets]
    else:
        words = [_ANSWERS[target] for target in targets]
    said = ", ".join(f"{name} {word}" for name, word in zip(_TARGETS[recipe.stage], words, strict=True))
    return TrainingInput(sample.name, (said,), sample.inputs)
