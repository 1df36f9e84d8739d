"""fourview explain prototypes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fourview.cli.app import INTERRUPTED
from fourview.cli.explain import explain_app
from fourview.cli.progress import asked_to_stop, shown_steps
from fourview.exam import SetupError


@explain_app.command()
def prototypes(
    *,
    weights: Annotated[str, typer.Option(metavar="W", help="Weights of a patch or a lesion network.")],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="STORE", help="Begin with its lesions and class means too, and stay within their values."),
    ] = None,
    lesions: Annotated[int, typer.Option(min=0, help="Real lesions of each class to begin with.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="Of the optimiser.")] = 300,
    member: Annotated[int, typer.Option(min=1, help="Which network of lesion weights.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of noise, shifts, flips and the choice of lesions.")] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    allow_phantom_weights: Annotated[
        bool,
        typer.Option(
            "--allow-phantom-weights",
            help="Begin with real lesions for weights that were trained on phantoms only: not for real images.",
        ),
    ] = False,
) -> None:
    """Input optimisation: what "malignant" and "benign" look like to a network."""
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.store.store import Store
    from fourview.studies.lesion.lesion_reader import choose_device
    from fourview.studies.lesion.signs import prototypes as sheet
    from fourview.terminal import open_console, show_document
    from fourview.weights.home import find_lesion_weights

    check_report_folder(out)
    where = choose_device(device)
    store = None if data is None else Store.open(data)
    folder = find_lesion_weights(weights)
    if folder is not None:
        from fourview.studies.lesion.lesion_weights import load_lesion_weights

        own = load_lesion_weights(folder)
        target: Any = sheet.lesion_target(own, member=member, device=where)
        name, hashed, side, kinds = own.card.name, own.card.weights_hash, own.card.crop.side_px, own.card.kinds
        read = None if store is None else sheet.lesion_inputs(store, own)
        phantoms_only = own.card.phantoms_only
        marks: tuple[str, ...] = ()
    else:
        from fourview.weights.ensemble import resolve_member
        from fourview.weights.folder import load_weights

        loaded = load_weights(resolve_member(weights))
        target = sheet.patch_target(loaded, device=where)
        card = loaded.card
        name, hashed, side = card.name, card.weights_hash, card.patch.side_px if card.patch else 0
        kinds = ("mass", "calcification", "distortion", "asymmetry")
        read = None if store is None else sheet.patch_inputs(store, card)
        marks = () if card.training.trained else (f"{name}: untrained weights, what they like means nothing",)
        phantoms_only = card.training.phantoms_only
    marks += (f"{name}: trained on phantoms only",) if phantoms_only else ()
    inputs = sheet.find_inputs(
        store,
        read or _no_input,
        kinds=kinds,
        side_px=side,
        lesions=lesions,
        steps=steps,
        seed=seed,
        phantoms_only=phantoms_only and not allow_phantom_weights,
    )
    try:
        with asked_to_stop() as asked, shown_steps("optimising inputs") as show:

            def on_step(done: int, total: int) -> None:
                show(done, total, None)
                if asked():
                    raise KeyboardInterrupt

            made = sheet.make_prototypes(target, inputs, seed=seed, device=where, on_step=on_step)
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    settings = (
        ("weights", f"{name}, {hashed}"),
        ("store", "none" if store is None else str(store.about.get("dataset", ""))),
        ("steps", str(steps)),
        ("seed", str(seed)),
        *((("network", str(member)),) if folder is not None else ()),
    )
    document = sheet.describe_prototypes(
        made, title=name, words=target.words, marks=marks, notes=inputs.notes, settings=settings
    )
    write_document(out, document)
    show_document(open_console(), document, out)


def _no_input(view: Any) -> Any:
    raise SetupError("found no store to read lesions from")
