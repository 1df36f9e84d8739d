"""fourview zeroshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.progress import asked_to_stop, shown_steps

if TYPE_CHECKING:
    from fourview.screen import Screener
    from fourview.store.store import Store
    from fourview.studies.transfer.zeroshot_folder import ZeroshotFolder


@app.command()
def zeroshot(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `fourview data prepare` or `phantom` wrote.")],
    *,
    weights: Annotated[str, typer.Option(metavar="W", help="Weights that read images: folder or name.")],
    out: Annotated[Path, typer.Option(help="Output folder: new, or of the same reading, which goes on.")],
    threshold: Annotated[
        float | None,
        typer.Option(help="Call malignant from this p_malignant on. Default: Youden's, chosen on other patients."),
    ] = None,
    four_parts: Annotated[bool, typer.Option("--4abc", help="BI-RADS 4a, 4b and 4c apart in the chart.")] = False,
    jitter: Annotated[int, typer.Option(min=0, help="Jittered windows per image; 0 = one exact window.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the windows, patch grids and folds.")] = 0,
    engine: Annotated[Literal["auto", "torch", "openvino"], typer.Option(help="As in `screen`.")] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Read real mammograms with weights that were trained on phantoms only: not for real images.",
        ),
    ] = False,
) -> None:
    """Every image of a store by weights that never saw it: predictions per BI-RADS, their table, ROC.

    Interrupted or killed, the same command goes on. Exit status 1: some images could not be read.
    """
    from fourview.screen import Screener
    from fourview.store.store import Store
    from fourview.studies.transfer.zeroshot import check_origin, reads_alone
    from fourview.studies.transfer.zeroshot_folder import ZeroshotFolder, settings_of
    from fourview.studies.transfer.zeroshot_report import report_zeroshot
    from fourview.terminal import open_console, show_document

    opened = Store.open(store)
    screener = Screener.load(
        weights,
        engine=engine,
        device=device,
        jitter=jitter,
        seed=seed,
        allow_phantom_weights=allow_phantom_weights,
    )
    reads_alone(screener)
    check_origin(opened, screener)
    folder = ZeroshotFolder.open(out, settings_of(opened, screener))
    if not _read(opened, screener, folder):
        typer.echo("fourview: interrupted; what is done stays: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED)
    document = report_zeroshot(opened, screener, folder, threshold=threshold, parts=four_parts)
    console = open_console()
    show_document(console, document, out)
    problems = len(opened.images) - len(folder.done)
    console.print(f"{len(folder.done)} images read, {problems} could not be read.", soft_wrap=True)
    if problems:
        raise typer.Exit(SOME_FAILED)


def _read(store: Store, screener: Screener, folder: ZeroshotFolder) -> bool:
    """Whether all images were tried; False: somebody stopped it."""
    from fourview.studies.transfer.zeroshot import read_store

    total, tried = len(store.images), len(folder.done)
    with asked_to_stop() as asked, shown_steps("reading images") as show:
        show(tried, total, None)
        for results in read_store(store, screener, done=folder.done):
            folder.add(results)
            for result in results:
                tried += 1
                show(min(tried, total), total, f"{result.image}: {result.problem}" if result.problem else None)
            if asked():
                folder.save()
                return False
    folder.save()
    return True
