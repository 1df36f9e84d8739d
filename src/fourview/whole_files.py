"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

The temporary name is new each time, so two processes that write the same target never write into each other's file.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fourview.exam import SetupError

PART = ".part"  # suffix of everything that is not finished; the name also begins with a dot


def write_whole(path: Path, content: bytes | str) -> None:
    """The content at `path`; after a failure the old file, or none. Raises OSError."""
    part = _name_part(path)
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` when the block ends well and vanishes when it does not.

    Raises OSError, also if `path` is there already and not empty.
    """
    part = _name_part(path)
    part.mkdir(parents=True)
    try:
        yield part
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()  # an empty one may be there, and Windows renames nothing onto it
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def remove_parts(folder: Path, *, of: str | None = None) -> None:
    """Nothing unfinished left in the folder: what killed runs left behind is removed. Raises OSError.

    of  the name that it was to have; None: any
    Only for a folder that nobody else writes to now: what another process has under way looks the same.
    """
    for part in folder.glob(f".*{PART}" if of is None else f".{of}.*{PART}"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


@contextmanager
def writing_to(out: Path, *, then: str = "run the same command with --resume") -> Iterator[None]:
    """An OSError of the block as a wrong set-up: no room, no permission. then: what to do once that is mended"""
    try:
        yield
    except OSError as error:
        raise SetupError(f"cannot write {out}: {error.strerror or error}; make room or fix it, then {then}") from error


def _name_part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
