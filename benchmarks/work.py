"""Pieces of work, done in order, each once, by as many processes as there are; stopped and gone on with at will.

CACHE/done/PIECE     it is done; holds the stamp of the code that did it
CACHE/locks/PIECE    held by the process that is at it; freed by the system, however that ends
CACHE/cpu/PIECE.*    seconds of processor time of each sitting, kept as it goes on
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from fourview.whole_files import write_whole

log = logging.getLogger(__name__)
WAIT_S, KEEP_S = 5.0, 30.0


class Watch:
    """Processor time of one sitting at one piece; and whether time is up.

    deadline  of time.monotonic; None: never
    """

    def __init__(self, path: Path, deadline: float | None) -> None:
        self._path, self._deadline = path, deadline
        self._start, self._kept = time.process_time(), time.monotonic()

    def check(self) -> None:
        """To be called often. Raises KeyboardInterrupt when time is up."""
        if time.monotonic() - self._kept > KEEP_S:
            self.keep()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise KeyboardInterrupt

    def keep(self) -> None:
        self._kept = time.monotonic()
        write_whole(self._path, json.dumps(round(time.process_time() - self._start, 3)) + "\n")


@dataclass(frozen=True)
class Piece:
    """name: "medium/patch"; kind: what it counts as;  needs: names of pieces that come before"""

    name: str
    kind: str
    needs: tuple[str, ...]
    work: Callable[[Watch], None]


def is_done(piece: str, cache: Path) -> bool:
    return _path(cache, "done", piece).is_file()


def work_off(pieces: Sequence[Piece], cache: Path, *, stamp: str = "", deadline: float | None = None) -> bool:
    """Do every piece that nobody has done or is at, in order; whether all are done now. stamp: what did it

    Another process may do the same in the same cache: each takes what is free and ready, and waits for what is not.
    Raises KeyboardInterrupt, after an orderly stop, when the deadline is over.
    """
    for folder in ("done", "locks", "cpu"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    while left := [piece for piece in pieces if not is_done(piece.name, cache)]:
        ready = [piece for piece in left if all(is_done(name, cache) for name in piece.needs)]
        if not any(_take(piece, cache, stamp, deadline) for piece in ready):
            if deadline is not None and time.monotonic() > deadline:
                raise KeyboardInterrupt
            if not ready:  # what they need is no piece of this list
                return False
            time.sleep(WAIT_S)  # somebody is at each of them
    return True


def count_hours(cache: Path, pieces: Sequence[Piece]) -> dict[str, float]:
    """Hours of processor time so far, by difficulty and kind: "medium draw"."""
    kinds = {_flat(piece.name): f"{piece.name.split('/')[0]} {piece.kind}" for piece in pieces}
    hours: dict[str, float] = defaultdict(float)
    for path in sorted((cache / "cpu").glob("*.json")):
        if (kind := kinds.get(path.name.rsplit(".", 2)[0])) is not None:
            hours[kind] += float(json.loads(path.read_text())) / 3600
    return {kind: round(value, 3) for kind, value in hours.items()}


def count_stamps(cache: Path, pieces: Sequence[Piece]) -> dict[str, int]:
    """Stamp -> how many pieces were done under it: more than one stamp, and the code changed in between."""
    return dict(Counter(_path(cache, "done", p.name).read_text() for p in pieces if is_done(p.name, cache)))


def _take(piece: Piece, cache: Path, stamp: str, deadline: float | None) -> bool:
    """Do it, unless somebody else is at it or has done it."""
    lock = filelock.FileLock(_path(cache, "locks", piece.name), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return False
    try:
        if is_done(piece.name, cache):
            return True
        started = time.perf_counter()
        log.info("%s: begun", piece.name)
        watch = Watch(cache / "cpu" / f"{_flat(piece.name)}.{secrets.token_hex(4)}.json", deadline)
        try:
            watch.check()
            piece.work(watch)
        finally:
            watch.keep()
        write_whole(_path(cache, "done", piece.name), stamp)
        log.info("%s: done in %.0f s", piece.name, time.perf_counter() - started)
        return True
    finally:
        lock.release()


def _path(cache: Path, folder: str, piece: str) -> Path:
    return cache / folder / _flat(piece)


def _flat(piece: str) -> str:
    return piece.replace("/", "--")
