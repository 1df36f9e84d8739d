"""The folder of a lesion run.

RUN/
    lesion-run.json recipe.json   what it is a run of: --resume goes on with the same only
    greys.json                    grey range of each image
    members/fold-1-seed-0-both/   one network: history.csv, checkpoints/, tensorboard/, answers.csv
    weights/                      all networks (lesion_weights.py): what `fourview lesion read` takes
    lesions.csv views.csv         held-out lesions, and their images: truth and probabilities
    report.html results.json estimates.csv plots/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import polars as pl

import fourview
from fourview.exam import ExamError, SetupError
from fourview.settings import Section
from fourview.store.store import Store
from fourview.studies.lesion.crops import GreyRange, read_grey_range
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.studies.lesion.study import ANSWER_COLUMNS, LesionStudy, MemberPlan
from fourview.train.run_folder import RunFolder
from fourview.train.study_folder import open_network_folder, open_study_folder, read_study_card
from fourview.whole_files import write_whole

RUN, RECIPE, GREYS, MEMBERS, ANSWERS_FILE = "lesion-run.json", "recipe.json", "greys.json", "members", "answers.csv"
WEIGHTS, LESIONS, VIEWS = "weights", "lesions.csv", "views.csv"
COMMAND = "fourview lesion train"


class RunCard(Section):
    """The content of lesion-run.json. folds: from 1, that were asked for"""

    format: Literal["fourview-lesion-run/1"] = "fourview-lesion-run/1"
    recipe: str
    recipe_sha256: str
    data: str
    data_sha256: str
    folds: tuple[int, ...]
    start: str
    start_hash: str
    fourview: str = fourview.__version__


def open_folder(out: Path, study: LesionStudy, folds: tuple[int, ...], *, resume: bool) -> None:
    """The folder, new or of the same run. Raises SetupError: something else is in it, or it cannot be written."""
    recipe: LesionRecipe = study.recipe
    card = RunCard(
        recipe=recipe.name,
        recipe_sha256=recipe.hash,
        data=study.about,
        data_sha256=study.hash,
        folds=tuple(fold + 1 for fold in folds),
        start=study.start.name,
        start_hash=study.start.hash,
    )
    text = json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n"
    open_study_folder(out, card, name=RUN, others={RECIPE: text}, command=COMMAND, resume=resume)


def read_run_card(out: Path) -> RunCard:
    """What a folder is a run of. Raises SetupError if it is none."""
    return read_study_card(out, RunCard, name=RUN, command=COMMAND)


def open_member(out: Path, plan: MemberPlan) -> RunFolder:
    """Where the loop keeps what it needs to go on with one network. Raises SetupError."""
    return open_network_folder(out / MEMBERS / plan.name)


def keep_answers(run: RunFolder, table: pl.DataFrame) -> None:
    """answers.csv of one network. Raises OSError."""
    write_whole(run.path / ANSWERS_FILE, table.write_csv())


def kept_answers(run: RunFolder) -> pl.DataFrame | None:
    """What an earlier sitting kept; None: nothing yet."""
    path = run.path / ANSWERS_FILE
    return pl.read_csv(path, schema=pl.Schema(ANSWER_COLUMNS)) if path.is_file() else None


def measure_greys(
    out: Path, store: Store, images: tuple[str, ...], *, on_image: Callable[[int, int], None]
) -> Mapping[str, GreyRange]:
    """The grey range of each image: read once, then taken from greys.json.

    on_image  called with how many are done, of how many; may raise. Raises SetupError: an image cannot be read.
    """
    path = out / GREYS
    if path.is_file():
        kept = {name: GreyRange(*values) for name, values in json.loads(path.read_text()).items()}
        if set(kept) == set(images):
            return kept
    found = {}
    for number, image in enumerate(images, start=1):
        try:
            found[image] = read_grey_range(store, image)
        except ExamError as error:
            raise SetupError(f"an image for training cannot be read: {error}") from error
        on_image(number, len(images))
    write_whole(path, json.dumps({name: [grey.low, grey.high] for name, grey in found.items()}) + "\n")
    return found
