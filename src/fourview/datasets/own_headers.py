"""Whose image each DICOM file of a user's folder is by its header, held against the patients of the table.

One patient id in the headers of several patients of the table is one woman under several names, or an id that is wrong:
which of the two nobody can say here, so none of these patients' images is taken. To join them under one patient would
merge two women where it is the ids that are wrong; to keep one of them would put her on two sides of a split where the
others come back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from fourview.exam import ExamError
from fourview.ingest.dicom import read_header
from fourview.ingest.files import PREAMBLE, StoredFile
from fourview.ingest.listed import kind_of

HANDFUL = 5  # patients of the table: an id of more of them may be a dummy ...
DUMMY_SHARE = 0.1  # ... if they are this share of all. A woman under a name per exam has few names among many women
_FEW = 3  # patients from which an id that all of them have is a dummy
_DUMMY = re.compile(r"(de-?identified|anon(ym\w*)?|unknown|none|n/?a|removed|redacted|dummy|test|[0x*?._-]{2,})", re.I)
_SHOWN = 5  # patients whose lines a warning lists


@dataclass(frozen=True)
class HeaderPatient:
    """What the header of a DICOM file says about its patient: for comparing, never shown and never stored.

    patient_id  None: blank;  words  that name the patient (dicom_file.patient_words)
    """

    patient_id: str | None = field(repr=False)
    words: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class NamedImage:
    """One DICOM image of the table: its patient there ("": none), its line, and the patient id of its header."""

    patient: str = field(repr=False)
    line: int
    patient_id: str | None = field(repr=False)


@dataclass(frozen=True)
class ComparedPatients:
    """refused: patient of the table -> why none of his or her images is taken; warnings: about the set."""

    refused: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...]


def read_header_patient(path: Path) -> HeaderPatient | None:
    """The patient in a file's header; None where it is no DICOM file, or broken: that is said when it is loaded."""
    file = StoredFile(path, path.name)
    try:
        if kind_of(file.read_bytes(limit=PREAMBLE), file.suffix) not in ("dicom", "perhaps dicom"):
            return None
        with file.on_disk() as readable:
            header = read_header(readable)
    except ExamError:
        return None
    return HeaderPatient(header.patient_id, header.words)


def compare_patients(images: Iterable[NamedImage]) -> ComparedPatients:
    """Where headers and table do not agree about who is who.

    An id of several patients of the table refuses all of them, unless it is a dummy: a word such as ANONYMOUS, an id
    of all patients (3 or more), or of more than HANDFUL that are DUMMY_SHARE of all. Several ids of one patient are a
    warning: sites may number the same woman each in their way.
    """
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))  # id -> patient -> lines
    for image in images:
        if image.patient and image.patient_id:
            lines[image.patient_id][image.patient].append(image.line)
    patients = {patient for of_id in lines.values() for patient in of_id}
    dummies = {word for word, of_id in lines.items() if _is_dummy(word, len(of_id), len(patients))}
    refused: dict[str, list[str]] = defaultdict(list)
    own: dict[str, list[int]] = defaultdict(list)  # patient -> lines, of ids that are no dummies
    several: set[str] = set()
    for word, of_id in lines.items():
        if word in dummies:
            continue
        for patient, numbers in of_id.items():
            several |= {patient} if patient in own else set()
            own[patient] += numbers
        if len(of_id) > 1:
            said = _say_shared(list(of_id.values()))
            for patient in of_id:
                refused[patient].append(said)
    shared = {patient for word in dummies if len(lines[word]) > 1 for patient in lines[word]}
    warnings = []
    if shared:
        warnings.append(
            f"DICOM headers: {len(shared)} patients of the table share patient ids that look like dummies: whose an "
            "image is, the table alone says"
        )
    if several:
        warnings.append(
            f"DICOM headers: {len(several)} patients of the table have several patient ids ({_say_some(own, several)}):"
            " right where sites number patients each in their way; else two women have one name in the table"
        )
    return ComparedPatients({patient: "; ".join(said) for patient, said in refused.items()}, tuple(warnings))


def _is_dummy(patient_id: str, sharing: int, patients: int) -> bool:
    """sharing: patients of the table with this id; patients: all of them with any id."""
    if _DUMMY.fullmatch(patient_id) or sharing >= max(_FEW, patients):
        return True
    return sharing > HANDFUL and sharing >= DUMMY_SHARE * patients


def _say_shared(lines: Sequence[Sequence[int]]) -> str:
    who = " and ".join(_say_lines(numbers) for numbers in lines)
    return (
        f"{len(lines)} patients of the table ({who}) have one patient id in the headers of these files; need one "
        "patient in these lines, or other ids in the headers"
    )


def _say_some(lines: Mapping[str, Sequence[int]], patients: set[str]) -> str:
    found = sorted((lines[patient] for patient in patients), key=min)
    return " and ".join(_say_lines(numbers) for numbers in found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")


def _say_lines(numbers: Sequence[int]) -> str:
    """ "line 2", "lines 2-4, 7"."""
    ordered = sorted(set(numbers))
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after > before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after > before + 1), ordered[-1]]
    spans = ", ".join(str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    return f"line{'s' if len(ordered) > 1 else ''} {spans}"
