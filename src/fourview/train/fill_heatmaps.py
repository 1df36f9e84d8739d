"""Fill a store with heatmaps: the patch network slid over every exam, as a screening does it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fourview.draws import Streams, draw_grids
from fourview.engine import Engine, ReadPatches
from fourview.exam import VIEWS, ExamError, Precision, SetupError
from fourview.heatmap import slide_patches
from fourview.prepare import Prepared
from fourview.screen import make_ahead
from fourview.store.heatmaps import HeatmapSource, PatchAnswers, StoredHeatmaps
from fourview.store.store import Store
from fourview.train.crops import read_crop
from fourview.weights.card import Card
from fourview.weights.folder import Weights

Row = Mapping[str, Any]  # of the manifest


@dataclass(frozen=True)
class FillStep:
    """One exam is done: what a progress bar needs.

    problem        None if its images have heatmaps now
    already_there  an earlier run made them
    """

    done: int
    total: int
    exam: str
    problem: str | None
    already_there: bool


@dataclass(frozen=True)
class Filled:
    """How filling went. problems: (exam, why it has no heatmaps)."""

    exams: int
    already_there: int
    problems: tuple[tuple[str, str], ...]


def fill_heatmaps(
    store: Store,
    weights: Weights,
    engine: Engine,
    *,
    seed: int = 0,
    rank: int = 0,
    ranks: int = 1,
    on_step: Callable[[FillStep], None] | None = None,
) -> Filled:
    """The heatmaps of the exams `rank`, `rank + ranks` ... of the store; those that are there already stay.

    weights  with a patch network;  engine  what runs it; answers of another precision are made anew
    seed     of the grids, as in `screen`: they start anew with every exam

    An exam is read whole, as `screen` does, so the bytes depend neither on ranks nor on where an earlier run ended.
    Raises SetupError if the store cannot be written, or without a patch network.
    """
    if weights.patch is None or weights.card.patch is None:
        raise SetupError(f"{weights.card.name}: found no patch network, need one to make heatmaps")
    exams = list_exams(store)
    own = list(exams.items())[rank::ranks]
    stored = StoredHeatmaps(store.path, weights.card.patch_hash)
    read = engine.load_patches(weights.patch, side_px=weights.card.patch.side_px)
    report = on_step or (lambda _: None)
    problems = []
    sources = {exam: name_sources(rows, seed=seed, precision=engine.precision) for exam, rows in own}
    waiting, there = [], 0
    for exam, rows in own:
        if _is_done(stored, rows, sources[exam]):
            there += 1
            report(FillStep(there, len(own), exam, None, already_there=True))
        else:
            waiting.append(exam)

    def prepare(exam: str) -> list[Prepared]:
        return [read_crop(store, row, weights.card) for row in exams[exam]]

    for number, (exam, images) in enumerate(make_ahead(prepare, waiting), start=there + 1):
        problem, answers = None, list[PatchAnswers]()
        try:
            answers = _read_exam(images.result(), weights.card, read, seed=seed)
        except ExamError as error:
            problem = str(error)
            problems.append((exam, problem))
        _write_exam(stored, exams[exam], answers or problem or "", sources[exam])
        report(FillStep(number, len(own), exam, problem, already_there=False))
    return Filled(len(own), there, tuple(problems))


def _write_exam(
    stored: StoredHeatmaps, rows: Sequence[Row], found: list[PatchAnswers] | str, sources: Sequence[HeatmapSource]
) -> None:
    """Answers or a problem of an exam, in files. Raises SetupError."""
    try:
        for place, (row, source) in enumerate(zip(rows, sources, strict=True)):
            if isinstance(found, str):
                stored.write_problem(row["blob"], found)
            else:
                stored.write(row["blob"], found[place], source)
    except OSError as error:
        raise SetupError(
            f"cannot write {stored.folder}: {error.strerror or error}; make room or fix it, then run the same command"
        ) from error


def list_exams(store: Store) -> dict[str, list[Row]]:
    """The prepared images of the four views, exam by exam, in the order in which a screening reads them."""
    columns = ["exam", "image", "view", "spacing_mm", "pixel_mode", "faces", "mirrored", "blob", "pixels_sha256"]
    exams: dict[str, list[Row]] = defaultdict(list)
    for row in store.images.filter(pl.col("view").is_not_null()).select(columns).iter_rows(named=True):
        exams[row["exam"]].append(row)
    order = {view.value: place for place, view in enumerate(VIEWS)}
    return {exam: sorted(rows, key=lambda row: order[row["view"]]) for exam, rows in exams.items()}


def name_sources(rows: Sequence[Row], *, seed: int, precision: Precision = "fp32") -> list[HeatmapSource]:
    """What the answers of an exam's images are made of, image by image."""
    pixels = [row["pixels_sha256"] for row in rows]
    how = [] if precision == "fp32" else [precision]
    of_exam = hashlib.sha256(json.dumps([seed, *pixels, *how]).encode()).hexdigest()
    return [HeatmapSource(own, of_exam) for own in pixels]


def _is_done(stored: StoredHeatmaps, rows: Sequence[Row], sources: Sequence[HeatmapSource]) -> bool:
    return all(stored.is_done(row["blob"], source) for row, source in zip(rows, sources, strict=True))


def _read_exam(images: Sequence[Prepared], card: Card, read: ReadPatches, *, seed: int) -> list[PatchAnswers]:
    """As Screener._read_patches."""
    if card.patch is None:
        raise ValueError("no patch network")
    streams = Streams()
    streams.restart(seed)
    grids = draw_grids(images, card.patch, streams)
    crops = [image.crop.pixels for image in images]
    p = slide_patches(crops, grids, read, std_floor=card.geometry.std_floor)
    return [
        PatchAnswers(grid.rows, grid.cols, grid.side_px, crop.shape, card.patch.classes, np.ascontiguousarray(answer))
        for grid, crop, answer in zip(grids, crops, p, strict=True)
    ]
