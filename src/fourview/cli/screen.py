"""fourview screen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app, given_options
from fourview.cli.screen_classifier import screen_classifier
from fourview.exam import Finding, Precision, SetupError

if TYPE_CHECKING:
    from fourview.calibration import SiteCalibration
    from fourview.weights.card import Card


@app.command()
def screen(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Folders or zips of DICOM, folders of PNG, a CSV/JSON list, a mini-MIAS folder, "
            "or an upstream exam list (pickle or JSON).",
        ),
    ],
    *,
    weights: Annotated[
        str, typer.Option(help="Weights folder (also OUT/classifier), or the name of installed weights.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty (or of a run to --resume).")],
    ensemble: Annotated[
        list[str] | None, typer.Option(help="More weights, one per --ensemble; readings are means over all.")
    ] = None,
    jitter: Annotated[int, typer.Option(min=0, help="Jittered windows per exam; 0 = one exact window.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the random windows and patch grids.")] = 0,
    rng: Annotated[
        Literal["exam", "upstream"],
        typer.Option(help="exam: random numbers restart for each exam; upstream: one stream over the list."),
    ] = "exam",
    pick: Annotated[
        Literal["all", "random"] | None,
        typer.Option(
            help="Where a view has several images: use all, or pick one at random per window. "
            "Default: all; random with --rng upstream."
        ),
    ] = None,
    pixels: Annotated[
        Literal["stored", "presentation"] | None,
        typer.Option(help="Grey scale of DICOM; default: the one that the weights were trained on."),
    ] = None,
    spacing_mm: Annotated[
        float | None, typer.Option(help="Pixel size of all images, instead of what their files say.")
    ] = None,
    mirrored: Annotated[
        Literal["no", "auto"],
        typer.Option(help="auto: in files without orientation tags, find mirrored images by their pixels."),
    ] = "no",
    engine: Annotated[
        Literal["auto", "torch", "openvino"],
        typer.Option(help="What runs the networks. auto: torch on a GPU, OpenVINO on a CPU."),
    ] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(help="bf16: faster, a little different; only where the hardware has bf16 matrix units."),
    ] = "fp32",
    compare_precision: Annotated[
        bool,
        typer.Option("--compare-precision", help="Read every exam in fp32 and in bf16, and show what that changes."),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="What `fourview calibrate` wrote for readings of these weights; default: the one of the weights' card."
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of breasts (images, for single-image weights) with a malignant finding where the exams are "
            "from: adds calibrated probabilities."
        ),
    ] = None,
    prevalence_benign: Annotated[
        float | None, typer.Option(help="The same for benign findings; default: these stay uncalibrated.")
    ] = None,
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Read real mammograms with weights that were trained on phantoms only: not for real images.",
        ),
    ] = False,
    files: Annotated[
        Literal["all", "readings"],
        typer.Option(help="readings: no heatmaps, pictures and pages per exam, for batches of many thousands."),
    ] = "all",
    jobs: Annotated[int, typer.Option(min=1, help="Exams whose files are read ahead.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Write study ids and input paths into the output.")
    ] = False,
) -> None:
    """Read exams: per-breast readings, heatmaps and pictures into a folder."""
    from fourview import terminal
    from fourview.batch import ScreenOptions, screen_batch
    from fourview.engine import choose_engine
    from fourview.ingest import IngestOptions, find_exams
    from fourview.report.output_folder import check_output
    from fourview.screen import Screener
    from fourview.weights.ensemble import resolve_members
    from fourview.weights.folder import load_card
    from fourview.weights.home import is_classifier

    if compare_precision:
        from fourview.precision import PrecisionComparison, write_pairs  # with them come the statistics, half a second

    _log_to_stderr(show_ids=show_ids)
    if is_classifier(folder := Path(weights).expanduser()):
        screen_classifier(
            inputs,
            folder,
            out,
            pixels=pixels,
            spacing_mm=spacing_mm,
            mirrored=mirrored,
            device=device,
            allow_phantom_weights=allow_phantom_weights,
            show_ids=show_ids,
            jobs=jobs,
            resume=resume,
            given=given_options(context),
        )
        return
    options = ScreenOptions(
        jitter=jitter,
        seed=seed,
        rng=rng,
        pick=pick or ("random" if rng == "upstream" else "all"),
        precision=precision,
        pixels=pixels,
        spacing_mm=spacing_mm,
        mirrored=mirrored,
        show_ids=show_ids,
    )
    _check_inputs(inputs)
    check_output(out, resume=resume)
    folders = [folder for name in (weights, *(ensemble or ())) for folder in resolve_members(name)]
    cards = [load_card(folder) for folder in folders]
    shares: dict[Finding, float | None] = {"malignant": prevalence, "benign": prevalence_benign}
    site = _calibrate_site(calibration, shares, cards)
    ingest = IngestOptions(pixels=pixels or cards[0].input.pixel_mode, spacing_mm=spacing_mm, mirrored=mirrored)
    found = find_exams(inputs, ingest)

    def load(how: Precision, *, any_bf16: bool = False) -> Screener:
        chosen = choose_engine(engine, device=device, precision=how, any_bf16=any_bf16)
        return Screener.load(
            folders,
            engine=chosen,
            jitter=jitter,
            seed=seed,
            rng=rng,
            pick=pick,
            allow_phantom_weights=allow_phantom_weights,
        )

    if compare_precision and (resume or precision != "fp32" or rng != "exam"):
        raise SetupError(
            "--compare-precision reads every exam in fp32 and in bf16, with the same random numbers, in one run: "
            "without --precision, --resume and --rng upstream"
        )
    comparison = PrecisionComparison(load("fp32"), load("bf16", any_bf16=True)) if compare_precision else None
    screener = comparison or load(precision)
    with terminal.ScreenProgress(terminal.open_console(stderr=True)) as progress:
        result = screen_batch(
            found,
            screener,
            out,
            options=options,
            site=site,
            jobs=jobs,
            resume=resume,
            files=files,
            inputs={"paths": [str(path) for path in inputs]} if show_ids else None,
            on_step=progress,
        )
    if comparison is not None:
        try:
            write_pairs(out / "precision.csv", comparison.pairs)
        except OSError as error:
            raise SetupError(f"cannot write {out / 'precision.csv'}: {error.strerror or error}; need room") from error
    try:
        terminal.show_result(terminal.open_console(), result, populations=[None if site is None else str(site)])
        if comparison is not None:
            terminal.show_precision(terminal.open_console(), comparison)
    except OSError as error:
        terminal.discard_stdout()
        raise SetupError(
            f"cannot show the result on standard output ({error.strerror}); need one that can be written to. "
            f"{result.read} exams read, {len(result.failed)} failed: all of it is in {out}"
        ) from error
    if result.interrupted:
        how = "the same command with --resume" if rng == "exam" else "the same command and a new --out"
        typer.echo(f"Interrupted: {result.remaining} exams not tried. To go on: {how}.", err=True)
        raise typer.Exit(INTERRUPTED)
    if result.failed:
        raise typer.Exit(SOME_FAILED)


def _check_inputs(inputs: Sequence[Path]) -> None:
    """Raises SetupError for a member of an ensemble that was taken for an input."""
    from fourview.weights.home import is_weights

    for path in inputs:
        if is_weights(path):
            raise SetupError(f"{path}: a weights folder among the inputs; need --ensemble before each further member")


def _calibrate_site(
    calibration: Path | None, prevalence: dict[Finding, float | None], cards: Sequence[Card]
) -> SiteCalibration | None:
    """What makes calibrated numbers; None if nobody asked for them. Raises SetupError if something is missing."""
    from fourview.calibration import SiteCalibration, load_calibration

    given = {finding: share for finding, share in prevalence.items() if share is not None}
    if not given:
        if calibration is not None:
            raise SetupError("--calibration: found no --prevalence; need the share of breasts with a malignant finding")
        return None
    if calibration is not None:
        return SiteCalibration(load_calibration(calibration), given)
    own = cards[0].calibration if len(cards) == 1 else None
    if own is None:
        what = "the card of these weights has none" if len(cards) == 1 else "an ensemble has none of its own"
        raise SetupError(f"--prevalence: found no calibration, {what}; need --calibration (see `fourview calibrate`)")
    return SiteCalibration(own, given)


def _log_to_stderr(*, show_ids: bool) -> None:
    """Our log to stderr. Libraries may quote what a file says of a patient: silent unless identifiers are wanted."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if not show_ids:
        logging.captureWarnings(True)
        for name in ("py.warnings", "pydicom", "pylibjpeg"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
