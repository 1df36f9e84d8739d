"""Explained lesions as pictures, a table and a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from fourview.exam import Side
from fourview.explain.exam_document import HOW, HOW_TESTED
from fourview.explain.exam_pictures import SMOOTHED, UNTESTED
from fourview.explain.exam_target import SIDE_WORDS
from fourview.explain.maps_document import LOCATED_NOTE, measure_located
from fourview.explain.methods import METHODS
from fourview.explain.sanity import Check, is_tested
from fourview.report.document import Document, Gallery, GalleryItem, Section, Table, estimate_table
from fourview.report.map_picture import MapFact, MapShown, draw_map, scale_limit, smooth_values
from fourview.report.picture import Picture
from fourview.report.versions import package_versions
from fourview.studies.lesion.signs.lesion_map import LesionMap, is_signed
from fourview.studies.lesion.signs.pictures import draw_crop_map
from fourview.studies.lesion.signs.read import LesionMethod
from fourview.studies.lesion.signs.zones import find_zones

FOLDER = "lesions"  # of the run's, with a folder per lesion image
GATE_ENDS = ("shut", "open")
GATE_TITLE, GATE_SAYS = "gate", "what the network lets through of its last map"


def draw_lesion_map(one: LesionMap, method: LesionMethod, *, marks: tuple[str, ...]) -> Picture:
    """The lesion's surroundings in the direction of the file, plain and with the map (report.map_picture)."""
    lesion = one.lesion
    title, says = (GATE_TITLE, GATE_SAYS) if method == "gate" else (METHODS[method].title, METHODS[method].says)
    values = smooth_values(one.map.inside, one.map.seen) if method in SMOOTHED else one.map.inside
    facts = [
        MapFact(f"the reading of this image: p malignant {one.p:.3f}"),
        MapFact(f"log-odds of malignant {one.log_odds:.2f}"),
        MapFact(f"known: {say_truth(lesion.malignant)}"),
    ]
    if not is_tested(one.checks):
        facts.append(MapFact(UNTESTED, passed=False))
    facts += [MapFact(check.says, passed=check.passed) for check in one.checks]
    shown = MapShown(
        title=f"Lesion of the {SIDE_WORDS[Side(lesion.side)]} breast, {lesion.angle} view",
        subtitle=f"{title}: {says}" + (". Blurred for looking at" if method in SMOOTHED else ""),
        box=one.map.box,
        values=values,
        seen=one.map.seen,
        signed=is_signed(method),
        limit=scale_limit([values]),
        outline=lesion.outline,
        facts=tuple(facts),
        marks=(*marks, *lesion.warnings),
        ends=GATE_ENDS if method == "gate" else None,
        note="the scale of this image alone",
    )
    return draw_map(lesion.mammogram, shown)


def draw_channels(one: LesionMap) -> Picture | None:
    """The crop with its outline, then with each of the strongest channels; None: there are none."""
    if not one.channels:
        return None
    maps = [(f"channel {own.channel}: {own.added:+.2f}", own.values) for own in one.channels]
    return draw_crop_map(one.lesion.crop, maps, find_zones(one.lesion.crop))


def make_row(one: LesionMap) -> dict[str, Any]:
    """Of the table of all lesion images."""
    checks = {check.name: check for check in one.checks}
    local = one.localisation
    return {
        "image": one.lesion.image,
        "lesion": one.lesion.lesion,
        "patient": one.lesion.patient,
        "angle": one.lesion.angle,
        "malignant": one.lesion.malignant,
        "p": one.p,
        "log_odds": one.log_odds,
        "fails": "; ".join(check.name for check in one.failures),
        "alike_drawn_anew": _value(checks.get("weights drawn anew")),
        "deletion": _value(checks.get("deletion")),
        "insertion": _value(checks.get("insertion")),
        "pointing_hit": None if local is None else local.hit,
        "pointing_chance": None if local is None else local.chance_hit,
        "share_in_outlines": None if local is None else local.share,
        "chance_share": None if local is None else local.chance,
    }


def describe_lesion_maps(
    table: pl.DataFrame,
    items: Sequence[GalleryItem],
    method: LesionMethod,
    *,
    title: str,
    marks: Sequence[str],
    settings: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    problems: Sequence[tuple[str, str]],
) -> Document:
    """The page of all lesions. table: a row of `make_row` each;  items: of those whose pictures it shows"""
    failed = int((table["fails"] != "").sum())
    untested = int((table["alike_drawn_anew"].is_null() & table["deletion"].is_null()).sum())
    warnings = [*marks]
    if failed:
        warnings.append(f"{failed} of {len(table)} maps fail a test: what they show is no explanation")
    if untested:
        warnings.append(f"{untested} of {len(table)} maps were not tested: they may not show what the network does")
    note = CHANNELS_NOTE
    if len(items) < len(table):
        note += f" The first {len(items)} of {len(table)}; the others are pictures in the folder {FOLDER}."
    located = measure_located(table)
    sections = [Section("maps", "Lesions", (Gallery("maps", "Maps", tuple(items), note, large=True),))]
    if located:
        numbers = estimate_table("located", "All", located, note=LOCATED_NOTE)
        sections.append(Section("located", "Maps against the outlines", (numbers,)))
    if problems:
        rows = tuple(problems)
        sections.append(Section("problems", "Not read", (Table("problems", "Lesions", ("lesion", "why"), rows),)))
    word = GATE_TITLE if method == "gate" else METHODS[method].title
    return Document(
        kind="explanation",
        title=f"Where the score of a lesion comes from: {title}, {word}",
        headline=tuple(located[:2]),
        sections=tuple(sections),
        warnings=tuple(warnings),
        methods=describe_lesion_methods(method),
        settings=(*settings, *(("note", text) for text in notes)),
        versions=package_versions(),
    )


def describe_lesion_methods(method: LesionMethod) -> tuple[str, ...]:
    """How maps of lesions were made and tested, to paste into a paper."""
    if method == "gate":
        how = "the gate, from 0 to 1, which the last map is multiplied with; its cells are put where they look"
    else:
        how = f"{HOW[method]}. Without detail, or blurred: the whole crop"
    return (
        f"Each lesion image has a map of its own: {how}. The score is the log-odds of malignant of the crop as it is, "
        "neither turned nor mirrored; maps are means over the networks that were asked. They are put back into the "
        "pixels of the file.",
        HOW_TESTED,
    )


CHANNELS_NOTE = (
    "Below each map, the channels of the last map (times the gate) whose mean moves the log-odds most, by how much, "
    "each to the end of its own scale; none for networks that do not average their last map."
)


def name_lesion(one: LesionMap) -> str:
    """The heading of its pictures."""
    own = one.lesion
    return f"{own.exam}, {own.lesion}, {own.angle}: {say_truth(own.malignant)}, p {one.p:.2f}"


def say_truth(malignant: bool | None) -> str:
    """In a word."""
    return "truth unknown" if malignant is None else "malignant" if malignant else "benign"


def _value(check: Check | None) -> float | None:
    return None if check is None or not math.isfinite(check.value) else check.value
