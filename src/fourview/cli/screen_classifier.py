"""`fourview screen` with a classifier of features in place of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED
from fourview.cli.progress import asked_to_stop, shown_steps
from fourview.exam import SetupError

if TYPE_CHECKING:
    from fourview.studies.transfer.classify_batch import ClassifyStep

Pixels = Literal["stored", "presentation"]


def screen_classifier(
    inputs: Sequence[Path],
    folder: Path,
    out: Path,
    *,
    pixels: Pixels | None,
    spacing_mm: float | None,
    mirrored: Literal["no", "auto"],
    device: str,
    allow_phantom_weights: bool,
    show_ids: bool,
    others: Mapping[str, Any],
) -> None:
    """Read exams: a score per image and per breast into a folder.

    others  option -> its value, of those that mean nothing to a classifier; raises SetupError if one was given
    """
    from fourview.ingest import IngestOptions, find_exams
    from fourview.report.document_folder import check_report_folder
    from fourview.studies.transfer.classify import Classifier
    from fourview.studies.transfer.classify_batch import classify_exams, explain_score, write_classified
    from fourview.terminal import open_console, show_document

    if given := [name for name, value in others.items() if value]:
        raise SetupError(f"{folder}: found {', '.join(given)}, which a classifier of features does not have")
    check_report_folder(out)
    classifier = Classifier.open(folder, device=device, allow_phantom_weights=allow_phantom_weights)
    mode = pixels or classifier.card.features.pixel_mode
    found = find_exams(inputs, IngestOptions(pixels=mode, spacing_mm=spacing_mm, mirrored=mirrored))
    with asked_to_stop() as asked, shown_steps("reading exams") as show:

        def on_step(step: ClassifyStep) -> None:
            show(step.done, step.total, step.problem and f"exam {step.exam}: {step.problem}")

        result = classify_exams(found, classifier, on_step=on_step, stop=asked)
    document = write_classified(out, result, classifier, show_ids=show_ids)
    console = open_console()
    console.print(explain_score(classifier), soft_wrap=True, markup=False)
    console.print(f"{len(result.answers)} exams read, {result.failed} failed: readings.csv, images.csv, failures.csv.")
    show_document(console, document, out)
    if result.stopped:
        left = len(found.exams) - len(result.answers) - result.failed
        typer.echo(f"Interrupted: {left} exams not tried.", err=True)
        raise typer.Exit(INTERRUPTED)
    if result.failed:
        raise typer.Exit(SOME_FAILED)
