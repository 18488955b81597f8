"""Room for one attempt on a machine that has no disk in common with the driver."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from objectives.cache import cache_folder


@contextlib.contextmanager
def scratch(cache: Path | None = None) -> Iterator[Path]:
    """An empty folder, which is removed at last; so is what workers left that died.

    Args:
        cache: where such folders are; None for the user's cache.
    """
    place = (cache or cache_folder()).absolute() / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    folder = place / uuid.uuid4().hex
    with FileLock(f"{folder}.lock") as lock:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    for path in place.glob("*.lock"):
        lock = FileLock(path)
        # Somebody is at work there, or sweeps as well.
        with contextlib.suppress(Timeout, OSError), lock.acquire(blocking=False):
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
