"""Upstream's exam list: a pickle or JSON list of exams, each with horizontal_flip and the file stems of its views."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fourview.exam import VIEWS, Direction, ExamError, SetupError, View
from fourview.ingest.files import Listing, StoredFile, walk_folder
from fourview.ingest.identity import patient_key
from fourview.ingest.listed import different_studies, listed_image
from fourview.ingest.sources import ExamSource, Found, ImageSource, IngestOptions, compose_exam
from fourview.ingest.view_names import view_of_stem

_SUFFIXES = (".png", ".dcm")
_NEED = "need a list of exams with horizontal_flip and L-CC, R-CC, L-MLO, R-MLO"
_NUMPY_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")


def is_upstream_list(content: Any) -> bool:
    """True for what looks like upstream's list: its items name views."""
    keys = {"horizontal_flip", *(view.value for view in VIEWS)}
    return isinstance(content, list) and any(isinstance(item, dict) and keys & item.keys() for item in content)


def load_pickle(path: Path) -> Any:
    """What a pickle holds, built from plain values only. Raises SetupError, naming the class, for anything else.

    A pickle is a program: nothing in it is run or imported. Containers, text, numbers and (in lists that upstream
    has cropped) NumPy numbers are accepted.
    """
    try:
        data = path.read_bytes()
        _check_opcodes(data)
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (SetupError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise SetupError(f"{path.name}: cannot be read as a pickle ({type(error).__name__}: {error})") from error


def _check_opcodes(data: bytes) -> None:
    """Refuses protocol 5 and memo positions that would make the unpickler reserve gigabytes."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "PROTO" and (argument or 0) > 4:
            raise SetupError(f"the exam list is a pickle of protocol {argument}, need at most 4")
        if "PUT" in opcode.name and isinstance(argument, int) and argument > len(data):
            raise SetupError("the exam list is a damaged pickle: a memo position beyond its size")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_CORES and name == "scalar":
            return _numpy_scalar
        if (module, name) == ("numpy", "dtype"):
            return _numpy_dtype
        raise SetupError(f"the exam list is a pickle that holds {module}.{name}, need lists, text and numbers only")


class _NumberType:
    """Stands for a NumPy number type while a pickle is read; its state says the byte order."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Sequence[Any]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _numpy_dtype(code: str, *_: object) -> _NumberType:
    if code[:1] not in ("b", "i", "u", "f"):
        raise SetupError(f"the exam list is a pickle that holds NumPy type {code!r}, need numbers only")
    return _NumberType(code)


def _numpy_scalar(kind: _NumberType, data: bytes) -> Any:
    return np.frombuffer(data, kind.dtype)[0].item()


def find_upstream(content: Any, path: Path, options: IngestOptions) -> Found:
    """The exams of upstream's list, in its order. Missing files are a problem of their exam; other keys are ignored.

    Images are <stem>.png or <stem>.dcm in the list's folder, in images/ there, or anywhere below if the name is
    unique. horizontal_flip YES says that the files are mirrored. Raises SetupError if this is no such list.
    """
    if not isinstance(content, list) or not content:
        raise SetupError(f"{path.name}: found {type(content).__name__}, {_NEED}")
    entries = [_Entry.parse(item, f"{path.name}, exam {number}") for number, item in enumerate(content, 1)]
    labels = _labels(entries)
    below = _FilesBelow(path.parent)
    exams = (_compose(entry, label, below, path, options) for entry, label in zip(entries, labels, strict=True))
    return Found(tuple(exams), ())


class _Entry:
    """One exam of the list: whether it says that its files are mirrored (None: it does not say), and its stems."""

    def __init__(self, mirrored: bool | None, stems: tuple[tuple[View, str], ...]) -> None:
        self.mirrored, self.stems = mirrored, stems

    @classmethod
    def parse(cls, item: Any, place: str) -> _Entry:
        if not isinstance(item, Mapping):
            raise SetupError(f"{place}: found {type(item).__name__}, {_NEED}")
        flip = item.get("horizontal_flip")
        if flip not in ("YES", "NO", None):
            raise SetupError(f"{place}: found horizontal_flip {flip!r}, need 'YES' or 'NO'")
        stems = []
        for view in VIEWS:
            listed = item.get(view.value, [])
            if not isinstance(listed, (list, tuple)) or not all(isinstance(stem, str) and stem for stem in listed):
                raise SetupError(f"{place}: {view} is no list of file stems, {_NEED}")
            stems += [(view, stem) for stem in listed]
        if not stems:
            raise SetupError(f"{place}: no file in any view, {_NEED}")
        return cls(None if flip is None else flip == "YES", tuple(stems))


def _labels(entries: list[_Entry]) -> list[str]:
    """A name per exam: what its stems have in common before the view, or all its stems where that is not unique."""
    common = []
    for entry in entries:
        names = {named.exam if (named := view_of_stem(stem)) else "" for _, stem in entry.stems}
        common.append(names.pop() if len(names) == 1 else "")
    full = [" ".join(stem for _, stem in entry.stems) for entry in entries]
    return [short if short and common.count(short) == 1 else long for short, long in zip(common, full, strict=True)]


class _FilesBelow:
    """Image files below a folder by stem; the folder is walked once, on the first stem that needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_stem: dict[str, list[StoredFile]] | None = None

    def find(self, stem: str) -> Path:
        """The image of a stem. Raises ExamError if there is none, or more than one to choose from."""
        parts = PurePosixPath(stem)
        if parts.is_absolute() or ".." in parts.parts:
            raise ExamError(f"{parts.name}: found a path that leads out of the list's folder, need a file stem")
        for place in (self.folder, self.folder / "images"):
            near = [path for suffix in _SUFFIXES if (path := place / f"{stem}{suffix}").is_file()]
            if near:
                return _only(near, parts.name)
        return _only([file.path for file in self._index().get(stem, [])], parts.name)

    def _index(self) -> dict[str, list[StoredFile]]:
        if self._by_stem is None:
            self._by_stem = {}
            for file in walk_folder(self.folder, Listing([], [])):
                if file.suffix in _SUFFIXES:
                    self._by_stem.setdefault(file.stem, []).append(file)
        return self._by_stem


def _only(paths: list[Path], stem: str) -> Path:
    if len(paths) != 1:
        raise ExamError(
            f"{stem}: found {len(paths)} files {stem}.png or {stem}.dcm in or below the list's folder, need 1"
        )
    return paths[0]


def _compose(entry: _Entry, label: str, below: _FilesBelow, path: Path, options: IngestOptions) -> ExamSource:
    images: list[ImageSource] = []
    problems: list[str] = []
    for view, stem in entry.stems:
        try:
            images.append(
                listed_image(
                    below.find(stem),
                    view=view,
                    list_name=path.name,
                    tagged=_tagged(view, entry.mirrored),
                    tag_source="" if entry.mirrored is None else "horizontal_flip",
                )
            )
        except ExamError as error:
            text = str(error)
            problems.append(text if text.startswith(view.value) else f"{view} {text}")
    women = {image.header.patient_id for image in images if image.header and image.header.patient_id}
    if len(women) > 1:
        problems.append(f"{path.name} puts files of {len(women)} patients into this exam, need one")
    return compose_exam(
        label,
        images,
        options=options,
        patient_key=None if problems else patient_key(next(iter(women), None), options.secret),
        problems=problems,
        warnings=different_studies(images),
    )


def _tagged(view: View, mirrored: bool | None) -> Direction | None:
    if mirrored is None:
        return None
    usual = view.usual_direction
    if not mirrored:
        return usual
    return "left" if usual == "right" else "right"
