"""fourview transfer-sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import app

if TYPE_CHECKING:
    from rich.table import Table

    from fourview.studies.transfer.left_out_sets import LeftOut


@app.command()
def transfer_sets(
    features: Annotated[
        list[Path],
        typer.Argument(
            metavar="FEATURES...", help="Folders of `fourview features`, of one extractor and several data sets."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder, new or empty.")],
    labels: Annotated[str | None, typer.Option(help="As in `transfer`; must mean the same in every set.")] = None,
    birads3: Annotated[Literal["benign", "drop"], typer.Option(help="As in `transfer`.")] = "benign",
    classifier: Annotated[
        Literal["lr", "l1_lr", "linear_svm", "rbf_svm", "ridge", "boosting"], typer.Option(help="As in `transfer`.")
    ] = "lr",
    selection: Annotated[Literal["lasso", "l1", "none"], typer.Option(help="As in `transfer`.")] = "lasso",
    imbalance: Annotated[Literal["none", "weights", "smote"], typer.Option(help="As in `transfer`.")] = "weights",
    folds: Annotated[int, typer.Option(min=2, help="Outer folds of the number within a set.")] = 5,
    inner: Annotated[int, typer.Option(min=2, help="Inner folds, by patient.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Of everything, with other folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and SMOTE.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Leave one set out: trained on all data sets but one, measured on that one, beside the number within it."""
    from fourview.cli.progress import shown_steps
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.studies.transfer.feature_set import load_features
    from fourview.studies.transfer.joined_sets import join_sets
    from fourview.studies.transfer.left_out_document import describe_sets, tabulate_set_scores
    from fourview.studies.transfer.left_out_sets import SetsPlan, open_sets, run_sets
    from fourview.studies.transfer.steps import read_methods
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    (method,) = read_methods(classifier, selection=selection, imbalance=imbalance)
    plan = SetsPlan(method, folds, inner, repeats, seed)
    joined = join_sets([load_features(folder) for folder in features])
    study = open_sets(joined, plan, labels=labels, birads3=birads3)
    with shown_steps("repeats") as show:
        results = run_sets(study, jobs=jobs, on_step=lambda done, total: show(done, total, None))
    document = describe_sets(study, results)
    write_document(out, document, tables={"scores": tabulate_set_scores(study, results)})
    console = open_console()
    console.print(_tabulate(results))
    show_document(console, document, out)


def _tabulate(results: tuple[LeftOut, ...]) -> Table:
    """One row per set."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.evaluate import Estimate
    from fourview.report.number_text import write_estimate

    table = Table(title="AUC per image, 95 % intervals over the set's patients", title_justify="left")
    for name in ("set", "images", "positive", "patients", "trained on\nthe others", "within,\nrigorous", "difference"):
        table.add_column(name, no_wrap=name != "set")
    for r in results:
        area = r.across["image"].auc
        inside = None if isinstance(r.within, str) else r.within["image"].auc
        numbers = [write_estimate(e) if isinstance(e, Estimate) else "not done" for e in (area, inside, r.difference)]
        table.add_row(escape(r.name), str(area.n), str(area.positives), str(area.clusters), *numbers)
    return table
