"""What is to be read: images with outlined lesions, of a store or of files, each opened when its turn comes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.crop import crop_breast
from fourview.datasets.record import LesionKind
from fourview.datasets.regions import draw_region
from fourview.exam import FINDINGS, ExamError, Frame, SetupError, View
from fourview.ingest import ExamSource, ImageSource, IngestOptions, find_exams
from fourview.prepare import blank_film_once
from fourview.store.masks import cut_mask
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.boxes import BoxRow
from fourview.studies.lesion.cases import frame_of
from fourview.studies.lesion.lesion_weights import Images
from fourview.train.lesion_classes import role_of

_SHOWN = 3  # images that a message names


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image that can be read from: its breast, facing right, and masks of lesions in the same pixels.

    patient  a pseudonym or key; the exam's id where the patient is unknown
    masks    lesion -> (rows, cols) bool;  malignant  lesion -> truth; None: unknown;  kinds  lesion -> its kind, ""
             where nobody says
    problems (lesion, reason) of those that have no pixel on the breast
    """

    exam: str
    patient: str
    name: str
    view: View
    pixels: NDArray[Any]
    frame: Frame
    spacing_mm: float | None
    pixel_mode: str
    is_phantom: bool
    masks: dict[str, NDArray[np.bool_]]
    malignant: dict[str, bool | None]
    kinds: Mapping[str, str]
    problems: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


class Source(Protocol):
    """Images of one exam."""

    @property
    def exam(self) -> str: ...
    @property
    def problem(self) -> str | None:
        """Why none of its images can be read; None if nothing speaks against it."""
        ...

    def openers(self) -> Iterator[tuple[str, Callable[[], OpenedImage]]]:
        """The name of each image that is asked for, and what opens it. Opening raises ExamError."""
        ...


@dataclass(frozen=True, eq=False)
class Sources:
    """All of them, and (name, reason) of what was asked for and is not there."""

    sources: tuple[Source, ...]
    missing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class StoredExam:
    """Prepared images of one exam. wanted: image -> rows of boxes; None: the store's own outlines of these kinds"""

    store: Store
    rows: tuple[dict[str, Any], ...]
    kinds: tuple[LesionKind, ...]
    wanted: dict[str, tuple[BoxRow, ...]] | None = None

    problem = None

    @property
    def exam(self) -> str:
        return str(self.rows[0]["exam"])

    def openers(self) -> Iterator[tuple[str, Callable[[], OpenedImage]]]:
        for row in self.rows:
            yield row["image"], partial(self._open, row)

    def _open(self, row: dict[str, Any]) -> OpenedImage:
        frame = frame_of(row)
        if self.wanted is None:
            kinds = {lesion["lesion"]: str(lesion["kind"]) for lesion in row["lesions"]}
            masks, truth = self._outlines(row)
            problems: list[tuple[str, str]] = []
        else:
            kinds = {box.lesion: box.kind for box in self.wanted[row["image"]]}
            masks, truth, problems = draw_boxes(self.wanted[row["image"]], frame)
        return OpenedImage(
            exam=row["exam"],
            patient=row["patient"] or row["exam"],
            name=row["image"],
            view=View(row["view"]),
            pixels=self.store.read_crop(row["image"]),
            frame=frame,
            spacing_mm=row["spacing_mm"],
            pixel_mode=row["pixel_mode"],
            is_phantom=row["dataset"] == PHANTOM,
            masks=masks,
            malignant=truth,
            kinds=kinds,
            problems=tuple(problems),
        )

    def _outlines(self, row: dict[str, Any]) -> tuple[dict[str, NDArray[np.bool_]], dict[str, bool | None]]:
        """Masks and truths of the row's lesions of these kinds."""
        truth: dict[str, bool | None] = {}
        for lesion in row["lesions"]:
            if lesion["kind"] in self.kinds and lesion["mask"] is not None:
                role = role_of(lesion, distractors="ignored")
                truth[lesion["lesion"]] = role == "malignant" if role in FINDINGS else None
        masks = {name: mask for name, mask in self.store.read_masks(row["image"]).items() if name in truth}
        return masks, truth


@dataclass(frozen=True, eq=False)
class FileExam:
    """An exam as its files lie there. wanted: an image's name -> rows of boxes;  images  as those learned from were"""

    source: ExamSource
    wanted: dict[str, tuple[BoxRow, ...]]
    images: Images

    @property
    def exam(self) -> str:
        return self.source.exam_id

    @property
    def problem(self) -> str | None:
        return self.source.problem

    def openers(self) -> Iterator[tuple[str, Callable[[], OpenedImage]]]:
        for image in self.source.images:
            if image.name in self.wanted:
                yield image.name, partial(self._open, image)

    def _open(self, image: ImageSource) -> OpenedImage:
        """The breast as the store of the lesions that were learned from would hold it."""
        mammogram, rows = image.read_named(self.source.options), self.wanted[image.name]
        mammogram = blank_film_once(mammogram) if self.images.film else mammogram
        cut = crop_breast(mammogram, iterations=self.images.crop_iterations, buffer_px=self.images.crop_buffer_px)
        masks, truth, problems = draw_boxes(rows, cut.frame)
        return OpenedImage(
            exam=self.source.exam_id,
            patient=self.source.patient_key or self.source.exam_id,
            name=mammogram.name,
            view=mammogram.view,
            pixels=cut.pixels,
            frame=cut.frame,
            spacing_mm=mammogram.spacing_mm,
            pixel_mode=mammogram.pixel_mode,
            is_phantom=mammogram.is_phantom,
            masks=masks,
            malignant=truth,
            kinds={row.lesion: row.kind for row in rows},
            problems=tuple(problems),
            warnings=(*mammogram.warnings, *cut.warnings),
        )


def draw_boxes(
    rows: Sequence[BoxRow], frame: Frame
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, bool | None], list[tuple[str, str]]]:
    """Masks in the crop, truths, and (lesion, reason) of rows without a pixel in it. frame: of the crop"""
    masks, truth, problems = {}, {}, []
    shape = frame.box.height, frame.box.width
    for row in rows:
        if row.lesion in masks:
            problems.append((row.lesion, f"{row.words}: found another row of it for this image, which is taken"))
            continue
        try:
            cut = cut_mask(draw_region(row.region, frame.source_shape), frame)
        except ExamError as error:
            problems.append((row.lesion, f"{row.words}: {error}"))
            continue
        if cut is None:
            problems.append((row.lesion, f"{row.words}: found no pixel of it on the breast, need some"))
            continue
        masks[row.lesion] = np.zeros(shape, bool)
        masks[row.lesion][cut.box.slices] = cut.inside
        truth[row.lesion] = row.malignant
    return masks, truth, problems


def list_stored(store: Store, boxes: Sequence[BoxRow] | None, *, kinds: tuple[LesionKind, ...]) -> Sources:
    """Exams of a store. boxes: None: the store's own outlines of lesions of these kinds, known to be benign or not"""
    rows = store.images.filter(pl.col("view").is_not_null()).sort("exam", "image")
    exams: dict[tuple[str, str], list[dict[str, Any]]] = {}
    found: dict[str, tuple[BoxRow, ...]] = {}
    for row in rows.iter_rows(named=True):
        if boxes is None:
            there = any(lesion["kind"] in kinds and lesion["mask"] is not None for lesion in row["lesions"])
        else:
            own = tuple(
                box for box in boxes if box.is_of(exams=(row["exam"],), image=row["image"], view=View(row["view"]))
            )
            there = bool(own)
            found[row["image"]] = own
        if there:
            exams.setdefault((row["dataset"], row["exam"]), []).append(row)
    wanted = None if boxes is None else found
    _check_one_exam((box, row["exam"]) for row in rows.iter_rows(named=True) for box in found.get(row["image"], ()))
    sources = tuple(StoredExam(store, tuple(own), kinds, wanted) for own in exams.values())
    return Sources(sources, _list_missing(boxes or (), found.values(), found))


def list_files(
    inputs: Sequence[Path], boxes: Sequence[BoxRow], images: Images, *, spacing_mm: float | None, mirrored: Any = "no"
) -> Sources:
    """Exams of files, of which some image has a box. Raises SetupError as ingest.find_exams does."""
    options = IngestOptions(pixels=images.pixel_mode, spacing_mm=spacing_mm, mirrored=mirrored)
    files: list[FileExam] = []
    found = []
    seen = find_exams(inputs, options)
    exams = seen.exams
    for source in exams:
        called = (source.exam_id, source.label)
        wanted = {}
        for image in source.images:
            own = tuple(box for box in boxes if box.is_of(exams=called, image=image.name, view=image.view))
            if own:
                wanted[image.name] = own
                found.append(own)
        if wanted:
            files.append(FileExam(source, wanted, images))
    _check_one_exam((box, one.source.exam_id) for one in files for own in one.wanted.values() for box in own)
    names = (f"{source.exam_id} {name}" for source in exams for name in source.names)
    left_out = dict([*seen.left_out, *(one for source in exams for one in source.left_out)])
    return Sources(tuple(files), _list_missing(boxes, found, names, left_out))


def _check_one_exam(pairs: Iterable[tuple[BoxRow, str]]) -> None:
    """Nothing, if each row is of images of one exam. Raises SetupError: names of files come again in other folders."""
    exams: dict[int, set[str]] = {}
    for row, exam in pairs:
        exams.setdefault(row.line, set()).add(exam)
        if len(exams[row.line]) > 1:
            raise SetupError(
                f"boxes: {row.words}: found images of that name in the exams {', '.join(sorted(exams[row.line]))}; "
                "need a column exam that says which"
            )


def _list_missing(
    boxes: Sequence[BoxRow],
    found: Iterable[Sequence[BoxRow]],
    names: Iterable[str],
    left_out: Mapping[str, str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """(row, reason) of rows that no image has. Raises SetupError if that is all of them.

    names  of the images;  left_out  a file's name -> why it is no image
    """
    there = {row.line for own in found for row in own}
    reasons = {end: reason for name, reason in (left_out or {}).items() for end in (name, name.rpartition(".")[0])}
    missing = tuple((row.words, reasons.get(row.image, "no such image here")) for row in boxes if row.line not in there)
    if boxes and len(missing) == len(boxes):
        raise SetupError(
            f"boxes: found none of the {len(boxes)} rows' images, the first {boxes[0].words}: {missing[0][1]}; need "
            "images that are "
            f"here: {', '.join(itertools.islice(names, _SHOWN))} ..."
        )
    return missing
