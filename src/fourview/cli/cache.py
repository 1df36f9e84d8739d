"""Where populations are drawn that commands use again."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "FOURVIEW_CACHE"


def cache_home() -> Path:
    """The folder that FOURVIEW_CACHE names, or the user's cache."""
    import platformdirs

    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("fourview", appauthor=False)).expanduser()
