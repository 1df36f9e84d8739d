"""One writer per store: preparing it, or adding a split or an audit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from fourview.exam import SetupError

FILE = ".lock"


@contextmanager
def held_lock(folder: Path) -> Iterator[None]:
    """The folder, for this process alone. The system frees it when the process ends, however it ends.

    Raises SetupError if another process holds it, or if the file system knows no locks.
    """
    lock = filelock.FileLock(folder / FILE, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise SetupError(f"{folder}: another run writes to this store; wait for its end, or name another one") from None
    except NotImplementedError:
        raise SetupError(f"{folder}: this file system knows no locks; put the store on another one") from None
    try:
        yield
    finally:
        lock.release()
