"""What messages may show of a user's folder: names of files and cells of the table without what names a patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fourview.datasets.own_headers import HeaderPatient
from fourview.datasets.own_lesion import real_file
from fourview.datasets.patient_words import PatientWords
from fourview.datasets.record import Lesion, MaskFile
from fourview.ingest.identity import redacted_name, telling_words

_IMAGES = (".png", ".pgm", ".dcm", ".dicom")
_NOT_READ = (".jpg", ".jpeg", ".tif", ".tiff")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")  # a cell in a message, as repr writes it


def list_not_named(root: Path, named: set[Path | None], words: PatientWords, table: str) -> list[tuple[str, str]]:
    """The pictures of the folder that are not `named`; words: of all patients."""
    problems = []
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in _IMAGES + _NOT_READ):
        if (real := real_file(root, path.relative_to(root).as_posix())) is None or real in named:
            continue
        not_read = path.suffix.lower() in _NOT_READ
        reason = "not named; and of a kind that is not read" if not_read else f"{table} does not name it"
        problems.append((words.redact(path.relative_to(root).as_posix()), reason))
    return problems


def patient_words_of(patients: Iterable[str], header: HeaderPatient | None = None) -> tuple[str, ...]:
    """What names the patients in a text: their ids and the parts of them, and what the image's header says."""
    own = telling_words(word for patient in patients for word in (patient, *re.split(r"[\W_]+", patient)))
    return own if header is None else (*own, *header.words)


def hide_texts(more: Mapping[str, str], words: Iterable[str]) -> dict[str, str]:
    """Free columns, "..." where a cell holds one of the words; words of pathology reports stay."""
    held = tuple(words)
    hidden = {column for column, cell in more.items() if any(word in cell.lower() for word in held)} - {"pathology"}
    return {column: "..." if column in hidden else cell for column, cell in more.items()}


def hide_cells(said: str, words: Iterable[str]) -> str:
    """A message without the quoted cells that hold one of the words."""
    held = tuple(words)
    return _QUOTED.sub(lambda cell: "'...'" if any(word in cell[0].lower() for word in held) else cell[0], said)


def redact_lesion(lesion: Lesion, words: Iterable[str]) -> Lesion:
    """The lesion with a name and a mask that messages can show."""
    held, region = tuple(words), lesion.region
    if isinstance(region, MaskFile):
        region = replace(region, shown=redacted_name(region.path.name, held))
    return replace(lesion, lesion=redacted_name(lesion.lesion, held), region=region)
