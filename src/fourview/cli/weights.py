"""fourview weights ..., fourview export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import SOME_FAILED, app

if TYPE_CHECKING:
    from fourview.weights.card import Card, Metric

weights_app = typer.Typer(help="Weights: list, show, measure, check, install, convert.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

_UNREADABLE = "cannot be read, see below"


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
    *,
    to: Annotated[Literal["onnx", "openvino"], typer.Option(help="The format.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
) -> None:
    """Write the networks of a weights folder for other programs, and how far their answers differ from torch's."""
    from fourview.export import export as export_weights
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_weights

    loaded = load_weights(resolve_member(weights))
    for parity in export_weights(loaded, out, to=to):
        typer.echo(
            f"{out / parity.file}: probabilities of {parity.inputs} drawn inputs within "
            f"{parity.largest_change:.1e} of torch's"
        )
    typer.echo(f"{out / 'export.json'}: inputs, outputs, card. Licence of the weights: {loaded.card.licence}")


@weights_app.command("list")
def weights_list() -> None:
    """Weights that ship, that are installed, and those that can be, with their licences and measured AUCs."""
    from rich.table import Table

    from fourview.terminal import open_console
    from fourview.weights.home import SHIPPED, installed, list_lesion_weights, shipped, weights_home
    from fourview.weights.zoo import ZOO

    console = open_console()
    home = weights_home()
    here = {name: home / name for name in installed()}
    here |= {name: SHIPPED / name for name in shipped() if name not in here}
    rows, notes = [], []
    for folders, read in ((here, _read_weights), (list_lesion_weights(), _read_lesions)):
        for name, folder in folders.items():
            what, licence, lines = read(folder)
            rows.append((name, "installed" if folder.parent == home else "ships with fourview", what, licence))
            notes += [f"{name}: {line}" for line in lines]
    for entry in ZOO.values():
        for offered in entry.folders:
            if offered.name not in here:
                images = "image only" if offered.patch_file is None else "image+heatmaps"
                how = f"fourview weights install {entry.name}"
                rows.append((offered.name, how, f"{offered.kind}, {images}", entry.licence))
    table = Table("name", "status", "what", "licence", title=f"Weights in {home}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    for entry in ZOO.values():
        console.print(f"{entry.name}: {entry.terms}\nSource: {entry.source}")


def _read_weights(folder: Path) -> tuple[str, str, list[str]]:
    """What it is, its licence, lines about it. Weights that cannot be read must not hide the others."""
    from fourview.exam import SetupError
    from fourview.weights.ensemble import describe_kind, load_cards, load_metrics

    try:
        cards = load_cards(folder)
    except SetupError as error:
        return _UNREADABLE, "", [str(error)]
    measured = [str(metric) for metric in load_metrics(folder) if metric.truth_sha256 is not None]
    return describe_kind(cards), _licences(cards), measured


def _read_lesions(folder: Path) -> tuple[str, str, list[str]]:
    """The same of lesion networks."""
    from fourview.exam import SetupError
    from fourview.studies.lesion.lesion_weights import load_lesion_card

    try:
        card = load_lesion_card(folder)
    except SetupError as error:
        return _UNREADABLE, "", [str(error)]
    return card.kind, "see below", [*([] if card.measured is None else [str(card.measured)]), card.terms]


@weights_app.command("show")
def weights_show(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
) -> None:
    """The card of a weights folder: network, input, training data, licence, numbers; of an ensemble, all of them."""
    from fourview.weights.ensemble import describe_kind, load_cards, load_ensemble_card, load_metrics
    from fourview.weights.home import ENSEMBLE_NAME, find_lesion_weights, resolve

    if (lesions := find_lesion_weights(weights)) is not None:
        _show_lesion_card(lesions)
        return
    folder = resolve(weights)
    cards = load_cards(folder)
    if (folder / ENSEMBLE_NAME).is_file():
        typer.echo(load_ensemble_card(folder).model_dump_json(indent=2))
    for card in cards:
        typer.echo(card.model_dump_json(indent=2))
    hashes = "+".join(card.weights_hash for card in cards)
    only = "; phantoms only: not for real images" if any(card.training.phantoms_only for card in cards) else ""
    typer.echo(f"{folder}: {describe_kind(cards)}; hash {hashes}; licence {_licences(cards)}{only}", err=True)
    for metric in load_metrics(folder):
        typer.echo(f"  {metric}", err=True)


@weights_app.command("measure")
def weights_measure(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
    *,
    evaluation: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Output of `evaluate --finding both` of readings by these weights.")
    ],
    population: Annotated[str, typer.Option(metavar="WORDS", help="Whom it is of, for the card.")],
) -> None:
    """Write the AUCs of an evaluation on the card, in place of what an earlier evaluation measured."""
    from fourview.measured import measure_weights
    from fourview.weights.home import resolve

    folder = resolve(weights)
    for metric in measure_weights(folder, evaluation, population=population):
        typer.echo(str(metric))
    typer.echo(f"Output: {folder}; the weights and their hash are as they were")


@weights_app.command("check")
def weights_check(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
    *,
    evaluation: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Output of `evaluate --finding both` on exams that are fresh.")
    ],
) -> None:
    """Does a fresh evaluation reproduce the card's AUCs? Exit status 1 if a difference's interval leaves out 0."""
    from fourview.measured import check_weights
    from fourview.weights.home import resolve

    found = check_weights(resolve(weights), evaluation)
    for one in found:
        verdict = "reproduced" if one.is_reproduced else "NOT REPRODUCED"
        typer.echo(f"{one.card.name}, per {one.card.unit}: {verdict}")
        typer.echo(f"  card        {_with_interval(one.card)}; {_lies(one.card_in_fresh)} the evaluation's interval")
        typer.echo(f"  evaluation  {_with_interval(one.fresh)}; {_lies(one.fresh_in_card)} the card's interval")
        typer.echo(f"  difference {one.difference:+.3f} (95 % {one.low:+.3f} to {one.high:+.3f})")
    reproduced = sum(one.is_reproduced for one in found)
    within = sum(one.fresh_in_card for one in found)
    typer.echo(
        f"{reproduced} of {len(found)} reproduced (the difference's interval holds 0); {within} of {len(found)} lie in "
        "the card's interval."
    )
    if reproduced < len(found):
        raise typer.Exit(SOME_FAILED)


def _with_interval(metric: Metric) -> str:
    low, high = metric.interval_95 or (math.nan, math.nan)
    return f"{metric.value:.3f} (95 % {low:.3f} to {high:.3f}), n {metric.n:,}, {metric.positives:,} positive"


def _lies(within: bool) -> str:
    return "in" if within else "not in"


def _show_lesion_card(folder: Path) -> None:
    from fourview.studies.lesion.folds import PATIENT
    from fourview.studies.lesion.lesion_weights import load_lesion_card

    card = load_lesion_card(folder)
    typer.echo(card.model_dump_json(indent=2, exclude={"learned"}))
    only = "; phantoms only: not for real images" if card.phantoms_only else ""
    learned = f"learned from {sum(not one.startswith(PATIENT) for one in card.learned):,} images"
    typer.echo(f"{folder}: {card.kind}; hash {card.weights_hash}; {learned}{only}; {card.terms}", err=True)
    if card.measured is not None:
        typer.echo(f"  {card.measured}", err=True)


def _licences(cards: Sequence[Card]) -> str:
    return ", ".join(dict.fromkeys(card.licence for card in cards))


@weights_app.command("install")
def weights_install(
    name: Annotated[str, typer.Argument(help="An entry of the zoo, e.g. nyu.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the files from this folder, without internet.")
    ] = None,
) -> None:
    """Fetch published weights, verify them and make weights folders of them. Shows their licence first."""
    from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

    from fourview.terminal import open_console
    from fourview.weights.install import install
    from fourview.weights.zoo import ZOO

    if name in ZOO:
        typer.echo(f"Licence: {ZOO[name].licence}\n{ZOO[name].terms}\nSource: {ZOO[name].source}")
    console = open_console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file)
                if not console.is_terminal:
                    console.print(f"fetching {file}")
            bar.update(tasks[file], completed=done, total=total)

        installation = install(name, source=source, progress=show)
    typer.echo(installation.message)


@weights_app.command("convert")
def weights_convert(
    file: Annotated[Path, typer.Argument(help="A file of the upstream release (.p).")],
    kind: Annotated[Literal["patch", "view-wise", "image-wise", "single-image"], typer.Option(help="What it holds.")],
    out: Annotated[Path, typer.Option(help="The weights folder to make.")],
    patch: Annotated[
        Path | None, typer.Option(help="Weights folder of the patch network, for image+heatmaps networks.")
    ] = None,
    view: Annotated[
        Literal["L-CC", "R-CC", "L-MLO", "R-MLO"] | None,
        typer.Option(help="Only for a file of one view: which one it was trained for."),
    ] = None,
) -> None:
    """Turn one file of the upstream release into a weights folder."""
    from fourview.weights.convert import convert_file

    card = convert_file(file, kind=kind, out=out, patch=patch, view=view)
    typer.echo(f"{out}: {card.kind}; hash {card.weights_hash}; licence {card.licence}")


@weights_app.command("untrained")
def weights_untrained(
    out: Annotated[Path, typer.Option(help="The weights folder to make.")],
    wiring: Annotated[
        Literal["view-wise", "image-wise", "single-image", "side-wise", "joint"], typer.Option()
    ] = "view-wise",
    heatmaps: Annotated[bool, typer.Option(help="With a patch network and heatmaps.")] = True,
    scale: Annotated[float, typer.Option(min=0.05, max=1, help="1 = full size, 0.07 mm pixels.")] = 0.25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make weights with random values, for demonstrations and tests: their readings mean nothing."""
    from fourview.weights.untrained import write_untrained

    card = write_untrained(out, wiring=wiring, heatmaps=heatmaps, scale=scale, seed=seed)
    typer.echo(f"{out}: {card.kind}; UNTRAINED: its readings mean nothing")
