"""Files as they lie in a folder or a zip: listed in a fixed order, opened one at a time."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from fourview.exam import ExamError, SetupError

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx", "dicomdir"}  # DICOMDIR is an index, not an image
_LARGEST_MEMBER = 4 << 30  # bytes; tomosynthesis objects stay below it
_LARGEST_RATIO, _RATIO_FROM = 200, 1 << 30  # mammograms shrink 3 to 30 times
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
PREAMBLE = 132  # bytes: 128 free ones and "DICM"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # little-endian group numbers that begin DICOM without a preamble


def lacks_preamble(head: bytes) -> bool:
    """True for the first bytes of what may be DICOM without its preamble."""
    return head[:2] in _FIRST_GROUPS and head[PREAMBLE - 4 : PREAMBLE] != b"DICM"


@dataclass(frozen=True)
class StoredFile:
    """One file of an input.

    path      the file on disk, or the zip that holds it
    relative  POSIX path from the input; may hold patient names, so it is never shown
    member    the file's name inside the zip; None for a file on disk
    """

    path: Path
    relative: str
    member: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.relative).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.relative).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.relative).suffix.lower()

    @property
    def folder(self) -> str:
        """Where it lies, relative to the input; "" at the top."""
        parent = str(PurePosixPath(self.relative).parent)
        return "" if parent == "." else parent

    @property
    def place(self) -> tuple[str, str]:
        """The same for the same file, whatever the way that led to it."""
        return str(self.path.resolve()), self.member or ""

    @contextmanager
    def open(self, archive: zipfile.ZipFile | None = None) -> Iterator[IO[bytes]]:
        """The file opened for reading. archive: the zip, where it is open already. Raises ExamError."""
        try:
            if self.member is None:
                with self.path.open("rb") as stream:
                    yield stream
            elif archive is not None:
                with archive.open(self.member) as stream:
                    yield stream
            else:
                with zipfile.ZipFile(self.path) as opened, opened.open(self.member) as stream:
                    yield stream
        except _BROKEN_ZIP as error:
            where = "" if self.member is None else " in its zip"
            raise ExamError(f"{self.name}: cannot be read{where} ({_kind(error)}), need an intact file") from error

    def read_bytes(self, archive: zipfile.ZipFile | None = None, limit: int = -1) -> bytes:
        with self.open(archive) as stream:
            return stream.read(limit)

    @contextmanager
    def on_disk(self, archive: zipfile.ZipFile | None = None) -> Iterator[Path]:
        """A path that holds the file: its own, or a copy that is deleted at the end. Raises ExamError.

        DICOM without the 132 bytes that begin a DICOM file (as networks and old archives store it) gets them in
        the copy.
        """
        bare = lacks_preamble(self.read_bytes(archive, limit=PREAMBLE))
        if self.member is None and not bare:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="fourview-") as folder:
            copy = Path(folder) / self.name
            with self.open(archive) as stream, copy.open("wb") as out:
                if bare:
                    out.write(bytes(PREAMBLE - 4) + b"DICM")
                shutil.copyfileobj(stream, out, 1 << 20)
            yield copy


def _kind(error: BaseException) -> str:
    """What went wrong, without the path that the error's text may hold."""
    return (error.strerror or "") if isinstance(error, OSError) and error.strerror else type(error).__name__


def is_hidden(relative: str) -> bool:
    """True for what operating systems leave behind: dot files, __MACOSX, thumbnails, media indexes."""
    return any(part.startswith(".") or part.lower() in _SYSTEM_FILES for part in PurePosixPath(relative).parts)


@dataclass
class Listing:
    """What a folder or zip holds: grows while it is walked.

    left_out     (name, reason) of what is no file: a dangling link, a socket
    unreadable   (folder relative to the input, reason) of folders and zips that could not be opened
    empty        folders relative to the input, "" for the input itself, that hold nothing
    """

    left_out: list[tuple[str, str]]
    unreadable: list[tuple[str, str]]
    empty: list[str] = field(default_factory=list)


def walk_folder(folder: Path, listing: Listing) -> Iterator[StoredFile]:
    """Every file below, folders and files in the order of their names; links are followed, circles are not."""
    yield from _walk(folder, "", listing, set())


def _walk(folder: Path, relative: str, listing: Listing, seen: set[tuple[int, int]]) -> Iterator[StoredFile]:
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir())
    except OSError as error:
        listing.unreadable.append((relative, f"a folder cannot be opened ({_kind(error)})"))
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    if all(is_hidden(entry.name) for entry in entries):
        listing.empty.append(relative)
    for entry in entries:
        below = f"{relative}/{entry.name}" if relative else entry.name
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(entry, below, listing, seen)
        elif entry.is_file():
            yield StoredFile(entry, below)
        else:
            listing.left_out.append((entry.name, "a link that leads nowhere, or no regular file"))


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, opened, after a look at its table of contents.

    Raises SetupError if it is no zip, cut off, encrypted, leads out of its folder, or unpacks to absurd sizes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN_ZIP as error:
        raise SetupError(f"{path.name}: not a readable zip ({_kind(error)}), need a whole zip file") from error
    with archive:
        _check_zip(archive, path)
        yield archive


def _check_zip(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise SetupError(f"{path.name}: the zip is encrypted, need one without a password")
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or parts.name[1:2] == ":":
            raise SetupError(f"{path.name}: the zip holds a path that leads out of its folder; it is not opened")
        if member.file_size > _LARGEST_MEMBER:
            raise SetupError(f"{path.name}: the zip holds a file of {member.file_size >> 30} GiB, need at most 4")
    total, packed = sum(member.file_size for member in members), path.stat().st_size
    if total > _RATIO_FROM and total > _LARGEST_RATIO * packed:
        raise SetupError(
            f"{path.name}: the zip unpacks to {total // packed} times its size, need at most {_LARGEST_RATIO}"
        )


def walk_zip(archive: zipfile.ZipFile, path: Path, relative: str) -> Iterator[StoredFile]:
    """Every file of an opened zip, in the order of the names; relative: the zip's place below the input, or ""."""
    for member in sorted(archive.infolist(), key=lambda info: info.filename):
        inside = member.filename.replace("\\", "/")
        if not member.is_dir() and not is_hidden(inside):
            yield StoredFile(path, f"{relative}/{inside}" if relative else inside, member.filename)
