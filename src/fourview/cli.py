"""The verbs of `fourview`. Heavy modules are imported inside them, so --help is quick.

Exit status: 0 all exams were read, 1 some were not, 2 wrong set-up, 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from fourview.exam import Precision, SetupError

app = typer.Typer(
    help="Reads screening mammograms with deep learning. Research software, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
weights_app = typer.Typer(help="Weights: list, show, install, convert.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

SOME_FAILED, WRONG_SETUP, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line; a wrong set-up is one line on stderr."""
    try:
        app()
    except SetupError as error:
        typer.echo(f"fourview: {error}", err=True)
        sys.exit(WRONG_SETUP)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted before any exam was read", err=True)
        sys.exit(INTERRUPTED)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fourview {version('fourview')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def screen(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Folders or zips of DICOM, folders of PNG, a CSV/JSON list, a mini-MIAS folder, "
            "or an upstream exam list (pickle or JSON).",
        ),
    ],
    *,
    weights: Annotated[str, typer.Option(help="Weights folder, or the name of installed weights.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty (or of a run to --resume).")],
    ensemble: Annotated[
        list[str] | None, typer.Option(help="More weights, one per --ensemble; readings are means over all.")
    ] = None,
    jitter: Annotated[int, typer.Option(min=0, help="Jittered windows per exam; 0 = one exact window.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the random windows and patch grids.")] = 0,
    rng: Annotated[
        Literal["exam", "upstream"],
        typer.Option(help="exam: random numbers restart for each exam; upstream: one stream over the list."),
    ] = "exam",
    pick: Annotated[
        Literal["all", "random"] | None,
        typer.Option(
            help="Where a view has several images: use all, or pick one at random per window. "
            "Default: all; random with --rng upstream."
        ),
    ] = None,
    pixels: Annotated[
        Literal["stored", "presentation"] | None,
        typer.Option(help="Grey scale of DICOM; default: the one that the weights were trained on."),
    ] = None,
    spacing_mm: Annotated[
        float | None, typer.Option(help="Pixel size of all images, instead of what their files say.")
    ] = None,
    mirrored: Annotated[
        Literal["no", "auto"],
        typer.Option(help="auto: in files without orientation tags, find mirrored images by their pixels."),
    ] = "no",
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What runs the networks. auto: torch on a GPU, OpenVINO on a CPU."),
    ] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="bf16: faster, a little different; only where the hardware has bf16 matrix units."),
    ] = "fp32",
    compare_precision: Annotated[
        bool,
        typer.Option("--compare-precision", help="Read every exam in fp32 and in bf16, and show what that changes."),
    ] = False,
    files: Annotated[
        Literal["all", "readings"],
        typer.Option(help="readings: no heatmaps, pictures and pages per exam, for batches of many thousands."),
    ] = "all",
    jobs: Annotated[int, typer.Option(min=1, help="Exams whose files are read ahead.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Write study ids and input paths into the output.")
    ] = False,
) -> None:
    """Read exams: per-breast readings, heatmaps and pictures into a folder."""
    from fourview import terminal
    from fourview.batch import ScreenOptions, screen_batch
    from fourview.engine import choose_engine
    from fourview.ingest import IngestOptions, find_exams
    from fourview.precision import PrecisionComparison, write_pairs
    from fourview.report.output_folder import check_output
    from fourview.screen import Screener
    from fourview.weights.folder import load_card
    from fourview.weights.home import CARD_NAME, resolve

    _log_to_stderr(show_ids=show_ids)
    options = ScreenOptions(
        jitter=jitter,
        seed=seed,
        rng=rng,
        pick=pick or ("random" if rng == "upstream" else "all"),
        precision=precision,
        pixels=pixels,
        spacing_mm=spacing_mm,
        mirrored=mirrored,
        show_ids=show_ids,
    )
    for path in inputs:
        if (path / CARD_NAME).is_file():
            raise SetupError(f"{path}: a weights folder among the inputs; need --ensemble before each further member")
    check_output(out, resume=resume)
    folders = [resolve(name) for name in (weights, *(ensemble or ()))]
    cards = [load_card(folder) for folder in folders]
    ingest = IngestOptions(pixels=pixels or cards[0].input.pixel_mode, spacing_mm=spacing_mm, mirrored=mirrored)
    found = find_exams(inputs, ingest)

    def load(how: Precision, *, any_bf16: bool = False) -> Screener:
        chosen = choose_engine(engine, device=device, precision=how, any_bf16=any_bf16)
        return Screener.load(folders, engine=chosen, jitter=jitter, seed=seed, rng=rng, pick=pick)

    if compare_precision and (resume or precision != "fp32" or rng != "exam"):
        raise SetupError(
            "--compare-precision reads every exam in fp32 and in bf16, with the same random numbers, in one run: "
            "without --precision, --resume and --rng upstream"
        )
    screener = PrecisionComparison(load("fp32"), load("bf16", any_bf16=True)) if compare_precision else load(precision)
    with terminal.ScreenProgress(terminal.open_console(stderr=True)) as progress:
        result = screen_batch(
            found,
            screener,
            out,
            options=options,
            jobs=jobs,
            resume=resume,
            files=files,
            inputs={"paths": [str(path) for path in inputs]} if show_ids else None,
            on_step=progress,
        )
    if isinstance(screener, PrecisionComparison):
        try:
            write_pairs(out / "precision.csv", screener.pairs)
        except OSError as error:
            raise SetupError(f"cannot write {out / 'precision.csv'}: {error.strerror or error}; need room") from error
    try:
        terminal.show_result(terminal.open_console(), result, populations=screener.populations)
        if isinstance(screener, PrecisionComparison):
            terminal.show_precision(terminal.open_console(), screener)
    except OSError as error:
        terminal.discard_stdout()
        raise SetupError(
            f"cannot show the result on standard output ({error.strerror}); need one that can be written to. "
            f"{result.read} exams read, {len(result.failed)} failed: all of it is in {out}"
        ) from error
    if result.interrupted:
        how = "the same command with --resume" if rng == "exam" else "the same command and a new --out"
        typer.echo(f"Interrupted: {result.remaining} exams not tried. To go on: {how}.", err=True)
        raise typer.Exit(INTERRUPTED)
    if result.failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def export(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
    *,
    to: Annotated[Literal["onnx", "openvino"], typer.Option(help="The format.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
) -> None:
    """Write the networks of a weights folder for other programs, and how far their answers differ from torch's."""
    from fourview.export import export as export_weights
    from fourview.weights.folder import load_weights
    from fourview.weights.home import resolve

    loaded = load_weights(resolve(weights))
    for parity in export_weights(loaded, out, to=to):
        typer.echo(
            f"{out / parity.file}: probabilities of {parity.inputs} drawn inputs within "
            f"{parity.largest_change:.1e} of torch's"
        )
    typer.echo(f"{out / 'export.json'}: inputs, outputs, card. Licence of the weights: {loaded.card.licence}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Output folder: new or empty.")],
    exams: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    scale: Annotated[float, typer.Option(min=0.05, max=1, help="1 = full size, 0.07 mm pixels.")] = 0.25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draw synthetic screening exams as DICOM mammograms, one folder per exam."""
    import numpy as np

    from fourview.phantom import draw_exam, write_exam

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"output {out}: exists and is not an empty folder; name a new one")
    for number in range(1, exams + 1):
        rng = np.random.default_rng([seed, number])
        write_exam(draw_exam(rng, scale=scale, number=number), out / f"exam_{number:04d}")
    typer.echo(f"{exams} synthetic exams in {out}")


@weights_app.command("list")
def weights_list() -> None:
    """Weights that are installed, and those that can be, with their licences."""
    from rich.table import Table

    from fourview.terminal import open_console
    from fourview.weights.folder import load_card
    from fourview.weights.home import installed, weights_home
    from fourview.weights.zoo import ZOO

    console = open_console()
    home = weights_home()
    table = Table("name", "status", "what", "licence", title=f"Weights in {home}", title_justify="left")
    here = installed()
    for name in here:
        card = load_card(home / name)
        table.add_row(name, "installed", card.kind, card.licence)
    for entry in ZOO.values():
        for folder in entry.folders:
            if folder.name not in here:
                images = "image only" if folder.patch_file is None else "image+heatmaps"
                status = f"fourview weights install {entry.name}"
                table.add_row(folder.name, status, f"{folder.kind}, {images}", entry.licence)
    console.print(table)
    for entry in ZOO.values():
        console.print(f"{entry.name}: {entry.terms}\nSource: {entry.source}")


@weights_app.command("show")
def weights_show(
    weights: Annotated[str, typer.Argument(help="Weights folder, or the name of installed weights.")],
) -> None:
    """The card of a weights folder: network, input, training data, licence, numbers."""
    from fourview.weights.folder import load_card
    from fourview.weights.home import resolve

    folder = resolve(weights)
    card = load_card(folder)
    typer.echo(card.model_dump_json(indent=2))
    typer.echo(f"{folder}: {card.kind}; hash {card.weights_hash}; licence {card.licence}", err=True)


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


def _log_to_stderr(*, show_ids: bool) -> None:
    """Our log to stderr. Libraries may quote what a file says of a patient: silent unless identifiers are wanted."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if not show_ids:
        logging.captureWarnings(True)
        for name in ("py.warnings", "pydicom", "pylibjpeg"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
