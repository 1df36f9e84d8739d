"""A finished study -> its network, predictions and page in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from fourview.engine import choose_engine
from fourview.exam import ExamError, SetupError
from fourview.report.document import Document
from fourview.report.document_folder import add_document
from fourview.report.picture import Picture, png_bytes
from fourview.store.store import Store
from fourview.studies.finetune.features_similarity import measure_similarity
from fourview.studies.finetune.figure2 import draw_panel, open_panel
from fourview.studies.finetune.finetuned import NETWORK, FinetunedCard, save_finetuned
from fourview.studies.finetune.page import Shown, describe_study, make_inputs
from fourview.studies.finetune.study import Outcome, Study
from fourview.studies.finetune.study_folder import StudyCard
from fourview.weights.folder import Weights
from fourview.whole_files import write_whole

PREDICTIONS, FIGURE2 = "predictions.csv", "figure2.png"


def card_of_run(study: Study) -> StudyCard:
    """What a folder is a run of."""
    return StudyCard(
        model=study.model,
        recipe=study.recipe.name,
        recipe_sha256=study.recipe.hash,
        split=study.split,
        data_sha256=study.cases.hash,
        weights=study.start.name,
        weights_hash=study.start.hash,
    )


def write_study(study: Study, outcome: Outcome, out: Path, *, patch: Weights | None) -> Document:
    """The page, after everything that it tells of is written.

    patch  whose heatmaps Figure 2's panel has; None: it has none

    Raises SetupError if something cannot be written or an image cannot be read.
    """
    card = _describe(study)
    try:
        save_finetuned(out / NETWORK, card, outcome.tensors)
        write_whole(out / PREDICTIONS, outcome.held_out.table().write_csv())
        name, picture = _draw_figure2(study, outcome, patch)
        write_whole(out / FIGURE2, png_bytes(picture))
        inputs = make_inputs(study, outcome)
    except ExamError as error:
        raise SetupError(f"a picture of the page cannot be made: {error}") from error
    except OSError as error:
        raise SetupError(f"{out}: cannot be written ({error.strerror or error}); need room and permission") from error
    held_out = outcome.held_out
    similarity = measure_similarity(outcome.before, outcome.after, held_out.patients, name="start and end")
    shown = Shown(similarity, inputs, (name, png_bytes(picture)), _list_settings(study, patch))
    document = describe_study(study, outcome, shown)
    add_document(out, document)
    return document


def _describe(study: Study) -> FinetunedCard:
    start, cases, recipe = study.start, study.cases, study.recipe
    images = str(study.store.about.get("terms", ""))
    return FinetunedCard(
        name=f"{study.model}-{recipe.name}-seed{recipe.seed}",
        shape=start.shape,
        classes=cases.targets.classes,
        labels=cases.targets.name,
        positive=cases.targets.positive,
        size_px=study.phases[-1].size_px,
        card=start.card,
        start=start.name,
        start_hash=start.hash,
        start_trained=start.trained,
        phantoms_only=cases.phantoms and (start.phantoms_only or start.trained is False),
        data=f"{study.store.about.get('title', '')}; split {study.split}",
        data_sha256=cases.hash,
        recipe=recipe.name,
        recipe_sha256=recipe.hash,
        terms="; ".join(part for part in (f"images: {images}", f"weights: {start.terms}") if not part.endswith(": ")),
    )


def _draw_figure2(study: Study, outcome: Outcome, patch: Weights | None) -> tuple[str, Picture]:
    """(image, panel) of the first held-out image of the last class that is there. Raises ExamError."""
    chosen = max(study.cases.of("test"), key=lambda place: (study.cases.y[place], -place))
    image = study.cases.rows[chosen]["image"]
    inputs = study.stage(study.phases[-1], outcome.tensors).read(study.cases.rows[chosen], None)
    store = Store.open(study.store.path)
    row: dict[str, Any] = store.manifest.filter(pl.col("image") == image).to_dicts()[0]
    panel = open_panel(
        store,
        row,
        next(iter(inputs.values()))[0],
        patch=patch,
        engine=choose_engine("torch"),
        synthetic=study.cases.phantoms,
    )
    return image, draw_panel(panel)


def _list_settings(study: Study, patch: Weights | None) -> tuple[tuple[str, str], ...]:
    start = study.start
    settings = {
        "data": str(study.store.about.get("title", "")),
        "split": study.split,
        "data SHA-256 (images, pixels, targets, parts)": study.cases.hash,
        "recipe SHA-256": study.recipe.hash,
        "--model": study.model,
        "--weights": f"{start.name}, {start.hash}" if start.name else "none",
        "--patch": "none" if patch is None else f"{patch.card.name}, {patch.card.weights_hash}",
    }
    return tuple(settings.items())
