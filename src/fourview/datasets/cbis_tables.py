"""The four tables of CBIS-DDSM: one row per abnormality and view, as values that can be trusted.

Facts and counts: Lee et al. 2017 (doi 10.7937/K9/TCIA.2016.7O02S9CY) and the tables themselves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fourview.datasets.record import LesionKind, Pathology
from fourview.datasets.tables import find_one, read_table, side_of
from fourview.exam import ExamError, Side

WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"  # seen by the radiologist, found harmless, never biopsied
_TABLES: tuple[tuple[str, LesionKind, str, str, str], ...] = (
    ("mass_case_description_train_set.csv", "mass", "Mass", "Training", "train"),
    ("mass_case_description_test_set.csv", "mass", "Mass", "Test", "test"),
    ("calc_case_description_train_set.csv", "calcification", "Calc", "Training", "train"),
    ("calc_case_description_test_set.csv", "calcification", "Calc", "Test", "test"),
)
_DESCRIPTORS: Mapping[str, Mapping[str, str]] = {  # of a kind: column -> descriptor
    "mass": {"mass shape": "shape", "mass margins": "margins"},
    "calcification": {"calc type": "type", "calc distribution": "distribution"},
}
_NEEDS = (
    "patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "assessment",
    "pathology", "subtlety", "image file path", "cropped image file path", "ROI mask file path",
)  # fmt: skip
_PATHOLOGIES: dict[str, Pathology] = {"MALIGNANT": "malignant", "BENIGN": "benign", WITHOUT_CALLBACK: "benign"}
_DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D", "0": None, "": None}
_PATIENT = re.compile(r"P_\d{5}")
_MISSING = {"", "N/A"}


@dataclass(frozen=True)
class Abnormality:
    """One row: one abnormality in one view.

    place        "mass_case_description_test_set.csv, row 3", for messages
    number       the set's `abnormality id`; unique within (patient, side, kind)
    word         the published pathology;  pathology  what it means
    *_series     SeriesInstanceUIDs: the paths of the tables exist nowhere, but their last folder is the series
    descriptors  shape and margins, or type and distribution; assessment, subtlety; missing ones are left out
    """

    place: str
    patient: str
    side: Side
    angle: str
    kind: LesionKind
    number: int
    split: str
    density: str | None
    assessment: str
    word: str
    image_series: str
    crop_series: str
    mask_series: str
    descriptors: Mapping[str, str]

    @property
    def pathology(self) -> Pathology:
        return _PATHOLOGIES[self.word]

    @property
    def image(self) -> str:
        """The image that the row is about, whatever the kind: P_00001_LEFT_CC."""
        return f"{self.patient}_{'LEFT' if self.side is Side.LEFT else 'RIGHT'}_{self.angle}"

    @property
    def finding(self) -> tuple[str, Side, LesionKind, int]:
        """What the two views of the abnormality have in common."""
        return self.patient, self.side, self.kind, self.number


def read_abnormalities(root: Path) -> tuple[tuple[Abnormality, ...], tuple[tuple[str, str], ...]]:
    """All rows of the four tables in their order, and (row, reason) of those that contradict themselves.

    Raises SetupError if a table is missing or lacks a column.
    """
    rows: list[Abnormality] = []
    problems = []
    for name, kind, word, part, split in _TABLES:
        table = read_table(
            find_one(root, name, need="the four tables of CBIS-DDSM from its page at TCIA"),
            needs=(*_NEEDS, *_DESCRIPTORS[kind]),
            renamed={"breast density": "breast_density"},  # mass and calc tables differ in this name
        )
        for number, cells in enumerate(table, 1):
            place = f"{name}, row {number}"
            try:
                rows.append(_abnormality(cells, place, kind=kind, folder=f"{word}-{part}", split=split))
            except ExamError as error:
                problems.append((place, str(error)))
    return tuple(rows), tuple(problems)


def _abnormality(cells: Mapping[str, str], place: str, *, kind: LesionKind, folder: str, split: str) -> Abnormality:
    patient, angle, word = cells["patient_id"], cells["image view"], cells["pathology"]
    side, number = side_of(cells["left or right breast"]), cells["abnormality id"]
    if not _PATIENT.fullmatch(patient) or side is None or angle not in ("CC", "MLO") or not number.isdecimal():
        raise ExamError(
            f"found patient {patient!r}, side {cells['left or right breast']!r}, view {angle!r}, abnormality "
            f"{number!r}; need P_00000, LEFT or RIGHT, CC or MLO, a number"
        )
    if word not in _PATHOLOGIES:
        raise ExamError(f"found pathology {word!r}, need one of {', '.join(_PATHOLOGIES)}")
    if cells["breast_density"] not in _DENSITIES or cells["assessment"] not in set("012345"):
        raise ExamError(
            f"found density {cells['breast_density']!r}, assessment {cells['assessment']!r}; need 0-4 and 0-5"
        )
    own = f"{folder}_{patient}_{cells['left or right breast']}_{angle}"
    return Abnormality(
        place,
        patient,
        side,
        angle,
        kind,
        int(number),
        split,
        density=_DENSITIES[cells["breast_density"]],
        assessment=cells["assessment"],
        word=word,
        image_series=_series(cells["image file path"], own),
        crop_series=_series(cells["cropped image file path"], f"{own}_{number}"),
        mask_series=_series(cells["ROI mask file path"], f"{own}_{number}"),
        descriptors=_descriptors(cells, kind),
    )


def _series(path: str, folder: str) -> str:
    """The series of a path {folder}/{study}/{series}/{file}; its folder must name what the row names."""
    parts = path.split("/")
    if len(parts) != 4:
        raise ExamError(f"found the path {path!r}, need folder/study/series/file")
    if parts[0] != folder:
        raise ExamError(f"the path leads to {parts[0]}, the other columns say {folder}: need one of them corrected")
    return parts[2]


def _descriptors(cells: Mapping[str, str], kind: LesionKind) -> dict[str, str]:
    found = {}
    for column, descriptor in _DESCRIPTORS[kind].items():
        if cells[column] not in _MISSING:
            tokens = ["LUCENT_CENTERED" if t == "LUCENT_CENTER" else t for t in cells[column].split("-")]
            found[descriptor] = "-".join(tokens)  # the tables write both
    found["assessment"] = cells["assessment"]
    if cells["subtlety"] not in ("", "0"):
        found["subtlety"] = cells["subtlety"]
    found["pathology"] = cells["pathology"]
    return found


def patient_of(folder: str) -> str | None:
    """The patient in a folder name, which is what headers hold as PatientID: Mass-Training_P_00001_LEFT_CC_1."""
    match = _PATIENT.search(folder)
    return match[0] if match else None


def cross_type_patients(rows: Iterable[Abnormality]) -> tuple[str, ...]:
    """Patients who are in the training set of one kind and in the test set of the other, sorted."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.patient].add(row.split)
    return tuple(sorted(patient for patient, found in splits.items() if len(found) > 1))


def disputed_findings(rows: Iterable[Abnormality]) -> frozenset[tuple[str, Side, LesionKind, int]]:
    """Findings whose two views have different pathologies: the same number may stand for two abnormalities."""
    words: dict[tuple[str, Side, LesionKind, int], set[str]] = defaultdict(set)
    for row in rows:
        words[row.finding].add(row.word)
    return frozenset(finding for finding, found in words.items() if len(found) > 1)
