from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from objectives.backends.command.process import ProcessGroup
from objectives.base import Context, Job, Objective
from objectives.errors import ObjectiveError, OptionsError

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
"""Python code of a process that does not end when it is asked to."""

FAMILY = f"""
import os, pathlib, subprocess, sys
{STUBBORN}
child = subprocess.Popen([sys.executable, "-c", {STUBBORN + "; print('ready', flush=True); time.sleep(600)"!r}],
                         stdout=subprocess.PIPE)
child.stdout.readline()
pathlib.Path("pids.partial").write_text(f"{{os.getpid()}} {{child.pid}}")
os.rename("pids.partial", "pids")
"""
"""Starts a stubborn child, writes both numbers into the file `pids`, and goes on as the test likes."""

Start = Callable[..., AbstractContextManager[ProcessGroup]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts Python code in a group of its own."""

    def make(code: str) -> AbstractContextManager[ProcessGroup]:
        return ProcessGroup.start(
            [sys.executable, "-c", code], folder=tmp_path, environment=os.environ, output=tmp_path / "log"
        )

    return make


def awaited(path: Path) -> str:
    """A file's text, once it is there."""
    while not path.exists():
        time.sleep(0.01)
    return path.read_text()


def pids(folder: Path) -> list[int]:
    return [int(word) for word in awaited(folder / "pids").split()]


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be collected does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until_gone(*numbers: int) -> None:
    """Waits for processes to be gone; one that stays hangs the test."""
    while any(alive(pid) for pid in numbers):
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_survivors(tmp_path: Path) -> Iterator[None]:
    """Ends what a failed test has left behind."""
    yield
    for path in tmp_path.rglob("pids"):
        for pid in (int(word) for word in path.read_text().split()):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_knows_how_the_program_ended(start: Start) -> None:
    for code, exit_code in (("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)):
        with start(code) as group:
            while group.running():
                time.sleep(0.01)
            assert group.exit_code == exit_code


def test_counts_processor_time(start: Start) -> None:
    with start("import time\nwhile time.process_time() < 0.2: pass") as group:
        while group.running():
            time.sleep(0.01)
        assert group.cpu_seconds >= 0.2


def test_is_cut_off_from_our_standard_input_and_terminal(start: Start, tmp_path: Path) -> None:
    with start("import os, sys; print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())") as group:
        while group.running():
            time.sleep(0.01)
    assert (tmp_path / "log").read_text() == "'' True\n"


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OptionsError, match=r"/no/such/program cannot be started"),
        ProcessGroup.start(["/no/such/program"], folder=tmp_path, environment={}, output=tmp_path / "log"),
    ):
        pass


class TestEnd:
    def test_asks_first(self, start: Start, tmp_path: Path) -> None:
        code = (
            "import pathlib, signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
            "pathlib.Path('ready').touch(); time.sleep(600)"
        )
        with start(code) as group:
            awaited(tmp_path / "ready")
            group.end(grace_s=60)
            assert group.exit_code == 5

    def test_kills_the_whole_group_when_it_does_not_listen(self, start: Start, tmp_path: Path) -> None:
        with start(f"{FAMILY}\ntime.sleep(600)") as group:
            family = pids(tmp_path)
            group.end(grace_s=0.1)
            assert group.exit_code == -signal.SIGKILL
            wait_until_gone(*family)

    def test_gives_the_grace_to_children_that_outlive_the_program(self, start: Start, tmp_path: Path) -> None:
        save = (
            "import pathlib, signal, sys, time\n"
            "def save(*_):\n    time.sleep(0.2); pathlib.Path('saved').touch(); sys.exit()\n"
            "signal.signal(signal.SIGTERM, save); pathlib.Path('ready').touch(); time.sleep(600)"
        )
        with start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {save!r}])") as group:
            awaited(tmp_path / "ready")
            group.end(grace_s=60)
            assert group.exit_code == -signal.SIGTERM
        assert (tmp_path / "saved").exists()

    def test_ends_children_of_a_program_that_has_ended(self, start: Start, tmp_path: Path) -> None:
        with start(FAMILY) as group:
            _, child = pids(tmp_path)
            while group.running():
                time.sleep(0.01)
            assert alive(child)
            group.end(grace_s=0)
            assert group.exit_code == 0
            wait_until_gone(child)

    def test_comes_with_leaving(self, start: Start, tmp_path: Path) -> None:
        with start(f"{FAMILY}\ntime.sleep(600)"):
            family = pids(tmp_path)
        wait_until_gone(*family)


class TestTheJob:
    def test_that_overruns_leaves_no_process(
        self, python: Callable[..., Objective], root: Path, job: Job, here: Context
    ) -> None:
        # On a busy machine a short limit is over before the family is complete.
        for limit in (1, 4, 16, 64):
            with pytest.raises(ObjectiveError, match="time_limit_s"):
                list(python(f"{FAMILY}\ntime.sleep(600)", time_limit_s=limit, grace_s=0.1).run(job, here))
            if (root / "pids").exists():
                break
        wait_until_gone(*pids(root))

    def test_that_ends_leaves_no_process(
        self, python: Callable[..., Objective], root: Path, job: Job, here: Context
    ) -> None:
        code = f"{FAMILY}\nopen(job['result_file'], 'w').write('{{\"metrics\": {{}}}}')"
        list(python(code).run(job, here))
        wait_until_gone(*pids(root))

    def test_that_nobody_waits_for_leaves_no_process(
        self, python: Callable[..., Objective], root: Path, job: Job, here: Context
    ) -> None:
        code = f"{FAMILY}\nopen(job['progress_file'], 'a').write('{{\"step\": 1, \"total\": 2}}\\n'); time.sleep(600)"
        events = python(code).run(job, here)
        next(events)
        family = pids(root)
        assert all(alive(pid) for pid in family)
        del events
        wait_until_gone(*family)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    family = f"{FAMILY}\ntime.sleep(600)"
    worker = (
        "import os, pathlib, sys, time\n"
        "from objectives.backends.command.process import ProcessGroup\n"
        "here = pathlib.Path.cwd()\n"
        f"argv = [sys.executable, '-c', {family!r}]\n"
        "with ProcessGroup.start(argv, folder=here, environment=os.environ, output=here / 'log'):\n"
        "    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    with subprocess.Popen([sys.executable, "-c", worker], cwd=tmp_path, env=environment) as process:
        numbers = pids(tmp_path)
        assert all(alive(pid) for pid in numbers)
        process.send_signal(number)
        process.wait()
        wait_until_gone(*numbers)
