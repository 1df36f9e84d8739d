"""fourview explain signs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED
from fourview.cli.explain import explain_app
from fourview.cli.explain_lesions import GATE_OF, choose_methods
from fourview.cli.progress import asked_to_stop, shown_steps


@explain_app.command()
def signs(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A prepared set with outlined lesions.")],
    *,
    weights: Annotated[str, typer.Option(metavar="W", help="Weights of `fourview lesion train`.")],
    out: Annotated[Path, typer.Option(help="Output folder: new, or of the same command, which goes on.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD", help="As above; may come several times. Default: the gate, if there is one, and gradcam."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of drawn weights, folds of probes and examples.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that measure signs in the images.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Ask weights that were trained on phantoms only about real lesions: not for real images.",
        ),
    ] = False,
) -> None:
    """Does a lesion network look at margins, shapes and spiculation? Maps, units, probes, signs in the image.

    Lesions that a network has learned from are never asked of it. Interrupted, the same command goes on.
    """
    from fourview.explain.explain_exams import open_folder
    from fourview.store.store import Store
    from fourview.studies.lesion.lesion_reader import choose_device
    from fourview.studies.lesion.lesion_weights import load_lesion_weights
    from fourview.studies.lesion.signs.cases import find_asked
    from fourview.studies.lesion.signs.questions import SignsOptions, find_signs
    from fourview.studies.lesion.signs.read import LesionLens
    from fourview.terminal import open_console, show_document
    from fourview.weights.home import resolve_lesion_weights

    folder = resolve_lesion_weights(weights)
    loaded, opened = load_lesion_weights(folder), Store.open(store)
    gate = loaded.card.network.gate
    methods = choose_methods(method or [*(() if gate == "none" else (GATE_OF[gate],)), "gradcam"], gate)
    settings = (
        ("weights", f"{loaded.card.name}, {loaded.card.weights_hash}"),
        ("store", str(opened.about.get("dataset", ""))),
        ("methods", ", ".join(methods)),
        ("seed", str(seed)),
    )
    open_folder(out, settings)
    asked_about = find_asked(opened, loaded, folder, allow_phantom_weights=allow_phantom_weights)
    lens = LesionLens.open(opened, loaded, methods=methods, device=choose_device(device), seed=seed)  # type: ignore[arg-type]
    marks = (f"{loaded.card.name}: trained on phantoms only",) if loaded.card.phantoms_only else ()
    try:
        with asked_to_stop() as asked, ExitStack() as bars:
            shows: dict[str, Any] = {}

            def on_step(what: str, done: int, total: int) -> None:
                if what not in shows:
                    shows[what] = bars.enter_context(shown_steps(what))
                shows[what](done, total, None)
                if asked():
                    raise KeyboardInterrupt

            document = find_signs(
                lens,
                asked_about,
                opened,
                out,
                options=SignsOptions(seed, jobs),
                marks=marks,
                settings=settings,
                on_step=on_step,
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    show_document(open_console(), document, out)
