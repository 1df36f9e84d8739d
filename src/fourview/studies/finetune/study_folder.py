"""The folder of a fine-tuning study.

RUN/
    finetune.json recipe.json   what it is a run of: --resume goes on with the same only
    1-head-224/ 2-all-224/ ...  a phase each: history.csv, predictions.csv of its validation, checkpoints/, tensorboard/
    network/                    the network that is kept (finetuned.py)
    predictions.csv             the held-out images
    report.html results.json estimates.csv plots/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

import fourview
from fourview.exam import SetupError
from fourview.settings import Section
from fourview.studies.finetune.phase_settings import PhaseSettings
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.train.run_folder import RunFolder
from fourview.whole_files import remove_parts, write_whole

RUN, RECIPE = "finetune.json", "recipe.json"


class StudyCard(Section):
    """The content of finetune.json."""

    format: Literal["fourview-finetune/1"] = "fourview-finetune/1"
    model: str
    recipe: str
    recipe_sha256: str
    split: str
    data_sha256: str
    weights: str
    weights_hash: str
    fourview: str = fourview.__version__


def open_folder(out: Path, card: StudyCard, recipe: FinetuneRecipe, *, resume: bool) -> None:
    """The folder, new or of the same run. Raises SetupError: something else is in it, or it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        if any(out.iterdir()):
            if not resume:
                raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
            _compare(out, card)
        else:
            write_whole(out / RUN, card.model_dump_json(indent=1) + "\n")
            write_whole(out / RECIPE, json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n")
    except OSError as error:
        raise SetupError(f"{out}: cannot be written ({error.strerror or error}); need room and permission") from error


def _compare(out: Path, card: StudyCard) -> None:
    try:
        found = StudyCard.model_validate_json((out / RUN).read_bytes())
    except (OSError, ValidationError):
        raise SetupError(f"{out}: found no readable {RUN}; need the folder of a run of `fourview finetune`") from None
    now = card.model_dump(exclude={"fourview"})
    before = found.model_dump(exclude={"fourview"})
    if different := [f"{name} {before[name]}, now {now[name]}" for name in now if before[name] != now[name]]:
        raise SetupError(f"{out}: found another run ({'; '.join(different)}); need the same to resume, or a new folder")


def open_phase(out: Path, phase: PhaseSettings) -> RunFolder:
    """Where the loop keeps what it needs to go on with a phase. Raises SetupError."""
    path = out / phase.name
    try:
        path.mkdir(exist_ok=True)
        remove_parts(path)
    except OSError as error:
        raise SetupError(f"{path}: cannot be written ({error.strerror or error}); need room and permission") from error
    return RunFolder(path)  # what it is a run of is said once, in RUN
