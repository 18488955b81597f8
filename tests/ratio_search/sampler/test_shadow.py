from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from objectives.base import Value
from objectives.metrics import Goal
from objectives.mixture import Mixture
from objectives.scorer import Balance, Metric, Scorer
from ratio_search.errors import SpecError
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.record import Record
from ratio_search.sampler.box import ExponentialBox
from ratio_search.sampler.shadow import STARTUP, RandomStrategy, ShadowStrategy
from ratio_search.sampler.strategy import SamplerKind, Strategy
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import trial

SPACE = SimplexSpace.of({"a": (0.0, 0.8), "b": (0.1, 1.0), "c": (0.0, 1.0), "d": (0.05, 0.05)})
SCORER = Scorer(metrics=[Metric(name="a/x", goal=Goal.MAXIMIZE, reference=0.0)], balance=Balance(), baseline={})
GUARDED = Scorer(
    metrics=[*SCORER.metrics, Metric(name="a/y", goal=Goal.MAXIMIZE, weight=0.0, reference=0.0, guard=0.1)],
    balance=Balance(),
    baseline={},
)
BEST = SPACE.mixture([0.2, 0.15, 0.6, 0.05])
SEARCHED: dict[str, Hyperparameter] = {
    "learning_rate": Real(low=1e-5, high=1e-2, log=True),
    "rank": Whole(low=4, high=64, step=4),
    "schedule": Choice(choices=("linear", "cosine")),
}

both = pytest.mark.parametrize("kind", [SamplerKind.TPE, SamplerKind.OPTUNA_GP])


def value(mixture: Mixture) -> float:
    """How good a mixture is: best at `BEST`, and 0 there."""
    return -sum((share - BEST[name]) ** 2 for name, share in mixture.items())


def history(n: int, seed: int = 0) -> list[Record]:
    """Finished trials of uniform mixtures."""
    mixtures = [SPACE.mixture(shares) for shares in SPACE.sample(n, np.random.default_rng(seed))]
    return [trial(i, mixture, {"a/x": value(mixture)}) for i, mixture in enumerate(mixtures)]


def searched(strategy: Strategy, trials: int) -> float:
    """The best value that a strategy finds on its own."""
    records: list[Record] = []
    for number in range(trials):
        mixture = strategy.propose(records, SCORER, number).mixture
        records.append(trial(number, mixture, {"a/x": value(mixture)}))
    return max(found.values["a/x"] for found in records)


def mixture_of(found: Record) -> Mixture:
    assert found.job.mixture is not None
    return found.job.mixture


class TestRandom:
    def test_proposals_are_inside_and_follow_from_the_seed_and_the_number(self) -> None:
        strategy, again = (RandomStrategy(SPACE, SEARCHED, seed=1) for _ in range(2))
        proposals = [strategy.propose([], None, number) for number in range(20)]
        assert all(proposal.mixture in SPACE for proposal in proposals)
        assert len({proposal.mixture for proposal in proposals}) == 20
        assert proposals[7] == again.propose(history(5), SCORER, 7)
        assert proposals[7] != RandomStrategy(SPACE, SEARCHED, seed=2).propose([], None, 7)
        assert (proposals[0].origin, proposals[0].basis) == ("random", ())

    def test_hyperparameters_are_drawn_from_their_ranges(self) -> None:
        strategy = RandomStrategy(SPACE, SEARCHED, seed=0)
        found = [strategy.propose([], None, number).hyperparameters for number in range(40)]
        assert {h["schedule"] for h in found} == {"linear", "cosine"}
        assert {h["rank"] for h in found} <= set(range(4, 65, 4))
        assert sum(float(h["learning_rate"]) < 10**-3.5 for h in found) == pytest.approx(20, abs=10)


@both
class TestShadow:
    def test_the_same_records_and_number_give_the_same_proposal(self, kind: SamplerKind) -> None:
        records = history(12)
        first = ShadowStrategy(SPACE, {}, 0, kind).propose(records, SCORER, 12)
        assert first == ShadowStrategy(SPACE, {}, 0, kind).propose(records, SCORER, 12)
        assert first.mixture in SPACE
        assert (first.origin, first.basis) == (kind.value, tuple(range(12)))
        assert first != ShadowStrategy(SPACE, {}, 0, kind).propose(records, SCORER, 13)
        assert first != ShadowStrategy(SPACE, {}, 1, kind).propose(records, SCORER, 12)

    def test_the_scores_decide(self, kind: SamplerKind) -> None:
        strategy, records = ShadowStrategy(SPACE, {}, 0, kind), history(20)
        turned = [trial(r.number, mixture_of(r), {"a/x": -r.values["a/x"]}) for r in records]
        assert strategy.propose(records, SCORER, 20) != strategy.propose(turned, SCORER, 20)

    def test_running_trials_are_pending(self, kind: SamplerKind) -> None:
        strategy, records = ShadowStrategy(SPACE, {}, 0, kind), history(14)
        alone = strategy.propose(records, SCORER, 16)
        pending = [trial(14 + i, alone.mixture) for i in range(2)]
        beside = strategy.propose([*records, *pending], SCORER, 16)
        assert beside.mixture.distance(alone.mixture) > 1e-3
        assert beside.basis == tuple(range(16))

    def test_failed_trials_are_left_out(self, kind: SamplerKind) -> None:
        strategy, records = ShadowStrategy(SPACE, {}, 0, kind), history(12)
        failed = [trial(12, BEST, failed=True), trial(13, BEST, {"a/x": 9.0}, failed=True)]
        assert strategy.propose([*records, *failed], SCORER, 14) == strategy.propose(records, SCORER, 14)

    def test_it_draws_at_random_until_there_is_something_to_learn_from(self, kind: SamplerKind) -> None:
        strategy, random = ShadowStrategy(SPACE, SEARCHED, 3, kind), RandomStrategy(SPACE, SEARCHED, 3)
        few, many = history(STARTUP - 1), history(STARTUP + 5)
        assert strategy.propose(few, SCORER, 30) == random.propose(few, SCORER, 30)
        assert strategy.propose(many, None, 30) == random.propose(many, None, 30)

    def test_mixtures_that_bounds_of_now_forbid_are_learned_from(self, kind: SamplerKind) -> None:
        records = [*history(12), trial(12, Mixture.of({"a": 0.9, "b": 0.0, "c": 0.0, "d": 0.1}), {"a/x": 3.0})]
        found = ShadowStrategy(SPACE, {}, 0, kind).propose(records, SCORER, 13)
        assert found.mixture in SPACE
        assert found.basis == tuple(range(13))

    def test_the_other_box_serves_as_well(self, kind: SamplerKind) -> None:
        found = ShadowStrategy(SPACE, {}, 0, kind, ExponentialBox(SPACE)).propose(history(12), SCORER, 12)
        assert found.mixture in SPACE

    def test_it_speaks_to_nobody(self, kind: SamplerKind, capfd: pytest.CaptureFixture[str]) -> None:
        ShadowStrategy(SPACE, {}, 0, kind).propose(history(12), SCORER, 12)
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "trials"), [(SamplerKind.TPE, 25), (SamplerKind.OPTUNA_GP, 13)])
def test_it_searches_better_than_random_draws(kind: SamplerKind, trials: int) -> None:
    """By how far, on average over a few seeds, the best that was tried falls short of the optimum."""
    shadows = [searched(ShadowStrategy(SPACE, {}, seed, kind), trials) for seed in range(3)]
    draws = [searched(RandomStrategy(SPACE, {}, seed), trials) for seed in range(3)]
    assert np.mean(shadows) > np.mean(draws) / 2


@both
def test_hyperparameters_are_searched_with_the_shares(kind: SamplerKind) -> None:
    """Where nothing but the learning rate and the schedule matter."""
    strategy, random = ShadowStrategy(SPACE, SEARCHED, 0, kind), RandomStrategy(SPACE, SEARCHED, 0)
    records = []
    for number in range(30):
        drawn = random.propose([], None, number)
        rate, schedule = drawn.hyperparameters["learning_rate"], drawn.hyperparameters["schedule"]
        values = {"a/x": -abs(math.log10(float(rate)) + 4.5) + (schedule == "cosine")}
        records.append(trial(number, drawn.mixture, values, hyperparameters=drawn.hyperparameters))
    found = [strategy.propose(records, SCORER, 30 + i).hyperparameters for i in range(2)]
    assert all(values[name] in known for values in found for name, known in SEARCHED.items())
    assert [values["schedule"] for values in found] == ["cosine"] * 2
    assert np.mean([abs(math.log10(float(values["learning_rate"])) + 4.5) for values in found]) < 0.6


def test_trials_with_other_hyperparameters_than_those_of_now_are_left_out() -> None:
    random = RandomStrategy(SPACE, SEARCHED, 0)
    asked = [random.propose([], None, number) for number in range(15)]
    records = [trial(i, p.mixture, {"a/x": 0.1 * i}, hyperparameters=p.hyperparameters) for i, p in enumerate(asked)]
    changed: list[dict[str, Value]] = [{}, {**asked[0].hyperparameters, "rank": 128}]
    others = [trial(15 + i, BEST, {"a/x": 9.0}, hyperparameters=values) for i, values in enumerate(changed)]
    found = ShadowStrategy(SPACE, SEARCHED, 0, SamplerKind.TPE).propose([*records, *others], SCORER, 17)
    assert found.origin == "tpe"
    assert found.basis == tuple(range(15))


@both
def test_broken_guards_are_kept_away_from(kind: SamplerKind) -> None:
    """Where the score grows with a share that a guard limits to about 0.35."""
    without, within = [], []
    for seed in range(2):
        mixtures = [mixture_of(found) for found in history(20, seed)]
        values = [{"a/x": mixture["a"], "a/y": 0.25 - mixture["a"]} for mixture in mixtures]
        records = [trial(i, *pair) for i, pair in enumerate(zip(mixtures, values, strict=True))]
        strategy = ShadowStrategy(SPACE, {}, seed, kind)
        without.append(strategy.propose(records, SCORER, 20).mixture["a"])
        within.append(strategy.propose(records, GUARDED, 20).mixture["a"])
    assert np.mean(without) > 0.5 > np.mean(within)


def test_a_missing_torch_is_named_before_anything_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SpecError, match=r"search\.sampler: optuna-gp needs torch.*`pip install torch`.*tpe"):
        ShadowStrategy(SPACE, {}, 0, SamplerKind.OPTUNA_GP).propose([], None, 0)
    assert ShadowStrategy(SPACE, {}, 0, SamplerKind.TPE).propose(history(12), SCORER, 12).origin == "tpe"
