"""Data set -> store: select, read, crop, write; killed at any moment and resumed, the same bytes come out."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from fourview import __version__
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing
from fourview.exam import SetupError
from fourview.store.labels import classify_birads, label_breast
from fourview.store.lock import FILE as LOCK_FILE
from fourview.store.lock import held_lock
from fourview.store.manifest import FORMAT, join_tables, make_table, write_manifest
from fourview.store.prepare_image import BLOBS, CropSettings, Prepared, PrepareImage
from fourview.store.selection import RULES, FlowStep, Selection, count_flow, select_listed, select_prepared
from fourview.store.spread import spread
from fourview.store.store import ABOUT_FILE, read_about_store
from fourview.whole_files import remove_parts, write_whole

FLOW_FILE, FAILURES_FILE = "flow.json", "failures.csv"
PATHOLOGY = "pathology"  # of ImageRecord.more: terms of pathology reports, separated by ";"
_UNKNOWN_TERM = "unknown pathology term: "
_ROWS_AT_ONCE = 500  # that wait as Python values before they become a table


@dataclass(frozen=True)
class PrepareStep:
    """One image is done: what a progress bar needs. problem: None if it was prepared."""

    done: int
    total: int
    image: str
    problem: str | None
    already_there: bool


@dataclass(frozen=True)
class PrepareResult:
    """How preparing went. problems: of the listing, what did not even become an image; flow: rule by rule."""

    out: Path
    listed: int
    prepared: int
    excluded: int
    failed: int
    already_there: int
    problems: int
    warned: int
    flow: tuple[FlowStep, ...]
    set_warnings: tuple[str, ...] = ()


def prepare(
    dataset: Dataset,
    root: Path,
    out: Path,
    *,
    selection: Selection | None = None,
    crop: CropSettings | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    resume: bool = False,
    on_step: Callable[[PrepareStep], None] | None = None,
) -> PrepareResult:
    """Every image of the set in `out`: crops and masks, manifest.parquet, flow.json, failures.csv, store.json.

    root     the set's folder, as its importer wants it
    out      new or empty; with resume, what an earlier run left there is taken, image by image
    jobs, cluster  where the work is done (spread); the bytes do not depend on it

    An image that cannot be read is a row with status "failed" and a line in failures.csv. Raises SetupError if `root`
    is not this set, `out` is in use, holds something else or cannot be written; what is there stays whole.
    """
    selection, crop = selection or Selection(), crop or CropSettings()
    if jobs < 1:
        raise SetupError(f"found {jobs} jobs, need 1 or more")
    root, out = root.absolute(), out.absolute()  # workers of a cluster start elsewhere
    listing = dataset.find(root)
    _check_listing(listing, root)
    with _writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        with held_lock(out):
            _open_store(out, dataset, crop, resume=resume)
            work = PrepareImage(dataset, out, crop)
            table, there = _prepare_all(work, listing, root, selection, jobs=jobs, cluster=cluster, on_step=on_step)
            table = select_prepared(table, selection)
            flow = count_flow(table, selection)
            _write_tables(out, table, listing, flow, selection)
    counts = Counter(table["status"])
    return PrepareResult(
        out,
        listed=table.height,
        prepared=counts["prepared"],
        excluded=counts["excluded"],
        failed=counts["failed"],
        already_there=there,
        problems=len(listing.problems),
        warned=table.filter(pl.col("warnings").list.len() > 0).height,
        flow=flow,
        set_warnings=listing.warnings,
    )


def _check_listing(listing: Listing, root: Path) -> None:
    if not listing.records:
        raise SetupError(f"{root}: the set lists no image ({len(listing.problems)} problems); need a complete copy")
    twice = [image for image, count in Counter(r.image for r in listing.records).items() if count > 1]
    if twice:
        raise SetupError(f"{root}: {len(twice)} images are listed twice, e.g. {twice[0]!r}; need each name once")


def _open_store(out: Path, dataset: Dataset, crop: CropSettings, *, resume: bool) -> None:
    """`out` ready to be written to: named as a store, freed of what a killed run left half done."""
    if any(entry.name != LOCK_FILE for entry in out.iterdir()):
        if not resume:
            raise SetupError(f"output {out}: the folder is not empty; name a new one, or add --resume")
        about = read_about_store(out)
        before = about["dataset"]
        if before != dataset.name:
            raise SetupError(f"--resume: {out} holds the set {before!r}, not {dataset.name!r}; name another folder")
        if about.get("crop") != asdict(crop):
            raise SetupError(
                f"--resume: {out} was prepared with the crop {about.get('crop')}; need the same, or a new folder"
            )
    about = {
        "format": FORMAT,
        "fourview": __version__,
        "dataset": dataset.name,
        "title": dataset.title,
        "terms": dataset.terms,
        "releases_models": dataset.releases_models,
        "source": dataset.source,
        "read_here": dataset.read_here,
        "crop": asdict(crop),
    }
    write_whole(out / ABOUT_FILE, _json(about))
    _clear_parts(out)


def _clear_parts(out: Path) -> None:
    remove_parts(out)
    for folder in (out / BLOBS).glob("*"):
        remove_parts(folder)


def _prepare_all(
    work: PrepareImage,
    listing: Listing,
    root: Path,
    selection: Selection,
    *,
    jobs: int,
    cluster: str | None,
    on_step: Callable[[PrepareStep], None] | None,
) -> tuple[pl.DataFrame, int]:
    """The manifest before the rules that need pixels, and how many images an earlier run had written."""
    records = [_label(record) for record in listing.records]
    rules = select_listed(records, selection)
    taken = [record for record, rule in zip(records, rules, strict=True) if rule is None]
    parts: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    done = there = 0
    with closing(spread(work, taken, jobs=jobs, cluster=cluster)) as results:
        for record, rule in zip(records, rules, strict=True):
            outcome = Prepared(None, None, (rule, RULES[rule])) if rule is not None else next(results)
            rows.append(_row(record, outcome, root if work.dataset.public else None, excluded=rule is not None))
            if len(rows) == _ROWS_AT_ONCE:
                parts.append(make_table(rows))
                rows.clear()
            if rule is None:
                done, there = done + 1, there + outcome.already_there
                if on_step is not None:
                    problem = outcome.problem and outcome.problem[1]
                    on_step(PrepareStep(done, len(taken), record.image, problem, outcome.already_there))
    parts.append(make_table(rows))
    return join_tables(parts), there


def _label(record: ImageRecord) -> ImageRecord:
    """The record with labels from its pathology terms, where it has terms and no labels."""
    if PATHOLOGY not in record.more or record.malignant is not None or record.benign is not None:
        return record
    labels = label_breast(record.more[PATHOLOGY].split(";"))
    unknown = tuple(f"{_UNKNOWN_TERM}{term}" for term in labels.unknown_terms)
    return replace(
        record,
        malignant=labels.malignant,
        benign=labels.benign,
        high_risk=record.high_risk or labels.high_risk,
        warnings=(*record.warnings, *unknown),
    )


def _row(record: ImageRecord, outcome: Prepared, root: Path | None, *, excluded: bool) -> dict[str, Any]:
    """One row of the manifest. root  that file names are below; None: they may name patients and are not written"""
    rule, reason = outcome.problem or (None, None)
    row: dict[str, Any] = {
        "dataset": record.dataset,
        "patient": None if record.patient is None else f"{record.dataset}/{record.patient}",
        "exam": record.exam,
        "image": record.image,
        "file": record.image if root is None else _relative(record.path, root),
        "side": record.side,
        "angle": record.angle,
        "view": record.view,
        "malignant": record.malignant,
        "benign": record.benign,
        "high_risk": record.high_risk,
        "label_unit": record.label_unit,
        "label_source": record.label_source,
        "birads": record.birads,
        "birads_class": classify_birads(record.birads),
        "density": record.density,
        "age": record.age,
        "vendor": record.vendor,
        "date": record.date,
        "split": record.split,
        "status": "prepared" if rule is None else "excluded" if excluded else "failed",
        "rule": rule,
        "reason": reason,
        "spacing_mm": record.spacing_mm,
        "lesions": [_lesion(lesion) for lesion in record.lesions],
        "warnings": [*record.warnings],
    }
    about = outcome.about
    if about is None:
        return row
    boxes = [{} if o.box is None else {**asdict(o.box), "mask": n} for n, o in enumerate(about.outlines)]
    return row | {
        "source_rows": about.source_rows,
        "source_cols": about.source_cols,
        "bits": about.bits,
        "pixel_mode": about.pixel_mode,
        "spacing_mm": about.spacing_mm,
        "faces": about.faces,
        **{f"crop_{edge}": value for edge, value in asdict(about.box).items()},
        "mirrored": about.mirrored,
        "gap_px": about.gap_px,
        "rows": about.box.height,
        "cols": about.box.width,
        "pixels_sha256": about.pixels_sha256,
        "blob": outcome.blob,
        "lesions": [_lesion(lesion) | box for lesion, box in zip(record.lesions, boxes, strict=True)],
        "warnings": [*record.warnings, *about.warnings],
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "lesion": lesion.lesion,
        "kind": lesion.kind,
        "pathology": lesion.pathology,
        "high_risk": lesion.high_risk,
        "descriptors": json.dumps(dict(lesion.descriptors), sort_keys=True, ensure_ascii=False),
    }


def _relative(path: Path, root: Path) -> str:
    try:
        return _writable(path.relative_to(root).as_posix())
    except ValueError:  # a list may name files elsewhere
        return _writable(path.name)


def _write_tables(
    out: Path, table: pl.DataFrame, listing: Listing, flow: Sequence[FlowStep], selection: Selection
) -> None:
    """failures.csv, flow.json and, last, the manifest: with it the store is complete."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("kind", "file", "image", "rule", "reason"))
    lines.writerows(("listing", case, "", "", reason) for case, reason in listing.problems)
    failed = table.filter(status="failed").select("file", "image", "rule", "reason")
    lines.writerows(("image", *row) for row in failed.iter_rows())
    write_whole(out / FAILURES_FILE, _writable(text.getvalue()))
    said = table["warnings"].explode().drop_nulls()
    unknown = Counter(w.removeprefix(_UNKNOWN_TERM) for w in said if w.startswith(_UNKNOWN_TERM))
    content = {
        "format": "fourview flow 1",
        "selection": asdict(selection),
        "images_listed": table.height,
        "exams_listed": table["exam"].n_unique(),
        "listing_problems": len(listing.problems),
        "set_warnings": list(listing.warnings),
        "steps": [asdict(step) for step in flow],
        "unknown_pathology_terms": dict(sorted(unknown.items())),
    }
    write_whole(out / FLOW_FILE, _writable(_json(content)))
    write_manifest(out, table)
    _clear_parts(out)


def _writable(text: str) -> str:
    """File names may hold bytes that are no text (lone surrogates): shown as \\udcff, or nothing could be written."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    """What goes wrong with the output is a wrong set-up: no room, no permission."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"cannot write {out}: {error.strerror or error}; make room or fix it, then run again with --resume"
        ) from error
