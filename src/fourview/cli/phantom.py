"""fourview phantom: draw a population, show one exam, print a recipe's card."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED, app, given_options
from fourview.cli.progress import Show, asked_to_stop, shown_steps
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.console import Console

    from fourview.phantom.folder import PhantomFolder
    from fourview.phantom.recipe import Recipe

SYNTHETIC = "Synthetic: no person was imaged, and nothing on these images says anything about patients."

phantom_app = typer.Typer(invoke_without_command=True)
app.add_typer(phantom_app, name="phantom")

RecipeOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|TOML", help="screening, enriched, training, or a file (`fourview phantom card --toml`)."
    ),
]
DifficultyOption = Annotated[
    Literal["easy", "medium", "hard"] | None, typer.Option(help="Instead of the one that the recipe names.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Another seed is another population.")]
ScaleOption = Annotated[
    float, typer.Option(min=0.05, max=1, help="1: the units' own pixels; 0.25: a quarter as many rows and columns.")
]


@phantom_app.callback()
def phantom(
    context: typer.Context,
    *,
    exams: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Output folder: new or empty (or one to --resume).")] = None,
    files: Annotated[
        Literal["dicom", "png", "store"],
        typer.Option("--format", help="png: 16 bits. store: prepared, as `fourview data prepare` writes it."),
    ] = "dicom",
    scale: ScaleOption = 0.25,
    seed: SeedOption = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the files are the same.")] = 1,
    recipe: RecipeOption = "screening",
    difficulty: DifficultyOption = None,
    syntax: Annotated[
        str,
        typer.Option(help="DICOM: explicit, implicit, deflated, rle, jpeg-lossless, jpeg-ls, jpeg-2000."),
    ] = "explicit",
    start: Annotated[int, typer.Option(min=0, help="Number of the first exam.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Take what an earlier run left in OUT.")] = False,
) -> None:
    """Draw a synthetic screening population with known truth: a folder per exam, masks, tables.

    Any exam can be drawn alone: it depends on the recipe, the seed, its number and the scale.
    """
    if context.invoked_subcommand is not None:
        if given := given_options(context):
            verb = f"phantom {context.invoked_subcommand}"
            raise SetupError(f"{verb}: found options before its name ({', '.join(given)}); need them after it")
        return
    if out is None:
        raise SetupError("phantom: found no --out; need a new or empty folder (fourview phantom --exams 10 --out OUT)")
    from fourview.phantom.recipe import load_recipe

    loaded = load_recipe(recipe, difficulty=difficulty)
    options: dict[str, Any] = {"exams": exams, "start": start, "seed": seed, "scale": scale, "jobs": jobs}
    try:
        if files == "store":
            drawn = _draw_store(loaded, out, resume=resume, **options)
        else:
            drawn = _draw(loaded, out, files=files, syntax=syntax, resume=resume, **options)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show_folder(loaded, drawn, out, files=files)


@phantom_app.command("show")
def phantom_show(
    seed: Annotated[int, typer.Argument(min=0, help="Of the population.")],
    *,
    index: Annotated[int, typer.Option(min=0, help="Number of the exam.")] = 0,
    recipe: RecipeOption = "screening",
    difficulty: DifficultyOption = None,
    scale: ScaleOption = 0.5,
    out: Annotated[
        Path | None, typer.Option(help="Output folder: new or empty.", show_default="phantom_SEED_INDEX")
    ] = None,
) -> None:
    """One exam as a page: its four views, what was planted and why, and the population it is from."""
    from fourview.phantom.recipe import load_recipe
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.report.phantom_document import describe_phantom
    from fourview.report.versions import package_versions
    from fourview.terminal import open_console, show_document

    out = Path(f"phantom_{seed}_{index}") if out is None else out
    check_report_folder(out)
    loaded = load_recipe(recipe, difficulty=difficulty)
    document = describe_phantom(loaded, seed=seed, index=index, scale=scale, versions=package_versions())
    write_document(out, document)
    show_document(open_console(), document, out)


@phantom_app.command("card")
def phantom_card(
    recipe: Annotated[
        str, typer.Argument(metavar="[NAME|TOML]", help="screening, enriched, training, or a file.")
    ] = "screening",
    *,
    difficulty: DifficultyOption = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print the recipe itself, to be edited.")] = False,
) -> None:
    """What a recipe's population holds, how far the best reader could come in it, and its hash."""
    from rich.table import Table

    from fourview.phantom.recipe import load_recipe, read_recipe_file
    from fourview.phantom.recipe_card import find_card, read_likeness
    from fourview.phantom.recipe_text import format_recipe
    from fourview.terminal import open_console

    loaded = load_recipe(recipe, difficulty=difficulty)
    if toml:
        typer.echo(read_recipe_file(recipe) if difficulty is None else format_recipe(loaded), nl=False)
        return
    card = find_card(loaded)
    console = open_console()
    console.print(f"[bold]{loaded.name}[/], {loaded.difficulty}; generator {card['generator']}")
    console.print(f"hash {loaded.hash}", soft_wrap=True)
    ceilings = Table(title="Ceilings: AUC of the probabilities that labels were drawn with", title_justify="left")
    ceilings.add_column("task")
    ceilings.add_column("AUC", justify="right")
    for task, area in card["ceilings"].items():
        ceilings.add_row(task, f"{area:.4f}")
    console.print(ceilings)
    title = f"How often, in {card['plans']:,} simulated exams of seed {card['seed']}"
    often = Table(title=title, title_justify="left")
    for name in ("", "share or mean", "standard error", "of"):
        often.add_column(name, justify="left" if not name else "right")
    for what, found in card["frequencies"].items():
        often.add_row(what, f"{found['value']:.4g}", f"{found['se']:.2g}", f"{found['n']:,.0f}")
    console.print(often)
    likeness = Table(title="Real images told from phantoms by a small classifier: AUC, by exam", title_justify="left")
    for name in ("real sample", "AUC (95 %)", "real / drawn exams"):
        likeness.add_column(name, justify="left" if name == "real sample" else "right")
    for row in read_likeness():
        interval = "no interval" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        exams = f"{row['real_exams']} / {row['phantom_exams']}"
        likeness.add_row(row["name"], f"{row['auc']:.3f} ({interval})", exams)
    if likeness.row_count:
        console.print(likeness)
    console.print(f"[bold]{SYNTHETIC}[/]")


def _draw(recipe: Recipe, out: Path, **options: Any) -> PhantomFolder:
    """The folder, with progress; stops between two exams. Raises KeyboardInterrupt."""
    from fourview.phantom.folder import draw_folder

    with asked_to_stop() as asked, shown_steps("drawing exams") as show:

        def on_step(done: int, total: int) -> None:
            show(done, total, None)
            if asked():
                raise KeyboardInterrupt

        return draw_folder(recipe, out, on_step=on_step, **options)


def _draw_store(recipe: Recipe, out: Path, **options: Any) -> PhantomFolder:
    """The store, with progress; stops between two exams or images. Raises KeyboardInterrupt."""
    from fourview.store.phantom_store import draw_store
    from fourview.store.prepare import PrepareStep

    with asked_to_stop() as asked, ExitStack() as bars:
        shown: dict[str, Show] = {}

        def show(what: str, done: int, total: int, problem: str | None = None) -> None:
            if what not in shown:
                bars.close()  # a terminal shows one at a time
                shown[what] = bars.enter_context(shown_steps(what))
            shown[what](done, total, problem)
            if asked():
                raise KeyboardInterrupt

        def on_drawn(done: int, total: int) -> None:
            show("drawing exams", done, total)

        def on_prepared(step: PrepareStep) -> None:
            show("preparing images", step.done, step.total, step.problem and f"{step.image}: {step.problem}")

        return draw_store(recipe, out, on_drawn=on_drawn, on_prepared=on_prepared, **options)


def _show_folder(recipe: Recipe, drawn: PhantomFolder, out: Path, *, files: str) -> None:
    """What was drawn, in a few lines, and what to do with it."""
    from rich.markup import escape

    from fourview.terminal import open_console

    console: Console = open_console()
    breasts = [breast for plan in drawn.plans for breast in plan.breasts.values()]
    women = len({plan.patient for plan in drawn.plans})
    there = f" ({drawn.already_there} of them by an earlier run)" if drawn.already_there else ""
    console.print(
        f"{len(drawn.plans)} synthetic exams of {women} women{there}: {sum(b.biopsied for b in breasts)} of "
        f"{len(breasts)} breasts biopsied, {sum(b.malignant for b in breasts)} malignant, "
        f"{sum(b.benign for b in breasts)} benign; {drawn.masks} masks.",
        soft_wrap=True,
    )
    console.print(f"Recipe {escape(recipe.name)}, {recipe.difficulty}, hash {recipe.hash}", soft_wrap=True)
    console.print(f"Output: {escape(str(out))}", soft_wrap=True)
    name = escape(str(out))
    reads = {
        "dicom": f"fourview screen {name} --weights W --out READINGS",
        "png": f"fourview screen {name}/images.csv --mirrored auto --weights W --out READINGS",
        "store": f"fourview data check {name} --out CHECK",
    }
    console.print(f"Next: {reads[files]}", soft_wrap=True)
    if files != "store":
        console.print(
            f"      fourview evaluate READINGS/readings.csv --truth {name}/truth/breasts.csv --out REPORT",
            soft_wrap=True,
        )
    console.print(f"[bold]{SYNTHETIC}[/]")
