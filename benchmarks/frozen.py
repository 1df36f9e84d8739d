"""A protocol frozen in the cache of a benchmark: work begun under one is never gone on with under another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourview.exam import SetupError
from fourview.whole_files import write_whole

PROTOCOL_FILE = "protocol.json"


def digest(described: Mapping[str, Any]) -> str:
    """SHA-256 of a protocol: 64 hex digits."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def keep_protocol(described: Mapping[str, Any], folder: Path) -> None:
    """Kept as it was when work in this cache began, which is now if there is none.

    described  all that decides the numbers, in JSON. Raises SetupError if it has changed since, saying in what.
    """
    path = folder / PROTOCOL_FILE
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(described, indent=1) + "\n")
        return
    frozen = json.loads(path.read_text())
    if changed := sorted(key for key in {**frozen, **described} if frozen.get(key) != described.get(key)):
        raise SetupError(f"{folder}: found work of another protocol ({', '.join(changed)} differ); need a new --cache")
