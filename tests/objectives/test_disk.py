from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from objectives.disk import Reserve, room


class TestRoom:
    def test_is_that_of_the_disk_also_for_a_folder_that_is_not_made_yet(self, small_disk: Any) -> None:
        disk = small_disk("1m")
        assert room(disk.path) == room(disk.path / "not" / "yet") == 2**20
        (disk.path / "file").write_bytes(b"x" * 2**19)
        assert room(disk.path) == 2**19
        assert room(disk.path / "file" / "below") == 2**19

    def test_is_not_known_where_the_file_system_does_not_say(self) -> None:
        assert room(Path("/proc")) is None


class TestReserve:
    def test_is_room_for_later(self, small_disk: Any) -> None:
        disk = small_disk("128k")
        with Reserve(disk.path / "reserve", 2**16) as reserve:
            with pytest.raises(OSError, match="No space") as caught:
                (disk.path / "filler").write_bytes(bytes(2**18))
            assert caught.value.errno == errno.ENOSPC
            reserve.give_up()
            (disk.path / "result").write_bytes(bytes(2**15))
        assert {path.name for path in disk.path.iterdir()} == {"filler", "result"}

    def test_ends_with_its_block(self, tmp_path: Path) -> None:
        with Reserve(tmp_path / "reserve", 1000):
            assert (tmp_path / "reserve").stat().st_size == 1000
        assert not any(tmp_path.iterdir())

    def test_a_disk_without_room_for_it_is_no_error(self, small_disk: Any) -> None:
        disk = small_disk("16k")
        with Reserve(disk.path / "reserve", 2**16):
            pass
        assert not any(disk.path.iterdir())
