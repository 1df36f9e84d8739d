"""The nouns: what every other module takes and returns.

Frames. Three pixel frames exist, and a value says in which one it lives:

source   the mammogram as its file holds it (after decoding; never mirrored, never resampled)
working  the source resampled to the pixel size of the network; same direction as the source
crop     the part of the working image that holds the breast, mirrored where needed so that the breast faces right

Arrays are (rows, cols). Boxes are half-open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["left", "right"]
PixelMode = Literal["stored", "presentation", "file"]
Precision = Literal["fp32", "bf16"]
Finding = Literal["benign", "malignant"]
FINDINGS: tuple[Finding, ...] = ("benign", "malignant")
_PHANTOM = ("origin", "a phantom that fourview drew: nobody was imaged")


class ExamError(Exception):
    """This exam cannot be read. The batch goes on and lists the exam with this text."""


class SetupError(Exception):
    """Weights, options, device or data set are wrong. Stop; exit status 2."""


class View(StrEnum):
    """One of the four standard views, in the order that upstream uses everywhere."""

    L_CC = "L-CC"
    R_CC = "R-CC"
    L_MLO = "L-MLO"
    R_MLO = "R-MLO"

    @property
    def side(self) -> Side:
        return Side(self.value[0])

    @property
    def angle(self) -> Literal["CC", "MLO"]:
        return "CC" if self.value.endswith("CC") else "MLO"

    @property
    def usual_direction(self) -> Direction:
        """Where the nipple points in a file with the usual orientation: left breasts right, right breasts left."""
        return "right" if self.side is Side.LEFT else "left"


class Side(StrEnum):
    LEFT = "L"
    RIGHT = "R"

    @property
    def views(self) -> tuple[View, View]:
        return View(f"{self.value}-CC"), View(f"{self.value}-MLO")


VIEWS: tuple[View, ...] = tuple(View)


@dataclass(frozen=True)
class Box:
    """A half-open rectangle of pixels: rows top..bottom-1, columns left..right-1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Decision:
    """One thing that the reader decided about an image, and from what."""

    topic: str  # orientation, view, side, grey scale, background, spacing ...
    value: str
    source: str  # the tag, the pixels, the option that decided

    @classmethod
    def phantom(cls, source: str) -> Decision:
        """That the image is a phantom: a mark that fourview's own files carry says so."""
        return cls(*_PHANTOM, source)


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One image of one view, as its file holds it: breast bright, background exactly 0.

    pixels      (rows, cols) uint8 or uint16, source frame
    name        what the image is called in readings and messages: its file name, free of patient identifiers
    faces       where the nipple points in `pixels`; decided once, by the reader, and recorded in `decisions`
    spacing_mm  pixel size at the breast side of the detector (square pixels); None if the file does not say
    pixel_mode  "stored" or "presentation" (see ingest.grey), "file" for images that come without DICOM meaning
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    view: View
    name: str
    faces: Direction
    spacing_mm: float | None = None
    pixel_mode: PixelMode = "file"
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype not in (np.uint8, np.uint16):
            raise ExamError(
                f"{self.view} {self.name}: found an array of shape {self.pixels.shape} and type "
                f"{self.pixels.dtype}, need (rows, cols) of uint8 or uint16"
            )
        if self.spacing_mm is not None and not 0 < self.spacing_mm < 10:
            raise ExamError(f"{self.view} {self.name}: pixel spacing {self.spacing_mm} mm, need 0 to 10 mm")

    @property
    def is_phantom(self) -> bool:
        """Whether fourview drew it; decided once, by the reader, and recorded in `decisions`."""
        return any((decision.topic, decision.value) == _PHANTOM for decision in self.decisions)


@dataclass(frozen=True, eq=False)
class Exam:
    """The views of one woman on one day.

    exam_id      16 hex digits: a hash of the study id (DICOM) or of the exam's name (other files)
    mammograms   any number of images per view, in the order that they were given
    patient_key  HMAC of the patient id under the site's secret, for grouping; None if the patient is unknown
    label        the study id or name that the hash stands for: shown only on request (`--show-ids`)
    left_out     (file name, reason) of every file of this exam that was not taken
    """

    exam_id: str
    mammograms: tuple[Mammogram, ...]
    patient_key: str | None = None
    label: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.mammograms:
            raise ExamError("no CC or MLO mammogram in this exam")

    @property
    def views(self) -> dict[View, tuple[Mammogram, ...]]:
        """The images of each view that the exam has, in upstream's view order."""
        found = {view: tuple(m for m in self.mammograms if m.view is view) for view in VIEWS}
        return {view: images for view, images in found.items() if images}

    @classmethod
    def from_arrays(
        cls,
        images: Mapping[str, NDArray[Any] | Sequence[NDArray[Any]]],
        *,
        faces: Mapping[str, Direction] | None = None,
        spacing_mm: float | None = None,
        exam_id: str = "arrays",
    ) -> Exam:
        """An exam from arrays in memory, keyed by view name ("L-CC" ...).

        images  (rows, cols) uint8 or uint16 per view, or a list of them; breast bright on exactly 0
        faces   where the nipple points, for views that are not oriented as usual (left breasts right,
                right breasts left)
        """
        for name in [*images, *(faces or {})]:
            if name not in images or name not in [*VIEWS]:
                raise ExamError(
                    f"{name!r}: need the name of a view that has an image; the views are {', '.join(VIEWS)}"
                )
        mammograms = []
        for key, value in images.items():
            view = View(key)
            arrays = [value] if isinstance(value, np.ndarray) else list(value)
            direction = (faces or {}).get(key, view.usual_direction)
            decision = Decision("orientation", f"faces {direction}", "caller")
            for number, array in enumerate(arrays):
                name = view.value if len(arrays) == 1 else f"{view.value}#{number}"
                mammograms.append(Mammogram(array, view, name, direction, spacing_mm=spacing_mm, decisions=(decision,)))
        return cls(exam_id, tuple(mammograms))


def hash_label(label: str) -> str:
    """The exam id of a label: 16 hex digits of its SHA-256."""
    return hashlib.sha256(label.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Frame:
    """The way from the crop back to the pixels of the file.

    working_shape differs from source_shape only where the image was resampled to the network's pixel size.
    box is in working pixels; mirrored says that the crop is a left-right mirror image of that box.
    """

    source_shape: tuple[int, int]
    working_shape: tuple[int, int]
    box: Box
    mirrored: bool

    @property
    def resampled(self) -> bool:
        return self.working_shape != self.source_shape

    @property
    def box_source(self) -> Box:
        """The smallest box of source pixels that holds the crop."""
        (rows, cols), (h, w) = self.source_shape, self.working_shape
        return Box(
            self.box.top * rows // h,
            -(-self.box.bottom * rows // h),
            self.box.left * cols // w,
            -(-self.box.right * cols // w),
        )

    def point_source(self, row: float, col: float) -> tuple[float, float]:
        """Pixel-centre coordinates (row, col) of the crop, in source pixels."""
        if self.mirrored:
            col = self.box.width - 1 - col
        row_scale = self.source_shape[0] / self.working_shape[0]
        col_scale = self.source_shape[1] / self.working_shape[1]
        return (
            (row + self.box.top + 0.5) * row_scale - 0.5,
            (col + self.box.left + 0.5) * col_scale - 0.5,
        )


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Where the patch network sees a malignant and a benign finding in one mammogram.

    source_shape  (rows, cols) of the source file
    box           the part of it that was looked at; only this part is held in memory
    inside        per finding, (rows, cols) of the box, float32 in [0, 1], direction of the source file
    """

    source_shape: tuple[int, int]
    box: Box
    inside: Mapping[Finding, NDArray[np.float32]]

    @classmethod
    def from_arrays(cls, *, malignant: NDArray[np.float32], benign: NDArray[np.float32]) -> Heatmap:
        """A heatmap from maps of the whole source image."""
        rows, cols = malignant.shape
        return cls((rows, cols), Box(0, rows, 0, cols), {"malignant": malignant, "benign": benign})

    @property
    def malignant(self) -> NDArray[np.float32]:
        """(rows, cols) of the source file, 0 where nothing was looked at; made anew at every access."""
        return self["malignant"]

    @property
    def benign(self) -> NDArray[np.float32]:
        """The same for benign findings."""
        return self["benign"]

    def __getitem__(self, finding: Finding) -> NDArray[np.float32]:
        full = np.zeros(self.source_shape, np.float32)
        full[self.box.slices] = self.inside[finding]
        return full

    def largest(self, finding: Finding) -> float:
        """The largest value of the map."""
        return float(self.inside[finding].max(initial=0))


@dataclass(frozen=True)
class Score:
    """What a reading says about one breast (or, for single-image models, one image).

    benign, malignant  estimated probability of a biopsied benign / malignant finding, each in [0, 1]; two
                       separate questions: they do not add up to 1
    *_sd_windows       population standard deviation over the jittered windows (mean over members), 0 for one
    *_sd_members       population standard deviation over ensemble members, 0 for one
    views              the views that the score rests on
    files              the names of the images that it rests on
    """

    benign: float
    malignant: float
    benign_sd_windows: float = 0.0
    malignant_sd_windows: float = 0.0
    benign_sd_members: float = 0.0
    malignant_sd_members: float = 0.0
    views: tuple[View, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for p in (self.benign, self.malignant):
            if not 0 <= p <= 1:
                raise ExamError(f"found a probability of {p}: the network returned no number in [0, 1]")


@dataclass(frozen=True)
class HeadScore:
    """One output of one network head for one jittered window: the raw material of a reading.

    member  position of the network in the ensemble; window  0, 1 ... ; head  e.g. "CC" or "L-MLO"
    images  names of the images whose features the head saw; views  the view of each
    side, finding, p  what it says
    """

    member: int
    window: int
    head: str
    images: tuple[str, ...]
    side: Side
    finding: Finding
    p: float
    views: tuple[View, ...] = ()


@dataclass(frozen=True, eq=False)
class ImageReading:
    """What happened to one mammogram: where it was cropped and, if the model makes one, its heatmap.

    best_centre  (row, col) in the crop frame: the middle of the window before jitter
    score        only from single-image models
    features     (members x features,) float32, what the columns made of it, the mean over windows; None where
                 they were not kept, or a member drew no window of it
    """

    name: str
    view: View
    faces: Direction
    frame: Frame
    best_centre: tuple[int, int]
    spacing_mm: float | None
    pixel_mode: PixelMode
    heatmap: Heatmap | None = None
    score: Score | None = None
    features: NDArray[np.float32] | None = None
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model says about one exam.

    left, right    None where no image of that breast was read
    unit           "breast", or "image" for single-image models (then `images[i].score` is the reading, and
                   left and right are the means over the images of that breast)
    marks          reasons to distrust the numbers (untrained weights, pixel size out of range, ...)
    warnings       of the exam and its images
    engine         what ran the networks, e.g. "openvino 2026.4.1 on cpu"
    precision      of their arithmetic, "fp32" or "bf16"
    patch_side_px  side of the patches behind the heatmaps, as the network sees them; None: there are no heatmaps
    seconds        time per stage
    """

    exam_id: str
    patient_key: str | None
    label: str
    unit: Literal["breast", "image"]
    left: Score | None
    right: Score | None
    images: tuple[ImageReading, ...]
    heads: tuple[HeadScore, ...]
    model: str
    weights_hash: str
    members: int
    windows: int
    marks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    engine: str = ""
    precision: Precision = "fp32"
    patch_side_px: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def breasts(self) -> dict[Side, Score]:
        found = {Side.LEFT: self.left, Side.RIGHT: self.right}
        return {side: score for side, score in found.items() if score is not None}

    @property
    def heatmaps(self) -> dict[View, Heatmap]:
        """The heatmap of each view (of its first image, where a view has several: see `images`)."""
        return {i.view: i.heatmap for i in reversed(self.images) if i.heatmap is not None}


def join_reasons(reasons: Iterable[str]) -> str:
    """The reasons in one line, each once, in order."""
    return "; ".join(dict.fromkeys(reasons))
