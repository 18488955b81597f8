from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.log import CHUNK, LOG_BYTES, LOG_CAP, LOG_LINES, CappedLog, Drain, last_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


class TestCappedLog:
    def test_what_fits_is_kept_as_it_is(self, path: Path) -> None:
        log = CappedLog(path, cap=4000, part=1000)
        for _ in range(4):
            log.write(b"x" * 999 + b"\n")
        log.close()
        assert path.read_bytes() == (b"x" * 999 + b"\n") * 4

    def test_an_older_one_is_replaced(self, path: Path) -> None:
        path.write_text("old")
        CappedLog(path).close()
        assert path.read_bytes() == b""

    @given(sizes=st.lists(st.integers(0, 1000), max_size=60))
    def test_beginning_and_end_are_kept_within_the_cap(
        self, tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
    ) -> None:
        path = tmp_path_factory.mktemp("log") / "log.txt"
        log, said = CappedLog(path, cap=4400, part=1000), b""
        for number, size in enumerate(sizes):
            text = f"{number:03d}|".encode() * 250
            log.write(text[:size])
            said += text[:size]
            kept = path.read_bytes()
            assert len(kept) <= 4400
            assert kept.startswith(said[:1000])
            assert kept.endswith(said[-1000:])
        log.close()
        if len(said) <= 4400:
            assert kept == said if sizes else not said
        else:
            assert b"bytes are left out here]" in kept

    def test_it_says_how_much_is_left_out(self, path: Path) -> None:
        log = CappedLog(path, cap=4400, part=1000)
        for _ in range(100):
            log.write(b"x" * 1000)
        log.close()
        kept = path.read_bytes()
        noted = int(kept.partition(b"[")[2].split()[0])
        assert noted == 100_000 - kept.count(b"x")
        assert kept.count(b"[") == 1

    def test_a_full_disk_fails_nothing_and_is_noted_once_there_is_room(self, small_disk: Any) -> None:
        disk = small_disk("64k")
        log = CappedLog(disk.path / "log.txt")
        for _ in range(10):
            log.write(b"x" * 20_000)
        disk.grow("1m")
        log.write(b"the end\n")
        log.close()
        kept = (disk.path / "log.txt").read_bytes()
        assert kept.endswith(b"bytes found no room on the disk]\nthe end\n")
        unkept = int(kept.rpartition(b"[")[2].split()[0])
        assert kept.count(b"x") + unkept == 200_000


class TestDrain:
    @pytest.fixture
    def drained(self, path: Path) -> Callable[[str], tuple[subprocess.Popen[bytes], Drain]]:
        """Runs Python code whose output is drained into the log."""

        def run(code: str) -> tuple[subprocess.Popen[bytes], Drain]:
            log = CappedLog(path)
            reading, writing = os.pipe()
            drain = Drain(reading, log)
            process = subprocess.Popen([sys.executable, "-c", code], stdout=writing)
            os.close(writing)
            return process, drain

        return run

    def test_a_gigabyte_neither_blocks_nor_fills_the_disk(self, path: Path, drained: Any) -> None:
        code = """
import os
os.write(1, b"the beginning\\n")
for _ in range(2**10):
    os.write(1, b"x" * 2**20)
os.write(1, b"\\nthe end\\n")
"""
        process, drain = drained(code)
        most = 0
        while process.poll() is None:
            most = max(most, path.stat().st_size)
            time.sleep(0.01)
        drain.settle(60)
        assert process.returncode == 0
        assert most <= LOG_CAP and path.stat().st_blocks * 512 <= LOG_CAP + 4096
        with path.open("rb") as file:
            assert file.readline() == b"the beginning\n"
        assert last_lines(path).splitlines()[-1] == "the end"

    def test_all_is_there_when_it_has_settled(self, path: Path, drained: Any) -> None:
        process, drain = drained("for i in range(50_000): print(i)")
        process.wait()
        drain.settle(60)
        assert path.read_text().split() == [str(i) for i in range(50_000)]

    def test_what_outlives_a_job_is_read_on(self, path: Path, drained: Any) -> None:
        process, drain = drained("import sys, time; print('a', flush=True); time.sleep(0.3); print('b')")
        drain.settle(0.01)
        assert process.wait() == 0
        drain.settle(60)
        assert path.read_text() == "a\nb\n"

    def test_a_killed_worker_leaves_the_last_moments(self, path: Path) -> None:
        """The log of a worker that dies with SIGKILL has what was said a moment before, however much that was."""
        code = f"""
import os, sys, time
from pathlib import Path
from objectives.log import CHUNK, CappedLog, Drain
reading, writing = os.pipe()
Drain(reading, CappedLog(Path({str(path)!r}), cap=4 * CHUNK, part=CHUNK))
number = 0
while True:
    os.write(writing, b"%d\\n" % number)
    if number % 1000 == 0:
        time.sleep(0.001)
        print(number, flush=True)
    number += 1
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            said = 0
            while said < 100_000:
                said = int(worker.stdout.readline())
            worker.kill()
            said = max([said, *map(int, worker.stdout.read().split())])
        assert worker.returncode == -signal.SIGKILL
        assert path.read_bytes().startswith(b"0\n1\n2\n")
        assert path.stat().st_size <= 4 * CHUNK
        assert int(path.read_text().splitlines()[-2]) >= said - 20_000


class TestLastLines:
    def test_of_a_file_that_is_not_there(self, path: Path) -> None:
        assert last_lines(path) == ""

    def test_are_few_and_printable(self, path: Path) -> None:
        path.write_bytes(b"".join(b"line %d\x1b[31m\n" % i for i in range(1000)))
        lines = last_lines(path).splitlines()
        assert (len(lines), lines[-1]) == (LOG_LINES, "line 999\ufffd[31m")
        path.write_bytes(b"x" * 10**6)
        assert len(last_lines(path)) <= LOG_BYTES

    def test_while_it_is_written(self, path: Path) -> None:
        """Whoever reads meanwhile sees a beginning and an end, never an error."""
        log, over = CappedLog(path, cap=2**14, part=2**12), threading.Event()

        def write() -> None:
            while not over.is_set():
                log.write(b"word " * 200)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):
                last_lines(path)
        finally:
            over.set()
            writer.join()
            log.close()
