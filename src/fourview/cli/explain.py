"""fourview explain: where scores come from, what networks like best, and whether they look at radiological signs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from fourview.cli.app import INTERRUPTED, SOME_FAILED, app
from fourview.cli.explain_lesions import GATES, MethodOption, explain_lesion_networks
from fourview.cli.progress import asked_to_stop, shown_steps
from fourview.exam import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fourview.explain.explain_exams import ExplainStep, Source
    from fourview.explain.explainer import Explainer
    from fourview.weights.card import Card

MAPS = "maps"
MOST_LESIONS = 24  # images, on one page


class _Verbs(TyperGroup):
    """`fourview explain INPUT ...` is `fourview explain maps INPUT ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer's own Context, or click's in older ones
        own = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if not args or args[0] in own else [MAPS, *args])


explain_app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    help="Where scores come from. `fourview explain INPUT ...` is `fourview explain maps INPUT ...` (write ./signs for "
    "a folder of that name).",
)
app.add_typer(explain_app, name="explain")


@explain_app.command()
def maps(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Exams as `fourview screen` reads them, or a prepared store."),
    ],
    *,
    weights: Annotated[
        str, typer.Option(metavar="W", help="Weights of an exam, a patch or a lesion network: folder or name.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder: new, or of the same command, which goes on.")],
    method: Annotated[
        MethodOption, typer.Option(help="gate and mask_gate: of lesion networks that have one.")
    ] = "gradcam",
    finding: Annotated[Literal["malignant", "benign"], typer.Option(help="Whose score is explained.")] = "malignant",
    exam: Annotated[
        list[str] | None, typer.Option("--exam", help="Of a store, this exam alone; may come several times.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="BOXES.csv", help="Lesion networks, of files: which lesions, as for `lesion read`."),
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="At most so many exams; of lesions so many images (24).")
    ] = None,
    drawn: Annotated[
        int | None,
        typer.Option(min=0, help="Networks with weights drawn anew, to test the maps. Default: 1; of lesions 3."),
    ] = None,
    curves: Annotated[bool, typer.Option("--curves/--no-curves", help="Test by deletion and insertion.")] = True,
    patches: Annotated[int, typer.Option(min=1, help="Highest patches of an image (patch network alone).")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of patch grids, noise, drawn weights and controls.")] = 0,
    pixels: Annotated[
        Literal["stored", "presentation"] | None,
        typer.Option(help="Grey scale of DICOM; default: the one that the weights were trained on."),
    ] = None,
    spacing_mm: Annotated[
        float | None, typer.Option(help="Pixel size of all images, instead of what their files say.")
    ] = None,
    engine: Annotated[
        Literal["auto", "torch", "openvino"], typer.Option(help="What slides the patch network.")
    ] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Explain real mammograms with weights that were trained on phantoms only: not for real images.",
        ),
    ] = False,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Write study ids, or a store's names of exams, beside their hashes.")
    ] = False,
) -> None:
    """Where in each image a score comes from, over the mammogram; and whether the map can be trusted.

    Interrupted or killed, the same command goes on. Exit status 1: some exams could not be explained.
    """
    from fourview.weights.home import find_lesion_weights

    if (folder := find_lesion_weights(weights)) is not None:
        if finding != "malignant":
            raise SetupError(
                "--finding benign: a lesion network weighs one against the other; its map is that of malignant"
            )
        if pixels or show_ids:
            raise SetupError(
                "--pixels, --show-ids: found a lesion network, which reads the grey scale that it learned, and whose "
                "pages have the names that the store or the table of lesions has; leave them out"
            )
        explain_lesion_networks(
            inputs,
            folder,
            out,
            boxes=boxes,
            spacing_mm=spacing_mm,
            method=method,
            drawn=3 if drawn is None else drawn,
            curves=curves,
            most=most or MOST_LESIONS,
            seed=seed,
            device=device,
            exams=exam,
            allow_phantom_weights=allow_phantom_weights,
        )
        return
    if boxes is not None:
        raise SetupError("--boxes: found weights of no lesion network; exams are explained whole")
    from fourview.explain.explain_exams import hash_sources
    from fourview.explain.explainer import Explainer, MapTests
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_weights

    if method in GATES:
        raise SetupError(f"--method {method}: found weights of no lesion network; need one with a gate")
    loaded = load_weights(resolve_member(weights))
    tests = MapTests(drawn=1 if drawn is None else drawn, curves=curves)
    explainer = Explainer(
        loaded,
        method=method,  # type: ignore[arg-type] # gates were refused
        finding=finding,
        tests=tests,
        patches=patches,
        engine=engine,
        device=device,
        seed=seed,
        allow_phantom_weights=allow_phantom_weights,
    )
    found, left_out = _find(inputs, loaded.card, exams=exam, pixels=pixels, spacing_mm=spacing_mm)
    sources = found[:most]
    settings = (
        ("weights", f"{loaded.card.name}, {loaded.card.weights_hash}"),
        ("method", method),
        ("finding", finding),
        ("networks drawn anew", str(tests.drawn)),
        ("deletion and insertion", "yes" if curves else "no"),
        *((("patches of an image", str(patches)),) if loaded.exam is None else ()),
        ("seed", str(seed)),
        *((("pixels", pixels),) if pixels else ()),
        *((("spacing_mm", f"{spacing_mm:g}"),) if spacing_mm else ()),
        ("exams", f"{len(sources)}, {hash_sources(sources)}"),
        *((("own names of exams", "shown"),) if show_ids else ()),
    )
    _run(sources, explainer, out, settings, left_out, show_ids=show_ids)


def _find(
    inputs: Sequence[Path], card: Card, *, exams: list[str] | None, pixels: str | None, spacing_mm: float | None
) -> tuple[list[Source], dict[str, str]]:
    """The exams of a store, or of files; and the files that are in none of them, with the reason."""
    from fourview.explain.explain_exams import from_files
    from fourview.explain.store_exams import find_stored
    from fourview.ingest import IngestOptions, find_exams
    from fourview.store.store import ABOUT_FILE, Store

    if len(inputs) == 1 and (inputs[0] / ABOUT_FILE).is_file():
        found: list[Source] = list(find_stored(Store.open(inputs[0]), exams=exams))
        if not found:
            raise SetupError(f"{inputs[0]}: found no exam with prepared images; need one")
        return found, {}
    if exams:
        raise SetupError("--exam: found no store; need one, or name the exam's files as INPUT")
    options = IngestOptions(pixels=pixels or card.input.pixel_mode, spacing_mm=spacing_mm)  # type: ignore[arg-type]
    seen = find_exams(inputs, options)
    left_out = dict([*seen.left_out, *(one for source in seen.exams for one in source.left_out)])
    return list(from_files(iter(seen.exams))), left_out


def _run(
    sources: Sequence[Source],
    explainer: Explainer,
    out: Path,
    settings: tuple[tuple[str, str], ...],
    left_out: dict[str, str],
    *,
    show_ids: bool,
) -> None:
    from fourview.explain.explain_exams import explain_exams
    from fourview.terminal import open_console, show_document

    try:
        with _shown() as on_step:
            document, problems = explain_exams(
                sources, explainer, out, settings=settings, on_step=on_step, left_out=left_out, show_ids=show_ids
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    console = open_console()
    show_document(console, document, out)
    if problems:
        console.print(f"{len(problems)} exams or files could not be explained.", soft_wrap=True)
        raise typer.Exit(SOME_FAILED)


@contextmanager
def _shown() -> Iterator[Callable[[ExplainStep], None]]:
    """Shows how far it is; between two pieces of work Ctrl-C and SIGTERM end it (KeyboardInterrupt)."""
    with asked_to_stop() as asked, ExitStack() as open_bars:
        show = open_bars.enter_context(shown_steps("explaining exams"))

        def on_step(step: ExplainStep) -> None:
            show(step.done, step.total, step.problem and f"{step.exam}: {step.problem}")
            if asked():
                raise KeyboardInterrupt

        yield on_step
