"""fourview train: patch, birads, exam, ensemble."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, app
from fourview.cli.cache import CACHE, cache_home
from fourview.exam import SetupError

StageName = Literal["patch", "birads", "exam"]
_HELP: dict[StageName, str] = {
    "patch": "Train the patch network on patches around outlined lesions; its weights make heatmaps.",
    "birads": "Pretrain the columns of an exam network on BI-RADS classes; its weights are for --init.",
    "exam": "Train an exam network on biopsy labels; its weights are for `fourview screen`.",
}

train_app = typer.Typer(
    help="Train networks: patch, then heatmaps, then birads, exam, ensemble (docs/training.md).", no_args_is_help=True
)
app.add_typer(train_app, name="train")


def _stage_command(stage: StageName) -> Callable[..., None]:
    def train_stage(
        recipe: Annotated[
            str,
            typer.Argument(
                metavar="paper|small|phantom|film|TOML",
                help="What decides the run (film: patch).",
            ),
        ],
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
        from fourview.cli.train_run import is_first, train_run
        from fourview.train.devices import SaidByFirstError
        from fourview.train.recipe import load_recipe

        chosen = load_recipe(recipe, stage=stage)
        values = [*([] if precision is None else [f"loop.precision={precision}"]), *(set_values or [])]
        chosen = chosen.with_values(values) if values else chosen
        try:
            train_run(
                chosen,
                data,
                out,
                split=split,
                starts={"init": init, "patch": patch},
                devices=devices,
                device=device,
                storage=storage,
                resume=resume,
                dry_run=dry_run,
                cache=cache or cache_home(),
                jobs=jobs,
            )
        except SaidByFirstError:  # ends well, or the first process is killed while it speaks
            return
        except KeyboardInterrupt:
            if not is_first():
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
        raise SetupError(
            f'training needs the package {" and ".join(missing)}: pip install ".[train]" in fourview\'s checkout'
        )
