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

import fourview
from fourview.settings import Section
from fourview.studies.finetune.phase_settings import PhaseSettings
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.train.run_folder import RunFolder
from fourview.train.study_folder import open_network_folder, open_study_folder

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
    text = json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n"
    open_study_folder(out, card, name=RUN, others={RECIPE: text}, command="fourview finetune", resume=resume)


def open_phase(out: Path, phase: PhaseSettings) -> RunFolder:
    """Where the loop keeps what it needs to go on with a phase. Raises SetupError."""
    return open_network_folder(out / phase.name)
