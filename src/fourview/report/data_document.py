"""A prepared store -> its report: terms, counts, what was left out, grey values, pictures, oddities, leak audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np
import polars as pl

from fourview.exam import SetupError
from fourview.report.data_audit import audit_section, split_section, warn_of_leaks
from fourview.report.data_counts import (
    UNIT_NOTE,
    UNKNOWN,
    tabulate_by,
    tabulate_labels,
    tabulate_lesions,
    tabulate_sources,
    tabulate_totals,
)
from fourview.report.data_exclusions import (
    count_problems,
    draw_exclusions,
    failures_section,
    read_set_warnings,
    tabulate_warnings,
)
from fourview.report.data_figures import draw_ages, draw_grey_values
from fourview.report.data_look import look_at, odd_section, pictures_section, sample_images
from fourview.report.data_oddities import Measured
from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.number_text import write_count
from fourview.store.audit import Audit
from fourview.store.manifest import FILE
from fourview.store.splits import Split
from fourview.store.store import Store

MOST_MEASURED = 2000  # images whose pixels are read: on 100,000 images this is what takes the time

_By = tuple[str, str, tuple[str, ...]]  # column, title, values that come first
_IMAGES: tuple[_By, ...] = (
    ("view", "View", ("L-CC", "R-CC", "L-MLO", "R-MLO")),
    ("side", "Side", ("L", "R")),
    ("vendor", "Vendor", ()),
    ("spacing_mm", "Pixel size (mm)", ()),
    ("bits", "Bit depth of the file's pixels", ()),
    ("pixel_mode", "Grey scale of the file", ()),
)
_LABELS: tuple[_By, ...] = (
    ("birads", "BI-RADS", ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")),
    ("density", "Density", ("A", "B", "C", "D")),
    ("split", "Official split", ("train", "validation", "test")),
)
_DIRECTIONS = (("left", "right"), ("right", "left"), ("left", "left"), ("right", "right"))  # the usual ones first


def describe_store(
    store: Store,
    audit: Audit | None = None,
    *,
    split: Split | None = None,
    measured: int = MOST_MEASURED,
    seed: int = 0,
    versions: Mapping[str, str] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Document:
    """The report of `fourview data check`.

    audit     of this store; None: none was made
    split     to be counted: the one that was audited
    measured  images whose pixels are read, at most: for grey values and for what only pixels show. Each data set,
              vendor and bit depth gets the same number, as far as it has them
    seed      of the choice of images
    on_step   called with (done, total) of the images that are read

    Raises SetupError if no image was prepared, or the split is of another manifest.
    """
    images = store.images
    if not len(images):
        raise SetupError(f"{store.path}: no image was prepared ({len(store.manifest)} listed); see failures.csv there")
    rng = np.random.default_rng(seed)
    found, broken = look_at(store, sample_images(images, measured, rng), on_step)
    sections = [
        _terms(store),
        _totals(store),
        _labels(images),
        _images(images),
        Section("grey_values", "Grey values", (draw_grey_values(images, found),)),
        pictures_section(store, images, rng),
        odd_section(store, images, found),
        *([split_section(store, split)] if split is not None else []),
        *([audit_section(store, audit)] if audit is not None else []),
        failures_section(store, broken),
    ]
    return Document(
        "data",
        f"Data check of {store.path.resolve().name}",
        (),
        tuple(sections),
        warnings=(
            *_warn(store, images, broken),
            *(f"{text}: see Leak audit" for text in (warn_of_leaks(audit) if audit is not None else ())),
        ),
        settings=tuple(_settings(store, found, seed)),
        versions=versions or {},
    )


def _terms(store: Store) -> Section:
    """What the sets allow, first of all."""
    columns = ("data set", "title", "images", "terms of use", "releasing trained models", "source", "read here")
    counts = store.images.group_by("dataset").len().sort("dataset")
    rows: list[tuple[Cell, ...]] = []
    for dataset, count in counts.rows():
        if dataset == store.about.get("dataset"):
            about = {name: str(store.about.get(name, UNKNOWN)) for name in ("title", "terms", "source", "read_here")}
            allowed = "not forbidden" if store.about.get("releases_models") is True else "forbidden"
            rows.append((dataset, about["title"], count, about["terms"], allowed, about["source"], about["read_here"]))
        else:
            rows.append((dataset, UNKNOWN, count, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN))
    note = (
        "Images: prepared ones. The terms bind whoever uses the store, and models that are trained on it. Read here: "
        "how much of the real set this program has been run on."
    )
    return Section("terms", "Terms of use", (Table("terms", "Data sets", columns, tuple(rows), note),))


def _totals(store: Store) -> Section:
    flow, table = draw_exclusions(store)
    parts: list[Table | Figure] = [tabulate_totals(store.manifest), flow, table]
    warned = tabulate_warnings(store.images)
    return Section("totals", "What the store holds", (*parts, *([warned] if warned else [])))


def _labels(images: pl.DataFrame) -> Section:
    parts: list[Table | Figure] = [*tabulate_labels(images), tabulate_sources(images)]
    lesions, ages = tabulate_lesions(images), draw_ages(images)
    known, unknown = _tabulate_known(images, _LABELS)
    parts += [part for part in (lesions, *known, ages) if part is not None]
    unknown += [what for what, part in (("lesions", lesions), ("age", ages)) if part is None]
    return Section("labels", "Labels", tuple(parts), (UNIT_NOTE, *_say_unknown(unknown)))


def _images(images: pl.DataFrame) -> Section:
    """Where images come from, and how they lie in their files."""
    known, unknown = _tabulate_known(images, _IMAGES)
    sides = pl.when(pl.col("side") == "L").then(pl.lit("left")).otherwise(pl.lit("right"))
    facing = pl.format("{} breast faces {}", sides, pl.col("faces"))
    order = [f"{side} breast faces {faces}" for side, faces in _DIRECTIONS]
    usual = "Usual are left breasts that face right and right breasts that face left."
    direction = tabulate_by("direction", "Direction in the file", images, facing, order=order, note=usual)
    sets = [tabulate_by("datasets", "Data set", images, pl.col("dataset"))] if images["dataset"].n_unique() > 1 else []
    return Section("images", "Images", (*sets, *known, direction), (UNIT_NOTE, *_say_unknown(unknown)))


def _tabulate_known(images: pl.DataFrame, by: Sequence[_By]) -> tuple[list[Table], list[str]]:
    """A table per column that says something, and the titles of the others."""
    known, unknown = [], []
    for column, title, order in by:
        if images[column].null_count() == len(images):
            unknown.append(title[0].lower() + title[1:] if title[1:2].islower() else title)
        else:
            value = pl.col(column).round_sig_figs(4) if column == "spacing_mm" else pl.col(column)
            known.append(tabulate_by(column, title, images, value, order=order))
    return known, unknown


def _say_unknown(unknown: Sequence[str]) -> tuple[str, ...]:
    return (f"Not known for any image: {', '.join(unknown)}.",) if unknown else ()


def _warn(store: Store, images: pl.DataFrame, broken: Mapping[str, str]) -> Iterator[str]:
    """What whoever uses the store must know before any number."""
    about = store.about
    if about.get("releases_models") is not True:
        yield (
            f"Models trained on this store must not be released: {about.get('title', about.get('dataset'))}: "
            f"{about.get('terms', UNKNOWN)}"
        )
    yield from (f"Data set: {said}" for said in read_set_warnings(store))
    without = images["patient"].null_count()
    if without:
        yield f"{without:,} of {len(images):,} prepared images have no patient: nothing can be split by patient"
    failed = store.manifest.filter(status="failed").height
    if failed:
        yield f"{failed:,} of {len(store.manifest):,} listed images failed: see Failures"
    problems = count_problems(store)
    if problems:
        yield (
            f"{write_count(problems, 'problem')} in the data set's files and tables: what did not become an image, or "
            "is one without a lesion's region and the like; see Failures"
        )
    whole = images.filter(pl.col("rows") * pl.col("cols") == pl.col("source_rows") * pl.col("source_cols")).height
    if 2 * whole > len(images):
        yield (
            f"Nothing was cropped of {whole:,} of {len(images):,} prepared images: their background is not exactly 0"
        )
    if broken:
        yield f"{len(broken):,} images of the store cannot be read any more: prepare it again with --resume"
    if images["malignant"].null_count() == len(images):
        yield "Malignant is not known of any image: nothing can be trained or evaluated on this store"
    elif not images["malignant"].any():
        yield "Nothing is labelled malignant"


def _settings(store: Store, found: Mapping[str, Measured], seed: int) -> Iterator[tuple[str, str]]:
    content = (store.path / FILE).read_bytes()
    yield "store", store.path.resolve().name
    yield "manifest", f"{FILE}, SHA-256 {sha256(content).hexdigest()}, {len(store.manifest):,} rows"
    yield "prepared by", f"fourview {store.about.get('fourview', UNKNOWN)}"
    yield "crop", ", ".join(f"{name} {value}" for name, value in store.about.get("crop", {}).items())
    yield "images measured", f"{len(found):,}"
    yield "seed", str(seed)
