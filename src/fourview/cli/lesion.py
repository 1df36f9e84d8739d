"""fourview lesion: networks that tell malignant lesions from benign ones."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.cache import CACHE, cache_home
from fourview.cli.progress import asked_to_stop, shown_steps, shown_work
from fourview.cli.train import check_installed
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.console import Console

    from fourview.studies.lesion.comparison import Comparison
    from fourview.studies.lesion.measures import Worth
    from fourview.studies.lesion.outcome import Outcome
    from fourview.studies.lesion.study import LesionStudy, MemberPlan
    from fourview.train.trained import Step

Device = Literal["auto", "cpu", "cuda"]

lesion_app = typer.Typer(help="Outlined lesions: benign or malignant.", no_args_is_help=True)
app.add_typer(lesion_app, name="lesion")


@lesion_app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="googlenet_light|googlenet|phantom|TOML", help="What decides the run.")
    ],
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="STORE|phantom:RECIPE",
            help="A prepared set with outlined lesions; or a synthetic population, drawn as the recipe says.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Output folder: new or empty (or a run to --resume).")],
    fold: Annotated[
        list[int] | None, typer.Option(min=1, help="Train this fold's networks alone; may come several times.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="W", help="Begin with another lesion run's weights, or torchvision's file of a ResNet."),
    ] = None,
    device: Annotated[Device, typer.Option(help="auto: the GPU if there is one.")] = "auto",
    set_values: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's value.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help=f"Folder for drawn populations. Default: ${CACHE}, or the user's cache.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that draw and prepare phantoms.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train networks on lesion crops, fold by fold; CC, MLO and both on lesions that were held out."""
    check_installed()
    from fourview.studies.lesion.recipe import load_recipe

    chosen = load_recipe(recipe).with_values(set_values or [])
    numbers = tuple(sorted({number - 1 for number in fold or range(1, chosen.folds + 1)}))
    if numbers[-1] >= chosen.folds:
        raise SetupError(f"--fold: found {numbers[-1] + 1}, need 1 to {chosen.folds}")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
    try:
        with shown_work() as on_step:
            from fourview.studies.lesion.lesion_data import open_lesion_data
            from fourview.studies.lesion.study import open_study
            from fourview.train.data import name_data

            store = open_lesion_data(data, chosen, cache=cache or cache_home(), jobs=jobs, on_step=on_step)
        study = open_study(store, chosen, init, about=name_data(store))
        _run(study, out, numbers, device=device, resume=resume)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None


@lesion_app.command()
def read(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="STORE|FOLDER...", help="A prepared set; or folders, zips and lists as for `screen`."),
    ],
    *,
    weights: Annotated[
        str,
        typer.Option(metavar="W", help="weights/ of a run of `lesion train`, or a name: phantom-lesion."),
    ],
    ensemble: Annotated[
        list[str] | None,
        typer.Option(metavar="W", help="More weights, of any architecture, one per --ensemble; p is the mean."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="BOXES.csv",
            help="Which lesions: image (or exam and view), lesion, and top bottom left right, row col radius, or mask, "
            "in pixels of the file. Of a store, default: its own outlines.",
        ),
    ] = None,
    spacing_mm: Annotated[
        float | None, typer.Option(help="Pixel size of all images, instead of what their files say.")
    ] = None,
    mirrored: Annotated[
        Literal["no", "auto"],
        typer.Option(help="auto: in files without orientation tags, find mirrored images by their pixels."),
    ] = "no",
    device: Annotated[Device, typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Read real mammograms with weights that were trained on phantoms only: not for real images.",
        ),
    ] = False,
) -> None:
    """Read outlined lesions: p(malignant) of each, by CC, MLO and both. Exit status 1: some could not be read."""
    from fourview.report.document_folder import check_report_folder
    from fourview.studies.lesion.lesion_reader import LesionReader
    from fourview.studies.lesion.open_sources import has_learned, open_sources
    from fourview.studies.lesion.read import read_lesions
    from fourview.studies.lesion.read_page import write_readings
    from fourview.terminal import open_console, show_document
    from fourview.weights.home import resolve_lesion_weights

    check_report_folder(out)
    readers = [
        LesionReader.open(resolve_lesion_weights(one), device=device, allow_phantom_weights=allow_phantom_weights)
        for one in (weights, *(ensemble or ()))
    ]
    cards = [reader.weights.card for reader in readers]
    sources = open_sources(inputs, boxes, cards[0], spacing_mm=spacing_mm, mirrored=mirrored, others=cards[1:])
    with asked_to_stop() as asked, shown_steps("reading lesions, exams") as show:
        readings = read_lesions(sources, readers, on_exam=show, stop=asked)
    learned = has_learned(inputs, cards)
    document = write_readings(out, readings, readers, synthetic=readings.synthetic, learned=learned)
    console = open_console()
    failed = len(readings.failures)
    console.print(f"{len(readings.lesions)} lesions read, {failed} problems: lesions.csv, views.csv, failures.csv.")
    show_document(console, document, out)
    if readings.stopped:
        typer.echo("Interrupted: the other exams were not tried.", err=True)
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(SOME_FAILED)


@lesion_app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs of `lesion train` and `lesion handcrafted`, same folds."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
) -> None:
    """Runs on the same lesions in one table: by view, the mean across architectures, baselines, differences."""
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.studies.lesion.comparison import compare_runs, load_candidates
    from fourview.studies.lesion.comparison_page import describe_comparison
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    comparison = compare_runs([one for run in runs for one in load_candidates(run)])
    document = describe_comparison(comparison)
    write_document(out, document, tables={})
    console = open_console()
    show_candidates(console, comparison)
    show_document(console, document, out)


def _run(study: LesionStudy, out: Path, folds: tuple[int, ...], *, device: Device, resume: bool) -> None:
    """Train every network that is not done, then write what came out."""
    from fourview.studies.lesion.run import run_study
    from fourview.studies.lesion.run_folder import measure_greys, open_folder
    from fourview.studies.lesion.write_run import write_run
    from fourview.terminal import open_console, show_document
    from fourview.train.devices import launched, open_fabric

    open_folder(out, study, folds, resume=resume)
    for note in study.notes:
        typer.echo(f"note: {note}", err=True)
    with shown_work() as on_step:
        greys = measure_greys(
            out, study.store, study.images, on_image=lambda done, total: on_step("reading greys", done, total)
        )
    read = study.reader(greys)
    fabric = open_fabric(study.recipe, accelerator=device)
    shown = _Progress(open_console(stderr=True), study)
    with launched(fabric):
        try:
            outcome = run_study(study, out, folds, read, fabric=fabric, on_step=shown)
        finally:
            shown.close()
    document = write_run(outcome, study.store, read, out)
    console = open_console()
    show_worth(console, outcome)
    show_document(console, document, out)
    console.print(
        f"Next: fourview lesion read STORE --weights {out / 'weights'} --out READINGS", soft_wrap=True, markup=False
    )


def show_worth(console: Console, outcome: Outcome) -> None:
    """The closing table: AUC and accuracy by view."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.number_text import write_count, write_estimate

    table = Table(title="Held-out lesions", title_justify="left")
    for name in ("", "n", "AUC (95 %)", "accuracy at .5 (95 %)"):
        table.add_column(name, justify="right" if name == "n" else "left")
    worth: Worth
    for worth in outcome.worth:
        area = "–" if worth.area is None else write_estimate(worth.area)
        accuracy = worth.at_half.get("accuracy")
        said = "–" if accuracy is None else write_estimate(accuracy)
        table.add_row(escape(worth.name), write_count(worth.lesions), area, said)
    console.print(table)
    for added in outcome.added:
        console.print(escape(str(added)), soft_wrap=True)


def show_candidates(console: Console, comparison: Comparison) -> None:
    """The closing table of `compare`."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.number_text import write_count, write_estimate

    table = Table(title="Held-out lesions, all of them, by the views that they have", title_justify="left")
    for name in ("", "what", "n", "AUC (95 %)", "accuracy at .5 (95 %)"):
        table.add_column(name, justify="right" if name == "n" else "left")
    for one in comparison.candidates:
        worth = next(found for found in one.worth if found.name == "CC and MLO")
        accuracy = worth.at_half.get("accuracy")
        said = ("–" if cell is None else write_estimate(cell) for cell in (worth.area, accuracy))
        table.add_row(escape(one.name), escape(one.kind), write_count(worth.lesions), *said)
    console.print(table)


class _Progress:
    """A bar per network, or lines."""

    def __init__(self, console: Console, study: LesionStudy) -> None:
        self._console, self._study = console, study
        self._name = ""
        self._open = ExitStack()

    def __call__(self, plan: MemberPlan, step: Step) -> None:
        from fourview.cli.train_show import TrainProgress

        if plan.name != self._name:
            self.close()
            self._name = plan.name
            self._console.print(f"network {plan.name}")
            epochs = self._study.recipe.loop.epochs
            self._show = self._open.enter_context(TrainProgress(self._console, unit="crops", epochs=epochs))
        is_area = self._study.recipe.judged_by == "auc"  # what a bar calls AUC
        self._show(step if is_area else replace(step, score=None))

    def close(self) -> None:
        self._open.close()
