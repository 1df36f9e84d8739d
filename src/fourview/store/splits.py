"""Which image is in which part: splits that keep every woman on one side, as files.

make_split decides, Split.write and Split.load keep, Split.assign puts the parts beside the manifest's rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import SetupError
from fourview.store.grouping import LABELS, divide, fold, label_images, name_strata, official_parts
from fourview.store.grouping import by_date as divide_by_date
from fourview.store.labels import UNIT_KEYS, known_unit, label_at
from fourview.store.lock import held_lock
from fourview.whole_files import write_whole

FORMAT = "fourview split 1"
FOLDER = "splits"
PARTS = ("train", "validation", "test")
NYU_SHARES = (0.8, 0.1, 0.1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Split:
    """Every prepared image of a store: its part, or why it has none.

    parts     image -> part: "train", "validation", "test", or "fold-1" ...
    left_out  image -> reason, of the images that no part takes
    manifest  hash of the images, women and pixels that were split (hash_images)
    women     hash of the images and women alone
    """

    parts: dict[str, str]
    left_out: dict[str, str]
    options: dict[str, Any]
    seed: int
    manifest: str
    women: str
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        both = self.parts.keys() & self.left_out.keys()
        if both:
            raise SetupError(f"split: {len(both)} images have a part and are left out too, need one of the two")

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that there are, in their order."""
        found = set(self.parts.values())
        folds = sorted(found - set(PARTS), key=lambda name: (len(name), name))
        return (*(part for part in PARTS if part in found), *folds)

    def assign(self, manifest: pl.DataFrame, *, same_women: bool = False) -> pl.DataFrame:
        """The manifest with a column `part`; null: not prepared, or left out.

        same_women  accept other pixels, as long as the images and whose they are have not changed
        Raises SetupError if the manifest is not the one that was split.
        """
        kept = self.women if same_women else self.manifest
        if hash_images(manifest, pixels=not same_women) != kept:
            there = set(manifest.filter(status="prepared")["image"])
            known = self.parts.keys() | self.left_out.keys()
            raise SetupError(
                f"split: made for another manifest ({len(there - known)} images are new, {len(known - there)} gone, "
                "or their pixels or women changed); make the split again"
            )
        return manifest.with_columns(
            part=pl.col("image").replace_strict(self.parts, default=None, return_dtype=pl.String)
        )

    def count(self, manifest: pl.DataFrame) -> pl.DataFrame:
        """Per part: patients, exams, images, and of each label (grouping.LABELS) how many the part has.

        Labels are counted in the unit that the header names, "malignant breasts": the smallest one of which every label
        says something (labels.known_unit). A breast with two images is one breast.
        """
        table = self.assign(manifest, same_women=True).filter(pl.col("part").is_not_null())
        unit = known_unit(table)
        said = [label_at(column, unit).any(ignore_nulls=False) for column in ("malignant", "benign")]
        units = table.group_by("part", *UNIT_KEYS[unit]).agg(said)
        labels = [(pl.col("label") == name).sum().alias(f"{name} {unit}s") for name in LABELS]
        counts = table.group_by("part").agg(
            pl.col("patient").n_unique().alias("patients"),
            pl.struct("dataset", "exam").n_unique().alias("exams"),
            pl.len().alias("images"),
        )
        counts = counts.join(units.with_columns(label=label_images(units)).group_by("part").agg(labels), on="part")
        order = {name: place for place, name in enumerate(self.names)}
        return counts.sort(pl.col("part").replace_strict(order, return_dtype=pl.Int64))

    def write(self, store: Path, name: str) -> Path:
        """STORE/splits/NAME.json. Raises SetupError if another split has that name, or it cannot be written now."""
        path = _path(store, name)
        content = json.dumps({"format": FORMAT, **self._json()}, indent=1) + "\n"
        try:
            with held_lock(store):
                if path.exists() and path.read_text() != content:
                    raise SetupError(f"{path}: another split has this name; give this one another name")
                path.parent.mkdir(exist_ok=True)
                write_whole(path, content)
        except OSError as error:
            raise SetupError(f"{path}: cannot be written: {error.strerror or error}") from error
        return path

    def _json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "options": self.options,
            "manifest": self.manifest,
            "women": self.women,
            "images": {part: sum(p == part for p in self.parts.values()) for part in self.names},
            "warnings": list(self.warnings),
            "parts": dict(sorted(self.parts.items())),
            "left_out": dict(sorted(self.left_out.items())),
        }

    @classmethod
    def load(cls, store: Path, name: str) -> Split:
        """The split of that name. Raises SetupError if there is none, or the file is no split of this version."""
        path = _path(store, name)
        if not path.is_file():
            there = sorted(p.stem for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
            raise SetupError(f"{path}: no such split; this store has {', '.join(there) or 'none'}")
        try:
            found = json.loads(path.read_text())
            if found["format"] != FORMAT:
                raise SetupError(f"{path}: found the format {found['format']!r}, need {FORMAT!r}: make the split again")
            return cls(
                {str(image): str(part) for image, part in found["parts"].items()},
                {str(image): str(reason) for image, reason in found["left_out"].items()},
                dict(found["options"]),
                int(found["seed"]),
                str(found["manifest"]),
                str(found["women"]),
                tuple(map(str, found["warnings"])),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(f"{path}: is no split ({type(error).__name__}: {error}); make it again") from error


def make_split(
    manifest: pl.DataFrame,
    *,
    by: str = "patient",
    stratify: str | None = None,
    folds: int | None = None,
    fractions: tuple[float, ...] | None = None,
    by_date: bool = False,
    official: bool = False,
    seed: int = 0,
) -> Split:
    """The prepared images of a manifest in parts, no woman in two of them.

    stratify   a column whose values keep their shares in all parts, or "label" (malignant, benign, negative, unknown)
    folds      that many parts of like size (scikit-learn's StratifiedGroupKFold)
    fractions  shares of train, validation, test (two or three, 1 in sum), counted in images
    by_date    patients in the order of their last exam: the first into train, the last into test, shares counted in
               patients (.8, .1, .1 unless given); in test only the last exam of each. Method: NYU data report, 2019
    official   the split that the set came with (column split)

    One of folds, fractions, by_date, official. The same seed gives the same split, whatever the order of the rows.
    Raises SetupError for other combinations, where a prepared image has no patient, and where a part would be empty.
    """
    _check_options(by, stratify, folds, fractions, by_date=by_date, official=official)
    rows = manifest.filter(status="prepared").sort("dataset", "image")
    _check_rows(rows)
    left_out: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    strata = name_strata(rows, stratify)
    if by_date:
        parts, left_out = divide_by_date(rows, _named(fractions or NYU_SHARES))
    elif official:
        parts, left_out = official_parts(rows, PARTS)
        if left_out:
            reasons = Counter(left_out.values())
            warnings = tuple(f"{count} images left out: {reason}" for reason, count in sorted(reasons.items()))
    elif folds is not None:
        parts, warnings = fold(rows, strata, folds, seed=seed)
    else:
        parts = divide(rows, strata, _named(fractions or ()), seed=seed)
    wanted = _wanted(folds, fractions, by_date=by_date)
    empty = [name for name in wanted if name not in set(parts.values())]
    if empty:
        patients = rows["patient"].n_unique()
        raise SetupError(f"split: nothing is left for {', '.join(empty)}: {patients} patients for {len(wanted)} parts")
    shares = list(fractions or NYU_SHARES) if by_date or fractions else None
    options = {
        "by": by,
        "stratify": stratify,
        "folds": folds,
        "fractions": shares,
        "by_date": by_date,
        "official": official,
    }
    return Split(parts, left_out, options, seed, hash_images(manifest), hash_images(manifest, pixels=False), warnings)


def hash_images(manifest: pl.DataFrame, *, pixels: bool = True) -> str:
    """SHA-256 of which images there are, whose they are, and of their pixels; not of labels or the order of rows."""
    columns = ["dataset", "image", "patient", "exam", *(["pixels_sha256"] if pixels else [])]
    rows = manifest.filter(status="prepared").select(columns).sort("dataset", "image").rows()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _check_options(
    by: str,
    stratify: str | None,
    folds: int | None,
    fractions: tuple[float, ...] | None,
    *,
    by_date: bool,
    official: bool,
) -> None:
    if by != "patient":
        raise SetupError(f"split: found by {by!r}, need 'patient': anything finer puts one woman on two sides")
    ways = [folds is not None, by_date, official, fractions is not None and not by_date]
    if sum(ways) != 1:
        raise SetupError("split: need one of folds, fractions, by date (with fractions or without), official")
    if stratify is not None and (by_date or official):
        raise SetupError("split: by date and official decide by themselves; stratify goes with folds or fractions")
    if folds is not None and folds < 2:
        raise SetupError(f"split: found {folds} folds, need 2 or more")
    if fractions is not None and (
        len(fractions) not in (2, 3) or not all(share > 0 for share in fractions) or abs(sum(fractions) - 1) > 1e-6
    ):
        raise SetupError(f"split: found the fractions {fractions}, need two or three above 0 that sum to 1")


def _check_rows(rows: pl.DataFrame) -> None:
    if not len(rows):
        raise SetupError("split: no prepared image in the manifest")
    lacking = rows.filter(pl.col("patient").is_null())
    if len(lacking):
        counts = ", ".join(f"{name}: {count}" for name, count in sorted(Counter(lacking["dataset"]).items()))
        raise SetupError(
            f"split: {len(lacking)} of {len(rows)} images have no patient ({counts}); need whose each image is, "
            "or one woman can end on two sides"
        )


def _named(fractions: tuple[float, ...]) -> dict[str, float]:
    """Two shares are train and test."""
    names = PARTS if len(fractions) == 3 else (PARTS[0], PARTS[2])
    return dict(zip(names, fractions, strict=True))


def _wanted(folds: int | None, fractions: tuple[float, ...] | None, *, by_date: bool) -> list[str]:
    if folds is not None:
        return [f"fold-{number}" for number in range(1, folds + 1)]
    return list(_named(fractions or NYU_SHARES)) if fractions or by_date else []


def _path(store: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise SetupError(f"split: found the name {name!r}, need letters, digits, and _ . - between them")
    return store / FOLDER / f"{name}.json"
