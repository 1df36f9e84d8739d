"""What a card says of the images its network was trained on, held against images at hand. No features are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from fourview.store.sets import FILM_SETS, PHANTOM
from fourview.weights.card import Card

Verdict = Literal["alike", "differs", "not known"]


@dataclass(frozen=True)
class CardFact:
    """what: which fact; card, images: what each says, in words; warning: "" unless they differ"""

    what: str
    card: str
    images: str
    verdict: Verdict
    warning: str = ""


def compare_with_card(rows: pl.DataFrame, card: Card) -> tuple[CardFact, ...]:
    """Pixel size, film, grey scale, phantoms or women, population. rows  of features or of a store's manifest"""
    return (_spacing(rows, card), _film(rows, card), _grey_scale(rows, card), _nature(rows, card), _population(card))


def _spacing(rows: pl.DataFrame, card: Card) -> CardFact:
    said = card.input.spacing_range_mm
    known = rows["spacing_mm"].drop_nulls() if "spacing_mm" in rows.columns else pl.Series([], dtype=pl.Float64)
    words = "not said" if said is None else f"{said[0]:g} to {said[1]:g} mm"
    if card.input.resample != "never" and card.input.spacing_mm is not None:
        words += f"; images are resampled to {card.input.spacing_mm:g} mm ({card.input.resample})"
    if not len(known) or said is None:
        images = "not said" if not len(known) else _range(known)
        return CardFact("pixel size", words, images, "not known")
    outside = int(((known < said[0] - 1e-9) | (known > said[1] + 1e-9)).sum())
    warning = (
        f"{outside} of {len(known)} images have a pixel size that was not there in training ({words})."
        if outside
        else ""
    )
    return CardFact("pixel size", words, _range(known), "differs" if outside else "alike", warning)


def _range(known: pl.Series) -> str:
    low, high = (float(str(value)) for value in (known.min(), known.max()))
    return f"{low:g} mm" if low == high else f"{low:g} to {high:g} mm"


def _film(rows: pl.DataFrame, card: Card) -> CardFact:
    films = rows.filter(pl.col("dataset").is_in(FILM_SETS)).height
    images = "films" if films == rows.height else f"{films} films of {rows.height}" if films else "no known film set"
    trained = "digitised films" if card.input.film else "not films, or not said"
    if not card.input.film and not films:
        return CardFact("film or digital", trained, images, "not known")
    if card.input.film and films < rows.height:
        warning = f"The network was trained on digitised films; {rows.height - films} images are of no known film set."
    elif not card.input.film and films:
        warning = (
            f"{films} images are digitised films, and the card does not say that the network was trained on films."
        )
    else:
        return CardFact("film or digital", trained, images, "alike")
    return CardFact("film or digital", trained, images, "differs", warning)


def _grey_scale(rows: pl.DataFrame, card: Card) -> CardFact:
    wanted = card.input.pixel_mode
    if "pixel_mode" not in rows.columns:
        return CardFact("grey scale", wanted, "not said (a store says it)", "not known")
    modes = sorted({mode for mode in rows["pixel_mode"].to_list() if mode})
    other = rows.filter(
        pl.col("pixel_mode").is_in(["stored", "presentation"]) & (pl.col("pixel_mode") != wanted)
    ).height
    warning = f"{other} images are in another grey scale than the network was trained on ({wanted})." if other else ""
    unsure = not other and modes != [wanted]
    return CardFact("grey scale", wanted, ", ".join(modes), _judge(other, unsure=unsure), warning)


def _judge(count: int, *, unsure: bool) -> Verdict:
    return "differs" if count else "not known" if unsure else "alike"


def _nature(rows: pl.DataFrame, card: Card) -> CardFact:
    phantoms = rows.filter(pl.col("dataset") == PHANTOM).height
    images = "phantoms" if phantoms == rows.height else f"{rows.height - phantoms} images of women"
    training = card.training
    if training.trained is False:
        return CardFact("trained on", "nothing", images, "differs", "The network is untrained: a null and no more.")
    words = "phantoms alone" if training.phantoms_only else "images of women" if training.trained else "nobody can tell"
    if training.phantoms_only and phantoms < rows.height:
        return CardFact(
            "trained on", words, images, "differs", "The network saw nothing but phantoms: not for real images."
        )
    if not training.phantoms_only and training.trained and phantoms:
        return CardFact("trained on", words, images, "differs", f"{phantoms} images are phantoms.")
    return CardFact("trained on", words, images, "alike" if training.trained else "not known")


def _population(card: Card) -> CardFact:
    words = card.training.population or card.training.data or "not said"
    return CardFact("population", words, "compare by eye", "not known")
