from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from objectives import memory
from objectives.memory import OutOfMemory

HOG = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); print(len(b'x' * 400_000_000))"


def test_a_kill_for_lack_of_memory_is_seen(little_memory: Path) -> None:
    looking = OutOfMemory()
    assert subprocess.run([sys.executable, "-c", HOG, str(little_memory)], check=False).returncode == -9
    assert looking.happened
    assert not OutOfMemory().happened, "that was before"


def test_one_of_long_ago_is_another_processs_affair(little_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "RECENT_S", 0)
    looking = OutOfMemory()
    subprocess.run([sys.executable, "-c", HOG, str(little_memory)], check=False)
    looking.look()
    assert looking.happened
    looking.look()
    assert not looking.happened


def test_any_other_kill_is_none() -> None:
    looking = OutOfMemory()
    subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], check=False)
    if looking.happened is None:
        pytest.skip("nobody counts them here")
    assert not looking.happened


def test_where_nobody_counts_it_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "COUNTERS", tmp_path / "vmstat")
    assert OutOfMemory().happened is None
    (tmp_path / "vmstat").write_text("nr_free_pages 1\n")
    assert OutOfMemory().happened is None
