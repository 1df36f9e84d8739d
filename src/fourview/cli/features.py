"""fourview features."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.progress import asked_to_stop, shown_steps

if TYPE_CHECKING:
    from fourview.studies.transfer.extract import Extracted, FeatureStep

_PARAGRAPHS = (
    "Turn every image of a prepared set into a row of numbers, with a network that stays as it is.",
    "Small classifiers learn from these numbers (features) where there are too few images to train a network: see "
    "`fourview transfer`. Nothing is learned here, and no label is used.",
    "[bold]nyu_gap256[/], [bold]nyu_flat4096[/], [bold]nyu_fc1_256[/]: networks for mammograms, all images by the "
    "one of a single view. gap256: the network's last map, averaged, of the image at its own size. flat4096: that "
    "map as it is, of the image shrunk to a small square (the paper's way). fc1_256: one layer further; only "
    "weights with a head for each view have it.",
    "[bold]nyu_avg_gap256[/], [bold]nyu_avg_flat4096[/], [bold]nyu_avg_fc1_256[/]: the same, the mean over the "
    "networks of all views.",
    "[bold]nyu_matched_gap256[/], [bold]nyu_matched_flat4096[/], [bold]nyu_matched_fc1_256[/]: the same, each "
    "image by the network of its own view.",
    "[bold]imagenet_resnet50_2048[/], [bold]imagenet_resnet18_512[/], [bold]imagenet_squeezenet_512[/]: networks "
    "for photographs. Bring torchvision's files (.pth, .safetensors); random:0 in place of a file is a network "
    "that learned nothing, as a control.",
    "[bold]patch_1024[/]: the network for patches, mean and maximum over the breast (2 x 1024 numbers).",
    "[bold]texture[/]: 60 hand-made numbers of greys and textures. [bold]noise[/]: 4096 drawn numbers, as a "
    "control. Both without --weights.",
    "The counts in the names hold for networks of the published size; smaller ones give fewer.",
    "Interrupted or killed, add --resume to go on: images that were read are not read again, and labels that were "
    "corrected in the set are taken over. Exit status 1: some images could not be read, FEATURES/failures.csv "
    "says why.",
)


@app.command(help="\n\n".join(_PARAGRAPHS))
def features(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `fourview data prepare` or `phantom` wrote.")],
    *,
    extractor: Annotated[str, typer.Option(metavar="NAME", help="What makes the numbers; the list is above.")],
    out: Annotated[Path, typer.Option(metavar="FEATURES", help="Output folder: new or empty.")],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="W", help="The network: weights of `fourview weights list` or a folder; for imagenet_* a file."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the square, pixels: nyu_*flat4096 203 to 266, imagenet_* 224 or 448. [224]"),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(help="Whose network reads all images, for nyu_gap256, nyu_flat4096, nyu_fc1_256. [L-CC]"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in FEATURES.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    engine: Annotated[Literal["auto", "torch", "openvino"], typer.Option(help="As in `screen`.")] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights", help="Read real mammograms with weights that were trained on phantoms only."
        ),
    ] = False,
) -> None:
    from fourview.studies.transfer.extract import Task, extract_features

    task = Task(store, extractor, weights, size, view, engine, device, allow_phantom_weights)
    started = time.perf_counter()
    try:
        with asked_to_stop() as asked, shown_steps("reading images") as show:

            def on_step(step: FeatureStep) -> None:
                show(step.done, step.total, step.problem and f"{step.image}: {step.problem}")
                if asked():
                    raise KeyboardInterrupt

            found = extract_features(task, out, resume=resume, jobs=jobs, on_step=on_step)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show(found, out, extractor, seconds=time.perf_counter() - started)
    if found.problems:
        raise typer.Exit(SOME_FAILED)


def _show(found: Extracted, out: Path, extractor: str, *, seconds: float) -> None:
    """What was made, of what, and what to know about it."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.meaning import RESEARCH_ONLY, in_words
    from fourview.studies.transfer.extractors import EXTRACTORS
    from fourview.terminal import open_console

    made, card = found.features, found.features.card
    published = EXTRACTORS[extractor].published
    numbers = f"{made.values.shape[1]:,}"
    if made.values.shape[1] != published:
        numbers += f" (networks of the published width: {published:,})"
    rows = {
        "images": f"{len(made.rows):,} of {made.rows['patient'].n_unique():,} women; {card.name}",
        "read before": f"{found.already_there:,}",
        "could not be read": f"{len(found.problems):,}",
        "numbers per image": numbers,
        "network": card.weights or "none",
        "time": in_words(seconds),
    }
    table = Table(title=f"Features by {escape(extractor)}", title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    console = open_console()
    console.print(table)
    for warning in _warnings(found):
        console.print(f"[bold yellow]ATTENTION:[/] {escape(warning)}", soft_wrap=True)
    console.print(f"Terms: {escape(card.terms)}", soft_wrap=True)
    console.print(f"Output: {escape(str(out))} (values.npy, rows.csv, features.json, failures.csv)", soft_wrap=True)
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")


def _warnings(found: Extracted) -> list[str]:
    card = found.features.card
    said = []
    if not card.trained:
        said.append("these numbers come from nothing that was trained: a control, and no more")
    if card.phantom_weights and not card.phantoms:
        said.append(f"{card.weights} has seen nothing but phantoms, and these images are none")
    if unknown := found.features.rows["patient"].null_count():
        said.append(f"{unknown} images have no patient: nothing can be learned from them without a leak")
    return said
