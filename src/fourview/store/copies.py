"""Which images of a set show the same picture: equal pixels, and pairs that were found and then confirmed."""

from __future__ import annotations

import errno
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError, SetupError
from fourview.store.candidates import find_candidates
from fourview.store.fingerprint import SmallPicture, shrink, square
from fourview.store.registration import Match, register

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Pair:
    """Two images that show the same picture. match: how they lie; None: their pixels are equal."""

    first: str
    second: str
    match: Match | None


@dataclass(frozen=True)
class Copies:
    """What was found, and what it cost.

    unreadable  (image, reason): not compared
    candidates  pairs that looked alike and were registered
    seconds     of each step
    """

    pairs: tuple[Pair, ...]
    unreadable: tuple[tuple[str, str], ...]
    candidates: int
    seconds: Mapping[str, float]


def find_copies(
    images: Sequence[str],
    read: Callable[[str], Pixels],
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> Copies:
    """Pairs of images with equal pixels, or that are the same picture mirrored, upside down, at another size, in
    another grey scale, lossily compressed, or cut by up to 5 % a side; not turned by 90 degrees.

    read     image -> (rows, cols), the breast alone; may raise ExamError
    on_step  called with (done, total); the total grows when the number of candidates is known
    Of several images with equal pixels the first is compared with the rest. Pictures wait in a temporary file of
    about 100 kB each. Raises SetupError where there is no room for it.
    """
    started = time.perf_counter()
    done, total = 0, 2 * len(images)

    def step() -> None:
        nonlocal done
        done += 1
        if on_step is not None:
            on_step(done, total)

    equal: list[Pair] = []
    unreadable: list[tuple[str, str]] = []
    names: list[str] = []
    squares: list[NDArray[np.uint8]] = []
    first_with: dict[bytes, str] = {}
    with _temporary_file() as file:
        pictures = _PictureFile(file)
        for image in images:
            step()
            try:
                pixels = read(image)
            except ExamError as error:
                unreadable.append((image, str(error)))
                continue
            digest = _digest(pixels)
            if digest in first_with:
                equal.append(Pair(first_with[digest], image, None))
                continue
            first_with[digest] = image
            picture = shrink(pixels)
            pictures.append(picture)
            squares.append(square(picture))
            names.append(image)
        read_at = time.perf_counter()
        total = len(images) + len(names)
        candidates = find_candidates(squares, on_step=step)
        found_at = time.perf_counter()
        total = done + len(candidates)
        confirmed = []
        for candidate in candidates:
            first, second = pictures[candidate.first], pictures[candidate.second]
            match = register(first, second, turn=candidate.turn, cut=candidate.cut)
            if match.same:
                confirmed.append(Pair(names[candidate.first], names[candidate.second], match))
            step()
    seconds = {"read": read_at - started, "search": found_at - read_at, "confirm": time.perf_counter() - found_at}
    return Copies((*equal, *confirmed), tuple(unreadable), len(candidates), seconds)


@contextmanager
def _temporary_file() -> Iterator[BinaryIO]:
    """A file that vanishes with the block. Raises SetupError if the disk is full, in the block too."""
    try:
        with tempfile.TemporaryFile() as file:
            yield file
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise SetupError(
            f"no room for small pictures in the temporary folder {tempfile.gettempdir()}: need about 100 kB per image, "
            "or another folder in TMPDIR"
        ) from error


def _digest(pixels: Pixels) -> bytes:
    """Of size and values, whatever their type: 8-bit files are stored as 16 bits."""
    rows, cols = pixels.shape
    return hashlib.sha256(f"{rows} {cols} ".encode() + pixels.astype("<u2").tobytes()).digest()


class _PictureFile:
    """Small pictures on disk, by number: too many to hold in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: list[tuple[int, tuple[int, int], tuple[int, int]]] = []

    def append(self, picture: SmallPicture) -> None:
        shape = (picture.ranks.shape[0], picture.ranks.shape[1])
        self._places.append((self._file.seek(0, 2), shape, picture.shape))
        self._file.write(picture.ranks.tobytes() + picture.tissue.tobytes())

    def __getitem__(self, number: int) -> SmallPicture:
        place, shape, of_crop = self._places[number]
        self._file.seek(place)
        content = np.frombuffer(self._file.read(2 * shape[0] * shape[1]), np.uint8).reshape(2, *shape)
        return SmallPicture(content[0], content[1].view(np.bool_), of_crop)
