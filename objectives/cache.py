"""Where what this package makes of the user's files and models is kept, to be made once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$RATIO_SEARCH_CACHE`, or `ratio-search` in the user's cache folder. All in it can be made again."""
    if chosen := os.environ.get("RATIO_SEARCH_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ratio-search"
