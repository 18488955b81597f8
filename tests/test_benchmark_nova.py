"""What the benchmark of Nova's mixes plays by hand is what it says, and guards come before scores in its comparison."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.nova import NOVA, OURS, SEEDS, Choice, Laboratory, figures, markdown, seeds_of


@pytest.fixture(scope="module")
def laboratory() -> Laboratory:
    return Laboratory.of(1)


@pytest.mark.parametrize("nova", NOVA)
def test_by_hand_novas_data_has_its_usual_proportions(laboratory: Laboratory, nova: float) -> None:
    natural, uniform = (laboratory.usual(nova, inside) for inside in ("natural", "uniform"))
    for mixture in (natural, uniform):
        assert mixture["voc"] + mixture["support"] == pytest.approx(1 - nova)
        assert mixture["reasoning"] == pytest.approx(0.45 * nova) and mixture["code"] == pytest.approx(0.1 * nova)
        assert mixture in laboratory.spec.space, "ours could have chosen it"
    assert uniform["voc"] == pytest.approx(uniform["support"])
    assert natural["support"] / natural["voc"] == pytest.approx(1500 / 1080)


def test_a_fine_tune_finds_the_same_again_and_another_one_something_near(laboratory: Laboratory) -> None:
    mixture = laboratory.usual(0.25, "uniform")
    truth = laboratory.world.truth(dict(laboratory.realised(mixture)))
    runs = [laboratory.measured(mixture, replicate) for replicate in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    for run in runs:
        assert run.realised == laboratory.realised(mixture)
        for metric in ("voc/f1", "general/mmlu", "general/ifeval"):
            assert run.metrics[metric].value == pytest.approx(truth[metric], abs=0.08)


def test_the_best_by_hand_is_one_of_four_and_keeps_the_guards_by_what_it_measured(laboratory: Laboratory) -> None:
    choice = laboratory.by_hand("uniform", 1)
    assert choice.trials == 4
    nova = 1 - choice.shares["voc"] - choice.shares["support"]
    assert any(math.isclose(nova, one, abs_tol=0.002) for one in NOVA)
    assert nova > 0.15, "a tenth of Nova's data lets MMLU fall by more than its guard"


def test_who_breaks_a_guard_is_worse_than_who_keeps_all() -> None:
    gains = {"voc/f1": 0.1, "general/mmlu": -0.01}
    mine = Choice(by=OURS, trials=20, shares={}, truth={}, gains=gains, kept=True, score=0.1)
    broken = replace(mine, by="by hand", kept=False, score=0.9)
    better = replace(mine, by="by hand", score=0.2)
    found = figures({1: [mine, broken], 2: [mine, better]})
    assert found["by hand"]["ours is better"] == 0.5
    assert found["by hand"]["ours is ahead by"] == pytest.approx(-0.1) == found["by hand"]["by at least"]
    assert found[OURS]["guards kept"] == 1 and "ours is better" not in found[OURS]
    assert "| guards kept | 100% | 50% |" in markdown(found)


def test_seeds_are_listed_with_ranges() -> None:
    assert seeds_of("1,3-5") == [1, 3, 4, 5]
    assert len(set(SEEDS)) >= 25
