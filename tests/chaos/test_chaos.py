"""Rounds of chaos, as many as a run of all tests has time for; `python -m tests.chaos --rounds 200` plays more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.points import DRIVER, MOMENTS, TRAINER, WORKER
from tests.chaos.rounds import RANDOM

ROUNDS, ON_RAY = 17, 3
EVERYWHERE = {RANDOM, *(point.name for point in (*DRIVER, *WORKER)), *MOMENTS, *TRAINER}


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.chaos", "--json", "--folder", str(folder), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RATIO_SEARCH_CACHE": str(folder / "cache")}
    here = Path(__file__).parents[2]
    return subprocess.Popen(
        command, cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def results(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, err = process.communicate()
    assert out, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


@pytest.mark.timeout(1800)
def test_whoever_dies_wherever_studies_end_complete_and_nothing_is_lost_or_paid_twice(tmp_path: Path) -> None:
    with (
        started(tmp_path / "processes", "--rounds", str(ROUNDS)) as here,
        started(tmp_path / "ray", "--rounds", str(ON_RAY), "--runner", "ray") as on_ray,
    ):
        played = [*results(here), *results(on_ray)]
    assert len(played) == ROUNDS + ON_RAY
    # A study may be done before somebody gets to where he was to die: then others go there.
    for first in (ROUNDS, 2 * ROUNDS):
        if hit(played) < EVERYWHERE:
            with started(tmp_path / f"from-{first}", "--rounds", str(ROUNDS), "--first", str(first)) as more:
                played += results(more)
    assert [result["wrong"] for result in played if result["wrong"]] == []
    assert hit(played) == EVERYWHERE
    assert "raylet" in {kill["victim"] for kill in played[ROUNDS]["kills"]}


def hit(played: list[dict[str, Any]]) -> set[str]:
    return {kill["point"] for result in played for kill in result["kills"]}


def line(what: str, step: int, process: int, job: str = "reference-0000") -> dict[str, Any]:
    return {"job": job, "attempt": process, "process": process, "what": what, "step": step}


class TestLedger:
    """The judge must be able to find fault."""

    def test_steps_beyond_the_last_checkpoint_may_be_trained_again(self) -> None:
        lines = [line("start", 0, 1), line("step", 1, 1), line("saved", 1, 1), line("step", 2, 1)]
        again = [line("start", 1, 2), line("step", 2, 2), line("end", 2, 2)]
        ledger = Ledger(lines={"reference-0000": [*lines, *again]})
        assert ledger.wrong() == []
        assert (ledger.steps, ledger.repeated) == (3, 1)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ([("start", 0, 2)], "starts at step 0, saved is 1"),
            ([("start", 1, 2), ("step", 2, 1)], "by a trainer of attempt 1, which has a successor"),
            ([("start", 1, 2), ("step", 1, 2)], "step 1 trained after 1, saved is 1"),
        ],
    )
    def test_others_may_not(self, more: list[tuple[str, int, int]], message: str) -> None:
        lines = [line("start", 0, 1), line("step", 1, 1), line("saved", 1, 1), *(line(*entry) for entry in more)]
        assert any(message in wrong for wrong in Ledger(lines={"reference-0000": lines}).wrong())

    def test_a_trial_that_was_not_trained_to_its_end_is_found(self) -> None:
        lines = [line("start", 0, 1, "trial-0000"), line("step", 1, 1, "trial-0000")]
        assert Ledger(lines={"trial-0000": lines}).wrong() == ["trial-0000: trained [1]"]
