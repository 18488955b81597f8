"""A program that waits for leave, in processes that really run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from objectives.backends.command.gated import GatedProgram

LEAVES = [sys.executable, "-c", "import pathlib; pathlib.Path('ran').touch()"]


def start(folder: Path, argv: list[str]) -> GatedProgram:
    return GatedProgram.start(argv, folder=folder, environment=os.environ, output=2)


def test_it_runs_when_it_is_let_through(tmp_path: Path) -> None:
    gated = start(tmp_path, LEAVES)
    gated.begin()
    gated.close()  # has nothing left to do
    assert gated.process.wait() == 0
    assert (tmp_path / "ran").exists()


def test_it_never_runs_when_it_is_not(tmp_path: Path) -> None:
    gated = start(tmp_path, LEAVES)
    gated.close()
    assert gated.process.wait() == 0
    assert not (tmp_path / "ran").exists()


def test_it_never_runs_when_nobody_is_left_to_let_it_through(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from objectives.backends.command.gated import GatedProgram\n"
        f"gated = GatedProgram.start({LEAVES!r}, folder=pathlib.Path.cwd(), environment=os.environ, output=2)\n"
        "print(gated.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    while Path(f"/proc/{int(done.stdout)}/cmdline").exists() and Path(f"/proc/{int(done.stdout)}/cmdline").read_bytes():
        pass
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("program", "error"), [("/no/such", FileNotFoundError), ("/etc/passwd", PermissionError)])
def test_a_program_that_cannot_be_run_is_an_error(tmp_path: Path, program: str, error: type[Exception]) -> None:
    gated = start(tmp_path, [program])
    with pytest.raises(error):
        gated.begin()
    gated.process.wait()


def test_it_is_killed_before_it_was_let_through(tmp_path: Path) -> None:
    gated = start(tmp_path, LEAVES)
    gated.process.kill()
    gated.process.wait()
    gated.begin()
    assert not (tmp_path / "ran").exists()


def test_it_hears_of_a_broken_pipe_as_any_other_program(tmp_path: Path) -> None:
    # Python itself ignores it from its start, so that a shell is asked.
    gated = start(tmp_path, ["sh", "-c", "grep SigIgn /proc/self/status > shell"])
    gated.begin()
    assert gated.process.wait() == 0
    ignored = int((tmp_path / "shell").read_text().split()[1], 16)
    assert not ignored >> (signal.SIGPIPE - 1) & 1
