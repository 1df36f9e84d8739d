"""fourview readers, fourview plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import app
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.table import Table

    from fourview.evaluate.plan import VarianceComponents
    from fourview.evaluate.reader_analysis import StudyResults


@app.command()
def readers(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY.csv",
            help="One row per breast: exam, side, malignant, probabilities of each reader (Reader...) and model.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    model: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Model to compare. Default: every other numeric column.")
    ] = None,
    hybrid: Annotated[
        float | None, typer.Option(metavar="WEIGHT", help="Weight of the reader in computed averages. Default: 0.5.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Choose the weight on one half of the exams, measure on the other.")
    ] = False,
    average: Annotated[
        Literal["raw", "logit", "rank"], typer.Option(help="What is averaged: probabilities, their logits, ranks.")
    ] = "raw",
    margin: Annotated[float, typer.Option(help="Of non-inferiority, in AUC; declare it before you look.")] = 0.05,
    cluster: Annotated[
        Literal["exam", "patient", "none"], typer.Option(help="Which breasts intervals keep together.")
    ] = "exam",
    readers_are: Annotated[
        Literal["random", "fixed"], typer.Option(help="random: results hold for other readers too.")
    ] = "random",
    cases_are: Annotated[
        Literal["random", "fixed"], typer.Option(help="random: results hold for other cases too.")
    ] = "random",
    covariance: Annotated[
        Literal["clustered", "delong", "jackknife", "bootstrap"], typer.Option(help="Of readers' errors over cases.")
    ] = "clustered",
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which a reader is taken to call a breast malignant.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="SCREEN_OUT", help="Run of `screen` on these exams, for pictures and links of errors."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of halves and bootstrap.")] = 0,
) -> None:
    """Compare readers, models and computed averages of both in a reader study."""
    from fourview.evaluate.declaration import Declaration
    from fourview.evaluate.reader_analysis import analyse_readers
    from fourview.evaluate.reader_study import ReaderStudy
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.report.errors_section import errors_section
    from fourview.report.readers_document import FEW_MODELS, describe_reader_study
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    if sweep and hybrid is not None:
        raise SetupError("found --hybrid and --sweep; need one: a fixed weight, or one chosen on other cases")
    declared = Declaration(
        margin=margin,
        weight=None if sweep else 0.5 if hybrid is None else hybrid,
        average=average,
        covariance=covariance,
        readers_are=readers_are,
        cases_are=cases_are,
        threshold=threshold,
        seed=seed,
    )
    found = ReaderStudy.read(study, models=model, cluster=cluster)
    results = analyse_readers(found, declared=declared)
    if run is not None and not (run / "exams").is_dir():
        raise SetupError(f"--run {run}: found no folder exams; need the output of `fourview screen`")
    exams = None if run is None else run / "exams"
    shown = found.model_names if len(found.model_names) <= FEW_MODELS else ()
    errors = [
        errors_section(
            found.keys, found.truth, found.model(name), exams_folder=exams, out=out, readers=found.readers, of=name
        )
        for name in shown
    ]
    document = describe_reader_study(results, extra=errors)
    write_document(out, document)
    console = open_console()
    if results.models:
        console.print(_tabulate_models(results))
    show_document(console, document, out)


@app.command()
def plan(
    *,
    readers: Annotated[list[int], typer.Option(metavar="J", help="Number of readers; several to compare them.")],
    effect: Annotated[float, typer.Option(metavar="D", help="Difference of mean AUC that the study shall show.")],
    cases: Annotated[int | None, typer.Option(metavar="N", help="Number of cases. Default: as in the pilot.")] = None,
    positives: Annotated[int | None, typer.Option(metavar="M", help="Positives among the cases.")] = None,
    auc: Annotated[float | None, typer.Option(metavar="A", help="AUC expected of readers as they read now.")] = None,
    like: Annotated[
        Literal["van-dyke", "fed"], typer.Option(help="Study whose correlations of errors are assumed.")
    ] = "van-dyke",
    reader_sd: Annotated[
        float | None, typer.Option(help="sd over readers of their true difference. Default: as in --like.")
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option(metavar="STUDY.csv", help="Take variances from this reader study and --model, not from --like."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="COLUMN", help="Model of the pilot.")] = None,
    hybrid: Annotated[float, typer.Option(metavar="WEIGHT", help="Weight of the reader in the pilot's average.")] = 0.5,
) -> None:
    """Power of a reader study of two treatments, and how many cases it needs."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.evaluate.plan import KNOWN, assume_components, count_positives, find_cases, find_power
    from fourview.report.meaning import RESEARCH_ONLY
    from fourview.terminal import open_console

    if pilot is not None:
        if positives is not None or auc is not None or reader_sd is not None:
            raise SetupError("found --pilot with --positives, --auc or --reader-sd; need them from the pilot alone")
        components = _measure_pilot(pilot, model, hybrid)
    elif cases is None or positives is None or auc is None:
        raise SetupError("found no --pilot; need --cases, --positives and --auc without one")
    else:
        components = assume_components(auc, cases=cases, positives=positives, like=KNOWN[like], reader_sd=reader_sd)
    wanted = cases or components.cases
    c, console = components, open_console()
    console.print(f"Variances: {escape(c.source)}.", soft_wrap=True)
    console.print(
        f"Var(TR) {c.variance_tr:.6f}; on {c.cases:,} cases with {c.positives:,} positives: Var(error) "
        f"{c.variance:.6f}, Cov1 {c.cov1:.6f}, Cov2 {c.cov2:.6f}, Cov3 {c.cov3:.6f}.",
        soft_wrap=True,
    )
    table = Table(title=f"To show a difference of {effect:g} in mean AUC (two-sided, 5 %)", title_justify="left")
    for name in ("readers", f"power with {wanted:,} cases", "cases for 80 %", "cases for 90 %"):
        table.add_column(name, justify="right")
    for count in readers:
        needed = [find_cases(c, readers=count, effect=effect, power=power) for power in (0.8, 0.9)]
        texts = ["more readers needed" if n is None else f"{n:,} ({count_positives(c, n):,} positive)" for n in needed]
        table.add_row(str(count), f"{find_power(c, readers=count, cases=wanted, effect=effect):.1%}", *texts)
    console.print(table)
    console.print(
        f"Cases are breasts, {c.positives / c.cases:.1%} of them positive. Method: Obuchowski-Rockette test with "
        "random readers and cases, power after Hillis, Obuchowski and Berbaum 2011. It is as good as the variances "
        "are.",
        soft_wrap=True,
    )
    console.print(f"[bold]{RESEARCH_ONLY}.[/]")


def _tabulate_models(results: StudyResults) -> Table:
    """One row per model: its AUC, and what it and its computed average do to the readers' AUC."""
    from rich.markup import escape
    from rich.table import Table

    from fourview.report.number_text import write_estimate

    study = results.study
    title = (
        f"AUC with 95 % intervals, {study.n:,} breasts, {study.positives:,} malignant, {len(study.readers)} readers; "
        f"margin {results.declared.margin:g}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("model", overflow="fold")
    for name in ("AUC", "minus readers", "by margin", "computed average\nminus readers"):
        table.add_column(name, no_wrap=True)
    for model, against, hybrid in zip(results.models, results.against, results.hybrids, strict=True):
        area, difference, averaged = map(write_estimate, (model.auc, against.auc, hybrid.minus_readers[0]))
        table.add_row(escape(model.name), area, difference, against.verdict, averaged)
    return table


def _measure_pilot(pilot: Path, model: str | None, weight: float) -> VarianceComponents:
    """The variance components of readers against their computed average with a model. Raises SetupError."""
    from fourview.evaluate.declaration import Declaration
    from fourview.evaluate.hybrid_results import compare_hybrid
    from fourview.evaluate.plan import pilot_components
    from fourview.evaluate.reader_study import ReaderStudy

    if model is None:
        raise SetupError("found --pilot without --model; need the column of the model that readers are averaged with")
    study = ReaderStudy.read(pilot, models=[model])
    mrmc = compare_hybrid(study, model, declared=Declaration(weight=weight)).mrmc
    source = (
        f"pilot {pilot.name}, {len(study.readers)} readers alone and averaged with {model} (weight of the reader "
        f"{weight:g}). A computed average moves all readers alike; readers who see a model's output may differ more"
    )
    return pilot_components(mrmc, cases=study.n, positives=study.positives, source=source)
