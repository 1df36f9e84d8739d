"""One run of `fourview train`: data, stage, loop, weights, page. Every process of a run comes here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from fourview.cli.progress import shown_work
from fourview.exam import SetupError

if TYPE_CHECKING:
    from fourview.train.data import TrainingData
    from fourview.train.recipe import Recipe
    from fourview.train.recipe import Stage as StageName
    from fourview.train.run_folder import RunFolder
    from fourview.train.stage import WeightsStage
    from fourview.train.trained import Trained
    from fourview.weights.folder import Weights

UNITS: dict[StageName, str] = {"patch": "patches", "birads": "exams", "exam": "exams"}


@dataclass(frozen=True, eq=False)
class _Begun:
    """What the first process reads before there are others: these get the stage from it, and read nothing."""

    data: TrainingData
    stage: WeightsStage
    weights: dict[str, Weights | None]


def train_run(
    recipe: Recipe,
    data: str,
    out: Path,
    *,
    split: str | None,
    starts: dict[str, str | None],
    devices: int,
    device: Literal["auto", "cpu", "cuda"],
    storage: Literal["fp32", "fp16"],
    resume: bool,
    dry_run: bool,
    cache: Path,
    jobs: int,
) -> None:
    """Train, and leave weights and page in `out`; the first process alone reads the data, writes and speaks.

    starts  "init" and "patch": names or folders of weights
    Raises SetupError, of the whole run in its first process (devices.SaidByFirstError in the others);
    KeyboardInterrupt.
    """
    from fourview.cli.train_show import TrainProgress, show_dry_run
    from fourview.terminal import open_console
    from fourview.train.devices import launched, on_first, open_fabric
    from fourview.train.dry_run import measure_run
    from fourview.train.loop import train
    from fourview.train.run_folder import open_run

    fabric = open_fabric(recipe, devices=1 if dry_run else devices, accelerator=device)
    begun = None
    if is_first():
        if not (dry_run or resume) and out.is_dir() and any(out.iterdir()):
            raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
        begun = _begin(recipe, data, split=split, starts=starts, cache=cache, jobs=jobs)

    def hand_out() -> tuple[WeightsStage, RunFolder | None]:
        if begun is None:
            raise ValueError("only the first process has read the data")
        if dry_run:
            return begun.stage, None
        about = {"data": begun.data.name, "split": begun.data.split, "data_sha256": begun.data.hash}
        hashes = {name: w.card.weights_hash for name, w in begun.weights.items() if w is not None}
        return begun.stage, open_run(out, recipe, **about, starts=hashes, resume=resume)

    with launched(fabric):
        stage, run = on_first(fabric, hand_out)
        if run is None:
            show_dry_run(open_console(), measure_run(stage, fabric=fabric), unit=UNITS[recipe.stage])
            return
        for note in stage.notes if fabric.is_global_zero else ():
            typer.echo(f"note: {note}", err=True)
        progress = TrainProgress(open_console(stderr=True), unit=UNITS[recipe.stage], epochs=recipe.loop.epochs)
        with progress:
            trained = train(stage, run, fabric=fabric, resume=resume, on_step=progress)
    if begun is not None:
        _finish(out, begun, trained, storage=storage)


def _begin(
    recipe: Recipe, data: str, *, split: str | None, starts: dict[str, str | None], cache: Path, jobs: int
) -> _Begun:
    """Raises SetupError, KeyboardInterrupt."""
    from fourview.train.data import open_data
    from fourview.train.open_stage import open_stage

    weights = {role: _load(name) for role, name in starts.items()}
    with shown_work() as on_step:
        opened = open_data(data, split=split, recipe=recipe, cache=cache, jobs=jobs, on_step=on_step)
        stage = open_stage(recipe, opened, init=weights["init"], patch=weights["patch"], jobs=jobs, on_step=on_step)
    return _Begun(opened, stage, weights)


def _load(name: str | None) -> Weights | None:
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_weights

    return None if name is None else load_weights(resolve_member(name))


def is_first() -> bool:
    """Whether this is the process that speaks and writes; known before the others are there."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def _finish(out: Path, begun: _Begun, trained: Trained, *, storage: Literal["fp32", "fp16"]) -> None:
    """Weights, page, and the closing lines."""
    from rich.markup import escape

    from fourview.cli.train_page import describe_run
    from fourview.cli.train_show import close, show_areas
    from fourview.report.document_folder import add_document
    from fourview.report.meaning import in_words
    from fourview.terminal import open_console
    from fourview.train.questions import ask, find_women
    from fourview.train.weights_out import WEIGHTS, write_run_weights

    stage, data, weights, recipe = begun.stage, begun.data, begun.weights, begun.stage.recipe
    women = find_women(recipe.stage, data.rows("validation"))
    questions, unasked = ask(recipe.stage, trained.best.table, women) if recipe.is_judged else ((), ())
    card = write_run_weights(
        out / WEIGHTS, stage, trained, data=data, questions=questions, starts=weights, storage=storage
    )
    add_document(
        out, describe_run(stage, trained, card, data=data, questions=questions, unasked=unasked, starts=weights)
    )
    console = open_console()
    show_areas(console, [question.area for question in questions])
    chosen = "The epoch was chosen by these exams: they flatter it." if recipe.is_judged else "Nothing was judged."
    console.print(
        f"{len(trained.history)} epochs in {in_words(trained.seconds)}, {trained.waiting_share:.1%} of it waiting for "
        f"data; kept is epoch {trained.best_epoch}. {chosen}"
    )
    console.print(f"Output: {escape(str(out))} (weights/, report.html, history.csv, predictions.csv)", soft_wrap=True)
    folder = escape(str(out / WEIGHTS))
    then = {
        "patch": f"fourview heatmaps STORE --weights {folder}",
        "birads": f"fourview train exam RECIPE --init {folder} --data STORE --split NAME --out RUN",
        "exam": f"fourview screen EXAMS --weights {folder} --out READINGS",
    }
    close(console, [card], then=then[recipe.stage])
