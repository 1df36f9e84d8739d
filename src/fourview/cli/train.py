"""fourview train: patch, birads, exam, ensemble."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, app
from fourview.cli.progress import Show, asked_to_stop, shown_steps
from fourview.exam import SetupError

if TYPE_CHECKING:
    from fourview.train.data import TrainingData
    from fourview.train.loop import Trained
    from fourview.train.recipe import Recipe
    from fourview.train.stage import Stage
    from fourview.weights.folder import Weights

StageName = Literal["patch", "birads", "exam"]
_HELP: dict[StageName, str] = {
    "patch": "Train the patch network on patches around outlined lesions; its weights make heatmaps.",
    "birads": "Pretrain the columns of an exam network on BI-RADS classes; its weights are for --init.",
    "exam": "Train an exam network on biopsy labels; its weights are for `fourview screen`.",
}
_UNITS: dict[StageName, str] = {"patch": "patches", "birads": "exams", "exam": "exams"}
CACHE = "FOURVIEW_CACHE"

train_app = typer.Typer(
    help="Train networks: patch, then heatmaps, then birads, exam, ensemble (docs/training.md).", no_args_is_help=True
)
app.add_typer(train_app, name="train")


def _stage_command(stage: StageName) -> Callable[..., None]:
    def train_stage(
        recipe: Annotated[str, typer.Argument(metavar="paper|small|phantom|TOML", help="What decides the run.")],
        *,
        data: Annotated[
            str,
            typer.Option(
                metavar="STORE|phantom:NAME",
                help="A prepared set; or a synthetic population, drawn as the recipe says and kept in the cache.",
            ),
        ],
        out: Annotated[Path, typer.Option(metavar="RUN", help="Output folder: new or empty (or a run to --resume).")],
        split: Annotated[
            str | None,
            typer.Option(metavar="NAME", help="Of the store; of folds NAME:fold-2. Phantoms have one by themselves."),
        ] = None,
        init: Annotated[
            str | None, typer.Option(metavar="WEIGHTS", help="Start from these; layers that do not fit start anew.")
        ] = None,
        patch: Annotated[
            str | None,
            typer.Option(metavar="WEIGHTS", help="Patch network whose heatmaps the store holds (`fourview heatmaps`)."),
        ] = None,
        devices: Annotated[int, typer.Option(min=1, help="GPUs (or CPU processes) of this machine.")] = 1,
        device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
        precision: Annotated[
            Literal["fp32", "bf16"] | None, typer.Option(help="Of the arithmetic, instead of the recipe's.")
        ] = None,
        storage: Annotated[
            Literal["fp32", "fp16"], typer.Option(help="Of the weights in RUN/weights; fp16: half the room.")
        ] = "fp32",
        set_values: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's value.")
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Measure a few steps here, say what the run would take, and stop.")
        ] = False,
        cache: Annotated[
            Path | None, typer.Option(help=f"Folder for drawn populations. Default: ${CACHE}, or the user's cache.")
        ] = None,
        jobs: Annotated[int, typer.Option(min=1, help="Processes that draw and index images before training.")] = 1,
    ) -> None:
        check_installed()
        from fourview.train.devices import SaidByFirstError
        from fourview.train.recipe import load_recipe

        chosen = load_recipe(recipe, stage=stage)
        values = [*([] if precision is None else [f"loop.precision={precision}"]), *(set_values or [])]
        chosen = chosen.with_values(values) if values else chosen
        weights = {"init": _load(init), "patch": _load(patch)}
        try:
            _train(
                chosen,
                data,
                out,
                split=split,
                weights=weights,
                devices=devices,
                device=device,
                storage=storage,
                resume=resume,
                dry_run=dry_run,
                cache=cache or _cache_home(),
                jobs=jobs,
            )
        except SaidByFirstError:  # ends well, or the first process is killed while it speaks
            return
        except KeyboardInterrupt:
            if not _is_first():
                return
            typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return train_stage


for _stage, _help in _HELP.items():
    train_app.command(_stage, help=_help)(_stage_command(_stage))


@train_app.command("ensemble")
def train_ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs of `fourview train exam`.")],
    *,
    out: Annotated[Path, typer.Option(metavar="WEIGHTS", help="The folder to make, for `screen --weights`.")],
    name: Annotated[str | None, typer.Option(help="Default: the folder's name.")] = None,
) -> None:
    """Several finished runs as one set of weights, whose readings are the means of its members'."""
    check_installed()
    from rich.markup import escape

    from fourview.cli.train_show import close, show_areas
    from fourview.terminal import open_console
    from fourview.train.ensemble import make_ensemble
    from fourview.weights.ensemble import describe_kind, load_cards

    made = make_ensemble(runs, out, name=name or out.name)
    console = open_console()
    show_areas(console, made.areas)
    if made.unjudged:
        console.print(f"No numbers of the ensemble: {escape(made.unjudged)}", soft_wrap=True)
    cards = load_cards(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    console.print(f"Output: {escape(str(out))} ({describe_kind(cards)}; {size:.3g} MB)", soft_wrap=True)
    close(console, cards, then=f"fourview screen EXAMS --weights {escape(str(out))} --out READINGS")


def check_installed() -> None:
    """Raises SetupError without the packages that only training needs."""
    from importlib.util import find_spec

    missing = [name for name in ("lightning_fabric", "tensorboard") if find_spec(name) is None]
    if missing:
        raise SetupError(f'training needs the package {" and ".join(missing)}: pip install "fourview[train]"')


def _load(name: str | None) -> Weights | None:
    from fourview.weights.ensemble import resolve_members
    from fourview.weights.folder import load_weights

    if name is None:
        return None
    members = resolve_members(name)
    if len(members) > 1:
        raise SetupError(f"{name}: an ensemble of {len(members)}; need one member, for example {members[0]}")
    return load_weights(members[0])


def _cache_home() -> Path:
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("fourview", appauthor=False)).expanduser()


def _train(
    recipe: Recipe,
    data: str,
    out: Path,
    *,
    split: str | None,
    weights: dict[str, Weights | None],
    devices: int,
    device: Literal["auto", "cpu", "cuda"],
    storage: Literal["fp32", "fp16"],
    resume: bool,
    dry_run: bool,
    cache: Path,
    jobs: int,
) -> None:
    """The walk: data, stage, loop, weights, page. Every process of a run comes here; the first one speaks."""
    from fourview.cli.train_show import TrainProgress, show_dry_run
    from fourview.terminal import open_console
    from fourview.train.devices import launched, on_first, open_fabric
    from fourview.train.dry_run import measure_run
    from fourview.train.loop import train
    from fourview.train.open_stage import open_stage
    from fourview.train.run_folder import open_run

    fabric = open_fabric(recipe, devices=1 if dry_run else devices, accelerator=device)
    if not (dry_run or resume) and out.is_dir() and any(out.iterdir()):
        raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
    opened = _open_data(data, split, recipe=recipe, cache=cache, jobs=jobs) if _is_first() else None
    with launched(fabric):
        fabric.barrier()
        opened = opened or _open_data(data, split, recipe=recipe, cache=cache, jobs=1)
        stage = open_stage(recipe, opened, init=weights["init"], patch=weights["patch"], jobs=jobs)
        if dry_run:
            show_dry_run(open_console(), measure_run(stage, fabric=fabric), unit=_UNITS[recipe.stage])
            return
        starts = {name: w.card.weights_hash for name, w in weights.items() if w is not None}
        about = {"data": opened.name, "split": opened.split, "data_sha256": opened.hash}
        run = on_first(fabric, lambda: open_run(out, recipe, **about, starts=starts, resume=resume))
        for note in stage.notes if fabric.is_global_zero else ():
            typer.echo(f"note: {note}", err=True)
        progress = TrainProgress(open_console(stderr=True), unit=_UNITS[recipe.stage], epochs=recipe.loop.epochs)
        with progress:
            trained = train(stage, run, fabric=fabric, resume=resume, on_step=progress)
    if fabric.is_global_zero:
        _finish(out, stage, trained, data=opened, weights=weights, storage=storage)


def _is_first() -> bool:
    """Whether this is the process that speaks and writes; known before the others are there."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def _open_data(data: str, split: str | None, *, recipe: Recipe, cache: Path, jobs: int) -> TrainingData:
    """The data; drawing and preparing them can be stopped between two exams. Raises SetupError, KeyboardInterrupt."""
    from fourview.train.data import open_data

    with asked_to_stop() as asked, ExitStack() as shown:
        shows: dict[str, Show] = {}

        def on_step(what: str, done: int, total: int) -> None:
            if what not in shows:
                shows[what] = shown.enter_context(shown_steps(what))
            shows[what](done, total, None)
            if asked():
                raise KeyboardInterrupt

        return open_data(data, split=split, recipe=recipe, cache=cache, jobs=jobs, on_step=on_step)


def _finish(
    out: Path,
    stage: Stage,
    trained: Trained,
    *,
    data: TrainingData,
    weights: dict[str, Weights | None],
    storage: Literal["fp32", "fp16"],
) -> None:
    """Weights, page, and the closing lines."""
    from rich.markup import escape

    from fourview.cli.train_page import describe_run
    from fourview.cli.train_show import close, show_areas
    from fourview.report.document_folder import add_document
    from fourview.report.meaning import in_words
    from fourview.terminal import open_console
    from fourview.train.questions import ask, find_women
    from fourview.train.weights_out import WEIGHTS, write_run_weights

    recipe = stage.recipe
    questions, unasked = ask(recipe.stage, trained.best.table, find_women(recipe.stage, data.rows("validation")))
    card = write_run_weights(
        out / WEIGHTS, stage, trained, data=data, questions=questions, starts=weights, storage=storage
    )
    add_document(
        out, describe_run(stage, trained, card, data=data, questions=questions, unasked=unasked, starts=weights)
    )
    console = open_console()
    show_areas(console, [question.area for question in questions])
    console.print(
        f"{len(trained.history)} epochs in {in_words(trained.seconds)}, {trained.waiting_share:.1%} of it waiting for "
        f"data; kept is epoch {trained.best_epoch}. The epoch was chosen by these exams: they flatter it."
    )
    console.print(f"Output: {escape(str(out))} (weights/, report.html, history.csv, predictions.csv)", soft_wrap=True)
    folder = escape(str(out / WEIGHTS))
    then = {
        "patch": f"fourview heatmaps STORE --weights {folder}",
        "birads": f"fourview train exam RECIPE --init {folder} --data STORE --split NAME --out RUN",
        "exam": f"fourview screen EXAMS --weights {folder} --out READINGS",
    }
    close(console, [card], then=then[recipe.stage])
