"""Lesions to be explained, of a store or of files with a table of boxes; each is opened when its turn comes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fourview.crop import mirror
from fourview.exam import ExamError, Frame, Mammogram
from fourview.explain.store_exams import COLUMNS, read_mammogram, unfold
from fourview.store.store import Store
from fourview.studies.lesion.boxes import BoxRow
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.lesion_reader import LesionReader
from fourview.studies.lesion.read_sources import FileExam, OpenedImage, Sources
from fourview.studies.lesion.signs.cases import AskedLesion, find_reading
from fourview.studies.lesion.signs.read import LesionLens


@dataclass(frozen=True, eq=False)
class OpenedLesion:
    """One lesion in one image.

    malignant  the truth; None: unknown
    outline    (rows, cols) bool of the file;  networks  that are asked: places in card.members
    warnings   how its image is unlike those that were learned from
    """

    exam: str
    patient: str
    image: str
    lesion: str
    side: str
    angle: str
    malignant: bool | None
    crop: LesionCrop
    mammogram: Mammogram
    outline: NDArray[np.bool_]
    networks: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.side}-{self.angle} {self.image}, lesion {self.lesion}"


class LesionInput(Protocol):
    """A lesion before its pixels are read."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str:
        """Changes with the lesion, so that a folder of others is not gone on with."""

    def open(self) -> OpenedLesion:
        """Raises ExamError."""


def hash_inputs(inputs: Sequence[LesionInput]) -> str:
    """16 hex digits."""
    said = json.dumps([[one.name, one.digest] for one in inputs])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class StoredLesion:
    """Of a store. row: of the manifest (store_exams.COLUMNS)"""

    lens: LesionLens
    store: Store
    case: AskedLesion
    row: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.case.view.name

    @property
    def digest(self) -> str:
        box = self.case.view.box
        return f"{self.row['pixels_sha256']} {box.top} {box.bottom} {box.left} {box.right}"

    def open(self) -> OpenedLesion:
        view = self.case.view
        return OpenedLesion(
            view.exam,
            view.patient,
            view.image,
            view.lesion,
            view.side,
            view.angle,
            view.malignant,
            self.lens.cut(view),
            read_mammogram(self.store, self.row),
            unfold(self.store.read_masks(view.image)[view.lesion], self.row),
            self.case.networks,
        )


def list_stored_lesions(lens: LesionLens, store: Store, cases: Sequence[AskedLesion]) -> tuple[StoredLesion, ...]:
    """CC and MLO of one lesion one after the other."""
    rows = {row["image"]: row for row in store.images.select(COLUMNS).iter_rows(named=True)}
    ordered = sorted(cases, key=lambda case: (case.view.key, case.view.angle))
    return tuple(StoredLesion(lens, store, case, rows[case.view.image]) for case in ordered)


@dataclass(frozen=True, eq=False)
class FileLesion:
    """Of a file. problem: why its exam cannot be read; None if nothing speaks against it"""

    reader: LesionReader
    exam: str
    image: str
    row: BoxRow
    open_image: Callable[[], OpenedImage]
    problem: str | None = None

    @property
    def name(self) -> str:
        return f"{self.image}, lesion {self.row.lesion}"

    @property
    def digest(self) -> str:
        return f"{self.exam} {self.row.words}"

    def open(self) -> OpenedLesion:
        if self.problem is not None:
            raise ExamError(self.problem)
        image, lesion = self.open_image(), self.row.lesion
        self.reader.refuse_real(f"{image.view} {image.name}", is_phantom=image.is_phantom)
        if lesion not in image.masks:
            raise ExamError(dict(image.problems).get(lesion, f"{self.name}: found no outline of it"))
        crop = self.reader.cut(
            image.pixels, image.masks[lesion], spacing_mm=image.spacing_mm, frame=image.frame, name=self.name
        )
        networks = find_reading(self.reader.weights.card, image.view.angle)
        if not networks:
            raise ExamError(f"{self.name}: found a {image.view.angle} view, and no network here reads these")
        doubts = self.reader.doubts(spacing_mm=image.spacing_mm, pixel_mode=image.pixel_mode)
        mammogram = Mammogram(
            place_breast(image.pixels, image.frame),
            image.view,
            image.name,
            faces="left" if image.frame.mirrored else "right",
            spacing_mm=image.spacing_mm,
        )
        return OpenedLesion(
            image.exam,
            image.patient,
            image.name,
            lesion,
            image.view.side.value,
            image.view.angle,
            image.malignant.get(lesion),
            crop,
            mammogram,
            place_breast(image.masks[lesion], image.frame),
            networks,
            (*image.warnings, *doubts, *self.reader.doubt_kind(image.kinds.get(lesion, ""))),
        )


def list_file_lesions(reader: LesionReader, sources: Sources) -> Iterator[FileLesion]:
    """A lesion of a table after the other, image by image. sources: of read_sources.list_files"""
    for source in sources.sources:
        if isinstance(source, FileExam):
            for name, opener in source.openers():
                for row in source.wanted[name]:
                    yield FileLesion(reader, source.exam, name, row, opener, source.problem)


def place_breast(crop: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """A crop that faces right (not resampled) where and as its file has it, 0 elsewhere."""
    whole = np.zeros(frame.source_shape, crop.dtype)
    whole[frame.box.slices] = mirror(crop) if frame.mirrored else crop
    return whole
