"""What may make results on a set too good: a woman, an exam or a picture on both sides of a split, a picture twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from fourview.exam import SetupError
from fourview.store.copies import Pair, find_copies
from fourview.store.lock import held_lock
from fourview.store.splits import Split
from fourview.store.store import Store
from fourview.whole_files import write_whole

FILE = "audit.json"
FORMAT = "fourview audit 1"
Kind = Literal["patient", "exam", "picture"]


@dataclass(frozen=True)
class Finding:
    """Images that belong together and may be apart.

    kind      what they share
    leak      they lie in several parts of the split; otherwise a picture that is there more than once in one part, or
              that no split was given for
    images    two or more;  patients, exams, parts  of theirs, each once; an image without a part adds none
    pairs     of a picture: which images were compared, and how they lie
    """

    kind: Kind
    leak: bool
    images: tuple[str, ...]
    patients: tuple[str, ...]
    exams: tuple[str, ...]
    parts: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def score(self) -> float | None:
        """The least agreement of a pair, 1 for equal pixels; None for patients and exams."""
        return min((1.0 if pair.match is None else pair.match.agreement for pair in self.pairs), default=None)

    @property
    def text(self) -> str:
        """What was found, in words."""
        if self.kind != "picture":
            return f"one {self.kind} in {' and '.join(self.parts)}"
        ways = dict.fromkeys("equal pixels" if pair.match is None else pair.match.text for pair in self.pairs)
        women = ", of two patients or more" if len(self.patients) > 1 else ""
        return f"the same picture{women}: {'; '.join(ways)}"


@dataclass(frozen=True)
class Audit:
    """What an audit found. Leaks come first.

    images      that were compared;  pairs  of them;  candidates  that looked alike and were registered
    unreadable  (image, reason)
    split       True if a split was given: without one nothing is known of leaks
    seconds     what each step took
    """

    findings: tuple[Finding, ...]
    images: int
    pairs: int
    candidates: int
    unreadable: tuple[tuple[str, str], ...]
    split: bool
    seconds: Mapping[str, float]

    @property
    def leaks(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.leak)

    @property
    def ms_per_image(self) -> float:
        """NaN for an empty set."""
        return 1000 * sum(self.seconds.values()) / self.images if self.images else math.nan

    def table(self) -> pl.DataFrame:
        """One row per finding: kind, leak, images, patients, exams, parts (joined by blanks), score, what was found."""
        rows = [
            (
                f.kind,
                f.leak,
                *(" ".join(values) for values in (f.images, f.patients, f.exams, f.parts)),
                f.score,
                f.text,
            )
            for f in self.findings
        ]
        texts = dict.fromkeys(("images", "patients", "exams", "parts"), pl.String)
        schema = {"kind": pl.String, "leak": pl.Boolean, **texts, "score": pl.Float64, "found": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def write(self, store: Path) -> Path:
        """STORE/audit.json, in place of an earlier one. Raises SetupError if it cannot be written now."""
        path = store / FILE
        content: dict[str, Any] = {"format": FORMAT, **asdict(self), "ms_per_image": self.ms_per_image}
        for known, finding in zip(content["findings"], self.findings, strict=True):
            known |= {"score": finding.score, "found": finding.text}
        try:
            with held_lock(store):
                write_whole(path, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise SetupError(f"{path}: cannot be written: {error.strerror or error}") from error
        return path


def audit(store: Store, split: Split | None = None, *, on_step: Callable[[int, int], None] | None = None) -> Audit:
    """What a store, and a split of it, have that should not be apart or not be twice. See find_copies for pictures.

    Raises SetupError if the split is of another manifest.
    """
    table = store.manifest.with_columns(part=pl.lit(None, pl.String)) if split is None else split.assign(store.manifest)
    table = table.filter(status="prepared").sort("dataset", "image")
    copies = find_copies(table["image"].to_list(), store.read_crop, on_step=on_step)
    compared = len(table) - len(copies.unreadable)
    return Audit(
        findings=find_leaks(table, copies.pairs),
        images=compared,
        pairs=compared * (compared - 1) // 2,
        candidates=copies.candidates,
        unreadable=copies.unreadable,
        split=split is not None,
        seconds=copies.seconds,
    )


def find_leaks(table: pl.DataFrame, pairs: Sequence[Pair]) -> tuple[Finding, ...]:
    """Patients and exams in several parts, and pictures that are there more than once; leaks first.

    table  rows of a manifest with a column `part` (null: none);  pairs  of images that show the same picture
    """
    rows = {row["image"]: row for row in table.select("dataset", "patient", "exam", "image", "part").to_dicts()}
    found: list[Finding] = []
    together: dict[tuple[Kind, str, str], list[str]] = {}
    for image, row in rows.items():
        if row["part"] is not None:
            if row["patient"] is not None:
                together.setdefault(("patient", "", row["patient"]), []).append(image)
            together.setdefault(("exam", row["dataset"], row["exam"]), []).append(image)
    for (kind, *_), images in together.items():
        if len({rows[image]["part"] for image in images}) > 1:
            found.append(_finding(kind, images, rows))
    for group in _group(pairs):
        images = list(dict.fromkeys(image for pair in group for image in (pair.first, pair.second)))
        found.append(_finding("picture", images, rows, group))
    order = ("patient", "exam", "picture")
    return tuple(sorted(found, key=lambda f: (not f.leak, order.index(f.kind), f.images)))


def _finding(
    kind: Kind, images: Iterable[str], rows: Mapping[str, Mapping[str, Any]], pairs: Sequence[Pair] = ()
) -> Finding:
    images = tuple(sorted(images))

    def distinct(column: str) -> tuple[str, ...]:
        return tuple(sorted({rows[image][column] for image in images} - {None}))

    parts = distinct("part")
    return Finding(kind, len(parts) > 1, images, distinct("patient"), distinct("exam"), parts, tuple(pairs))


def _group(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs that hang together, each group in the order of its pairs."""
    leader: dict[str, str] = {}

    def find(image: str) -> str:
        while leader.setdefault(image, image) != image:
            leader[image] = leader[leader[image]]
            image = leader[image]
        return image

    for pair in pairs:
        leader[find(pair.second)] = find(pair.first)
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(find(pair.first), []).append(pair)
    return list(groups.values())
