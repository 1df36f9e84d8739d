"""fourview shift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourview.cli.app import app
from fourview.exam import SetupError

if TYPE_CHECKING:
    import polars as pl


@app.command()
def shift(
    images: Annotated[
        Path,
        typer.Argument(metavar="IMAGES", help="Yours: a folder of `fourview features`; with --weights also a store."),
    ],
    training: Annotated[
        Path | None,
        typer.Argument(metavar="TRAINING", help="Features of what the weights were trained on, made in the same way."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Output folder, new or empty.")],
    weights: Annotated[
        str | None, typer.Option(metavar="W", help="Weights, folder or name: compare with what their card says.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and permutations.")] = 0,
) -> None:
    """Are your images like those that weights were trained on? A plain warning, and what it rests on."""
    from fourview.report.document_folder import check_report_folder, write_document
    from fourview.studies.transfer.feature_set import load_features
    from fourview.studies.transfer.shift import measure_shift
    from fourview.studies.transfer.shift_card import compare_with_card
    from fourview.studies.transfer.shift_document import describe_shift, tabulate_facts
    from fourview.terminal import open_console, show_document
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_card

    if training is None and weights is None:
        raise SetupError("shift: found nothing to compare with; need TRAINING (a folder of features) or --weights")
    check_report_folder(out)
    found = None if training is None else measure_shift(load_features(images), load_features(training), seed=seed)
    card = None if weights is None else load_card(resolve_member(weights))
    facts = () if card is None else compare_with_card(_load_rows(images), card)
    there = training.resolve().name if training is not None else f"the training of {card.name if card else ''}"
    names = images.resolve().name, there
    if names[0] == names[1]:
        names = f"{names[0]} (yours)", f"{names[1]} (training)"
    settings: tuple[tuple[str, str], ...] = (("images", names[0]), ("compared with", names[1]), ("seed", str(seed)))
    settings += (("weights", f"{card.name} ({card.weights_hash})"),) if card is not None else ()
    document = describe_shift(found, facts, names=names, settings=settings)
    write_document(out, document, tables={"facts": tabulate_facts(found, facts)})
    console = open_console()
    if not document.warnings:
        console.print(document.sections[0].text[0], soft_wrap=True)
    show_document(console, document, out)


def _load_rows(images: Path) -> pl.DataFrame:
    """A row per image: of features, or of a store, which says more."""
    from fourview.store.store import Store
    from fourview.studies.transfer.feature_set import CARD, load_features

    return load_features(images).rows if (images / CARD).is_file() else Store.open(images).images
