"""fourview curve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED, app
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.table import Table

    from fourview.studies.transfer.curve_measures import Curve

_SETTINGS = "settings.json"


@app.command()
def curve(
    features: Annotated[Path, typer.Argument(metavar="FEATURES", help="Folder of `fourview features`.")],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty, or --resume.")],
    labels: Annotated[str | None, typer.Option(help="As in `transfer`.")] = None,
    birads3: Annotated[Literal["benign", "drop"], typer.Option(help="As in `transfer`.")] = "benign",
    classifier: Annotated[
        Literal["lr", "l1_lr", "linear_svm", "rbf_svm", "ridge", "knn"], typer.Option(help="As in `transfer`.")
    ] = "lr",
    selection: Annotated[
        Literal["lasso", "l1", "none"], typer.Option(help="Of features; few patients cannot say much about it.")
    ] = "none",
    sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Training patients. Default: 5, 10, 20, 30, 50, then doubling; last all."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(help="At most; fewer where the draws' own error is small before, at least 5.")
    ] = 25,
    folds: Annotated[int, typer.Option(help="Test parts of a round, by patient.")] = 5,
    inner: Annotated[int, typer.Option(help="Inner folds, by patient.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and draws.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Take the rounds that an earlier run left in OUT.")] = False,
) -> None:
    """How good classifiers on frozen features are by number of patients, how much is luck, what more would give."""
    from fourview.cli.progress import asked_to_stop, shown_steps
    from fourview.report.document_folder import add_document
    from fourview.studies.transfer.curve_document import describe_curve, tabulate_curve
    from fourview.studies.transfer.curve_measures import measure_curve
    from fourview.studies.transfer.feature_set import load_features
    from fourview.studies.transfer.forecast import forecast
    from fourview.studies.transfer.labels import read_labels
    from fourview.studies.transfer.learning_curve import CurvePlan, open_curve, run_curve
    from fourview.studies.transfer.steps import read_methods
    from fourview.terminal import open_console, show_document
    from fourview.whole_files import write_whole, writing_to

    (method,) = read_methods(classifier, selection=selection, imbalance="weights")
    plan = CurvePlan(method, _read_sizes(sizes), rounds, folds, inner, seed)
    loaded = load_features(features)
    study = open_curve(loaded, read_labels(loaded, labels, birads3=birads3), plan)
    _check_out(out, study.settings, resume=resume)
    try:
        with writing_to(out), asked_to_stop() as stop, shown_steps("rounds") as show:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / _SETTINGS, json.dumps(study.settings, indent=1) + "\n")
            done = run_curve(
                study, out, jobs=jobs, on_step=lambda done, total: show(done, total, None), asked_to_stop=stop
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    found = measure_curve(done, study.cases, study.sizes, seed=seed)
    document = describe_curve(study, found, forecast(found))
    add_document(out, document, tables={"curve": tabulate_curve(found)})
    console = open_console()
    console.print(_tabulate(found))
    show_document(console, document, out)


def _read_sizes(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise SetupError(f"--sizes: found {text!r}; need numbers of patients with commas between") from None


def _check_out(out: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Nothing, if the output is new, or holds rounds of the same features, truth and plan."""
    from fourview.report.document_folder import check_report_folder

    if not resume or not (out / _SETTINGS).is_file():
        check_report_folder(out)
        return
    try:
        before = json.loads((out / _SETTINGS).read_text())
    except (OSError, ValueError):
        raise SetupError(f"{out}: found no {_SETTINGS} to read; need the output of `fourview curve`") from None
    wanted = json.loads(json.dumps(settings))
    if other := [name for name in wanted if before.get(name) != wanted[name]]:
        raise SetupError(f"{out}: found rounds of another {', '.join(other)}; need the same command, or another --out")


def _tabulate(found: Curve) -> Table:
    """One row per size: intervals over patients, and beside them the spread over training sets."""
    from rich.table import Table

    from fourview.report.number_text import write_estimate

    first = found.points[0].auc
    title = (
        f"Per image; {first.n} images, {first.positives} positive, {first.clusters} patients. 95 % intervals over "
        "patients under test; spread of single training sets: 5th to 95th percentile"
    )
    table = Table(title=title, title_justify="left")
    for name in ("training\npatients", "AUC", "its spread", "sets below\nchance", "balanced accuracy", "classifiers"):
        table.add_column(name, no_wrap=True)
    for point in found.points:
        spread = point.auc_spread
        below = "" if spread is None or spread.below is None else f"{100 * spread.below:.0f} %"
        own = ("all: one set" if spread is None else f"{spread.low:.3f} to {spread.high:.3f}", below)
        numbers = write_estimate(point.auc), *own, write_estimate(point.balanced_accuracy), str(point.classifiers)
        table.add_row(str(point.patients), *numbers)
    return table
