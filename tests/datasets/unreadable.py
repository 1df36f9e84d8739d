"""A file that is there and cannot be read, as on a broken disk."""

from __future__ import annotations

from pathlib import Path

import pytest

_MEMORY = Path("/proc/self/mem")  # its first bytes are an input/output error to every reader, the administrator too


def make_unreadable(path: Path) -> Path:
    """Puts such a file in the place of another one; skips the test where the system has none."""
    if not _MEMORY.exists():
        pytest.skip("this system has no file that cannot be read")
    path.unlink(missing_ok=True)
    path.symlink_to(_MEMORY)
    return path
