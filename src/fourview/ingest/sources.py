"""An exam that was found but not read yet, and the step that reads it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import (
    VIEWS,
    Decision,
    Direction,
    Exam,
    ExamError,
    Mammogram,
    PixelMode,
    SetupError,
    Side,
    View,
    hash_label,
    join_reasons,
)
from fourview.ingest import dicom, grey, orientation, raster
from fourview.ingest.dicom import DicomHeader
from fourview.ingest.files import StoredFile
from fourview.ingest.identity import distinct_names

_SHOWN = 8  # reasons that a message lists before it counts the rest


@dataclass(frozen=True)
class IngestOptions:
    """How files are read.

    pixels      the grey scale that DICOM files are read in; other files have one only
    spacing_mm  pixel size of every image, whatever its file says; None: what the files say
    mirrored    "auto": in files without orientation tags the pixels decide where the breast points
    secret      of the site, for patient keys; None: see identity.site_secret
    """

    pixels: PixelMode = "stored"
    spacing_mm: float | None = None
    mirrored: Literal["no", "auto"] = "no"
    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.pixels not in ("stored", "presentation"):
            raise SetupError(f"found pixel mode {self.pixels!r}, need 'stored' or 'presentation'")
        if self.mirrored not in ("no", "auto"):
            raise SetupError(f"found mirrored = {self.mirrored!r}, need 'no' or 'auto'")
        if self.spacing_mm is not None and not 0 < self.spacing_mm < 10:
            raise SetupError(f"found a pixel spacing of {self.spacing_mm} mm, need 0 to 10 mm")


@dataclass(frozen=True)
class ImageSource:
    """One image file and what is known of it before its pixels are read.

    name            what it is called in readings and messages
    view_source     what says which view it is ("file name", "labels.csv" ...)
    header          of a DICOM file; None for PNG and PGM
    tagged          where the breast points according to a list, where one says it
    spacing_mm      from a list or a data set; None if there is none
    spacing_shape   (rows, cols) that spacing_mm holds for; None: for any
    """

    file: StoredFile
    name: str
    view: View
    view_source: str
    header: DicomHeader | None = None
    tagged: Direction | None = None
    tag_source: str = ""
    spacing_mm: float | None = None
    spacing_source: str = ""
    spacing_shape: tuple[int, int] | None = None

    def read_named(self, options: IngestOptions) -> Mammogram:
        """The mammogram with its pixels. Raises ExamError, which calls the file by no other name than `name`."""
        try:
            return self.read(options)
        except ExamError as error:
            said = str(error)
            if self.name in said or self.file.name not in said:
                raise
            raise ExamError(said.replace(self.file.name, self.name)) from None

    def read(self, options: IngestOptions) -> Mammogram:
        """The mammogram with its pixels. Raises ExamError."""
        if self.header is not None:
            given = self.spacing_mm if options.spacing_mm is None else options.spacing_mm
            with self.file.on_disk() as path:
                header = replace(self.header, path=path, name=self.name)
                return dicom.read_mammogram(
                    header,
                    pixels=options.pixels,
                    spacing_mm=given,
                    mirrored_auto=options.mirrored == "auto",
                )
        read = raster.read_pgm if self.file.suffix == ".pgm" else raster.read_png
        pixels, scale = read(self.file.read_bytes(), self.name)
        pixels, frame = grey.blank_frame(pixels)
        if not pixels.any():
            raise ExamError(f"{self.view} {self.name}: all pixels are 0, need a breast brighter than its background")
        faces, direction, warnings = self._direction(pixels, options)
        spacing_mm, spacing = self._spacing(pixels.shape, options)
        view = Decision("view", self.view.value, self.view_source)
        return Mammogram(
            pixels,
            self.view,
            self.name,
            faces,
            spacing_mm=spacing_mm,
            pixel_mode="file",
            decisions=(view, *scale, *frame, *direction, *spacing),
            warnings=warnings,
        )

    def _direction(
        self, pixels: NDArray[Any], options: IngestOptions
    ) -> tuple[Direction, tuple[Decision, ...], tuple[str, ...]]:
        """Where the breast points: by default the list or the usual orientation, with "auto" the pixels."""
        if options.mirrored == "auto":
            undecided = self.tagged is not None and orientation.direction_in_pixels(pixels).direction is None
            if not undecided:
                return orientation.decide_direction_auto(self.view, pixels=pixels, name=self.name)
        return orientation.decide_direction(
            self.view, tagged=self.tagged, tag_source=self.tag_source, pixels=pixels, name=self.name
        )

    def _spacing(self, shape: tuple[int, ...], options: IngestOptions) -> tuple[float | None, tuple[Decision, ...]]:
        if options.spacing_mm is not None:
            return options.spacing_mm, (Decision("spacing", f"{options.spacing_mm} mm", "option spacing_mm"),)
        if self.spacing_mm is None:
            return None, (Decision("spacing", "unknown", "the file does not say"),)
        if self.spacing_shape is not None and shape != self.spacing_shape:
            return None, (
                Decision("spacing", "unknown", f"{self.spacing_source} holds for {self.spacing_shape} pixels only"),
            )
        return self.spacing_mm, (Decision("spacing", f"{self.spacing_mm} mm", self.spacing_source),)


@dataclass(frozen=True)
class ExamSource:
    """An exam as its files lie there: cheap to hold by the thousand and to send to another process.

    exam_id      16 hex digits: a hash of the label
    label        StudyInstanceUID, or the exam's name in its folder or list; shown only on request
    patient_key  HMAC of the patient id; None if the patient is unknown
    problem      why this exam cannot be read, found before its pixels were looked at; None if nothing speaks
                 against it yet
    left_out     (file name, reason) of the files of this exam that are not taken
    """

    exam_id: str
    label: str
    patient_key: str | None
    problem: str | None
    images: tuple[ImageSource, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    options: IngestOptions = field(default_factory=IngestOptions)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the image files, free of folders and patient ids, each once."""
        return tuple(image.name for image in self.images)

    def read(self) -> Exam:
        """The exam with its pixels. Raises ExamError: `problem`, or what its pixels turn out to be."""
        if self.problem is not None:
            raise ExamError(self.problem)
        mammograms = tuple(image.read_named(self.options) for image in self.images)
        return Exam(
            self.exam_id,
            mammograms,
            patient_key=self.patient_key,
            label=self.label,
            left_out=self.left_out,
            warnings=(
                *self.warnings,
                *_absent_sides(mammograms),
                *_doubled_views(mammograms),
                *_same_pixels(mammograms),
            ),
        )


@dataclass(frozen=True)
class Found:
    """What the inputs hold. left_out: (file name, reason) of the files that belong to no exam."""

    exams: tuple[ExamSource, ...]
    left_out: tuple[tuple[str, str], ...]


def compose_exam(
    label: str,
    images: Sequence[ImageSource],
    *,
    options: IngestOptions,
    patient_key: str | None = None,
    problems: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
    warnings: Sequence[str] = (),
) -> ExamSource:
    """The source of one exam: image names made distinct, problems joined, no image = a problem."""
    names = distinct_names(image.name for image in images)
    reasons = list(problems)
    if not images and not reasons:
        reasons.append(f"no CC or MLO mammogram in this exam: {list_files(left_out)}")
    return ExamSource(
        hash_label(label),
        label,
        patient_key,
        join_reasons(reasons) or None,
        tuple(replace(image, name=name) for image, name in zip(images, names, strict=True)),
        tuple(left_out),
        tuple(warnings),
        options,
    )


def list_files(left_out: Sequence[tuple[str, str]]) -> str:
    """Names and reasons in one line, the first few in full."""
    if not left_out:
        return "no files"
    shown = "; ".join(f"{name}: {reason}" for name, reason in left_out[:_SHOWN])
    return shown if len(left_out) <= _SHOWN else f"{shown}; and {len(left_out) - _SHOWN} more"


def _absent_sides(mammograms: Sequence[Mammogram]) -> list[str]:
    seen = {mammogram.view.side for mammogram in mammograms}
    words = {Side.LEFT: "left", Side.RIGHT: "right"}
    return [f"no {words[side]}-sided view in this exam" for side in Side if side not in seen]


def _doubled_views(mammograms: Sequence[Mammogram]) -> list[str]:
    """One warning per missing view while others are there more than once: a wrong view or side tag, most likely."""
    counts = Counter(mammogram.view for mammogram in mammograms)
    doubled = ", ".join(f"{count} images of {view}" for view, count in counts.items() if count > 1)
    if not doubled:
        return []
    return [f"no {view} in this exam, but {doubled}: one may be mislabelled" for view in VIEWS if view not in counts]


def _same_pixels(mammograms: Sequence[Mammogram]) -> list[str]:
    """One warning per pair of images with equal pixels: a copy under a wrong name, most likely."""
    first: dict[str, Mammogram] = {}
    warnings = []
    for mammogram in mammograms:
        digest = hashlib.sha256(f"{mammogram.pixels.shape}{mammogram.pixels.dtype}".encode())
        digest.update(np.ascontiguousarray(mammogram.pixels).data)
        other = first.setdefault(digest.hexdigest(), mammogram)
        if other is not mammogram:
            warnings.append(f"{other.view} {other.name} and {mammogram.view} {mammogram.name} hold identical pixels")
    return warnings
