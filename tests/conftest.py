"""What tests of both packages need."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallDisk:
    """A file system of its own, which is soon full."""

    path: Path

    def grow(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], SmallDisk]]:
    """Makes disks of a size such as `1m`; skips the test on a machine that does not allow it."""
    made: list[Path] = []

    def make(size: str) -> SmallDisk:
        path = tmp_path / f"disk-{len(made)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a small disk, and not everywhere")
        made.append(path)
        return SmallDisk(path=path)

    yield make
    for path in made:
        # What failed may still hold files open.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A file: who writes its process's number there has 64 MB from then on. Skips where that is not allowed."""
    group = Path("/sys/fs/cgroup/memory") / f"ratio-search-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("64M")
        (group / "memory.swappiness").write_text("0")
    except OSError:
        pytest.skip("only root may limit memory, and not everywhere")
    yield group / "cgroup.procs"
    while (group / "cgroup.procs").read_text():
        time.sleep(0.01)
    group.rmdir()
