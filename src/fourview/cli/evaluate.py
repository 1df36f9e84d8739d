"""fourview evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fourview.cli.app import app
from fourview.exam import Finding, SetupError


@app.command()
def evaluate(
    readings: Annotated[Path, typer.Argument(help="Readings: readings.csv of `screen`, or exam, side, p_malignant.")],
    *,
    truth: Annotated[Path, typer.Option(help="Truths: exam, side, malignant (0, 1, empty = unknown), and more.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    unit: Annotated[Literal["breast", "image", "exam", "patient"], typer.Option(help="What is counted.")] = "breast",
    cluster: Annotated[
        Literal["exam", "patient"] | None,
        typer.Option(help="What intervals take as independent. Default: patient if every row names one, else exam."),
    ] = None,
    finding: Annotated[Literal["malignant", "benign", "both"], typer.Option(help="The question.")] = "malignant",
    score: Annotated[str | None, typer.Option(help="Column of the score. Default: p_malignant, p_benign.")] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="OTHER.csv", help="Other readings of the same units; OTHER.csv:COLUMN names a score."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Columns of the truth table for subgroups, e.g. density,age_band.")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of positives where the scores would be used, e.g. 0.005.")
    ] = None,
    threshold_from: Annotated[
        Path | None, typer.Option(metavar="LOCK.json", help="Apply thresholds that were chosen on other data.")
    ] = None,
    compare_threshold_from: Annotated[
        list[Path] | None, typer.Option(metavar="LOCK.json", help="The same for each --compare, in their order.")
    ] = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:specificity=0.9",
            help="Choose a threshold on these tables and lock it in OUT/thresholds.json, for use on other data.",
        ),
    ] = None,
    population: Annotated[
        Literal["screening", "biopsied"], typer.Option(help="All units, or those with a biopsy.")
    ] = "screening",
    unknown: Annotated[
        Literal["negative", "excluded"], typer.Option(help="What an unknown truth counts as.")
    ] = "negative",
    visibility: Annotated[
        Literal["all", "visible", "occult"], typer.Option(help="Which positives (column visible).")
    ] = "all",
    follow_up_days: Annotated[
        float | None, typer.Option(help="Negatives need so many days of follow-up (column follow_up_days).")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="SCREEN_OUT", help="The run of `screen`, for pictures and heatmaps. Default: beside readings.csv."
        ),
    ] = None,
    lesions: Annotated[
        Path | None,
        typer.Option(metavar="LESIONS.csv", help="Outlines: lesion sensitivity, FROC and JAFROC of the heatmaps."),
    ] = None,
    lesion_margin: Annotated[float, typer.Option(metavar="PX", help="Added around every lesion, source pixels.")] = 0.0,
    umap: Annotated[bool, typer.Option("--umap", help="Draw the map of images with UMAP (extra umap).")] = False,
    inner: Annotated[
        bool, typer.Option("--inner", help="Drop units that only one table has, and count them, instead of refusing.")
    ] = False,
) -> None:
    """Readings against the truth: a report with intervals, as HTML, JSON, CSV and SVG."""
    from fourview.evaluate.evaluation import EvaluateOptions, Other, evaluate_readings
    from fourview.evaluate.operating import LOCK_FILE, Rule
    from fourview.evaluate.population import Population
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.report.evaluation_document import describe_evaluation
    from fourview.report.evaluation_extras import Extras, describe_extras, find_run
    from fourview.report.evaluation_tables import tabulate_units
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    locks: list[Path | None] = [*(compare_threshold_from or [])]
    if locks and len(locks) != len(compare or []):
        raise SetupError(
            f"found {len(compare or [])} --compare and {len(locks)} --compare-threshold-from; need as many"
        )
    others = [_split(text) for text in compare or []]
    locks += [None] * (len(others) - len(locks))
    findings: tuple[Finding, ...] = ("malignant", "benign") if finding == "both" else (finding,)
    options = EvaluateOptions(
        unit=unit,
        cluster=cluster,
        findings=findings,
        score=score,
        inner=inner,
        population=Population(population, unknown, visibility, follow_up_days),
        by=tuple(name.strip() for name in (by or "").split(",") if name.strip()),
        prevalence=prevalence,
        others=tuple(Other(path, column, lock) for (path, column), lock in zip(others, locks, strict=True)),
        threshold_from=threshold_from,
        choose=tuple(Rule.parse(text) for text in choose or []),
    )
    extras = Extras(run or find_run(readings), lesions, lesion_margin, umap)
    evaluation = evaluate_readings(readings, truth, options)
    more, tables = describe_extras(evaluation, extras, out=out)
    document = describe_evaluation(evaluation, extra=more)
    texts = {} if evaluation.lock is None else {LOCK_FILE: evaluation.lock.model_dump_json(indent=2) + "\n"}
    tables |= {f"units_{task.units.finding}": tabulate_units(task.units, options.by) for task in evaluation.tasks}
    write_document(out, document, tables=tables, texts=texts)
    show_document(open_console(), document, out)


def _split(text: str) -> tuple[Path, str | None]:
    """FILE or FILE:COLUMN; a file that is there wins."""
    file, _, column = text.rpartition(":")
    if Path(text).exists() or not file:
        return Path(text), None
    return Path(file), column
