"""The text files of one DDSM case: the .ics header and the outlines of each view (.OVERLAY).

Format: Heath et al. 2001, "The Digital Database for Screening Mammography". Coordinates there are (column, row).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from fourview.datasets.record import Lesion, LesionKind, Pathology, Polygon
from fourview.exam import ExamError, Side

_STEPS = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))  # (column, row) of codes 0 to 7
_VIEW = re.compile(
    r"(?P<view>(?:LEFT|RIGHT)_(?:CC|MLO))\s+LINES\s+(?P<rows>\d+)\s+PIXELS_PER_LINE\s+(?P<cols>\d+)\s+"
    r"BITS_PER_PIXEL\s+(?P<bits>\d+)\s+RESOLUTION\s+(?P<um>[\d.]+)\s+(?P<overlay>NON_OVERLAY|OVERLAY)"
)
_DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D"}
_PATHOLOGIES: dict[str, Pathology] = {
    "BENIGN": "benign",
    "BENIGN_WITHOUT_CALLBACK": "benign",
    "MALIGNANT": "malignant",
    "UNPROVEN": "unknown",
}
BIOPSIED = {"BENIGN", "MALIGNANT"}  # without callback means: never biopsied
_SHAPES: dict[str, LesionKind] = {  # of what DDSM calls a mass
    "ARCHITECTURAL_DISTORTION": "distortion",
    "ASYMMETRIC_BREAST_TISSUE": "asymmetry",
    "FOCAL_ASYMMETRIC_DENSITY": "asymmetry",
}


@dataclass(frozen=True)
class FilmView:
    """One line of the .ics file. rows, cols, um: of the original scan; overlay: an .OVERLAY file belongs to it."""

    rows: int
    cols: int
    bits: int
    um: float
    overlay: bool


@dataclass(frozen=True)
class Case:
    """The .ics file: one woman on one day. name "C_0029_1", as the image files begin; views by "LEFT_CC" ..."""

    name: str
    prefix: str
    patient: str
    age: float | None
    density: str | None
    date: str | None
    digitizer: str
    views: Mapping[str, FilmView]


@dataclass(frozen=True)
class Abnormality:
    """One ABNORMALITY of an .OVERLAY file.

    number       as the file counts: the numbers of the CC and the MLO view do not go together
    types        "MASS", "CALCIFICATION" ... one per LESION_TYPE line
    pathology    the file's word
    outline      (row, col) corners of its outer boundary, original pixels
    cores        how many inner outlines it has besides
    descriptors  shape, margins, type, distribution, assessment, subtlety: the file's words
    """

    number: int
    types: tuple[str, ...]
    pathology: str
    outline: Polygon
    cores: int
    descriptors: Mapping[str, str]

    @property
    def kind(self) -> LesionKind:
        """What the first LESION_TYPE says; DDSM counts distortions and asymmetries as masses of that shape."""
        shapes = self.descriptors.get("shape", "").split("-")
        if self.types[0] == "MASS" and all(shape in _SHAPES for shape in shapes):
            return _SHAPES[shapes[0]]
        kinds: dict[str, LesionKind] = {"MASS": "mass", "CALCIFICATION": "calcification"}
        return kinds.get(self.types[0], "other")

    def lesion(self, name: str, *, outline: Polygon) -> Lesion:
        """The abnormality as a lesion; outline: in pixels of the image at hand."""
        words = {**self.descriptors, "lesion type": " + ".join(self.types), "pathology": self.pathology}
        return Lesion(name, self.kind, _PATHOLOGIES[self.pathology], region=outline, descriptors=words)


def read_case(path: Path) -> Case:
    """What an .ics file says. Raises ExamError."""
    lines = _lines(path)
    words = {line.split(maxsplit=1)[0]: line.split()[1:] for line in lines if line.split()}
    named = re.fullmatch(r"([A-Z])-(\d{4})-(\d+)", " ".join(words.get("filename", [])))
    if named is None:
        raise ExamError(f"{path.name}: no line such as 'filename A-1234-1', need the .ics file of a case")
    views = {}
    for line in lines:
        if match := _VIEW.match(line.strip()):
            size = int(match["rows"]), int(match["cols"]), int(match["bits"]), float(match["um"])
            views[match["view"]] = FilmView(*size, overlay=match["overlay"] == "OVERLAY")
        elif re.match(r"\s*(LEFT|RIGHT)_", line):
            raise ExamError(f"{path.name}: found {line.strip()!r}, need LINES, PIXELS_PER_LINE, BITS_PER_PIXEL ...")
    if not views:
        raise ExamError(f"{path.name}: it names no view, need the whole .ics file")
    age = words.get("PATIENT_AGE", [])
    return Case(
        name="_".join(named.groups()),
        prefix=named[1],
        patient=f"{named[1]}_{named[2]}",
        age=float(age[0]) if age and age[0].isdecimal() else None,
        density=_DENSITIES.get(" ".join(words.get("DENSITY", []))),
        date=_iso_date(words.get("DATE_OF_STUDY", [])),
        digitizer=" ".join(words.get("DIGITIZER", [])),
        views=views,
    )


def _iso_date(words: Sequence[str]) -> str | None:
    """Day, month and year, as DDSM writes them, as 1993-03-02; None where they are no date."""
    try:
        day, month, year = (int(word) for word in words)
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def read_overlay(path: Path) -> tuple[Abnormality, ...]:
    """The abnormalities of an .OVERLAY file. Raises ExamError if one is broken or missing."""
    lines = [line.strip() for line in _lines(path) if line.strip()]
    starts = [at for at, line in enumerate(lines) if line.split()[0] == "ABNORMALITY"]
    total = _count(lines[:1], "TOTAL_ABNORMALITIES", path.name)
    if total != len(starts):
        raise ExamError(f"{path.name}: it announces {total} abnormalities and holds {len(starts)}: need the whole file")
    ends = [*starts[1:], len(lines)]
    return tuple(_abnormality(lines[start:end], path.name) for start, end in zip(starts, ends, strict=True))


def _abnormality(lines: list[str], name: str) -> Abnormality:
    number = _count(lines, "ABNORMALITY", name)
    types: list[str] = []
    descriptors: dict[str, str] = {}
    chains: dict[str, list[str]] = {"BOUNDARY": [], "CORE": []}
    pathology = ""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        key, *words = line.split()
        if key == "LESION_TYPE" and words:
            types.append(words[0])
            for what, value in zip(words[1::2], words[2::2], strict=False):
                descriptors[what.lower()] = value
        elif key in ("ASSESSMENT", "SUBTLETY"):
            descriptors[key.lower()] = " ".join(words)
        elif key == "PATHOLOGY":
            pathology = " ".join(words)
        elif key in chains:
            chains[key].append(following)
    outlines = _count(lines, "TOTAL_OUTLINES", name)
    if not types or pathology not in _PATHOLOGIES or len(chains["BOUNDARY"]) != 1:
        found = f"{len(types)} lesion types, pathology {pathology or 'none'!r}, {len(chains['BOUNDARY'])} boundaries"
        raise ExamError(f"{name}, abnormality {number}: found {found}; need a type, a known pathology and one boundary")
    if outlines != 1 + len(chains["CORE"]):
        raise ExamError(f"{name}, abnormality {number}: {outlines} outlines announced, {1 + len(chains['CORE'])} there")
    outline = read_chain(chains["BOUNDARY"][0], f"{name}, abnormality {number}")
    return Abnormality(number, tuple(types), pathology, outline, len(chains["CORE"]), descriptors)


def _count(lines: Iterable[str], key: str, name: str) -> int:
    for line in lines:
        words = line.split()
        if words[0] == key and len(words) == 2 and words[1].isdecimal():
            return int(words[1])
    raise ExamError(f"{name}: no line '{key} n', need the whole file")


def read_chain(line: str, name: str) -> Polygon:
    """The outer boundary of a chain code, as corners in original pixels; it may leave the film.

    line  "column row code code ... #": the start, then a step per code
    Where the chain crosses itself, what it encloses belongs to the outline too. Raises ExamError.
    """
    words = line.split()
    if len(words) < 4 or words[-1] != "#" or not all(word.isdecimal() for word in words[:-1]):
        raise ExamError(f"{name}: found the chain {line[:40]!r} ..., need 'column row codes #'")
    codes = [int(word) for word in words[2:-1]]
    if max(codes) > 7:
        raise ExamError(f"{name}: found the chain code {max(codes)}, need 0 to 7")
    steps = np.array([(int(words[0]), int(words[1])), *(_STEPS[code] for code in codes)])
    path = np.cumsum(steps, axis=0)  # (codes + 1, 2) column, row
    low = path.min(axis=0) - 1
    canvas = np.zeros((path.max(axis=0) + 2 - low)[::-1], np.uint8)
    cv2.polylines(canvas, [(path - low).astype(np.int32)], isClosed=True, color=1)
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = contours[0][:, 0] + low  # one closed line is one contour
    return Polygon(tuple((float(row), float(col)) for col, row in corners))


def side_and_angle(view: str) -> tuple[Side, str]:
    """Side and angle of "LEFT_CC" ..."""
    side, angle = view.split("_")
    return (Side.LEFT if side == "LEFT" else Side.RIGHT), angle


def lesion_names(abnormalities: Mapping[str, Sequence[Abnormality]]) -> dict[tuple[str, int], str]:
    """(view, number) -> what the lesion is called in its exam: the same in CC and MLO where it must be the same one.

    That is so where both views of a breast hold exactly one abnormality, of one kind and pathology; DDSM numbers the
    abnormalities of each view anew, so that with several nothing says which belong together.
    """
    names = {}
    for view, found in abnormalities.items():
        side, angle = view.split("_")
        other = abnormalities.get(f"{side}_{'MLO' if angle == 'CC' else 'CC'}", ())
        for one in found:
            same = len(found) == len(other) == 1 and (one.kind, one.pathology) == (other[0].kind, other[0].pathology)
            names[view, one.number] = f"{side}-1" if same else f"{view}-{one.number}"
    return names


def _lines(path: Path) -> list[str]:
    """Raises ExamError if the file cannot be read."""
    try:
        return path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise ExamError(f"{path.name}: cannot be read ({error.strerror}); need the whole file") from error
