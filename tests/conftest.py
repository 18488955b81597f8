"""What tests of both packages need."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def _is_alone(item: pytest.Item) -> bool:
    """Whether a test starves a process: a kill for lack of memory is one of the whole machine's."""
    return "little_memory" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files of tests that must be alone: later they would wait for longer ones."""
    first = {item.path for item in items if _is_alone(item)}
    items.sort(key=lambda item: item.path not in first)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Has tests of other processes (`make test`) wait for one that must be alone, and it for them.

    That takes from no test's time limit.
    """
    with _turn(alone=_is_alone(item)):
        return (yield)


@contextlib.contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """A turn beside others, or alone. Locks need files, and two that are there will do."""
    here = Path(__file__)
    with here.open() as machine, here.with_name("__init__.py").open() as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)  # nobody overtakes who waits to be alone
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(machine, fcntl.LOCK_UN)  # forked children may hold the file, but no longer the lock


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
