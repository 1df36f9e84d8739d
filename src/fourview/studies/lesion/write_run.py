"""A finished lesion run -> its weights, tables and page in the run's folder."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import ExamError, SetupError
from fourview.report.document import Document
from fourview.report.document_folder import add_document
from fourview.store.sets import count_films
from fourview.store.store import Store
from fourview.studies.lesion.folds import digest_images
from fourview.studies.lesion.lesion_input import ReadLesion
from fourview.studies.lesion.lesion_stage import LesionStage, LoopNetwork
from fourview.studies.lesion.lesion_weights import Images, LesionCard, Measured, Member, save_lesion_weights
from fourview.studies.lesion.outcome import Outcome
from fourview.studies.lesion.page import describe_run
from fourview.studies.lesion.run_folder import LESIONS, VIEWS, WEIGHTS
from fourview.studies.lesion.study import LesionStudy
from fourview.whole_files import write_whole


def write_run(outcome: Outcome, store: Store, read: ReadLesion, out: Path) -> Document:
    """lesions.csv, views.csv, weights/ and the page. Raises SetupError if something cannot be written or read."""
    study = outcome.study
    card = describe_weights(outcome, store)
    try:
        write_whole(out / LESIONS, outcome.table.write_csv())
        write_whole(out / VIEWS, outcome.views.write_csv())
        if (out / WEIGHTS).is_dir():  # of a sitting that ended after it: the same networks
            shutil.rmtree(out / WEIGHTS)
    except OSError as error:
        raise SetupError(f"{out}: cannot be written ({error.strerror or error}); need room and permission") from error
    save_lesion_weights(out / WEIGHTS, card, [member.tensors for member in outcome.members])
    first = outcome.members[0].plan
    stage = LesionStage(
        study.recipe,
        first.seed,
        study.views_of(first, "train"),
        (),
        read,
        LoopNetwork(study.recipe.network.build(study.recipe.crop.side_px)),
    )
    try:
        samples = stage.pictures()
    except ExamError as error:
        raise SetupError(f"a picture of the page cannot be made: {error}") from error
    document = describe_run(outcome, samples)
    add_document(out, document)
    return document


def _say_held_out(outcome: Outcome) -> str:
    """Which lesions were not learned from, in words."""
    if outcome.study.recipe.split == "official":
        return "official test part"
    run = sorted({member.plan.fold + 1 for member in outcome.members})
    if len(run) == outcome.study.folds.count:
        return f"all {len(run)} folds put together"
    return f"fold{'s' if len(run) > 1 else ''} {', '.join(map(str, run))} of {outcome.study.folds.count} alone"


def describe_weights(outcome: Outcome, store: Store) -> LesionCard:
    """The card of the run's networks, without the hashes of their files."""
    study, area = outcome.study, outcome.area
    recipe, start = study.recipe, study.start
    measured = None
    if area is not None:
        known = math.isfinite(area.low)
        measured = Measured(
            auc=area.value,
            low=area.low if known else None,
            high=area.high if known else None,
            lesions=area.n,
            patients=area.clusters,
            of=f"{study.about}, {_say_held_out(outcome)}",
        )
    images = str(store.about.get("terms", ""))
    return LesionCard(
        name=f"{recipe.name}-{recipe.network.architecture}-seed{recipe.seed}",
        kinds=recipe.kinds,
        images=describe_images(study, store),
        network=recipe.network,
        crop=recipe.crop,
        ensemble=recipe.ensemble,
        members=tuple(
            Member(
                file=f"{member.plan.name}.safetensors",
                angles=member.plan.angles,
                fold=member.plan.fold + 1,
                seed=member.plan.seed,
                epoch=member.trained.best_epoch,
            )
            for member in outcome.members
        ),
        threshold=outcome.threshold,
        start=start.name,
        start_hash=start.hash,
        phantoms_only=study.phantoms and start.phantoms_only,
        data=study.about,
        data_sha256=study.hash,
        learned=tuple(sorted(digest_images(list_learned(outcome), store) | start.learned)),
        recipe=recipe.name,
        recipe_sha256=recipe.hash,
        measured=measured,
        terms="; ".join(part for part in (f"images: {images}", f"start: {start.terms}") if not part.endswith(": ")),
    )


def list_learned(outcome: Outcome) -> frozenset[str]:
    """Every image that trained one of the networks or chose its epoch."""
    plans = [member.plan for member in outcome.members]
    return frozenset(
        view.image for plan in plans for part in ("train", "validation") for view in outcome.study.views_of(plan, part)
    )


def describe_images(study: LesionStudy, store: Store) -> Images:
    """What the images of the lesions are like, and how the store cut them."""
    rows = store.images.filter(pl.col("image").is_in(list(study.images)))
    sizes = [size for size in rows["spacing_mm"].to_list() if size is not None]
    crop: Mapping[str, Any] = store.about.get("crop", {})
    return Images(
        crop_iterations=int(crop.get("iterations", 100)),
        crop_buffer_px=int(crop.get("buffer_px", 50)),
        pixel_mode="presentation" if (rows["pixel_mode"] == "presentation").any() else "stored",
        film=count_films(rows) == rows.height,
        spacing_range_mm=(min(sizes), max(sizes)) if sizes else None,
        phantoms=study.phantoms,
    )
