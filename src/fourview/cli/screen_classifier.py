"""`fourview screen` with a classifier of features in place of a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED
from fourview.exam import SetupError

OPTIONS = {
    *("--weights", "--out", "--pixels", "--spacing-mm", "--mirrored", "--device", "--allow-phantom-weights"),
    *("--jobs", "--resume", "--show-ids"),
}
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
    jobs: int,
    resume: bool,
    given: Sequence[str],
) -> None:
    """Read exams: a score per image and per breast into a folder.

    given  options of the command line; raises SetupError if one means nothing to a classifier
    """
    from fourview.ingest import IngestOptions, find_exams
    from fourview.report.output_folder import check_output
    from fourview.studies.transfer.classified_document import explain_score
    from fourview.studies.transfer.classify import Classifier
    from fourview.studies.transfer.classify_batch import classify_exams
    from fourview.terminal import ScreenProgress, open_console, show_document

    if unknown := [name for name in given if name not in OPTIONS]:
        raise SetupError(f"{folder}: found {', '.join(unknown)}, which a classifier of features does not have")
    check_output(out, resume=resume)
    classifier = Classifier.open(folder, device=device, allow_phantom_weights=allow_phantom_weights)
    mode = pixels or classifier.card.features.pixel_mode
    options = IngestOptions(pixels=mode, spacing_mm=spacing_mm, mirrored=mirrored)
    found = find_exams(inputs, options)
    with ScreenProgress(open_console(stderr=True)) as progress:
        result = classify_exams(
            found,
            classifier,
            out,
            options=options,
            show_ids=show_ids,
            jobs=jobs,
            resume=resume,
            on_step=progress,
        )
    console = open_console()
    console.print(explain_score(classifier), soft_wrap=True, markup=False)
    there = f" ({result.already_there} of them by an earlier run)" if result.already_there else ""
    tables = "readings.csv, images.csv, failures.csv"
    console.print(f"{len(result.answers)} exams read{there}, {result.failed} failed: {tables}.")
    show_document(console, result.document, out)
    if result.interrupted:
        typer.echo(
            f"Interrupted: {result.remaining} exams not tried. To go on: the same command with --resume.", err=True
        )
        raise typer.Exit(INTERRUPTED)
    if result.failed:
        raise typer.Exit(SOME_FAILED)
