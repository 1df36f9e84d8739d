"""What a data set says about one image, in one form whatever the set: the row of the manifest before it has pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fourview.exam import Box, ExamError, Mammogram, Side, View

LesionKind = Literal["mass", "calcification", "distortion", "asymmetry", "other"]
Pathology = Literal["benign", "malignant", "unknown"]
LabelSource = Literal["biopsy", "birads", "registry", "unknown"]
LabelUnit = Literal["image", "breast", "exam", "patient"]
LESION_KINDS: tuple[LesionKind, ...] = ("mass", "calcification", "distortion", "asymmetry", "other")
DENSITIES = ("A", "B", "C", "D")
BIRADS = ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")


@dataclass(frozen=True)
class Circle:
    """A disc, in source pixels (row from the top)."""

    row: float
    col: float
    radius: float


@dataclass(frozen=True)
class Polygon:
    """A closed outline, (row, col) source pixels; may leave the image."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class MaskFile:
    """A picture of the image's size. least  grey value from which a pixel belongs; outline  drawn, to be filled.

    shown  what messages call it, where its name may hold a patient's; "": its file name
    """

    path: Path
    least: int = 1
    outline: bool = False
    shown: str = ""


Region = Circle | Box | Polygon | MaskFile


@dataclass(frozen=True)
class Lesion:
    """One lesion in one image. The same `lesion` in two images of an exam is the same finding.

    descriptors  the set's own words, e.g. {"shape": "IRREGULAR", "margins": "SPICULATED"}
    high_risk    benign, but a marker of risk (atypia, LCIS, ...)
    """

    lesion: str
    kind: LesionKind
    pathology: Pathology = "unknown"
    high_risk: bool = False
    region: Region | None = None
    descriptors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageRecord:
    """One image of a set and everything the set's tables say about it.

    patient      the set's own pseudonym; None: unknown, and then nothing can be split
    exam, image  unique in the set;  path  of the image file
    side         None where the set does not say;  angle  "CC", "MLO", or the set's own word for another one
    malignant, benign  True, False, None = unknown; both can be True. What they are labels of: label_unit
    high_risk    a benign finding that is a marker of risk
    birads       as the set writes it, one of BIRADS;  density  A-D
    muscle       outline of the pectoral muscle
    split        the official one: "train", "validation", "test"
    more         other columns worth keeping, as texts
    """

    dataset: str
    patient: str | None
    exam: str
    image: str
    path: Path
    side: Side | None
    angle: str
    malignant: bool | None = None
    benign: bool | None = None
    high_risk: bool = False
    label_unit: LabelUnit = "image"
    label_source: LabelSource = "unknown"
    birads: str | None = None
    density: str | None = None
    age: float | None = None
    vendor: str | None = None
    date: str | None = None
    spacing_mm: float | None = None
    lesions: tuple[Lesion, ...] = ()
    muscle: Polygon | None = None
    split: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value, allowed in (("BI-RADS", self.birads, BIRADS), ("density", self.density, DENSITIES)):
            if value is not None and value not in allowed:
                raise ExamError(f"{self.image}: found the {what} {value!r}; need one of {', '.join(allowed)}")

    @property
    def view(self) -> View | None:
        """The standard view, or None."""
        return None if self.side is None or self.angle not in ("CC", "MLO") else View(f"{self.side}-{self.angle}")


@dataclass(frozen=True)
class Listing:
    """Everything that a set's folder holds.

    records   in a fixed order, whatever the file system's
    problems  (file or case, reason) of everything that did not become a record: labels without images and the reverse,
              rows that contradict themselves, ...
    warnings  about the set as a whole
    """

    records: tuple[ImageRecord, ...]
    problems: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """One known set: one line of `fourview data list`, one file of this package.

    name, title   what it is called;  has  what it offers, in a line
    terms         of use, in a line;  releases_models  False where the terms forbid to release models trained on it
    source        where it is described, and how to get it
    read_here     whether this code has ever read the real set, and how far ("40 images and all labels")
    public        ids and file names are pseudonyms that the set published; False: paths are not written anywhere
    find          folder -> Listing. Raises SetupError if the folder is not this set, or lacks its tables
    load          record -> Mammogram, source pixels, as ingest would read it. Raises ExamError
    """

    name: str
    title: str
    has: str
    terms: str
    source: str
    read_here: str
    find: Callable[[Path], Listing]
    load: Callable[[ImageRecord], Mammogram]
    releases_models: bool = True
    public: bool = True
