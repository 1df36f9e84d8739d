"""Lesion networks for `fourview explain`: which methods they have, and their maps of a store's lesions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import typer

from fourview.cli.app import INTERRUPTED, SOME_FAILED
from fourview.cli.progress import asked_to_stop, shown_steps
from fourview.exam import SetupError

MethodOption = Literal["gate", "mask_gate", "gradcam", "ig", "smoothgrad", "gradient", "occlusion"]
GATES = ("gate", "mask_gate")
GATE_OF = {"attention": "gate", "mask": "mask_gate"}  # kind of gate -> the method that shows it


def choose_methods(methods: Sequence[str], gate: str) -> tuple[str, ...]:
    """What `signs.read` calls them. Raises SetupError for a gate that the network does not have."""
    found = []
    for method in methods:
        if method not in get_args(MethodOption):
            raise SetupError(f"--method {method}: need one of {', '.join(get_args(MethodOption))}")
        if method in GATES and GATE_OF.get(gate) != method:
            raise SetupError(f"--method {method}: found a network with the gate {gate!r}; need one with that gate")
        found.append("gate" if method in GATES else method)
    return tuple(dict.fromkeys(found))


def explain_lesion_networks(
    inputs: Sequence[Path],
    folder: Path,
    out: Path,
    *,
    boxes: Path | None,
    spacing_mm: float | None,
    method: str,
    drawn: int,
    curves: bool,
    most: int,
    seed: int,
    device: str,
    exams: list[str] | None,
    allow_phantom_weights: bool,
) -> None:
    """Lesions of a store, or of files and a table of boxes."""
    from fourview.store.store import ABOUT_FILE, Store
    from fourview.studies.lesion.boxes import load_boxes
    from fourview.studies.lesion.lesion_reader import LesionReader, choose_device
    from fourview.studies.lesion.lesion_weights import load_lesion_weights
    from fourview.studies.lesion.read_sources import list_files
    from fourview.studies.lesion.signs.cases import find_asked
    from fourview.studies.lesion.signs.explain import explain_lesions
    from fourview.studies.lesion.signs.inputs import LesionInput, hash_inputs, list_file_lesions, list_stored_lesions
    from fourview.studies.lesion.signs.read import LesionLens
    from fourview.terminal import open_console, show_document

    loaded, where = load_lesion_weights(folder), choose_device(device)
    (chosen,) = choose_methods([method], loaded.card.network.gate)
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    if boxes is None:
        if len(inputs) != 1 or not (inputs[0] / ABOUT_FILE).is_file():
            raise SetupError(
                "lesion networks read outlined lesions: found no store as INPUT; need one (`data prepare`), or --boxes"
            )
        store = Store.open(inputs[0])
        asked_about = find_asked(store, loaded, folder, allow_phantom_weights=allow_phantom_weights)
        cases = [case for case in asked_about.cases if not exams or case.view.exam in exams]
        lens = LesionLens.open(store, loaded, methods=[chosen], device=where, seed=seed)  # type: ignore[list-item]
        found: tuple[LesionInput, ...] = list_stored_lesions(lens, store, cases)
        notes = asked_about.notes
    else:
        if exams or (inputs[0] / ABOUT_FILE).is_file():
            raise SetupError("--boxes: found a store, which has outlines of its own, or --exam; need files alone")
        reader = LesionReader(loaded, where, allow_phantom_weights)
        sources = list_files(inputs, load_boxes(boxes), loaded.card.images, spacing_mm=spacing_mm)
        lens = LesionLens.open(None, loaded, methods=[chosen], device=where, seed=seed)  # type: ignore[list-item]
        found, left_out = tuple(list_file_lesions(reader, sources)), sources.missing
        notes = ("of files nobody can tell whether the networks have learned from them",)
    if not found:
        why = f"of the exams {', '.join(exams)}" if exams else "; ".join(reason for _, reason in left_out)
        raise SetupError(f"{inputs[0]}: found no lesion {why}; need one")
    wanted = found[:most]
    settings = (
        ("weights", f"{loaded.card.name}, {loaded.card.weights_hash}"),
        ("method", method),
        ("networks drawn anew", str(drawn)),
        ("deletion and insertion", "yes" if curves else "no"),
        ("seed", str(seed)),
        *((("spacing_mm", f"{spacing_mm:g}"),) if spacing_mm else ()),
        ("lesion images", f"{len(wanted)} of {len(found)}, {hash_inputs(wanted)}"),
    )
    try:
        with asked_to_stop() as asked, shown_steps("explaining lesions") as show:

            def on_step(done: int, total: int, problem: str | None) -> None:
                show(done, total, problem)
                if asked():
                    raise KeyboardInterrupt

            document, failed = explain_lesions(
                lens,
                wanted,
                chosen,  # type: ignore[arg-type]
                out,
                drawn=drawn,
                curves=curves,
                seed=seed,
                marks=(f"{loaded.card.name}: trained on phantoms only",) if loaded.card.phantoms_only else (),
                settings=settings,
                notes=notes,
                on_step=on_step,
                left_out=left_out,
            )
    except KeyboardInterrupt:
        typer.echo("fourview: interrupted; what is done stays: run the same command again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    show_document(open_console(), document, out)
    if failed:
        raise typer.Exit(SOME_FAILED)
