"""What an exam list names and what lies in its folder, compared: what is missing, and what is named or there twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fourview.datasets.patient_words import PatientWords
from fourview.datasets.tables import files_below
from fourview.exam import FINDINGS, VIEWS, ExamError, Finding, Side, View
from fourview.ingest.sources import ImageSource

SIDES: Mapping[Side, str] = {Side.LEFT: "left", Side.RIGHT: "right"}  # in the keys of cancer_label
_PICTURES, _HDF5 = (".png", ".dcm"), (".hdf5", ".h5")
_HEATMAPS = "heatmap"  # folders of HDF5 files that are called like the images
_SHOWN = 5  # names in a message
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class ListedImage:
    """One image of a list: its entry, its exam as messages call it, and its own name, free of what names a patient."""

    entry: Entry
    exam: str
    image: ImageSource
    name: str


@dataclass(frozen=True)
class NamedFiles:
    """The files that the entries of a list name, and those that are there. All by stem.

    images        named as images
    masks         named as masks, as often as they are named
    of_a_finding  masks of findings that cancer_label says the breast has
    there         pictures below the folder;  hdf5  HDF5 files there that are no heatmaps
    words         what names patients: messages show a hash of a name that holds one
    """

    images: frozenset[str]
    masks: Mapping[str, int]
    of_a_finding: frozenset[str]
    there: Mapping[str, tuple[Path, ...]]
    hdf5: frozenset[str]
    words: PatientWords

    @classmethod
    def compare(cls, entries: Sequence[Entry], root: Path, words: PatientWords) -> NamedFiles:
        there: dict[str, tuple[Path, ...]] = {}
        hdf5 = set()
        for path in files_below(root, *_PICTURES, *_HDF5):
            if path.suffix.lower() in _PICTURES:
                there[path.stem] = (*there.get(path.stem, ()), path)
            elif not path.parent.name.startswith(_HEATMAPS):
                hdf5.add(path.stem)
        images = {_name(stem) for entry in entries for view in VIEWS for stem in entry.get(view.value, [])}
        masks: Counter[str] = Counter()
        of_a_finding = set()
        for entry in entries:
            for view, finding, names in _readable_masks(entry):
                masks.update(names)
                if has_finding(entry, view.side, finding):
                    of_a_finding |= set(names)
        return cls(frozenset(images), masks, frozenset(of_a_finding), there, frozenset(hdf5), words)

    def find_mask(self, stem: str) -> Path | None:
        """The picture of a named mask; None where it is not there. Raises ExamError where there or named twice."""
        name = _name(stem)
        found = [path for path in self.there.get(name, ()) if path.suffix.lower() == ".png"]
        shown = self.words.redact(name)
        if len(found) > 1:
            raise ExamError(f"found {len(found)} masks {shown}.png in or below the folder, need 1")
        if found and self.masks.get(name, 0) > 1:
            raise ExamError(
                f"the list names the mask {shown} {self.masks[name]} times, need one image and finding each"
            )
        return found[0] if found else None

    def warnings(self) -> Iterator[str]:
        """What is named and not there, counted, and the reverse. Lists name masks for every view, most of nothing."""
        missing = sorted(self.images - self.there.keys())
        if missing:
            yield (
                f"images: the list names {len(self.images):,}, {len(self.images) - len(missing):,} are there, "
                f"{len(missing):,} are not ({self._join(missing)}): is the set complete?"
            )
        absent = sorted(self.masks.keys() - self.there.keys())
        if absent:
            expected = [name for name in absent if name in self.of_a_finding]
            among = f"{len(expected):,} of them of findings that cancer_label has"
            yield (
                f"masks: the list names {len(self.masks):,}, {len(self.masks) - len(absent):,} are there, "
                f"{len(absent):,} are not, {among} ({self._join(expected or absent)}): findings that cannot be seen, "
                "or the set is not complete"
            )
        for places, said in ((set(missing), "only as HDF5"), (self.images & self.there.keys(), "as HDF5 too")):
            if names := sorted(places & self.hdf5):
                yield f"images: {len(names):,} are there {said}, which is not read ({self._join(names)})"
        if unnamed := sorted(self.there.keys() - self.images - self.masks.keys()):
            yield f"pictures: {len(unnamed):,} are there that the list does not name ({self._join(unnamed)})"

    def _join(self, stems: Sequence[str]) -> str:
        return _join([self.words.redact(stem) for stem in stems[: _SHOWN + 1]])


def name_masks(entry: Entry, view: View, finding: Finding) -> list[str]:
    """The stems of the masks of one view, one per image of it ("": none); none without that key. Raises ExamError."""
    key = f"{view.value}_{finding}_seg"
    named, images = entry.get(key), len(entry.get(view.value, []))
    if named is None:
        return []
    if not isinstance(named, list | tuple) or not all(isinstance(stem, str) for stem in named):
        raise ExamError(f"{key} is no list of file stems")
    if len(named) != images:
        raise ExamError(f"{key} names {len(named)} masks for {images} images, need one each")
    return list(named)


def _readable_masks(entry: Entry) -> Iterator[tuple[View, Finding, list[str]]]:
    for view in VIEWS:
        for finding in FINDINGS:
            try:
                yield view, finding, [_name(stem) for stem in name_masks(entry, view, finding) if stem]
            except ExamError:  # said where the entry is read
                continue


def has_finding(entry: Entry, side: Side, finding: Finding) -> bool:
    """Whether cancer_label says that the breast has the finding."""
    label = entry.get("cancer_label")
    return isinstance(label, Mapping) and label.get(f"{SIDES[side]}_{finding}") == 1


def find_repeated(entries: Sequence[Entry]) -> set[int]:
    """Places of the entries that repeat an earlier one, word for word."""
    alike: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    repeated = set()
    for place, entry in enumerate(entries):
        earlier = alike[tuple(stem for view in VIEWS for stem in entry.get(view.value, []))]
        if entry in earlier:
            repeated.add(place)
        else:
            earlier.append(entry)
    return repeated


def find_doubled(listed: Sequence[ListedImage]) -> dict[int, str]:
    """Place in `listed` -> why that image cannot be taken: its file, or its name, is that of another image too.

    Which of two exams or views is right nobody can say, so none of them is taken.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    by_file: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(listed):
        by_name[one.image.file.stem].append(place)
        by_file[one.image.file.place].append(place)
    found: dict[int, str] = {}
    for places in by_name.values():
        said = f"the list names {len(places)} files {listed[places[0]].name}, need names that are unique"
        found |= dict.fromkeys(places if len(places) > 1 else [], said)
    for places in by_file.values():
        where = _join([f"{listed[place].image.view} of exam {listed[place].exam}" for place in places])
        said = f"the list names one file for {len(places)} images ({where}), need one image per file"
        found |= dict.fromkeys(places if len(places) > 1 else [], said)
    return found


def _name(stem: str) -> str:
    return PurePosixPath(stem).name


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
