from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratio_search.errors import LeaseError, StudyError
from ratio_search.lease import Lease, OwnLease, held, holder

HOLD = """
import sys
from pathlib import Path
from ratio_search.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
HAMMER = """
import sys
from pathlib import Path
from ratio_search.lease import held
print("begun", flush=True)
while True:
    held(Path(sys.argv[1]))
"""


@contextlib.contextmanager
def process(program: str, lock_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, once it has said that it is there; it is killed at the end."""
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(lock_file)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    with started:
        try:
            assert started.stdout.readline(), "the process ended before it was ready"
            yield started
        finally:
            started.kill()


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "driver.lock"


class TestOneDriverAtATime:
    def test_a_second_process_is_refused_with_the_first_ones_pid_and_start(self, lock_file: Path) -> None:
        with process(HOLD, lock_file) as first, pytest.raises(LeaseError) as error:
            Lease(lock_file).__enter__()
        said = re.fullmatch(
            r"the study is being run by process (\d+) on \S+ since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00); "
            rf"wait for it, or end it with `ratio-search stop {re.escape(str(lock_file.parent))}`",
            str(error.value),
        )
        assert said is not None
        assert int(said[1]) == first.pid

    def test_a_refused_attempt_leaves_the_holders_words(self, lock_file: Path) -> None:
        with Lease(lock_file):
            before = holder(lock_file)
            with pytest.raises(LeaseError):
                Lease(lock_file).__enter__()
            assert holder(lock_file) == before
            assert f"process {os.getpid()} on " in before

    def test_a_killed_holder_frees_it_at_once(self, lock_file: Path) -> None:
        with process(HOLD, lock_file) as first:
            first.kill()
            first.wait()
            with Lease(lock_file):
                assert f"process {os.getpid()} " in holder(lock_file)

    def test_it_can_be_taken_again_after_its_end_however_it_ended(self, lock_file: Path) -> None:
        with pytest.raises(ZeroDivisionError), Lease(lock_file):
            raise ZeroDivisionError
        with Lease(lock_file):
            assert held(lock_file)

    def test_its_own_child_processes_do_not_keep_it(self, lock_file: Path) -> None:
        with Lease(lock_file):
            child = subprocess.Popen(
                [sys.executable, "-c", "print(flush=True); input()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                close_fds=False,
            )
            assert child.stdout is not None
            child.stdout.readline()
        try:
            assert not held(lock_file)
        finally:
            child.communicate(b"\n")

    def test_a_file_that_cannot_be_locked_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match=r"gone/driver\.lock: cannot be locked \(No such file or directory\)"):
            Lease(tmp_path / "gone" / "driver.lock").__enter__()


class TestCheck:
    def test_it_says_nothing_while_the_lease_is_held(self, lock_file: Path) -> None:
        with Lease(lock_file) as lease:
            lease.check()

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_lock_file_that_was_taken_away_holds_nobody_off(self, lock_file: Path, replaced: bool) -> None:
        with Lease(lock_file) as lease:
            lock_file.unlink()
            if replaced:
                with Lease(lock_file) as other:
                    other.check()
            with pytest.raises(LeaseError, match=r"driver\.lock: was removed or replaced while this driver held it"):
                lease.check()

    def test_a_study_in_memory_is_always_ones_own(self) -> None:
        with OwnLease() as lease, OwnLease():
            lease.check()


class TestHeld:
    def test_it_is_seen_from_another_process_while_it_lasts(self, lock_file: Path) -> None:
        assert not held(lock_file), "there is no file yet"
        with process(HOLD, lock_file) as first:
            assert held(lock_file)
            first.communicate()
            assert not held(lock_file)
        assert lock_file.exists()

    def test_asking_all_the_time_keeps_no_driver_out(self, lock_file: Path) -> None:
        lock_file.touch()
        with process(HAMMER, lock_file), process(HAMMER, lock_file):
            for _ in range(30):
                with Lease(lock_file):
                    assert held(lock_file)


class TestHolder:
    @pytest.mark.parametrize("content", ["", "not json", "[]", "{}", '{"pid": 1}'])
    def test_words_that_cannot_be_read_are_no_error(self, lock_file: Path, content: str) -> None:
        lock_file.write_text(content)
        assert holder(lock_file) == "another driver"

    def test_neither_is_a_missing_file(self, lock_file: Path) -> None:
        assert holder(lock_file) == "another driver"
