"""fourview lesion handcrafted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED
from fourview.cli.cache import CACHE, cache_home
from fourview.cli.lesion import lesion_app
from fourview.cli.progress import shown_work

if TYPE_CHECKING:
    from rich.table import Table

    from fourview.studies.lesion.handcrafted.results import Results


@lesion_app.command()
def handcrafted(
    data: Annotated[
        str,
        typer.Argument(
            metavar="STORE|phantom:RECIPE",
            help="A prepared set with outlined lesions; or a synthetic population, drawn as for `lesion train`.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty, or --resume.")],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="googlenet_light|googlenet|phantom|TOML",
            help="The networks' recipe: whose kinds of lesions, split, folds and seed are taken, and nothing else.",
        ),
    ] = "googlenet_light",
    set_values: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's value.")
    ] = None,
    classifier: Annotated[
        str,
        typer.Option(help="Of lr, l1_lr, linear_svm, rbf_svm, ridge, random_forest, boosting, knn; commas between."),
    ] = "lr,l1_lr,linear_svm,rbf_svm,random_forest,boosting",
    selection: Annotated[
        Literal["lasso", "l1", "none"],
        typer.Option(help="Of numbers, in the folds, not for trees; l1: L1 logistic regression."),
    ] = "lasso",
    inner: Annotated[int, typer.Option(help="Inner folds, by patient.")] = 5,
    families: Annotated[
        bool, typer.Option("--families/--no-families", help="Each family of numbers alone, too.")
    ] = True,
    cache: Annotated[
        Path | None, typer.Option(help=f"Folder for drawn populations. Default: ${CACHE}, or the user's cache.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what an earlier run left in OUT.")] = False,
) -> None:
    """Lesions without a network: hand-crafted numbers, words alone, the label ceiling, on the networks' folds.

    Exit status 1: some lesions could not be measured.
    """
    from fourview.report.document_folder import add_document
    from fourview.studies.lesion.handcrafted.document import describe_baselines
    from fourview.studies.lesion.handcrafted.gallery import show_lesions
    from fourview.studies.lesion.handcrafted.results import gather, tabulate_baselines
    from fourview.studies.lesion.handcrafted.runs import do_tasks, list_tasks
    from fourview.studies.lesion.handcrafted.store import measure_views
    from fourview.studies.lesion.handcrafted.study import (
        FAILURES,
        FEATURES,
        LESIONS,
        keep_measured,
        open_folder,
        open_study,
        plan_methods,
        tabulate_failures,
        tabulate_features,
    )
    from fourview.studies.lesion.lesion_data import open_lesion_data
    from fourview.studies.lesion.recipe import load_recipe
    from fourview.terminal import open_console, show_document
    from fourview.train.data import name_data
    from fourview.whole_files import writing_to

    chosen = load_recipe(recipe).with_values(set_values or [])
    methods = plan_methods(classifier, selection)
    try:
        with writing_to(out), shown_work() as on_step:
            store = open_lesion_data(data, chosen, cache=cache or cache_home(), jobs=jobs, on_step=on_step)
            study = open_study(store, chosen, methods, inner=inner, families=families, about=name_data(store))
            open_folder(out, study, resume=resume)
            numbers = measure_views(
                store, study.folds.views, out, jobs=jobs, on_step=partial(on_step, "measuring lesions, images")
            )
            study = keep_measured(study, numbers)
            tasks = list_tasks(study.folds, numbers, study.readers, inner=inner, seed=chosen.seed)
            said = do_tasks(tasks, out, jobs=jobs, on_step=partial(on_step, "classifiers in folds"))
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    results = gather(store, study.folds, said)
    document = describe_baselines(study, results, show_lesions(study, numbers, results))
    tables = {
        FEATURES: tabulate_features(study, numbers),
        LESIONS: tabulate_baselines(results),
        FAILURES: tabulate_failures(numbers),
    }
    add_document(out, document, tables={Path(name).stem: table for name, table in tables.items()})
    console = open_console()
    console.print(_tabulate(results))
    show_document(console, document, out)
    if numbers.problems:
        typer.echo(f"fourview: {len(numbers.problems)} lesion images were not measured: {out / FAILURES}", err=True)
        raise typer.Exit(SOME_FAILED)


def _tabulate(results: Results) -> Table:
    """The closing table: AUC and accuracy of every baseline but the families."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.number_text import write_estimate

    table = Table(title="Held-out lesions without a network, CC and MLO", title_justify="left")
    for name in ("", "baseline", "AUC (95 %)", "accuracy at .5 (95 %)"):
        table.add_column(name, overflow="fold")
    for row in results.rows:
        own = row.of("CC and MLO")
        if row.sort == "family" or own.area is None:
            continue
        table.add_row(row.sort, escape(row.title), write_estimate(own.area), write_estimate(own.at_half["accuracy"]))
    return table
