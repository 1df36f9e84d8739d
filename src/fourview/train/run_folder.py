"""The folder of a run: what it is a run of, and what came out.

OUT/
    run.json recipe.toml     what it is a run of
    history.csv              one row per epoch
    predictions.csv          of the best epoch, one row per judged unit
    checkpoints/             see checkpoint.py
    tensorboard/             curves
    failure.json             why it stopped, if a loss was no number
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from pydantic import ValidationError

import fourview
from fourview.exam import SetupError
from fourview.settings import Section
from fourview.train.history import history_table
from fourview.train.progress import Row
from fourview.train.recipe import Recipe, Stage, parse_recipe
from fourview.train.recipe_text import format_recipe
from fourview.whole_files import remove_parts, write_whole

RUN, RECIPE, FAILURE = "run.json", "recipe.toml", "failure.json"


class RunCard(Section):
    """The content of run.json: what a run is of. A resumed run must be of the same.

    data, split    as they were named; data_sha256: of images, parts and pixels
    starts         "init", "patch" -> weights_hash of the weights that it starts from, or whose heatmaps it sees
    """

    format: Literal["fourview-run/1"] = "fourview-run/1"
    stage: Stage
    recipe: str
    recipe_sha256: str
    data: str
    split: str
    data_sha256: str
    starts: dict[str, str]
    fourview: str
    torch: str
    python: str
    started: str


@dataclass(frozen=True)
class RunFolder:
    """An open one: only the first process of a run writes to it. Its methods raise OSError."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def write_history(self, rows: Sequence[Row]) -> None:
        write_whole(self.path / "history.csv", history_table(rows).write_csv())

    def write_predictions(self, table: pl.DataFrame) -> None:
        write_whole(self.path / "predictions.csv", table.write_csv())

    def write_failure(self, values: Mapping[str, Any]) -> None:
        write_whole(self.path / FAILURE, json.dumps(values, indent=1) + "\n")


def open_run(
    path: Path,
    recipe: Recipe,
    *,
    data: str,
    split: str,
    data_sha256: str,
    starts: Mapping[str, str],
    resume: bool,
) -> RunFolder:
    """The folder of a new run; with `resume`, also that of one which began there.

    For the first process alone (devices.on_first). Raises SetupError: the folder holds something and `resume` is false,
    something else than a run, or a run of another recipe, other data or other weights.
    """
    card = RunCard(
        stage=recipe.stage,
        recipe=recipe.name,
        recipe_sha256=recipe.hash,
        data=data,
        split=split,
        data_sha256=data_sha256,
        starts=dict(starts),
        fourview=fourview.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        path.mkdir(parents=True, exist_ok=True)
        remove_parts(path)
        if any(path.iterdir()):
            if not resume:
                raise SetupError(f"{path}: found a folder that is not empty; need a new one, or --resume")
            _check_same(path, recipe, card)
            (path / FAILURE).unlink(missing_ok=True)
        else:
            write_whole(path / RUN, card.model_dump_json(indent=1) + "\n")
        write_whole(path / RECIPE, format_recipe(recipe))
    except OSError as error:
        raise SetupError(f"{path}: cannot be written ({error.strerror or error}); need room and permission") from error
    return RunFolder(path)


def read_run(path: Path) -> RunCard:
    """What a folder is a run of. Raises SetupError if it is none."""
    try:
        return RunCard.model_validate_json((path / RUN).read_bytes())
    except (OSError, ValidationError) as error:
        raise SetupError(f"{path}: found no readable {RUN}; need the folder of a run of `fourview train`") from error


def _check_same(path: Path, recipe: Recipe, card: RunCard) -> None:
    """Nothing, if the folder holds a run of the same. Raises SetupError."""
    found = read_run(path)
    if found.recipe_sha256 != card.recipe_sha256:
        raise SetupError(
            f"{path}: found a run of another recipe ({_name_difference(path, recipe)}); need the same to resume, "
            "or a new folder"
        )
    if found.data_sha256 != card.data_sha256:
        raise SetupError(
            f"{path}: found a run on other data ({found.data}, split {found.split}, {found.data_sha256[:16]}; now "
            f"{card.data}, split {card.split}, {card.data_sha256[:16]}); need the same data to resume, or a new folder"
        )
    if found.starts != card.starts:
        raise SetupError(
            f"{path}: found a run that started from other weights ({found.starts or 'none'}; now "
            f"{card.starts or 'none'}); need the same to resume, or a new folder"
        )


def _name_difference(path: Path, recipe: Recipe) -> str:
    """ "loop.batch 4, now 8", of up to three values."""
    try:
        before = parse_recipe((path / RECIPE).read_text(encoding="utf-8"))
    except (OSError, SetupError):
        return f"now {recipe.name} of {recipe.stage}"
    old, new = before.flat(), recipe.flat()
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name) and name != "reasons"]
    return "; ".join(f"{name} {old.get(name)}, now {new.get(name)}" for name in changed[:3])
