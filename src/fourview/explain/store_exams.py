"""Exams of a store as their files were: stored crops back in their places, with the outlines of their lesions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.crop import mirror
from fourview.exam import VIEWS, Box, Decision, Exam, Finding, Mammogram, SetupError, View, hash_label
from fourview.store.sets import PHANTOM
from fourview.store.store import Store

Row = Mapping[str, Any]  # of the manifest
COLUMNS = (
    "dataset",
    "patient",
    "exam",
    "image",
    "pixels_sha256",
    "view",
    "spacing_mm",
    "pixel_mode",
    "faces",
    "mirrored",
    "source_rows",
    "source_cols",
    "crop_top",
    "crop_bottom",
    "crop_left",
    "crop_right",
    "lesions",
)


@dataclass(frozen=True, eq=False)
class StoredExam:
    """An exam of a store before its pixels are read. exam_id: a hash of the set's and its own name"""

    store: Store
    exam_id: str
    name: str
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        return self.name

    @property
    def digest(self) -> str:
        return " ".join(str(row["pixels_sha256"]) for row in self.rows)

    def read(self) -> Exam:
        """With its pixels: 0 wherever the set's preparation cropped the file. Raises ExamError if a file is broken."""
        patient = self.rows[0]["patient"]
        return Exam(
            self.exam_id,
            tuple(read_mammogram(self.store, row) for row in self.rows),
            patient_key=None if patient is None else hash_label(patient),
            label=self.name,
        )

    def read_outlines(self, finding: Finding) -> dict[str, NDArray[np.bool_]]:
        """Image's name -> (rows, cols) of the file: in an outline of a biopsied lesion with this finding.

        Images without one are not there.
        """
        found = {}
        for row in self.rows:
            wanted = {lesion["lesion"] for lesion in row["lesions"] if _is_of(lesion, finding)}
            masks = [mask for name, mask in self.store.read_masks(row["image"]).items() if name in wanted]
            if masks:
                found[row["image"]] = unfold(np.logical_or.reduce(masks), row)
        return found


def find_stored(store: Store, *, exams: Sequence[str] | None = None) -> Iterator[StoredExam]:
    """The exams of a store in the order of its manifest. exams: names; None: all

    Raises SetupError if an exam that is named has no prepared image.
    """
    rows = store.images.filter(pl.col("view").is_not_null()).select(COLUMNS)
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        if exams is None or row["exam"] in exams:
            grouped[row["dataset"], row["exam"]].append(row)
    if missing := sorted(set(exams or ()) - {name for _, name in grouped}):
        there = rows["exam"].drop_nulls().unique(maintain_order=True)
        some = ", ".join(there.head(3)) + (" ..." if len(there) > 3 else "")
        raise SetupError(f"{store.path}: found no prepared image of the exam {missing[0]}; need one of {some}")
    for (dataset, name), own in grouped.items():
        ordered = sorted(own, key=lambda row: VIEWS.index(View(row["view"])))
        yield StoredExam(store, hash_label(f"{dataset}/{name}"), name, tuple(ordered))


def read_mammogram(store: Store, row: Row) -> Mammogram:
    """The image of a row (COLUMNS) as its file was, 0 wherever it was cropped. Raises ExamError."""
    decisions = [Decision("film", "its breast alone, as it was prepared", "store")]  # once is enough
    if row["dataset"] == PHANTOM:
        decisions.append(Decision.phantom("store"))
    return Mammogram(
        unfold(store.read_crop(row["image"]), row),
        View(row["view"]),
        row["image"],
        faces=row["faces"],
        spacing_mm=row["spacing_mm"],
        pixel_mode=row["pixel_mode"],
        decisions=tuple(decisions),
    )


def unfold(crop: NDArray[Any], row: Row) -> NDArray[Any]:
    """A stored crop, which faces right, in the place and direction that it has in its file."""
    whole = np.zeros((row["source_rows"], row["source_cols"]), crop.dtype)
    box = Box(row["crop_top"], row["crop_bottom"], row["crop_left"], row["crop_right"])
    whole[box.slices] = mirror(crop) if row["mirrored"] else crop
    return whole


def _is_of(lesion: Mapping[str, Any], finding: Finding) -> bool:
    words = json.loads(lesion["descriptors"] or "{}")
    return bool(lesion["pathology"] == finding and words.get("biopsied", "yes") == "yes")
