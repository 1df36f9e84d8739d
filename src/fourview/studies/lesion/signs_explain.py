"""Lesions explained one by one: where in the mammogram the score of each comes from, and whether the map holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import Box, ExamError, SetupError, Side
from fourview.explain.baseline import blur_inputs
from fourview.explain.exam_document import describe_methods, jpeg_bytes
from fourview.explain.exam_pictures import SMOOTHED, UNTESTED
from fourview.explain.exam_target import SIDE_WORDS
from fourview.explain.lesion_target import LesionTarget
from fourview.explain.located import Localisation, judge_localisation, localise
from fourview.explain.maps_document import LOCATED_NOTE, measure_located
from fourview.explain.methods import METHODS
from fourview.explain.sanity import Check, compare_with_drawn, delete_and_insert, draw_anew, judge_curves
from fourview.explain.source_map import SourceMap
from fourview.explain.store_exams import COLUMNS, read_mammogram, unfold
from fourview.report.document import Document, Gallery, GalleryItem, Section, Table, estimate_table
from fourview.report.document_folder import add_document
from fourview.report.map_picture import MapFact, MapShown, draw_map, scale_limit, smooth_values
from fourview.report.picture import Picture, png_bytes
from fourview.report.versions import package_versions
from fourview.studies.lesion.answers import answer_crops
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.signs_cases import AskedLesion
from fourview.studies.lesion.signs_read import INPUT, LesionLens, LesionMethod
from fourview.whole_files import whole_folder

Array = NDArray[np.float32]
GATE_TITLE, GATE_SAYS = "gate", "what the network lets through of its last map"
LESIONS = "lesions"


@dataclass(frozen=True, eq=False)
class LesionMap:
    """One lesion image. p, log_odds  of malignant;  map  in the pixels of the file, `in_crop` in those of the crop"""

    view: LesionView
    p: float
    log_odds: float
    map: SourceMap
    in_crop: Array
    checks: tuple[Check, ...]
    localisation: Localisation | None

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.passed is False)


def explain_lesion(
    lens: LesionLens, case: AskedLesion, method: LesionMethod, *, drawn: int, curves: bool, seed: int
) -> LesionMap:
    """The map of one lesion image and its tests, the mean over its networks. Raises ExamError for a broken file.

    drawn  networks with weights drawn anew that it is compared with, of each
    """
    crop = lens.cut(case.view)
    x, size = lens.stack(crop, case.view)
    networks = [lens.networks[n] for n in case.networks]
    said = answer_crops(networks, x, size, dihedral=lens.card.ensemble.dihedral)
    found = lens.map(method, x, size, case.networks)
    tissue = crop.pixels > 0
    checks = [] if (found > 0).any() else [Check("empty", False, 0.0, 0.0, "shows nothing: nothing raises the score")]
    if drawn:
        others = []
        for number in range(drawn):
            anew = {n: draw_anew(lens.networks[n], seed=seed + 1 + number) for n in case.networks}
            chosen = [anew.get(n, network) for n, network in enumerate(lens.networks)]
            others.append(lens.map(method, x, size, case.networks, chosen=chosen))  # type: ignore[arg-type]
        checks.append(compare_with_drawn(found, others, tissue, signed=is_signed(method)))
    if curves:
        inputs = {INPUT: x}
        baselines = blur_inputs(inputs)
        pairs = [
            delete_and_insert(
                LesionTarget(network, size), INPUT, found, inputs, baselines=baselines, tissue=tissue, seed=seed
            )
            for network in networks
        ]
        checks += judge_curves([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    local = localise(found, crop.mask, tissue)
    if local is not None:
        checks += judge_localisation(local)
    placed = place_crop(found, crop)
    return LesionMap(case.view, float(said.p[0]), float(said.logit[0]), placed, found, tuple(checks), local)


def is_signed(method: LesionMethod) -> bool:
    """Whether negative values of its maps mean something."""
    return method != "gate" and METHODS[method].signed


def place_crop(values: Array, crop: LesionCrop) -> SourceMap:
    """A map of the crop in the pixels and the direction of the file; what lies beyond the stored breast is left out."""
    rows, cols = crop.frame.source_shape
    side = len(values)
    corners = np.array([[-0.5, -0.5, 1], [side - 0.5, -0.5, 1], [-0.5, side - 0.5, 1], [side - 0.5, side - 0.5, 1]])
    x, y = corners @ crop.to_source.T[:, 0], corners @ crop.to_source.T[:, 1]
    inner = crop.frame.box
    left, right = max(inner.left, round(float(x.min()) + 0.5)), min(inner.right, round(float(x.max()) + 0.5))
    top, bottom = max(inner.top, round(float(y.min()) + 0.5)), min(inner.bottom, round(float(y.max()) + 0.5))
    box = Box(top, max(bottom, top + 1), left, max(right, left + 1))
    way = crop.to_source.copy()
    way[:, 2] -= (box.left, box.top)
    factor = abs(float(way[0, 0]))
    if factor < 1:  # several pixels of the crop become one
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.5 / factor), np.float32)
    placed = cv2.warpAffine(
        values, way, (box.width, box.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return SourceMap((rows, cols), box, np.asarray(placed, np.float32), box)


def explain_lesions(
    lens: LesionLens,
    cases: Sequence[AskedLesion],
    method: LesionMethod,
    out: Path,
    *,
    drawn: int,
    curves: bool,
    seed: int,
    marks: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    on_step: Callable[[int, int, str | None], None],
) -> tuple[Document, int]:
    """OUT/report.html, maps.csv, a PNG and an array of each lesion image, whole or not at all; how many were not read.

    on_step  done, total, problem; may raise. Raises SetupError if OUT is there, or if no lesion can be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"output {out}: exists and is not an empty folder; name a new one")
    rows = {row["image"]: row for row in lens.store.images.select(COLUMNS).iter_rows(named=True)}
    problems: list[tuple[str, str]] = []
    found: list[tuple[LesionMap, Picture]] = []
    with whole_folder(out.absolute()) as part:
        for number, case in enumerate(cases):
            problem = None
            try:
                one = explain_lesion(lens, case, method, drawn=drawn, curves=curves, seed=seed)
                picture = draw_lesion_map(lens, rows[case.view.image], one, method, marks=marks)
            except ExamError as error:
                problem = str(error)
                problems.append((case.view.name, problem))
            else:
                name = f"{number + 1:04d}"
                (part / LESIONS).mkdir(exist_ok=True)
                (part / LESIONS / f"{name}.png").write_bytes(png_bytes(picture))
                box = one.map.box
                np.savez_compressed(
                    part / LESIONS / f"{name}.npz",
                    values=one.map.inside,
                    box=np.array([box.top, box.bottom, box.left, box.right]),
                    shape=np.array(one.map.source_shape),
                )
                found.append((one, picture))
            on_step(number + 1, len(cases), problem)
        if not found:
            raise SetupError(f"{lens.store.path}: found no lesion that could be read; the first: {problems[0][1]}")
        table = tabulate_lesion_maps([one for one, _ in found])
        document = describe_lesion_maps(
            found, table, method, title=lens.card.name, marks=marks, settings=settings, notes=notes, problems=problems
        )
        add_document(part, document, tables={"maps": table})
    return document, len(problems)


def draw_lesion_map(
    lens: LesionLens, row: Mapping[str, Any], one: LesionMap, method: LesionMethod, *, marks: tuple[str, ...]
) -> Picture:
    """The lesion's surroundings in the direction of the file, plain and with the map (report.map_picture)."""
    view = one.view
    mammogram = read_mammogram(lens.store, row)
    outline = unfold(lens.store.read_masks(view.image)[view.lesion], row)
    title, says = (GATE_TITLE, GATE_SAYS) if method == "gate" else (METHODS[method].title, METHODS[method].says)
    values = smooth_values(one.map.inside, one.map.seen) if method in SMOOTHED else one.map.inside
    facts = [
        MapFact(f"the reading of this image: p malignant {one.p:.3f}"),
        MapFact(f"log-odds of malignant {one.log_odds:.2f}"),
        MapFact(f"known: {'malignant' if view.malignant else 'benign'}"),
    ]
    if not any(check.name in ("weights drawn anew", "deletion") for check in one.checks):
        facts.append(MapFact(UNTESTED, passed=False))
    facts += [MapFact(check.says, passed=check.passed) for check in one.checks]
    shown = MapShown(
        title=f"Lesion of the {SIDE_WORDS[Side(view.side)]} breast, {view.angle} view",
        subtitle=f"{title}: {says}" + (". Blurred for looking at" if method in SMOOTHED else ""),
        box=one.map.box,
        values=values,
        seen=one.map.seen,
        signed=is_signed(method),
        limit=scale_limit([values]),
        outline=outline,
        facts=tuple(facts),
        marks=marks,
    )
    return draw_map(mammogram, shown)


def tabulate_lesion_maps(maps: Sequence[LesionMap]) -> pl.DataFrame:
    """One row per lesion image."""
    rows = []
    for one in maps:
        checks = {check.name: check for check in one.checks}
        local = one.localisation
        rows.append(
            {
                "image": one.view.image,
                "lesion": one.view.lesion,
                "patient": one.view.patient,
                "angle": one.view.angle,
                "malignant": one.view.malignant,
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
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def describe_lesion_maps(
    found: Sequence[tuple[LesionMap, Picture]],
    table: pl.DataFrame,
    method: LesionMethod,
    *,
    title: str,
    marks: Sequence[str],
    settings: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    problems: Sequence[tuple[str, str]],
) -> Document:
    """The page of all lesions."""
    failed = sum(bool(one.failures) for one, _ in found)
    warnings = [*marks]
    if failed:
        warnings.append(f"{failed} of {len(found)} maps fail a test: what they show is no explanation")
    items = tuple(_item(one, picture) for one, picture in found)
    located = measure_located(table)
    sections = [Section("maps", "Lesions", (Gallery("maps", "Maps", items, large=True),))]
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
        methods=() if method == "gate" else describe_methods(method),
        settings=(*settings, *(("note", note) for note in notes)),
        versions=package_versions(),
    )


def _item(one: LesionMap, picture: Picture) -> GalleryItem:
    view = one.view
    words = "malignant" if view.malignant else "benign"
    title = f"{view.lesion}, {view.angle}: {words}, p {one.p:.2f}"
    lines = (f"THIS MAP FAILS: {'; '.join(c.says for c in one.failures)}",) if one.failures else ()
    return GalleryItem(title, lines, images=((title, jpeg_bytes(picture)),))


def _value(check: Check | None) -> float | None:
    return None if check is None else check.value
