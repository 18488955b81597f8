from __future__ import annotations

import math
from pathlib import Path

import pytest

from ratio_search.errors import RunnerError
from ratio_search.runner.gpus import check_room, dealt, places, visible


@pytest.mark.parametrize(
    ("gpus", "each", "room"),
    [(2, 0, math.inf), (2, 1, 2), (8, 2, 4), (7, 2, 3), (2, 0.5, 4), (2, 0.6, 2), (1, 1 / 3, 3), (0, 0.1, 0)],
)
def test_a_part_of_a_gpu_is_that_of_a_single_one(gpus: float, each: float, room: float) -> None:
    assert places(gpus, each) == room


def test_too_few_are_refused() -> None:
    check_room(4, 2, 2)
    with pytest.raises(RunnerError, match=r"found 4 GPUs, which have room for 2 trials at a time with 2 each.*for 3;"):
        check_room(4, 2, 3)


@pytest.mark.parametrize(
    ("each", "slots", "expected"),
    [
        (0, 2, [(), ()]),
        (1, 3, [("3",), ("5",), ("7",)]),
        (2, 2, [("3", "5"), ("7", "9")]),
        (0.5, 6, [("3",), ("5",), ("7",), ("9",), ("3",), ("5",)]),
    ],
)
def test_every_slot_has_its_own(each: float, slots: int, expected: list[tuple[str, ...]]) -> None:
    assert dealt(["3", "5", "7", "9"], each, slots) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0,2", ["0", "2"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-8932f937", ["GPU-8932f937"])],
)
def test_the_environment_says_which_there_are(value: str, expected: list[str]) -> None:
    assert visible({"CUDA_VISIBLE_DEVICES": value}) == expected


def test_otherwise_the_drivers_own_program_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible({}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\n")
    program.chmod(0o755)
    assert visible({}) == ["0", "1"]
