"""Signals to a real tree of processes: how it ends, and that it always says how to go on."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from ratio_search.lease import held
from ratio_search.record import JobState
from ratio_search.study import Study
from tests.ratio_search.conftest import CONFIRMABLE


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The program in another process, with a process group of its own; its two streams are one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ratio_search", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def until(process: subprocess.Popen[str], word: str) -> None:
    """Reads what the program says up to a line with a word in it."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            return
    raise AssertionError(f"it never said {word!r}: {said}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How the program ends, and what it says until then. None of what it started may be left, but for Ray's own."""
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


def trainers(small: Any) -> list[int]:
    """The trainers that run."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if str(small.ledger) in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def wait_for_trainers(small: Any, *, there: bool) -> None:
    while bool(trainers(small)) != there:
        time.sleep(0.02)


def goes_on(out: str, small: Any) -> list[str]:
    """The command that the program told to go on with."""
    match = re.search(r"(?:resume|go on) with: (ratio-search .*)", out)
    assert match, out
    command = shlex.split(match[1])
    assert str(small.runs / "small") in command
    return command[1:]


@pytest.mark.parametrize("runner", ["serial", "processes"])
def test_a_second_signal_ends_it_at_once_and_it_says_how_to_go_on(small_study: Any, runner: str) -> None:
    small = small_study("stubborn", search={"trials": 3, "parallel": 2})
    with started("launch", str(small.file), "--runs", str(small.runs), "--runner", runner) as process:
        until(process, "trial-0001: started")
        while not trainers(small):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        until(process, "stopping")
        process.send_signal(signal.SIGINT)
        code, out = ended(process)
    assert code == 143, out
    assert "Traceback" not in out
    assert goes_on(out, small)[0] == "resume"
    wait_for_trainers(small, there=False)
    assert not held(small.runs / "small" / "driver.lock")
    assert not [r for r in Study.open(small.runs / "small").records() if r.state is JobState.FAILED]


def test_a_closed_terminal_ends_it_in_good_order(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 6, "parallel": 2})
    with started("launch", str(small.file), "--runs", str(small.runs), "--runner", "processes") as process:
        until(process, "trial-0000: started")
        os.killpg(process.pid, signal.SIGHUP)
        code, out = ended(process)
    assert code == 129, out
    assert goes_on(out, small)[-2:] == ["--runner", "processes"]
    records = Study.open(small.runs / "small").records()
    assert not [record for record in records if record.state is JobState.FAILED]


def test_a_second_signal_while_ray_starts_is_heeded(small_study: Any) -> None:
    small = small_study(search={"trials": 3, "parallel": 2})
    with started("launch", str(small.file), "--runs", str(small.runs)) as process:
        while not held(small.runs / "small" / "driver.lock"):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(1)
        for number in (signal.SIGINT, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.2)
        code, out = ended(process)
    assert code == 130, out
    assert goes_on(out, small)[0] == "resume"
    assert "Traceback" not in out


def test_a_confirmation_ends_likewise(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 1, "parallel": 2}, domains=CONFIRMABLE)
    with started("launch", str(small.file), "--runs", str(small.runs), "--runner", "processes") as process:
        assert ended(process)[0] == 0
    before = len(small.evaluated)
    with started("confirm", str(small.runs / "small"), "--runner", "processes") as process:
        until(process, "started")
        process.send_signal(signal.SIGINT)
        code, out = ended(process)
    assert code == 130, out
    assert goes_on(out, small)[0] == "confirm"
    with started(*goes_on(out, small)) as process:
        code, out = ended(process)
    assert code == 0, out
    runs = small.evaluated[before:]
    assert len(runs) == len(set(runs)), "a confirming run was evaluated twice"


def test_stop_ends_processes_in_good_order(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 8, "parallel": 2})
    with started("launch", str(small.file), "--runs", str(small.runs), "--runner", "processes") as process:
        until(process, "trial-0000: started")
        with started("stop", "small", "--runs", str(small.runs)) as other:
            assert ended(other) == (0, "small: asked to stop\n")
        code, out = ended(process)
    assert code == 143, out
    assert goes_on(out, small)[0] == "resume"


def test_a_study_that_fails_says_how_to_go_on(small_study: Any) -> None:
    small = small_study("fail", search={"trials": 3, "parallel": 2})
    with started("launch", str(small.file), "--runs", str(small.runs), "--runner", "processes") as process:
        code, out = ended(process)
    assert code == 1, out
    assert "boom" in out
    assert goes_on(out, small)[0] == "resume"


def test_so_does_one_whose_disk_is_full(small_study: Any, small_disk: Any) -> None:
    disk = small_disk("1m")
    small = small_study(search={"trials": 60, "parallel": 2}, health={"floor_gb": None})
    with started("launch", str(small.file), "--runs", str(disk.path), "--runner", "processes") as process:
        code, out = ended(process)
    assert code == 1, out
    assert f"resume with: ratio-search resume {disk.path}/small" in out
    assert "Traceback" not in out
