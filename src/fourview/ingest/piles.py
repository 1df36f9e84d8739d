"""Files sorted into exams while folders are walked: one pile per DICOM study, or per name of other files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from fourview.exam import ExamError
from fourview.ingest import dicom
from fourview.ingest.dicom import DicomHeader
from fourview.ingest.files import PREAMBLE, StoredFile
from fourview.ingest.identity import distinct_names, patient_key, redacted_name
from fourview.ingest.listed import kind_of
from fourview.ingest.sources import ExamSource, Found, ImageSource, IngestOptions, compose_exam
from fourview.ingest.view_names import NEED_VIEW, view_of_stem

Key = tuple[str, ...]
_OTHER_IMAGES = {".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".gif", ".webp"}


@dataclass
class _Pile:
    """The files of one exam. numbered: images with the running number that their names give them."""

    label: str
    numbered: list[tuple[int, ImageSource]] = field(default_factory=list)
    women: dict[str, str] = field(default_factory=dict)  # patient id -> name of its first file
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


class Piles:
    """Collects files with `add`; `found` makes exams of them, in the order in which they were met."""

    def __init__(self, options: IngestOptions) -> None:
        self.options = options
        self.left_out: list[tuple[str, str]] = []
        self.empty: list[tuple[str, str]] = []  # (folder relative to its input, name of the input)
        self._piles: dict[Key, _Pile] = {}
        self._labels: set[str] = set()
        self._neighbours: dict[Key, set[Key]] = {}  # (input, folder) -> the exams that have an image there
        self._broken: list[tuple[Key, str, StoredFile, str]] = []
        self._others: list[tuple[Key, StoredFile, str]] = []
        self._unreadable: list[tuple[str, str, str]] = []
        self._words: dict[Key, set[str]] = {}  # what names the patients of a folder; never shown
        self._all_words: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    def add(self, file: StoredFile, origin: str, archive: zipfile.ZipFile | None = None) -> None:
        """Sorts one file. origin: the name of the input that it lies in. A file met before is not counted twice."""
        if file.place in self._seen:
            return
        self._seen.add(file.place)
        place = (file.place[0] if file.member else "", origin, file.folder)
        try:
            kind = kind_of(file.read_bytes(archive, limit=PREAMBLE), file.suffix)
        except ExamError as error:
            self._broken.append((place, origin, file, str(error)))
            return
        if kind == "png":
            self._add_picture(file, origin, place)
        elif kind == "other":
            self._others.append((place, file, _why_not(file)))
        else:
            self._add_dicom(file, origin, place, archive, certain=kind == "dicom")

    def _add_picture(self, file: StoredFile, origin: str, place: Key) -> None:
        named = view_of_stem(file.stem)
        if named is None:
            self._others.append((place, file, NEED_VIEW))
            return
        label = "/".join(part for part in (file.folder, named.exam) if part) or origin
        key = ("picture", *place, named.exam)
        pile = self._pile(key, label, origin)
        pile.numbered.append((named.number, ImageSource(file, file.name, named.view, "file name")))
        self._neighbours.setdefault(place, set()).add(key)

    def _add_dicom(
        self, file: StoredFile, origin: str, place: Key, archive: zipfile.ZipFile | None, *, certain: bool
    ) -> None:
        try:
            with file.on_disk(archive) as path:
                header = dicom.read_header(path)
        except ExamError as error:
            if certain:
                self._broken.append((place, origin, file, str(error)))
            else:
                self._others.append((place, file, _why_not(file)))
            return
        self._words.setdefault(place, set()).update(header.words)
        self._all_words.update(header.words)
        if not header.study_uid and header.left_out is not None:
            self.left_out.append((header.name, header.left_out))
            return
        key = ("study", header.study_uid) if header.study_uid else ("no study", *place)
        pile = self._pile(key, header.study_uid or file.folder or origin, origin)
        self._neighbours.setdefault(place, set()).add(key)
        _add_to_study(pile, file, header)

    def _pile(self, key: Key, label: str, origin: str) -> _Pile:
        if key not in self._piles:
            self._piles[key] = _Pile(self._free_label(label, origin))
        return self._piles[key]

    def _free_label(self, label: str, origin: str) -> str:
        """The label, or a longer one where two inputs hold exams of the same name."""
        number, candidate = 1, label
        while candidate in self._labels:
            candidate = f"{origin}/{label}" if number == 1 else f"{origin}/{label}~{number}"
            number += 1
        self._labels.add(candidate)
        return candidate

    def add_unreadable(self, relative: str, origin: str, reason: str) -> None:
        """Counts a folder or zip that cannot be opened as an exam that cannot be read."""
        self._unreadable.append((relative, origin, reason))

    def found(self, *, beside_others: bool = False) -> Found:
        """The exams so far. A broken file is a warning of the exams in its folder, else an exam that failed.

        So is an empty folder, where there are exams (or others were found elsewhere): one was meant to be there.
        """
        for place, file, reason in self._others:
            self.left_out.append((self._safe_name(file.name, place), reason))
        for place, origin, file, raw in self._broken:
            name = self._safe_name(file.name, place)
            reason = raw.replace(file.name, name)
            neighbours = self._neighbours.get(place, set())
            for key in sorted(neighbours):
                self._piles[key].warnings.append(
                    f"beside this exam lies a broken file, a view may be missing: {reason}"
                )
            if neighbours:
                self.left_out.append((name, reason))
            else:
                pile = self._pile(("broken", *place), file.folder or origin, origin)
                pile.problems.append(reason)
                pile.left_out.append((name, reason))
        if self._piles or self._unreadable or beside_others:
            for relative, origin in self.empty:
                self.add_unreadable(relative, origin, "an empty folder, need mammograms in it")
        for relative, origin, reason in self._unreadable:
            pile = self._pile(("unreadable", origin, relative), relative or origin, origin)
            name = PurePosixPath(relative).name or origin
            pile.problems.append(reason.replace(name, self._safe_name(name, None)))
        for pile in self._piles.values():
            pile.numbered = [(number, self._renamed(image)) for number, image in pile.numbered]
        for done in (self._others, self._broken, self._unreadable, self.empty):
            done.clear()
        return Found(tuple(_compose(pile, self.options) for pile in self._piles.values()), tuple(self.left_out))

    def _renamed(self, image: ImageSource) -> ImageSource:
        """The image under a safe name; a DICOM file has got one from its own tags."""
        return image if image.header else replace(image, name=self._safe_name(image.name, None))

    def _safe_name(self, name: str, place: Key | None) -> str:
        """The name of a file that names no patient itself, without what its neighbours' tags say of theirs.

        In its own folder a patient's name counts anywhere in the file name, elsewhere only as a whole word of it.
        """
        anywhere = self._all_words.intersection(re.split(r"[^a-z0-9]+", name.lower()))
        here = self._words.get(place, set()) if place is not None else set()
        return redacted_name(name, here | anywhere)


def _why_not(file: StoredFile) -> str:
    if file.suffix in _OTHER_IMAGES:
        return f"a {file.suffix[1:]} image: need DICOM or greyscale PNG"
    if file.suffix == ".zip":
        return "a zip inside a zip is not opened"
    return "neither DICOM nor PNG"


def _add_to_study(pile: _Pile, file: StoredFile, header: DicomHeader) -> None:
    if header.left_out is not None:
        pile.left_out.append((header.name, header.left_out))
        return
    if header.patient_id:
        pile.women.setdefault(header.patient_id, header.name)
    if header.problem is not None:
        pile.problems.append(header.problem)
    elif header.view is not None:
        pile.numbered.append((0, ImageSource(file, header.name, header.view, "DICOM tags", header=header)))


def _compose(pile: _Pile, options: IngestOptions) -> ExamSource:
    images = [image for _, image in sorted(pile.numbered, key=lambda pair: pair[0])]
    problems = [*pile.problems, *_same_instance(images)]
    if len(pile.women) > 1:
        files = " and ".join(pile.women.values())
        problems.append(f"{files} carry different patient ids in one study, need one patient")
    woman = next(iter(pile.women)) if len(pile.women) == 1 else None
    return compose_exam(
        pile.label,
        images,
        options=options,
        patient_key=patient_key(woman, options.secret),
        problems=problems,
        left_out=pile.left_out,
        warnings=pile.warnings,
    )


def _same_instance(images: Sequence[ImageSource]) -> list[str]:
    """One problem per file that repeats another's SOPInstanceUID."""
    first: dict[str, str] = {}
    problems = []
    for image, name in zip(images, distinct_names(image.name for image in images), strict=True):
        uid = image.header.sop_uid if image.header else ""
        if uid and (other := first.setdefault(uid, name)) != name:
            problems.append(f"{other} and {name} have the same SOPInstanceUID, need each image once")
    return problems
