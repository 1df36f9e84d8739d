"""What a patch network said about the images of a store: its grid and probabilities, one small file per image.

    STORE/heatmaps/HASH/ab/ab...h5    an image's, HASH: the patch network's (weights.card.Card.patch_hash)
    STORE/heatmaps/HASH/ab/ab...txt   why there is none: it, or another image of its exam, cannot be read

Maps are spread from it over the pixels when they are needed (fourview.heatmap): exactly those that were made, in a
thousandth of the room. The same content gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fourview.exam import ExamError
from fourview.whole_files import write_whole

FORMAT = "fourview heatmap 1"
FOLDER = "heatmaps"
_LIBRARY = ("v110", "v110")  # as image_file
_BROKEN = (OSError, KeyError, ValueError, ValidationError, RuntimeError)  # what h5py raises on broken files


@dataclass(frozen=True)
class HeatmapSource:
    """What an answer was made of.

    pixels_sha256  of the image's stored crop
    exam_sha256    of all images of the exam that were read with it, and of the seed: they decide its grid; and of the
                   precision, unless it is fp32
    """

    pixels_sha256: str
    exam_sha256: str


@dataclass(frozen=True, eq=False)
class PatchAnswers:
    """What the patch network said about one image.

    rows, cols, side_px  the grid: where patches start, and their side
    shape                (rows, cols) of the crop that they lie in, working pixels
    classes              of the network
    p                    (patches, classes) float32 probabilities, column by column of the grid, each from the top
    """

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    side_px: int
    shape: tuple[int, int]
    classes: tuple[str, ...]
    p: NDArray[np.float32]

    def __post_init__(self) -> None:
        expected = (len(self.rows) * len(self.cols), len(self.classes))
        if self.p.shape != expected or self.p.dtype != np.float32:
            raise ValueError(
                f"found answers of shape {self.p.shape} and type {self.p.dtype}, need {expected} of float32"
            )


@dataclass(frozen=True)
class _About:
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    side_px: int
    shape: tuple[int, int]
    classes: tuple[str, ...]
    source: HeatmapSource
    name: str
    format: str = FORMAT


_ABOUT = TypeAdapter(_About)


@dataclass(frozen=True)
class StoredHeatmaps:
    """The answers of one patch network in a store. Everything is read when it is asked for; it pickles.

    store  folder of the store;  patch_hash  of the network
    Images are named by their stored file (`blob` in the manifest), which is another one when the pixels are.
    """

    store: Path
    patch_hash: str

    @property
    def folder(self) -> Path:
        return self.store / FOLDER / self.patch_hash

    def write(self, blob: str, answers: PatchAnswers, source: HeatmapSource) -> None:
        """One image's file, whole or not at all. Raises OSError."""
        path = self._path(blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _encode(answers, source, name=path.stem))
        path.with_suffix(".txt").unlink(missing_ok=True)

    def write_problem(self, blob: str, problem: str) -> None:
        """Why there is no answer for an image. Raises OSError."""
        path = self._path(blob).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, problem)

    def is_done(self, blob: str, source: HeatmapSource) -> bool:
        """Whether the file is there, whole, and made of this."""
        try:
            return self._read(blob)[1] == source
        except ExamError:
            return False

    def read(self, blob: str, *, pixels_sha256: str) -> PatchAnswers:
        """What was said about an image. Raises ExamError if the file is missing, broken, or of other pixels."""
        answers, source = self._read(blob)
        if source.pixels_sha256 != pixels_sha256:
            raise ExamError(f"{self._named(blob)}: of other pixels than the image's; fill the store again")
        return answers

    def find_missing(self, blobs: Iterable[str]) -> dict[str, str | None]:
        """The images without an answer: why, or None if nobody tried. Looks at names of files only."""
        folders: dict[Path, set[str]] = {}
        missing: dict[str, str | None] = {}
        for blob in blobs:
            path = self._path(blob)
            if path.parent not in folders:
                folders[path.parent] = {p.name for p in path.parent.iterdir()} if path.parent.is_dir() else set()
            there = folders[path.parent]
            if path.name not in there:
                problem = path.with_suffix(".txt")
                missing[blob] = problem.read_text(encoding="utf-8") if problem.name in there else None
        return missing

    def _path(self, blob: str) -> Path:
        return self.folder / Path(blob).parent.name / Path(blob).name

    def _named(self, blob: str) -> str:
        return f"{FOLDER}/{self.patch_hash}/{Path(blob).name}"

    def _read(self, blob: str) -> tuple[PatchAnswers, HeatmapSource]:
        path = self._path(blob)
        try:
            with h5py.File(path, "r") as file:
                about = _ABOUT.validate_json(file["about"][:].tobytes())
                if about.format != FORMAT or about.name != path.stem:
                    raise ValueError("another format, or another image's file")
                p = np.asarray(file["p"][:], np.float32)
                answers = PatchAnswers(about.rows, about.cols, about.side_px, about.shape, about.classes, p)
                return answers, about.source
        except _BROKEN as error:
            raise ExamError(f"{self._named(blob)}: missing or broken; fill the store with heatmaps again") from error


def _encode(answers: PatchAnswers, source: HeatmapSource, *, name: str) -> bytes:
    about = _About(answers.rows, answers.cols, answers.side_px, answers.shape, answers.classes, source, name)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=_LIBRARY) as file:
        _add(file, "p", answers.p)
        _add(file, "about", np.frombuffer(_ABOUT.dump_json(about), np.uint8))
        file.flush()
    return buffer.getvalue()


def _add(file: Any, name: str, values: NDArray[Any]) -> None:
    file.create_dataset(name, data=values, chunks=values.shape, track_times=False, fletcher32=True)
    file.flush()  # see image_file
