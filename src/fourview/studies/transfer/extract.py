"""Features of every image of a store, one image after the other, as a set of features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.engine import choose_engine
from fourview.exam import ExamError, SetupError
from fourview.spread import spread
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.store.women import key_women
from fourview.studies.transfer.breast_input import COLUMNS as READ
from fourview.studies.transfer.breast_input import Row, read_stored
from fourview.studies.transfer.extract_folder import KEY, ExtractFolder
from fourview.studies.transfer.extractors import find_extractor
from fourview.studies.transfer.feature_set import COLUMNS, FeatureCard, FeatureSet
from fourview.studies.transfer.open_extractor import FeatureReader, open_extractor
from fourview.weights.home import is_weights
from fourview.whole_files import writing_to

# Columns of the manifest that rows.csv has beside COLUMNS.
MORE = ("angle", "age", "vendor", "spacing_mm", "pixel_mode", "more")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What is extracted. Sent to other processes whole.

    extractor  its name;  weights, size, view  see open_extractor
    engine, device  what runs the network, see engine.choose_engine
    allow_phantom_weights  also read images that are no phantoms with weights that were trained on phantoms only
    """

    store: Path
    extractor: str
    weights: str | None = None
    size: int | None = None
    view: str | None = None
    engine: str = "auto"
    device: str = "auto"
    allow_phantom_weights: bool = False


@dataclass(frozen=True)
class FeatureStep:
    """One image is done. problem: None if it has features."""

    done: int
    total: int
    image: str
    problem: str | None


@dataclass(frozen=True)
class Extracted:
    """How it went. already_there: images that an earlier run had read; problems: (image, why it has no features)."""

    features: FeatureSet
    already_there: int
    problems: tuple[tuple[str, str], ...]


def extract_features(
    task: Task,
    out: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    on_step: Callable[[FeatureStep], None] | None = None,
) -> Extracted:
    """The features of every prepared image, written to `out` (extract_folder.py).

    resume  take what an earlier run of the same task left in `out`, finished or not; labels are those of the store now
    jobs    processes

    Images are read one by one, so the bytes do not depend on where an earlier run ended, nor on other images.
    Raises SetupError: `out` in use, another task's, or not to be written; weights that do not fit; no image readable.
    """
    _open.cache_clear()
    store, reader, engine = _open(task)
    rows = store.images
    if not rows.height:
        raise SetupError(f"{task.store}: found no prepared image, need some")
    _check_origin(task, rows, reader)
    folder = ExtractFolder(out)
    with writing_to(out):
        folder.open(_describe(reader, engine), resume=resume)
        keys = {row["image"]: make_key(reader, row) for row in rows.iter_rows(named=True)}
        there = folder.read_there(keys, dimension=reader.dimension)
        problems = _read_others(task, folder, rows, keys, there, jobs=jobs, on_step=on_step)
        if len(problems) == rows.height:
            raise SetupError(f"{task.store}: found no image that can be read; the first: {problems[0][1]}")
        kept = rows.filter(~pl.col("image").is_in([image for image, _ in problems]))
        values = np.empty((kept.height, reader.dimension), np.float32)
        for place, image in enumerate(kept["image"]):
            values[place] = there[image] if image in there else folder.read_part(keys[image])
        table = kept.select(*COLUMNS, *MORE, pl.col("image").replace_strict(keys, return_dtype=pl.String).alias(KEY))
        features = FeatureSet(values, table, _write_card(task, store, kept, reader))
        folder.close(features, problems)
    return Extracted(features, len(there), problems)


def _check_origin(task: Task, rows: pl.DataFrame, reader: FeatureReader) -> None:
    """As the Screener does: what has seen nothing but phantoms is kept from real images, unless somebody insists."""
    real = rows.filter(pl.col("dataset") != PHANTOM).height
    if reader.origin.phantoms_only and real and not task.allow_phantom_weights:
        raise SetupError(
            f"{task.store}: found {real} images that are no phantoms, and {reader.origin.name} was trained on phantoms "
            "only: not for real images; need other weights (to look all the same: --allow-phantom-weights)"
        )


@lru_cache(maxsize=1)
def _open(task: Task) -> tuple[Store, FeatureReader, str]:
    """Opened once per process: store, reader, and what runs it."""
    engine = choose_engine(task.engine, device=task.device)
    reader = open_extractor(find_extractor(task.extractor), task.weights, engine, size=task.size, view=task.view)
    return Store.open(task.store), reader, f"{engine.name} on {engine.device}"


def _describe(reader: FeatureReader, engine: str) -> dict[str, Any]:
    return {
        "format": "fourview features run 1",
        "extractor": reader.extractor.name,
        "weights": reader.origin.name,
        "weights_hash": reader.origin.hash,
        "settings": reader.settings,
        "engine": engine,
    }


def make_key(reader: FeatureReader, row: Row) -> str:
    """A name for all that an image's numbers depend on."""
    own = [row[name] for name in (*READ, "dataset", "pixels_sha256")]
    made = json.dumps([reader.origin.hash, reader.preprocessing_hash, *own])
    return f"image-{hashlib.sha256(made.encode()).hexdigest()[:32]}"  # never read as a number


@dataclass(frozen=True)
class _Work:
    """Reads one image into its part; the answer is why it could not. Sent to other processes whole."""

    task: Task
    folder: ExtractFolder

    def __call__(self, item: tuple[Row, str]) -> str | None:
        row, key = item
        store, reader, _ = _open(self.task)
        try:
            values = reader.read(read_stored(store, row, reader.card))
        except ExamError as error:
            return str(error)
        self.folder.write_part(key, values)
        return None


def _read_others(
    task: Task,
    folder: ExtractFolder,
    rows: pl.DataFrame,
    keys: Mapping[str, str],
    there: Mapping[str, Array],
    *,
    jobs: int,
    on_step: Callable[[FeatureStep], None] | None,
) -> tuple[tuple[str, str], ...]:
    """Parts of all images that are not there; (image, problem) of those that cannot be read."""
    waiting = rows.select(READ).filter(~pl.col("image").is_in(list(there)))
    items: Sequence[tuple[Row, str]] = [(row, keys[row["image"]]) for row in waiting.iter_rows(named=True)]
    report = on_step or (lambda _: None)
    report(FeatureStep(len(there), rows.height, "", None))
    problems = []
    with closing(spread(_Work(task, folder), items, jobs=jobs)) as results:
        for number, ((row, _), problem) in enumerate(zip(items, results, strict=True), start=len(there) + 1):
            if problem is not None:
                problems.append((row["image"], problem))
            report(FeatureStep(number, rows.height, row["image"], problem))
    return tuple(problems)


def _write_card(task: Task, store: Store, rows: pl.DataFrame, reader: FeatureReader) -> FeatureCard:
    """rows: those that have features"""
    origin = reader.origin
    terms = [f"images: {store.about['terms']}"]
    if origin.name:
        terms.append(f"weights: {origin.terms}")
    if origin.trained is None:
        terms.append(f"nobody can tell what {origin.name} was trained on, or whether it was")
    said = rows.select(*COLUMNS, *MORE, "pixels_sha256").write_csv()
    return FeatureCard(
        extractor=reader.extractor.name,
        name=str(store.about["title"]),
        weights=origin.name,
        weights_hash=origin.hash,
        preprocessing_hash=reader.preprocessing_hash,
        data_sha256=hashlib.sha256(said.encode()).hexdigest(),
        trained=origin.trained,
        phantoms=set(rows["dataset"]) == {PHANTOM},
        phantom_weights=origin.phantoms_only,
        known=0 if origin.learned is None else origin.learned.count_known(key_women(rows)),
        terms="; ".join(terms),
        store=str(task.store.expanduser().absolute()),
        weights_given=_name_weights(task.weights),
        size=task.size,
        view=task.view,
    )


def _name_weights(weights: str | None) -> str:
    """What `--weights` said, so that it means the same from any folder."""
    path = Path(weights or "").expanduser()
    here = weights is not None and (path.is_file() or is_weights(path))
    return str(path.absolute()) if here else weights or ""
