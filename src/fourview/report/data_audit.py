"""The split of a store, counted, and what the leak audit found: tables, and pairs of pictures side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl

from fourview.report.data_counts import count_units, count_with
from fourview.report.data_pictures import Lens
from fourview.report.document import Cell, Gallery, Section, Table
from fourview.report.number_text import write_count
from fourview.store.audit import Audit, Finding
from fourview.store.copies import Pair
from fourview.store.labels import known_unit
from fourview.store.splits import Split
from fourview.store.store import Store

MOST_FINDINGS = 100  # that are listed
MOST_PAIRS = 24  # that are shown
_MOST_NAMES = 6  # in one cell
_KINDS = {"patient": "one patient", "exam": "one exam", "picture": "one picture"}


def split_section(store: Store, split: Split) -> Section:
    """Units and labels of each part. Raises SetupError if the split is of another manifest."""
    images = store.images.join(split.assign(store.manifest).select("image", "part"), on="image", how="left")
    parts: list[Table] = [_tabulate_parts(images, split)]
    if split.left_out:
        reasons = Counter(split.left_out.values()).most_common()
        parts.append(Table("split_left_out", "Images without a part", ("reason", "images"), tuple(reasons)))
    options = ", ".join(f"{name} {value}" for name, value in split.options.items() if value not in (None, False))
    return Section("split", "Split", tuple(parts), (f"Made with: {options}, seed {split.seed}.",), split.warnings)


def audit_section(store: Store, audit: Audit) -> Section:
    """What an audit found, leaks first."""
    text = (
        f"{write_count(audit.images, 'image')} were compared with each other ({write_count(audit.pairs, 'pair')}); "
        f"{write_count(audit.candidates, 'pair')} looked alike and were laid over each other to confirm or refute it.",
        "Leaks are what lies in several parts of the split."
        if audit.split
        else "No split was given: what is there twice is listed, leaks across a split are not looked for.",
    )
    unreadable = [f"{write_count(len(audit.unreadable), 'image')} could not be read and were not compared"]
    warnings = (*warn_of_leaks(audit), *(unreadable if audit.unreadable else ()))
    if not audit.findings:
        return Section("audit", "Leak audit", (), (*text, "Nothing was found."), warnings)
    gallery = _show_pairs(store, audit)
    parts: list[Table | Gallery] = [_count_findings(audit), _list_findings(audit)]
    return Section("audit", "Leak audit", (*parts, gallery) if gallery.items else tuple(parts), text, warnings)


def warn_of_leaks(audit: Audit) -> Iterator[str]:
    """What must be known before any result on this store."""
    if audit.leaks:
        kinds: Counter[str] = Counter(finding.kind for finding in audit.leaks)
        what = ", ".join(write_count(kinds[kind], kind) for kind in _KINDS if kinds[kind])
        yield f"Leaks across the split: {what} in more than one part; results on it are too good"
    strangers = sum(finding.kind == "picture" and len(finding.patients) > 1 for finding in audit.findings)
    if strangers:
        yield f"{write_count(strangers, 'picture')} under the names of several patients"


def _tabulate_parts(images: pl.DataFrame, split: Split) -> Table:
    unit = known_unit(images)
    counts = [*count_units(), count_with("malignant", unit), count_with("benign", unit)]
    if unit != "patient":
        counts.append(count_with("malignant", "patient"))
    rows: list[tuple[Cell, ...]] = []
    for part in (*split.names, None):
        own = images.filter(pl.col("part").is_null() if part is None else pl.col("part") == part)
        if len(own):
            rows.append((part or "no part", *own.select(counts).row(0)))
    columns = images.head(0).select(counts).columns
    note = "Malignant and benign: by the labels of their images in the part."
    return Table("split_parts", "Parts", ("part", *columns), tuple(rows), note)


def _count_findings(audit: Audit) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind, text in _KINDS.items():
        for leak in (True, False):
            own = [f for f in audit.findings if f.kind == kind and f.leak == leak]
            where = "in several parts" if leak else "several times, in one part or none"
            if own:
                rows.append((text, where, len(own), len({image for f in own for image in f.images})))
    return Table("findings_by_kind", "Findings by kind", ("what", "where", "findings", "images"), tuple(rows))


def _list_findings(audit: Audit) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            "leak" if f.leak else "",
            f.text,
            _join(f.images),
            _join(f.patients),
            ", ".join(f.parts),
            None if f.score is None else round(f.score, 4),
        )
        for f in audit.findings[:MOST_FINDINGS]
    ]
    columns = ("", "found", "images", "patients", "parts", "agreement")
    note = (
        f"{len(rows):,} of {write_count(len(audit.findings), 'finding')}. Agreement: of the pictures once laid over "
        "each other, 1 for equal pixels; the least of the finding's pairs."
    )
    return Table("findings", "Findings", columns, tuple(rows), note)


def _show_pairs(store: Store, audit: Audit) -> Gallery:
    """The first pair of each picture that is there twice, then the others, leaks first."""
    pictures = [finding for finding in audit.findings if finding.pairs]
    pairs = [(f, f.pairs[0]) for f in pictures] + [(f, pair) for f in pictures for pair in f.pairs[1:]]
    shown = pairs[:MOST_PAIRS]
    lens = Lens.over(store, store.images, (image for _, pair in shown for image in (pair.first, pair.second)))
    items = [lens.pair(f"{p.first} and {p.second}", (p.first, p.second), _describe_pair(f, p)) for f, p in shown]
    note = f"{len(shown):,} of {write_count(len(pairs), 'pair')}. Each as its file holds it."
    return Gallery("copies", "The same picture", tuple(items), note)


def _describe_pair(finding: Finding, pair: Pair) -> tuple[str, ...]:
    how = "equal pixels" if pair.match is None else pair.match.text
    where = f"leak: in {' and '.join(finding.parts)}" if finding.leak else "no leak across a split"
    women = [f"of {len(finding.patients):,} patients"] if len(finding.patients) > 1 else []
    return (how, where, *women)


def _join(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
