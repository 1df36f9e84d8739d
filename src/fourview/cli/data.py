"""fourview data: list, prepare, check, split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.progress import asked_to_stop, shown_steps
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.console import Console

    from fourview.store.prepare import PrepareResult, PrepareStep

FREE = "these terms do not forbid to release models; read them"
data_app = typer.Typer(help="Data sets: list, prepare, check, split.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list() -> None:
    """Every known set: what it has, its terms of use, how to get it, and whether the real set was ever read here."""
    from rich.markup import escape

    from fourview.datasets import DATASETS
    from fourview.terminal import open_console

    console = open_console()
    for dataset in DATASETS.values():
        console.print(f"[bold]{escape(dataset.name)}[/]  {escape(dataset.title)}", soft_wrap=True)
        for what, text in (
            ("has", dataset.has),
            ("terms", dataset.terms),
            ("models", FREE if dataset.releases_models else "trained on it must not be released"),
            ("source", dataset.source),
            ("run on the real set", dataset.read_here),
        ):
            console.print(f"    {what}: {escape(text)}", soft_wrap=True)


@data_app.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="A set of `fourview data list`.")],
    root: Annotated[Path, typer.Argument(help="Its folder, as it was downloaded.")],
    *,
    out: Annotated[Path, typer.Option(metavar="STORE", help="Output folder: new or empty.")],
    jobs: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:PORT", help="A Dask scheduler, instead of --jobs; its workers need the same paths."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take what an earlier run left in STORE.")] = False,
    remove_unused: Annotated[
        bool,
        typer.Option("--remove-unused", help="At the end, remove stored files of other settings or earlier sources."),
    ] = False,
    require: Annotated[
        Literal["four-views", "any"], typer.Option(help="Which exams: with all four standard views, or any.")
    ] = "any",
    gap: Annotated[
        Literal["keep", "reject"], typer.Option(help="Images whose breast stands off the chest-wall edge.")
    ] = "keep",
    unlabelled: Annotated[
        Literal["keep", "exclude"], typer.Option(help="Images that are neither known as malignant nor benign, or not.")
    ] = "keep",
    crop_iterations: Annotated[int, typer.Option(min=0, help="Erosions of the crop, pixels of the file.")] = 100,
    crop_buffer: Annotated[int, typer.Option(min=0, help="Margin of the crop, pixels of the file.")] = 50,
) -> None:
    """Read a set once: a manifest, the cropped breasts as 16-bit tiles, lesion masks, and what was left out and why.

    Exit status 1: images failed, or the set's tables and files do not agree; failures.csv names each.
    """
    from fourview.datasets import DATASETS
    from fourview.store.prepare import prepare
    from fourview.store.prepare_image import CropSettings
    from fourview.store.selection import Selection
    from fourview.terminal import open_console

    if name not in DATASETS:
        raise SetupError(f"found no data set {name!r}; known are {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    typer.echo(f"{dataset.title}. Terms: {dataset.terms}", err=True)
    try:
        with asked_to_stop() as asked, shown_steps("preparing images") as show:

            def on_step(step: PrepareStep) -> None:
                show(step.done, step.total, step.problem and f"{step.image}: {step.problem}")
                if asked():
                    raise KeyboardInterrupt

            result = prepare(
                dataset,
                root,
                out,
                selection=Selection(require, gap, unlabelled),
                crop=CropSettings(crop_iterations, crop_buffer),
                jobs=jobs,
                cluster=cluster,
                resume=resume,
                remove_unused=remove_unused,
                on_step=on_step,
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show_result(open_console(), result)
    if result.failed or result.problems:  # as of a reading: some of what the set announces is not there
        raise typer.Exit(SOME_FAILED)


@data_app.command("check")
def data_check(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `prepare` wrote.")],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="A split of the store, to look for leaks across it.")
    ] = None,
) -> None:
    """Look at a prepared set: counts, what was left out, contact sheets, the same picture or woman on both sides."""
    from fourview.report.data_document import describe_store
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.report.versions import package_versions
    from fourview.store.audit import audit
    from fourview.store.splits import Split
    from fourview.store.store import Store
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    opened = Store.open(store)
    chosen = None if split is None else Split.load(store, split)
    with shown_steps("comparing images") as show:
        found = audit(opened, chosen, on_step=lambda done, total: show(done, total, None))
    with shown_steps("looking at images") as show:
        document = describe_store(
            opened,
            found,
            split=chosen,
            versions=package_versions(),
            on_step=lambda done, total: show(done, total, None),
        )
    write_document(out, document, tables={"audit": found.table()})
    found.write(store)
    show_document(open_console(), document, out)


@data_app.command("split")
def data_split(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `prepare` wrote.")],
    *,
    by: Annotated[str, typer.Option(help="What is never divided: patient.")] = "patient",
    stratify: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Kept in the same shares in all parts, e.g. label.")
    ] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Parts of equal size.")] = None,
    fractions: Annotated[
        str | None, typer.Option(metavar=".8,.1,.1", help="Shares of train, validation, test.")
    ] = None,
    by_date: Annotated[
        bool, typer.Option("--by-date", help="Patients in the order of their last exam, as the NYU report does.")
    ] = False,
    official: Annotated[bool, typer.Option("--official", help="The split that the set came with.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    name: Annotated[str, typer.Option(help="The split is written to STORE/splits/NAME.json.")] = "split",
) -> None:
    """Divide a prepared set by woman, as a file that names every image's part."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.store.splits import make_split
    from fourview.store.store import Store
    from fourview.terminal import open_console

    opened = Store.open(store)
    made = make_split(
        opened.manifest,
        by=by,
        stratify=stratify,
        folds=folds,
        fractions=_shares(fractions),
        by_date=by_date,
        official=official,
        seed=seed,
    )
    path = made.write(store, name)
    console = open_console()
    counts = made.count(opened.manifest)
    table = Table(*counts.columns)
    for row in counts.rows():
        table.add_row(*map(str, row))
    console.print(table)
    if made.left_out:
        console.print(f"{len(made.left_out)} images are in no part; the file says why.")
    for warning in made.warnings:
        console.print(f"[bold yellow]ATTENTION:[/] {escape(warning)}", soft_wrap=True)
    console.print(f"Output: {escape(str(path))}", soft_wrap=True)


def _shares(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SetupError(f"--fractions: found {text!r}, need numbers with commas between, e.g. .8,.1,.1") from None


def _show_result(console: Console, result: PrepareResult) -> None:
    """Rule by rule what was left out, then where all of it lies."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.meaning import RESEARCH_ONLY

    table = Table(title=f"{result.listed} images listed", title_justify="left")
    for column in ("rule", "images removed", "images left", "exams left"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for step in result.flow:
        removed = str(step.images_removed) if step.applied else "not asked for"
        table.add_row(escape(step.name), removed, str(step.images_left), str(step.exams_left))
    console.print(table)
    for warning in result.set_warnings:
        console.print(f"[bold yellow]ATTENTION:[/] {escape(warning)}", soft_wrap=True)
    there = f" ({result.already_there} of them by an earlier run)" if result.already_there else ""
    console.print(
        f"{result.prepared} images prepared{there}, {result.excluded} excluded, {result.failed} failed; "
        f"{result.warned} have warnings; {result.problems} problems in the set's listing.",
        soft_wrap=True,
    )
    if result.unused:
        what = "were removed" if result.removed else f"stay ({result.unused[0]} ...; --remove-unused removes them)"
        console.print(
            f"{len(result.unused)} stored files, {result.unused_bytes / 1e6:.3g} MB, are of other settings or earlier "
            f"sources, and {what}.",
            soft_wrap=True,
        )
    console.print(
        f"Output: {escape(str(result.out))} (manifest.parquet, flow.json, failures.csv, store.json, images/)",
        soft_wrap=True,
    )
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")
