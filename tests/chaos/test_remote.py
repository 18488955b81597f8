"""Drivers of jobs on a platform are killed at every boundary: nothing finished is lost, and nothing is paid twice."""

from __future__ import annotations

import random
from pathlib import Path

from tests.chaos.remote import POINTS, ROUNDS, play


def test_whatever_is_killed_a_platform_is_paid_once_for_each_stage(tmp_path: Path) -> None:
    calm = play(tmp_path / "calm", 0, random.Random(0), calm=None)
    assert calm.wrong == [] and calm.stages == 61
    hit: set[str] = set()
    denied = 0
    wanted = {point.name for point in POINTS}
    for number in range(3 * ROUNDS):
        # A study may be done before a driver gets to where it was to die: then others go there.
        if number >= ROUNDS and hit >= wanted:
            break
        generator = random.Random(f"ci/{number}")
        result = play(tmp_path / f"round-{number}", number, generator, calm=tmp_path / "calm")
        assert result.wrong == []
        hit |= set(result.points)
        denied += result.denied
    assert hit >= wanted, "no driver got to where it was to die"
    assert denied, "no driver was denied anything"
