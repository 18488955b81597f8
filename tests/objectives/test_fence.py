"""The lock of a job's folder, between processes that really die."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from objectives.errors import Cancelled, FenceError
from objectives.fence import Fence, lockable

HOLDER = """
import pathlib, subprocess, sys
from objectives.fence import Fence
with Fence(pathlib.Path(sys.argv[1]), "attempt 1") as fence:
    heir = ["sleep", "600"]
    child = subprocess.Popen(heir, pass_fds=(fence.number,)) if "heir" in sys.argv else None
    print(child.pid if child else 0, flush=True)
    sys.stdin.read()
"""


def held(path: Path, *how: str) -> tuple[subprocess.Popen[str], int]:
    """A process that holds the lock, and the heir that it started, or 0."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *how],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_it_can_be_held_one_after_another(tmp_path: Path) -> None:
    for number in range(2):
        with Fence(tmp_path / "lock", f"attempt {number}") as fence:
            assert os.fstat(fence.number).st_ino == (tmp_path / "lock").stat().st_ino


def test_it_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    holder, _ = held(tmp_path / "lock")
    with holder:
        holder.kill()
    with Fence(tmp_path / "lock", "attempt 2", patience_s=60):
        pass


def test_who_inherited_it_keeps_others_out_until_it_is_gone(tmp_path: Path) -> None:
    holder, heir = held(tmp_path / "lock", "heir")
    with holder:
        holder.kill()
    try:
        with (
            pytest.raises(FenceError, match=rf"still held by attempt 1 \(process {holder.pid} on .*within 0\.1 s"),
            Fence(tmp_path / "lock", "attempt 2", patience_s=0.1),
        ):
            pass
    finally:
        os.kill(heir, signal.SIGKILL)
    with Fence(tmp_path / "lock", "attempt 2"):
        pass


def test_who_waits_can_be_told_to_end(tmp_path: Path) -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 2

    with (
        Fence(tmp_path / "lock", "attempt 1"),
        pytest.raises(Cancelled, match="an earlier attempt"),
        Fence(tmp_path / "lock", "attempt 2", cancelled),
    ):
        pass


def test_without_locks_nothing_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lockable(tmp_path)

    def none(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert not lockable(tmp_path)
    with Fence(tmp_path / "lock", "attempt 1"), Fence(tmp_path / "lock", "attempt 2"):
        pass
