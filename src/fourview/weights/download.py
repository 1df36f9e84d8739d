"""Fetch published files: resumed where a transfer broke, trusted only after a check of their git blob id."""

# pooch, the usual choice, can neither resume a transfer nor check a git blob id; hence requests.

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from fourview.exam import SetupError
from fourview.weights.zoo import ZooEntry, ZooFile

# file name, bytes there so far, bytes in all (None where the server does not say)
Progress = Callable[[str, int, int | None], None]

RETRY_PAUSES_S: tuple[float, ...] = (1.0, 2.0, 4.0)
_CHUNK_BYTES = 1 << 16
_BUSY = frozenset({408, 429, 500, 502, 503, 504})  # HTTP answers that may be different a second later

_log = logging.getLogger(__name__)


def fetch_files(
    entry: ZooEntry,
    folder: Path,
    *,
    progress: Progress | None = None,
    source: Path | None = None,
    timeout_s: float = 30,
) -> tuple[Path, ...]:
    """The files of the entry in `folder`, each verified, in the order of the entry.

    A file that is there already is verified and not fetched again. A new one is written to NAME.part and gets
    its name after its git blob id was found right, so a NAME is always whole. A NAME.part is left behind only
    where the connection broke or the program was stopped; the next call goes on from there.

    folder     made if missing
    progress   called after every piece of a transfer; not called for files that are there
    source     a folder to copy the files from, instead of the network
    timeout_s  longest silence of the server, in seconds

    Raises SetupError if a file cannot be had, is not the published one, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [file for file in entry.files if not _is_there(file, folder)]
    except OSError as error:
        raise SetupError(
            f"{entry.name}: cannot use {error.filename or folder}: {error.strerror or error}; "
            "need a folder that can be read and written"
        ) from error
    report = progress or _ignore_progress
    if source is not None:
        _copy_files(missing, source=source, folder=folder, report=report)
    elif missing:
        with requests.Session() as session:
            for file in missing:
                _download(file, folder, session=session, report=report, timeout_s=timeout_s)
    return tuple(folder / file.name for file in entry.files)


def git_blob_id(path: Path) -> str:
    """The id that git gives the content of a file: 40 hex digits, SHA-1 over b"blob SIZE\\0" + bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        for chunk in _chunks(stream.read):
            digest.update(chunk)
    return digest.hexdigest()


class _TransferError(Exception):
    """A transfer ended early. `short`: closed in good order, but with fewer bytes than were announced."""

    def __init__(self, reason: str, *, short: bool = False) -> None:
        super().__init__(reason)
        self.short = short


def _is_there(file: ZooFile, folder: Path) -> bool:
    """True if the right file is there, False if none is. Raises SetupError on a wrong one and keeps it."""
    path = folder / file.name
    if not path.exists():
        return False
    if not path.is_file():
        raise SetupError(f"{file.name}: found a folder or device at {path}, need a file or nothing there")
    found = git_blob_id(path)
    if found != file.git_blob_id:
        raise SetupError(
            f"{file.name}: {path} is not the published file: found git blob id {found} "
            f"({path.stat().st_size} bytes), need {file.git_blob_id}; move it away and try again"
        )
    return True


def _copy_files(files: list[ZooFile], *, source: Path, folder: Path, report: Progress) -> None:
    absent = [file.name for file in files if not (source / file.name).is_file()]
    if absent:
        raise SetupError(f"{source}: found no {', '.join(absent)}; need the published files under these names")
    for file in files:
        part = _part(file, folder)
        with _written(file, part):
            total = (source / file.name).stat().st_size
            with (source / file.name).open("rb") as reading, part.open("wb") as writing:
                for chunk in _chunks(reading.read):
                    writing.write(chunk)
                    report(file.name, writing.tell(), total)
            _accept(file, part, origin=str(source))


def _download(file: ZooFile, folder: Path, *, session: requests.Session, report: Progress, timeout_s: float) -> None:
    part, host = _part(file, folder), urlsplit(file.url).netloc
    with _written(file, part):
        if part.is_file() and git_blob_id(part) == file.git_blob_id:
            part.replace(folder / file.name)  # stopped between the last byte and the rename
            return
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                _transfer(file, part, session=session, report=report, timeout_s=timeout_s)
                break
            except _TransferError as error:
                if pause_s is None:
                    raise _interrupted(file, part, host=host, error=error) from error
                _log.info("%s from %s: %s; next try in %g s", file.name, host, error, pause_s)
                time.sleep(pause_s)
        _accept(file, part, origin=host)


def _transfer(file: ZooFile, part: Path, *, session: requests.Session, report: Progress, timeout_s: float) -> None:
    """Ask once for what `part` does not hold yet, and append it."""
    start = part.stat().st_size if part.exists() else 0
    # A compressed answer would count its range and length in compressed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with session.get(file.url, headers=headers, stream=True, timeout=timeout_s) as response:
            start = _agreed_start(file, part, response=response, asked=start)
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() else None
            with part.open("ab" if start else "wb") as writing:
                report(file.name, start, total)
                for chunk in response.iter_content(_CHUNK_BYTES):
                    writing.write(chunk)
                    report(file.name, writing.tell(), total)
                found = writing.tell()
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise _TransferError(type(error).__name__, short=_is_short(error)) from error
    except requests.exceptions.RequestException as error:
        raise SetupError(f"{file.name}: cannot fetch {file.url}: {error}") from error
    if total is not None and found < total:  # urllib3 before 2.0 lets a short answer pass
        raise _TransferError(f"{found} of {total} bytes", short=True)


def _agreed_start(file: ZooFile, part: Path, *, response: requests.Response, asked: int) -> int:
    """The position of the first byte that the server will send: `asked`, or 0 if it sends everything."""
    status = response.status_code
    if status == 416 or (status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {asked}-")):
        part.unlink(missing_ok=True)  # it does not fit to what the server has
        raise _TransferError(f"HTTP {status}, no bytes from position {asked} on")
    if status in _BUSY:
        raise _TransferError(f"HTTP {status} {response.reason}")
    if status not in (200, 206):
        raise SetupError(f"{file.name}: found HTTP {status} {response.reason} at {file.url}, need the file there")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise SetupError(
            f"{file.name}: found a {encoding}-encoded answer at {file.url}, need the plain bytes "
            "(is a proxy in between?)"
        )
    return asked if status == 206 else 0


def _accept(file: ZooFile, part: Path, *, origin: str) -> None:
    """Give the finished part its name, if it is the published file; else remove it and raise SetupError."""
    found, size = git_blob_id(part), part.stat().st_size
    if found != file.git_blob_id:
        part.unlink()
        raise SetupError(
            f"{file.name} from {origin} is not the published file: found git blob id {found} ({size} bytes), "
            f"need {file.git_blob_id}; nothing was kept"
        )
    part.replace(part.with_name(file.name))


def _interrupted(file: ZooFile, part: Path, *, host: str, error: _TransferError) -> SetupError:
    size = part.stat().st_size if part.exists() else 0
    kept = f"kept {size} bytes for the next try" if size else "nothing was kept"
    if error.short:  # the server itself holds a cut file: there is nothing to go on from
        part.unlink(missing_ok=True)
        kept = f"found {size} bytes, fewer than announced; nothing was kept"
    return SetupError(
        f"{file.name} from {host}: interrupted {len(RETRY_PAUSES_S) + 1} times, last by: {error}; {kept}; "
        "need a working connection, or a folder with the files (--from)"
    )


def _is_short(error: BaseException) -> bool:
    """Whether a body that ended too early is at the bottom of the error (a reset or a timeout is not)."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, http.client.IncompleteRead):
            return True
        link = link.__cause__ or link.__context__
    return False


@contextlib.contextmanager
def _written(file: ZooFile, part: Path) -> Iterator[None]:
    """Turn a disk that is full or read-only into a SetupError, and leave no part on it."""
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise SetupError(
            f"{file.name}: cannot read or write {error.filename or part}: {error.strerror or error}"
        ) from error


def _part(file: ZooFile, folder: Path) -> Path:
    return folder / f"{file.name}.part"


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(_CHUNK_BYTES):
        yield chunk


def _ignore_progress(name: str, done_bytes: int, total_bytes: int | None) -> None:
    """For callers who do not want to know."""
