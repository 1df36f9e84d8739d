"""Readings of lesions as a folder: tables, failures, and a page with every lesion's crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from fourview.report.document import Document, Gallery, GalleryItem, Section, Table
from fourview.report.document_folder import write_document
from fourview.report.picture import encode_small
from fourview.report.versions import package_versions
from fourview.studies.lesion.lesion_picture import draw_lesion
from fourview.studies.lesion.lesion_reader import LesionReader
from fourview.studies.lesion.measures import Worth, measure_lesions
from fourview.studies.lesion.page import worth_table
from fourview.studies.lesion.read import join_thresholds
from fourview.studies.lesion.readings import LesionReading, LesionReadings

ROWS = 500  # of the page; lesions.csv has all
_MEANS = (
    "p is the networks' answer to one question: was this outlined lesion malignant? It ranks lesions and is not "
    "calibrated: 0.3 does not mean 30 in 100. Both views count alike; a lesion seen in one view has that view's answer."
)


def write_readings(
    out: Path, readings: LesionReadings, readers: Sequence[LesionReader], *, synthetic: bool, learned: bool
) -> Document:
    """OUT/lesions.csv, views.csv, failures.csv and report.html, whole or not at all; the document.

    synthetic  all images are phantoms;  learned  the networks learned from these lesions
    Raises SetupError if `out` is not new or empty, or cannot be written.
    """
    failures = pl.DataFrame(
        list(readings.failures), schema=dict.fromkeys(("exam", "what", "reason"), pl.String), orient="row"
    )
    tables = {"lesions": readings.table(), "views": readings.view_table(), "failures": failures}
    document = describe_readings(readings, readers, synthetic=synthetic, learned=learned)
    write_document(out, document, tables=tables)
    return document


def describe_readings(
    readings: LesionReadings, readers: Sequence[LesionReader], *, synthetic: bool, learned: bool = False
) -> Document:
    """The page. learned: these lesions are those that the networks learned from"""
    cards, threshold = [reader.weights.card for reader in readers], join_thresholds(readers)
    worth = measure_readings(readings.lesions, threshold=threshold)
    return Document(
        kind="lesions",
        title=f"Lesions read by {' and '.join(card.name for card in cards)}",
        headline=tuple(one.area for one in worth if one.area is not None)[:3],
        sections=(*_lesions(readings, synthetic=synthetic), *_worth(worth), *_failures(readings), _weights(readers)),
        warnings=tuple(_warn(readers, synthetic=synthetic, learned=learned)),
        methods=(_MEANS,),
        settings=(
            *(("weights", f"{card.name}, {card.weights_hash}") for card in cards),
            ("threshold", f"{threshold:.4g}"),
        ),
        versions=package_versions(),
    )


def measure_readings(lesions: Sequence[LesionReading], *, threshold: float) -> tuple[Worth, ...]:
    """What the answers are worth on those lesions whose truth is known; () where one class alone is."""
    rows = [
        {
            "patient": one.patient,
            "malignant": one.malignant,
            "fold": 0,
            "p_cc": one.p_cc,
            "p_mlo": one.p_mlo,
            "p": one.p,
        }
        for one in lesions
        if one.malignant is not None
    ]
    schema = {
        "patient": pl.String,
        "malignant": pl.Boolean,
        "fold": pl.Int64,
        **dict.fromkeys(("p_cc", "p_mlo", "p"), pl.Float64),
    }
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if not 0 < int(table["malignant"].sum()) < table.height:
        return ()
    return measure_lesions(table, {0: dict.fromkeys(("p_cc", "p_mlo", "p"), threshold)})


def _lesions(readings: LesionReadings, *, synthetic: bool) -> Iterator[Section]:
    ordered = sorted(readings.lesions, key=lambda one: -one.p)
    rows = tuple(
        (one.exam, one.side, one.lesion, one.p_cc, one.p_mlo, one.p, "yes" if one.called else "no", _truth(one))
        for one in ordered[:ROWS]
    )
    columns = ("exam", "side", "lesion", "CC", "MLO", "p", "called", "truth")
    shown = f" The first {ROWS} of {len(ordered):,}; lesions.csv has all." if len(ordered) > ROWS else ""
    table = Table("lesions", f"{len(ordered):,} lesions", columns, rows, "The most suspicious first." + shown)
    items = tuple(_item(one, synthetic=synthetic) for one in ordered if one.views[0].crop is not None)
    note = (
        "Crops as the networks read them, all facing right, darkest and brightest 0.5 % of the breast cut off. Thin "
        "line: the outline that was given. Truth, where it is known, was not shown to the networks."
    )
    gallery = (Gallery("crops", "Crops", items, note, large=True),) if items else ()
    yield Section("lesions", "Lesions", (table, *gallery), (_MEANS,))


def _item(one: LesionReading, *, synthetic: bool) -> GalleryItem:
    ordered = sorted(one.views, key=lambda view: (view.view.angle, view.image))
    views = [(f"{view.view} {view.answer.p:.3f}", view.crop) for view in ordered if view.crop is not None]
    picture = draw_lesion(views, synthetic=synthetic)
    sizes = [f"{view.diameter_mm:.0f} mm" for view in ordered if view.diameter_mm is not None]
    size = f"diameter {' and '.join(dict.fromkeys(sizes))}" if sizes else "size unknown"
    lines = (f"p {one.p:.3f}{', called' if one.called else ''}; truth: {_truth(one)}", size, *one.warnings)
    alternative = f"{one.exam} {one.side} {one.lesion}{', synthetic' if synthetic else ''}"
    encoded = encode_small(picture, rows=picture.shape[0], cols=picture.shape[1])
    return GalleryItem(f"{one.exam} {one.side} {one.lesion}", lines, images=((alternative, encoded),))


def _truth(one: LesionReading) -> str:
    return "unknown" if one.malignant is None else "malignant" if one.malignant else "benign"


def _worth(worth: Sequence[Worth]) -> Iterator[Section]:
    if worth:
        note = "Of the lesions whose truth is known; the last three columns at the card's threshold."
        yield Section("worth", "Against the truth", (worth_table("worth", "Known lesions", worth, note=note),))


def _failures(readings: LesionReadings) -> Iterator[Section]:
    if readings.failures:
        table = Table("failures", "Not read", ("exam", "what", "reason"), readings.failures[:ROWS])
        yield Section("failures", "Not read", (table,))


def _weights(readers: Sequence[LesionReader]) -> Section:
    parts = [table for place, reader in enumerate(readers, start=1) for table in _describe_weights(reader, place)]
    text = ("The answers of these weights are averaged, lesion by lesion.",) if len(readers) > 1 else ()
    return Section("weights", "Networks", tuple(parts), text)


def _describe_weights(reader: LesionReader, place: int) -> Iterator[Table]:
    card = reader.weights.card
    network = card.network
    facts = (
        ("architecture", f"{network.architecture}, {network.width_mult:g} of its channels, gate: {network.gate}"),
        ("networks", len(card.members)),
        ("crops", f"{card.crop.scale} x the outline, {card.crop.side_px} pixels"),
        ("averaged", f"{card.ensemble.mean} of networks{', eight forms' if card.ensemble.dihedral else ''} and views"),
        ("learned from", card.data),
        ("kinds of lesions", ", ".join(card.kinds)),
        ("began with", card.start or "drawn values"),
        ("terms", card.terms),
    )
    end = "" if place == 1 else f"_{place}"
    yield Table(f"weights{end}", card.name, ("what", "value"), facts)
    if card.measured is not None:
        found = card.measured
        interval = "no interval" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"
        measured = ((f"{found.auc:.3f}", interval, found.lesions, found.patients, found.of),)
        columns = ("AUC", "95 %", "lesions", "patients", "of")
        yield Table(f"measured{end}", f"What {card.name} was worth when it was made", columns, measured)


def _warn(readers: Sequence[LesionReader], *, synthetic: bool, learned: bool) -> Iterator[str]:
    yield from dict.fromkeys(mark for reader in readers for mark in reader.marks)
    if synthetic:
        yield "Phantoms: nobody was imaged, and nothing here is about women."
    if learned:
        yield "These networks learned from images of this store: the numbers flatter them."
