"""fourview heatmaps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.progress import asked_to_stop, shown_steps

if TYPE_CHECKING:
    from fourview.train.fill_heatmaps import FillStep


@app.command()
def heatmaps(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `fourview data prepare` or `phantom` wrote.")],
    *,
    weights: Annotated[str, typer.Option(metavar="W", help="Weights with a patch network (`fourview train patch`).")],
    devices: Annotated[int, typer.Option(min=1, help="GPUs of this machine, a process each.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="Processes, where there is no GPU.")] = 1,
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="bf16: faster, a little different; only where the hardware has bf16 matrix units."),
    ] = "fp32",
    seed: Annotated[int, typer.Option(min=0, help="Of the patch grids, as in `screen`.")] = 0,
) -> None:
    """Fill a store with the heatmaps that networks with --patch W are trained on. What is there already stays.

    Interrupted or killed, the same command goes on. Exit status 1: some exams could not be read.
    """
    from fourview.store.sets import PHANTOM
    from fourview.store.store import Store
    from fourview.terminal import open_console
    from fourview.train.spread_heatmaps import spread_heatmaps
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_card

    folder = resolve_member(weights)
    try:
        with asked_to_stop() as asked, shown_steps("making heatmaps") as show:

            def on_step(step: FillStep) -> None:
                show(step.done, step.total, step.problem and f"{step.exam}: {step.problem}")
                if asked():
                    raise KeyboardInterrupt

            filled = spread_heatmaps(
                store,
                folder,
                devices=devices,
                device=device,
                jobs=jobs,
                precision=precision,
                seed=seed,
                on_step=on_step,
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    console = open_console()
    if load_card(folder).training.phantoms_only and not (Store.open(store).images["dataset"] == PHANTOM).all():
        typer.echo(
            "ATTENTION: these weights were trained on phantoms only, and the store has real images: what is "
            "learned from such heatmaps is no evidence of what the method can do.",
            err=True,
        )
    there = f" ({filled.already_there} of them were there)" if filled.already_there else ""
    failed = len(filled.problems)
    console.print(f"{filled.exams - failed} exams have heatmaps{there}; {failed} could not be read.", soft_wrap=True)
    console.print(
        f"Next: fourview train exam RECIPE --data {store} --split NAME --patch {weights} --out RUN",
        soft_wrap=True,
        markup=False,
    )
    if failed:
        raise typer.Exit(SOME_FAILED)
