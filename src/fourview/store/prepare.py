"""Data set -> store: select, read, crop, write; killed at any moment and resumed, the same bytes come out."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fourview import __version__
from fourview.datasets.pathology import UNKNOWN_TERM
from fourview.datasets.record import Dataset, Listing
from fourview.exam import SetupError
from fourview.spread import spread
from fourview.store.image_row import label_record, make_row
from fourview.store.lock import FILE as LOCK_FILE
from fourview.store.lock import held_lock
from fourview.store.manifest import FORMAT, join_tables, make_table, write_manifest
from fourview.store.manifest_rows import BLOB
from fourview.store.prepare_image import BLOBS, CropSettings, Prepared, PrepareImage
from fourview.store.selection import RULES, FlowStep, Selection, count_flow, select_listed, select_prepared
from fourview.store.splits import FOLDER as SPLITS
from fourview.store.store import ABOUT_FILE, read_about_store
from fourview.store.writable import writable_listing
from fourview.whole_files import remove_parts, write_whole, writing_to

FLOW_FILE, FAILURES_FILE = "flow.json", "failures.csv"
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
    """How preparing went.

    problems  of the listing: what did not become an image, or is one without a lesion's region and the like
    flow      rule by rule;  set_warnings  about the set as a whole
    unused    stored files of this or earlier runs that no row of the manifest names, below `out`;  unused_bytes  theirs
    removed   True: they were removed
    """

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
    unused: tuple[str, ...] = ()
    unused_bytes: int = 0
    removed: bool = False


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
    remove_unused: bool = False,
    on_step: Callable[[PrepareStep], None] | None = None,
) -> PrepareResult:
    """Every image of the set in `out`: crops and masks, manifest.parquet, flow.json, failures.csv, store.json.

    root     the set's folder, as its importer wants it
    out      new or empty; with resume, what an earlier run left there is taken, image by image
    jobs, cluster  where the work is done (spread); the bytes do not depend on it
    remove_unused  at the end, stored files that the manifest does not name are removed: of other settings, of files,
                   outlines or versions that have changed since. Else they stay, and are named in the result

    An image that cannot be read is a row with status "failed" and a line in failures.csv. Raises SetupError if `root`
    is not this set, `out` is in use, holds something else or cannot be written; what is there stays whole.
    """
    selection, crop = selection or Selection(), crop or CropSettings()
    if jobs < 1:
        raise SetupError(f"found {jobs} jobs, need 1 or more")
    root, out = root.absolute(), out.absolute()  # workers of a cluster start elsewhere
    listing = writable_listing(dataset.find(root))
    _check_listing(listing, root)
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
        with held_lock(out):
            _open_store(out, dataset, crop, resume=resume)
            try:
                work = PrepareImage(dataset, out, crop)
                table, there = _prepare_all(work, listing, root, selection, jobs=jobs, cluster=cluster, on_step=on_step)
                table = select_prepared(table, selection)
                flow = count_flow(table, selection)
                _write_tables(out, table, listing, flow, selection)
            finally:
                _clear_parts(out)  # of workers that were ended while they wrote
            unused = _find_unused(out, table)
            if remove_unused:
                for name in unused:
                    (out / name).unlink(missing_ok=True)
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
        set_warnings=(*listing.warnings, *_warn_of_patients(table)),
        unused=tuple(unused),
        unused_bytes=sum(unused.values()),
        removed=remove_unused,
    )


def _warn_of_patients(table: pl.DataFrame) -> list[str]:
    prepared = table.filter(status="prepared")
    without = prepared["patient"].null_count()
    said = f"{without} of {len(prepared)} images have no patient: this set cannot be split by patient"
    return [said] if without else []


def _check_listing(listing: Listing, root: Path) -> None:
    if not listing.records:
        first = "".join(f", the first: {case}: {reason}" for case, reason in listing.problems[:1])
        raise SetupError(f"{root}: no image is listed ({len(listing.problems)} problems{first}); need a complete copy")
    twice = [image for image, count in Counter(r.image for r in listing.records).items() if count > 1]
    if twice:
        raise SetupError(f"{root}: {len(twice)} images are listed twice, e.g. {twice[0]!r}; need each name once")


def _open_store(out: Path, dataset: Dataset, crop: CropSettings, *, resume: bool) -> None:
    """`out` ready to be written to: named as a store, freed of what a killed run left half done."""
    remove_parts(out, of=ABOUT_FILE)  # of a run that was killed before the folder was a store
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
    for folder in (out, out / SPLITS, *(out / BLOBS).glob("*")):
        remove_parts(folder)


def _find_unused(out: Path, table: pl.DataFrame) -> dict[str, int]:
    """Stored files that no row names: below `out`, with their bytes."""
    used = set(table["blob"].drop_nulls())
    stored = {path.relative_to(out).as_posix(): path for path in sorted((out / BLOBS).glob("*/*.h5"))}
    return {name: path.stat().st_size for name, path in stored.items() if name not in used and re.match(BLOB, name)}


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
    records = [label_record(record) for record in listing.records]
    rules = select_listed(records, selection)
    taken = [record for record, rule in zip(records, rules, strict=True) if rule is None]
    parts: list[pl.DataFrame] = []
    rows: list[dict[str, Any]] = []
    done = there = 0
    with closing(spread(work, taken, jobs=jobs, cluster=cluster)) as results:
        for record, rule in zip(records, rules, strict=True):
            outcome = Prepared(None, None, (rule, RULES[rule])) if rule is not None else next(results)
            rows.append(make_row(record, outcome, root if work.dataset.public else None, excluded=rule is not None))
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
    write_whole(out / FAILURES_FILE, text.getvalue())
    said = table["warnings"].explode().drop_nulls()
    unknown = Counter(w.removeprefix(UNKNOWN_TERM) for w in said if w.startswith(UNKNOWN_TERM))
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
    write_whole(out / FLOW_FILE, _json(content))
    write_manifest(out, table)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
