"""Does a lesion network look at radiological signs? All questions, one after the other, and the page of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fourview.explain.exam_document import jpeg_bytes
from fourview.report.document import Document, Gallery, GalleryItem
from fourview.report.document_folder import add_document
from fourview.store.store import Store
from fourview.studies.lesion.signs.associations import compare_inside, measure_margins, measure_where
from fourview.studies.lesion.signs.cases import AskedLesions
from fourview.studies.lesion.signs.collect import Seen, collect_seen
from fourview.studies.lesion.signs.document import SignsFound, describe_signs, tabulate_names
from fourview.studies.lesion.signs.image import measure_signs
from fourview.studies.lesion.signs.pictures import draw_crop_map, draw_places
from fourview.studies.lesion.signs.probes import measure_probes
from fourview.studies.lesion.signs.read import LesionLens
from fourview.studies.lesion.signs.units import UnitPlaces, find_strongest, measure_units
from fourview.studies.lesion.signs.words import Token, compare_margins, list_tokens
from fourview.studies.lesion.signs.zones import find_zones

EXAMPLES = 3  # of each group
UNITS_SHOWN = 10
OnStep = Callable[[str, int, int], None]  # what is done, how many, of how many; may raise


@dataclass(frozen=True)
class SignsOptions:
    """seed  of drawn weights, folds of probes and examples;  jobs  processes that measure signs in the image"""

    seed: int = 0
    jobs: int = 1


def find_signs(
    lens: LesionLens,
    asked: AskedLesions,
    store: Store,
    out: Path,
    *,
    options: SignsOptions,
    marks: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
    on_step: OnStep,
) -> Document:
    """The document, written into OUT with lesions.csv (a row per lesion image) and units.csv.

    What an earlier call left in OUT/parts is taken. Raises SetupError: no lesion can be read, OUT cannot be written.
    """
    seen = collect_seen(
        lens, asked.cases, out, seed=options.seed, on_step=lambda done, total: on_step("reading lesions", done, total)
    )
    tokens = list_tokens(store, seen.views)
    margins = compare_margins(tokens)
    on_step("measuring", 0, 4)
    units = measure_units(seen, tokens, lens.networks)
    on_step("measuring", 1, 4)
    probes = measure_probes(seen, tokens, seed=options.seed)
    on_step("measuring", 2, 4)
    signs = measure_signs(
        store,
        seen,
        out,
        jobs=options.jobs,
        on_step=lambda done, total: on_step("measuring signs in the image", done, total),
    )
    on_step("measuring", 3, 4)
    found = SignsFound(
        title=f"{lens.card.name} and radiological signs: {store.about.get('title') or store.path.name}",
        seen=seen,
        held_out=asked.held_out,
        where=measure_where(seen, lens.methods),
        against_drawn=tuple(one for method in lens.methods if (one := compare_inside(seen, method)) is not None),
        margins=measure_margins(seen, margins, lens.methods),
        units=units,
        probes=probes,
        signs=signs,
        galleries=tuple(_show_examples(lens, seen, margins, seed=options.seed)),
        unit_galleries=_show_units(lens, seen, tokens),
        notes=(*asked.notes, *(f"not read: {name}, {why}" for name, why in seen.problems[:20])),
        marks=marks,
        settings=settings,
    )
    document = describe_signs(found)
    tables = {"lesions": tabulate_seen(seen, tokens), "units": pl.DataFrame(tabulate_names(units))}
    add_document(out, document, tables=tables)
    on_step("measuring", 4, 4)
    return document


def tabulate_seen(seen: Seen, tokens: Sequence[frozenset[Token]]) -> pl.DataFrame:
    """A row per lesion image: truth, words, what was said, and where every map lies."""
    rows = []
    for view, one, own in zip(seen.views, seen.found, tokens, strict=True):
        row: dict[str, object] = {
            "image": view.image,
            "lesion": view.lesion,
            "patient": view.patient,
            "angle": view.angle,
            "malignant": view.malignant,
            "words": "; ".join(" ".join(token) for token in sorted(own)),
            "p": one.p,
            "logit": one.logit,
        }
        for name, shares in one.shares.items():
            for zone in ("core", "margin", "outside", "lesion"):
                value = getattr(shares, zone)
                row[f"{name}: {zone}"] = value if np.isfinite(value) else None
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _show_examples(lens: LesionLens, seen: Seen, margins: np.ndarray, *, seed: int) -> list[Gallery]:
    """Lesions of four groups, drawn at random, so that nobody chose the beautiful ones."""
    rng = np.random.default_rng(seed)
    malignant = np.array([view.malignant for view in seen.views])
    items = []
    for words, chosen in (
        ("spiculated, malignant", (margins == 1) & malignant),
        ("circumscribed, malignant", (margins == 0) & malignant),
        ("spiculated, benign", (margins == 1) & ~malignant),
        ("circumscribed, benign", (margins == 0) & ~malignant),
        *((("malignant", malignant), ("benign", ~malignant)) if not (margins >= 0).any() else ()),
    ):
        places = np.flatnonzero(chosen)
        if len(places):
            for place in rng.permutation(places)[:EXAMPLES]:
                items.append(_show_example(lens, seen, int(place), words))
    note = (
        "Drawn at random. Orange: where the map says that the score comes from, each map to the end of its own scale. "
        "Thin lines: borders of core, margin and outside."
    )
    return [Gallery("examples", "Examples", tuple(items), note, large=True)] if items else []


def _show_example(lens: LesionLens, seen: Seen, place: int, words: str) -> GalleryItem:
    case, one = seen.cases[place], seen.found[place]
    crop = lens.cut(case.view)
    x, size = lens.stack(crop, case.view.name)
    maps: list[tuple[str, np.ndarray]] = [
        (str(method), lens.map(method, x, size, case.networks)) for method in lens.methods
    ]
    picture = draw_crop_map(crop, maps, find_zones(crop))
    lines = [f"p malignant {one.p:.2f}; {case.view.angle} view"]
    lines += [f"{method}: {one.shares[method].margin:.0%} along the margin" for method in lens.methods]
    return GalleryItem(words, tuple(lines), images=((f"{words}, {case.view.angle} view", jpeg_bytes(picture)),))


def _show_units(lens: LesionLens, seen: Seen, tokens: Sequence[frozenset[Token]]) -> tuple[Gallery, ...]:
    strongest = find_strongest(seen, lens.networks, most=UNITS_SHOWN)
    items = tuple(_show_unit(lens, seen, tokens, unit) for unit in strongest)
    note = (
        "The units that are most often among the eight strongest of an image (highest value times weight), and the "
        "lesions in which each was highest, one place each. Frame: orange malignant, blue benign."
    )
    return (Gallery("top_patches", "What the strongest units see", items, note, large=True),) if items else ()


def _show_unit(lens: LesionLens, seen: Seen, tokens: Sequence[frozenset[Token]], unit: UnitPlaces) -> GalleryItem:
    places = [
        (lens.cut(seen.views[int(place)]), int(cell), seen.views[int(place)].malignant)
        for place, cell in zip(unit.places, unit.cells, strict=True)
    ]
    malignant = sum(one[2] for one in places)
    said: dict[str, int] = {}
    for place in unit.places:
        for token in tokens[int(place)]:
            said[" ".join(token)] = said.get(" ".join(token), 0) + 1
    common = sorted(said.items(), key=lambda one: (-one[1], one[0]))[:4]
    weight = "" if np.isnan(unit.weight) else f", weight {unit.weight:+.3f}"
    title = f"network {unit.network + 1}, channel {unit.channel}{weight}"
    lines = (
        f"{malignant} of {len(places)} malignant",
        "; ".join(f"{words}: {count} of {len(places)}" for words, count in common),
    )
    picture = draw_places(places, lens.cells[unit.network])
    return GalleryItem(title, lines, images=((title, jpeg_bytes(picture)),))
