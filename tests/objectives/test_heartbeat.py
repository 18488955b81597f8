from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from objectives import heartbeat
from objectives.heartbeat import Heartbeat, age, silence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat"


def silent(path: Path) -> float:
    found = silence(path)
    assert found is not None
    return found


class TestHeartbeat:
    def test_beats_at_once_and_again_while_nothing_else_happens(self, path: Path) -> None:
        assert silence(path) is None
        with Heartbeat(path, every_s=0.02):
            assert silent(path) < 10
            first = path.read_bytes()
            while path.read_bytes() == first:
                time.sleep(0.01)

    def test_ends_with_its_worker(self, path: Path) -> None:
        code = f"""
import time
from pathlib import Path
from objectives.heartbeat import Heartbeat
with Heartbeat(Path({str(path)!r}), every_s=0.01):
    print("alive", flush=True)
    time.sleep(600)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            assert silent(path) < 10
            worker.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            before = silent(path)
            time.sleep(0.2)
            assert silent(path) >= before + 0.19
            worker.kill()

    def test_a_time_that_was_set_makes_no_difference(self, path: Path) -> None:
        """The file's own time follows a clock that jumps; on the same machine it is not asked."""
        with Heartbeat(path):
            for jump in (-86_400, 86_400):
                os.utime(path, (time.time() + jump, time.time() + jump))
                assert silent(path) < 10

    def test_on_another_machine_the_file_systems_clock_counts(self, path: Path) -> None:
        with Heartbeat(path):
            path.write_text(path.read_text().replace('"boot": "', '"boot": "other-'))
            assert silent(path) < 10
            os.utime(path, (time.time() - 3600, time.time() - 3600))
            assert silent(path) == pytest.approx(3600, abs=60)
            os.utime(path, (time.time() + 3600, time.time() + 3600))
            assert silent(path) == 0

    def test_a_beat_that_cannot_be_read_is_judged_by_its_file(self, path: Path) -> None:
        for content in (b"", b"[]", b"{", b"\xff", b'{"boot": 3, "seconds": "x"}'):
            path.write_bytes(content)
            os.utime(path, (time.time() - 100, time.time() - 100))
            assert silent(path) == pytest.approx(100, abs=60)

    def test_a_full_disk_is_no_reason_to_fail_and_does_not_silence_it(self, small_disk: Any) -> None:
        disk = small_disk("16k")
        path = disk.path / "heartbeat"
        with Heartbeat(path, every_s=0.01):
            with pytest.raises(OSError, match="No space"):
                (disk.path / "filler").write_bytes(b"x" * 100_000)
            first = path.read_bytes()
            while path.read_bytes() == first:
                time.sleep(0.01)
        with Heartbeat(disk.path / "other", every_s=0.01):
            time.sleep(0.05)

    def test_a_folder_that_is_gone_is_no_reason_either(self, tmp_path: Path) -> None:
        with Heartbeat(tmp_path / "nowhere" / "heartbeat", every_s=0.01):
            time.sleep(0.05)
            (tmp_path / "nowhere").mkdir()
            while silence(tmp_path / "nowhere" / "heartbeat") is None:
                time.sleep(0.01)

    def test_without_a_boots_name_the_file_counts(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heartbeat, "BOOT", path.with_name("not-there"))
        with Heartbeat(path):
            os.utime(path, (time.time() - 3600, time.time() - 3600))
            assert silent(path) == pytest.approx(3600, abs=60)


class TestAge:
    def test_of_a_file(self, path: Path) -> None:
        assert age(path) is None
        path.touch()
        assert age(path) == pytest.approx(0, abs=60)
        os.utime(path, (time.time() - 500, time.time() - 500))
        assert age(path) == pytest.approx(500, abs=60)
        os.utime(path, (time.time() + 500, time.time() + 500))
        assert age(path) == 0
        assert list(path.parent.iterdir()) == [path], "reading leaves nothing behind"
