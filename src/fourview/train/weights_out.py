"""A finished run -> the weights folder that `screen`, `heatmaps` and `--init` take, and its card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.question import Question
from fourview.exam import SetupError
from fourview.train.data import TrainingData
from fourview.train.stage import WeightsStage
from fourview.train.trained import Trained
from fourview.weights.card import Card, ExamNetwork, Metric, PatchNetwork, Storage
from fourview.weights.folder import Weights, load_card, save_weights
from fourview.weights.home import CARD_NAME
from fourview.weights.learned import Learned

WEIGHTS = "weights"  # the folder in a run's
OWN_LICENCE = "Apache-2.0"
_PUBLISHED_MM = 0.1  # pixels of the detectors whose images the published networks have seen: 0.065 to 0.1 mm


def write_run_weights(
    folder: Path,
    stage: WeightsStage,
    trained: Trained,
    *,
    data: TrainingData,
    questions: Sequence[Question],
    starts: Mapping[str, Weights | None],
    storage: Storage = "fp32",
) -> Card:
    """The weights of the best epoch; what an earlier sitting wrote of the same run is taken as it is.

    starts  "init" and "patch": the weights that it began with, and whose heatmaps it saw

    Raises SetupError if `folder` holds something else, weights of another storage among it, or cannot be written.
    """
    if (folder / CARD_NAME).is_file():
        return _check_storage(folder, load_card(folder), storage)
    recipe = stage.recipe
    words = f"{data.name}; split {data.split}"
    card = stage.card(name=f"{recipe.name}-{recipe.stage}-seed{recipe.seed}", judgement=trained.best, data=words)
    begun = [weights.card for weights in starts.values() if weights is not None]
    training = card.training.model_copy(
        update={
            "source": join_origins(begun),
            "terms": str(data.store.about.get("terms", "")),
            "population": describe_population(data),
            "phantoms_only": data.phantoms_only and all(_saw_no_patient(one) for one in begun),
            "recipe": recipe.name,
            "stage": recipe.stage,
            "seed": recipe.seed,
            "recipe_sha256": recipe.hash,
            "data_sha256": data.hash,
            "minutes": round(trained.seconds / 60, 1),
            "trained_on": trained.on,
        }
    )
    card = card.model_copy(
        update={
            "training": training,
            "licence": choose_licence(data, begun),
            "notes": describe_size(card),
            "metrics": tuple(as_metric(question.area, population=f"validation of {words}") for question in questions),
        }
    )
    learned = [data.learned(), *(w.learned for w in starts.values() if w is not None and w.learned is not None)]
    placed = _place(stage, card, trained.tensors, starts)
    return save_weights(folder, card, storage=storage, learned=Learned.join(learned), **placed)


def _check_storage(folder: Path, card: Card, storage: Storage) -> Card:
    if card.storage != storage:
        raise SetupError(
            f"{folder}: found finished weights, stored as {card.storage}; need --storage {card.storage}, or another "
            f"folder for {storage}"
        )
    return card


def describe_size(card: Card) -> str:
    """In what the networks differ from the published ones in size, in words; "" if they do not."""
    exam, patch, said = card.exam or card.birads, card.patch, []
    if exam is not None and exam.width != (width := ExamNetwork.model_fields["width"].default):
        said.append(f"{exam.width} channels instead of {width}")
    if exam is not None and exam.blocks != (blocks := ExamNetwork.model_fields["blocks"].default):
        said.append(f"columns of {_say(exam.blocks)} blocks instead of {_say(blocks)}")
    if patch is not None and (patch.blocks, patch.growth) != ((own := PatchNetwork()).blocks, own.growth):
        said.append(
            f"a patch network of {_say(patch.blocks)} layers and growth {patch.growth} instead of {_say(own.blocks)} "
            f"and {own.growth}"
        )
    if card.input.resample == "always" and card.input.spacing_mm is not None and card.input.spacing_mm > _PUBLISHED_MM:
        said.append(f"pixels of {card.input.spacing_mm:g} mm instead of {_PUBLISHED_MM:g} at most")
    return f"Not the paper's size: {', '.join(said)}." if said else ""


def _say(numbers: Sequence[int]) -> str:
    return "-".join(map(str, numbers))


def as_metric(area: Estimate, *, population: str) -> Metric:
    """An estimate as a card holds it."""
    known = math.isfinite(area.low) and math.isfinite(area.high)
    return Metric(
        name=area.name,
        value=area.value,
        interval_95=(area.low, area.high) if known else None,
        unit=area.unit,
        n=area.n,
        positives=area.positives,
        population=population,
    )


def describe_population(data: TrainingData) -> str:
    """How many women, exams and images of which part, in words."""
    counts = []
    for part in ("train", "validation", "test"):
        rows = data.rows(part)
        if len(rows):
            women, exams = rows["patient"].n_unique(), rows.select("dataset", "exam").n_unique()
            counts.append(f"{part} {women:,} women, {exams:,} exams, {len(rows):,} images")
    what = "phantoms, nobody was imaged" if data.phantoms_only else ", ".join(sorted(set(data.table["dataset"])))
    return f"{what}: {'; '.join(counts)}"


def choose_licence(data: TrainingData, begun: Sequence[Card]) -> str:
    """Ours for what was learned from phantoms alone; else that of the weights it began with, and the data's terms."""
    foreign = dict.fromkeys(card.licence for card in begun if card.licence != OWN_LICENCE)
    if data.phantoms_only and not foreign:
        return OWN_LICENCE
    terms = [] if data.phantoms_only else ["the terms of the training data decide (see training.terms)"]
    return "; ".join([*(f"made from weights under {licence}" for licence in foreign), *terms])


def join_origins(begun: Sequence[Card]) -> str:
    """The weights that a run was made from, by name and hash."""
    return "; ".join(f"made from {card.name} ({card.weights_hash})" for card in begun)


def _saw_no_patient(card: Card) -> bool:
    return card.training.phantoms_only or card.training.trained is False


def _place(
    stage: WeightsStage, card: Card, tensors: Mapping[str, Tensor], starts: Mapping[str, Weights | None]
) -> dict[str, Mapping[str, Tensor]]:
    """Which file takes which tensors. A network that reads heatmaps brings its patch network along."""
    name = stage.recipe.stage
    placed: dict[str, Mapping[str, Tensor]] = {name: stage.kept(tensors)}
    sources = [starts.get(role) for role in ("patch", "init")]  # as open_stage takes them
    patch = next((source.patch for source in sources if source is not None and source.patch is not None), None)
    if name != "patch" and card.patch is not None and patch is not None:
        placed["patch"] = patch.state_dict()
    return placed
