"""fourview calibrate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import app
from fourview.exam import Finding, SetupError

if TYPE_CHECKING:
    from fourview.evaluate.readings_table import Units


@app.command()
def calibrate(
    readings: Annotated[Path, typer.Argument(help="Readings: readings.csv of `screen`, or exam, side, p_malignant.")],
    *,
    truth: Annotated[Path, typer.Option(help="Truths: exam, side, malignant (0, 1, empty = unknown), and more.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    prevalence: Annotated[
        float | None,
        typer.Option(help="Share of units with a malignant finding that probabilities shall refer to, e.g. 0.005."),
    ] = None,
    prevalence_benign: Annotated[float | None, typer.Option(help="The same for benign findings.")] = None,
    finding: Annotated[Literal["malignant", "benign", "both"], typer.Option(help="The question.")] = "malignant",
    method: Annotated[
        Literal["platt", "isotonic", "temperature"],
        typer.Option(help="platt: two numbers; temperature: one; isotonic: steps, from 100 positives on."),
    ] = "platt",
    operating_point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:specificity=0.9",
            help="Choose a threshold on the raw score, for every finding; also sensitivity=, or youden.",
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="READINGS2.csv", help="Readings of other exams and patients, to measure on.")
    ] = None,
    test_truth: Annotated[Path | None, typer.Option(metavar="TRUTH2.csv", help="The truths of --test.")] = None,
    unit: Annotated[
        Literal["breast", "image"], typer.Option(help="What has a probability: image for single-image weights.")
    ] = "breast",
    cluster: Annotated[
        Literal["exam", "patient"] | None,
        typer.Option(help="What folds and intervals keep together. Default: patient if all rows name one, else exam."),
    ] = None,
    score: Annotated[str | None, typer.Option(help="Column of the score. Default: p_malignant, p_benign.")] = None,
    population: Annotated[
        Literal["screening", "biopsied"], typer.Option(help="All units, or those with a biopsy.")
    ] = "screening",
    unknown: Annotated[
        Literal["negative", "excluded"], typer.Option(help="What an unknown truth counts as.")
    ] = "negative",
    inner: Annotated[
        bool, typer.Option("--inner", help="Drop units that only one table has, and count them, instead of refusing.")
    ] = False,
) -> None:
    """Fit what makes probabilities of scores, for `screen --calibration`; and measure it on units it has not seen."""
    from fourview.calibration import CALIBRATION_NAME
    from fourview.evaluate.calibrate import check_disjoint, fit_finding, make_calibration
    from fourview.evaluate.operating import Rule
    from fourview.evaluate.population import Population
    from fourview.evaluate.readings_table import load_units
    from fourview.report.calibration_document import calibration_document
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.report.versions import package_versions
    from fourview.terminal import open_console, show_document

    check_report_folder(out)
    findings: tuple[Finding, ...] = ("malignant", "benign") if finding == "both" else (finding,)
    shares = _match_prevalences(findings, {"malignant": prevalence, "benign": prevalence_benign})
    if (test is None) != (test_truth is None):
        raise SetupError("--test and --test-truth: found one of them; need both or none")
    if score is not None and finding == "both":
        raise SetupError("--score: names one column; need --finding malignant or benign with it")
    rules = [Rule.parse(text) for text in operating_point or ()]
    rows = Population(population, unknown)
    load = partial(load_units, unit=unit, cluster=cluster, score=score, inner=inner, population=rows)
    fits, notes, files = [], [], []
    words = f"{readings.name} with {truth.name}: {rows}"
    for name, share in shares.items():
        units = load(readings, truth, finding=name)
        other: Units | None = None
        if test is not None and test_truth is not None:
            other = load(test, test_truth, finding=name)
            notes += [*check_disjoint(units, other), *(f"test table: {note}" for note in other.notes)]
            files += [(f"test {what}", file, sha256) for what, file, sha256 in other.files]
        fits.append(fit_finding(units, method=method, prevalence=share, rules=rules, test=other, population=words))
        notes += units.notes
        files += units.files
    calibration = make_calibration(fits, population=words)
    settings = {
        "method": method,
        **{f"prevalence, {name}": f"{share:g}" for name, share in shares.items()},
        "unit": unit,
        "population": str(rows),
        "operating points": ", ".join(operating_point or ()) or "none",
        "calibration hash": calibration.calibration_hash,
        **{what: f"{Path(file).name}, SHA-256 {sha256}" for what, file, sha256 in files},
    }
    document = calibration_document(
        calibration,
        fits,
        settings=tuple(settings.items()),
        versions=package_versions(),
        warnings=tuple(dict.fromkeys(notes)),
    )
    write_document(out, document, texts={CALIBRATION_NAME: calibration.model_dump_json(indent=1) + "\n"})
    show_document(open_console(), document, out)


def _match_prevalences(findings: tuple[Finding, ...], given: dict[Finding, float | None]) -> dict[Finding, float]:
    """A prevalence per finding that is calibrated. Raises SetupError if one is missing or has no finding."""
    options = {"malignant": "--prevalence", "benign": "--prevalence-benign"}
    for finding in findings:
        if given[finding] is None:
            raise SetupError(f"found no {options[finding]}; need the share of {finding} findings to calibrate for")
    for finding, share in given.items():
        if finding not in findings and share is not None:
            raise SetupError(f"{options[finding]}: {finding} findings are not calibrated here; need --finding both")
    return {finding: share for finding, share in given.items() if share is not None}
