"""Where a file is: on the machine that has it, and below a folder of another one that was sent it."""

from __future__ import annotations

import os
from pathlib import Path


def plain(path: Path) -> Path:
    """The absolute path without `..` that leads to the same file; by its own name, where that is possible."""
    short = Path(os.path.normpath(path.absolute()))
    try:
        return short if short.samefile(path) else path.resolve()
    except OSError:
        return short


def below(folder: Path, path: Path) -> Path:
    """Where a plain path of another machine is, if all of that is below a folder of this one."""
    return folder / path.relative_to(path.anchor)
