"""Drivers of Nova's studies are killed and the service makes mistakes: every fine-tune is paid for once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.nova import GAIN, GUARD, KILLS, NAME, Result, play, short, unpaid


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_whoever_dies_each_trial_of_nova_is_trained_once(tmp_path: Path) -> None:
    result = play(tmp_path / "round", 3, trials=5)
    assert result.wrong == []
    assert len(result.kills) == KILLS and result.drivers == KILLS + 1
    assert result.jobs >= 4 * 5 + 3


def job(status: str = "Completed", **details: Any) -> dict[str, Any]:
    return {"status": status, "tokens": 5, **details}


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        (["a1"], []),
        (["a1", "a2"], ["trial-0001: train was begun 2 times, and lost 0 times"]),
    ],
)
def test_a_fine_tune_that_was_begun_twice_is_found(jobs: list[str], found: list[str]) -> None:
    taken = {f"{NAME}-0123abcd-trial-0001-train-{attempt}": job() for attempt in jobs}
    assert unpaid([], taken)[: len(found)] == found
    lost = {f"{NAME}-0123abcd-trial-0001-train-a0": job("Failed"), **taken}
    assert [wrong for wrong in unpaid([], lost) if "begun" in wrong] == [
        what.replace("2 times, and lost 0", "3 times, and lost 1") for what in found
    ]


def test_a_recipe_that_forgets_or_gains_little_falls_short() -> None:
    common: dict[str, Any] = {"seed": 1, "drivers": 1, "kills": [], "jobs": 0, "lost": 0, "failed": 0}
    well = Result(**common, gains={"general/mmlu": -GUARD, "voc/f1": GAIN}, wrong=[], seconds=0)
    assert short(well) == []
    worse = Result(**common, gains={"general/mmlu": -GUARD - 0.001, "voc/f1": GAIN - 0.001}, wrong=[], seconds=0)
    assert len(short(worse)) == 2
