"""The sampler, with jobs as our own studies keep them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.trial import TrialState

from objectives.base import Job, JobKind
from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.anchors import Anchor, anchors
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.jobs import Jobs
from ratio_search.model.points import PointSpace
from ratio_search.past_runs import PastRun
from ratio_search.record import JobState, Record
from ratio_search.sampler.shadow import RandomStrategy
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.sampler.strategy import Proposal, Strategy
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import gains_of, trial

NAMES = tuple("abcd")
FREE = SimplexSpace.of(dict.fromkeys(NAMES, (0.0, 1.0)))
ROWS = {"a": 50, "b": 30, "c": 15, "d": 5}
FIRST = anchors(FREE, ROWS, None)
SEARCHED: dict[str, Hyperparameter] = {
    "rate": Real(low=1e-5, high=1e-2, log=True),
    "rank": Whole(low=4, high=64, step=4),
    "schedule": Choice(choices=("linear", "cosine")),
}


class Asked:
    """A strategy that draws at random, and remembers what it was asked with."""

    def __init__(self, space: SimplexSpace) -> None:
        self._random = RandomStrategy(space, {}, 0)
        self.records: list[Sequence[Record]] = []
        self.scorers: list[Scorer | None] = []
        self.numbers: list[int] = []
        self.left: list[int | None] = []

    def propose(
        self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None = None
    ) -> Proposal:
        self.records.append(records)
        self.scorers.append(scorer)
        self.numbers.append(number)
        self.left.append(left)
        return self._random.propose(records, scorer, number, left)


class Search:
    """An Optuna study with our sampler, and the jobs in it."""

    def __init__(
        self,
        strategy: Strategy | None = None,
        space: SimplexSpace = FREE,
        *,
        first: Sequence[Anchor] = (),
        searched: Mapping[str, Hyperparameter] | None = None,
        settings: Mapping[str, float | int | str | bool] | None = None,
    ) -> None:
        points = PointSpace(simplex=space, hyperparameters=searched or {})
        self.space = space
        self._searched = searched or {}
        self.sampler = SimplexSampler(
            points, strategy or SimplexGP(points, seed=0), anchors=first, settings=settings or {}
        )
        storage = optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(study_name="small", storage=storage)
        self.jobs = Jobs(self.study, storage, JobKind.TRIAL, space.names)

    def ask(self) -> Job:
        records = self.jobs.records()
        return self.jobs.add(self.sampler.propose(records), records, self._searched, 0)

    def mixtures(self, n: int) -> list[Mixture]:
        return [mixture_of(self.ask()) for _ in range(n)]

    def end(self, job: Job, *, failed: bool = False) -> None:
        record = self.jobs.open(job.id)
        assert record is not None
        self.jobs.close(record, None if failed else [0.0])

    @property
    def origins(self) -> list[str]:
        return [record.origin for record in self.jobs.records()]


def mixture_of(job: Job) -> Mixture:
    assert job.mixture is not None
    return job.mixture


def random(space: SimplexSpace = FREE, *, seed: int = 0) -> Search:
    return Search(RandomStrategy(space, {}, seed), space)


def filled(n: int, space: SimplexSpace = FREE, *, seed: int = 0) -> list[Mixture]:
    """What our own strategy looks at before it knows anything."""
    return Search(SimplexGP(PointSpace(simplex=space), seed=seed), space).mixtures(n)


class TestOrder:
    def test_anchors_come_first_and_then_what_the_strategy_chooses(self) -> None:
        search = Search(RandomStrategy(FREE, {}, 0), first=FIRST)
        asked = search.mixtures(4)
        assert search.origins == ["anchor:natural", "anchor:uniform", "random", "random"]
        assert asked[:2] == [anchor.mixture for anchor in FIRST]

    def test_an_anchor_that_was_tried_already_is_not_asked_for(self) -> None:
        search = Search(RandomStrategy(FREE, {}, 0), first=FIRST[:1])
        search.ask()
        search.sampler = SimplexSampler(PointSpace(simplex=FREE), RandomStrategy(FREE, {}, 0), anchors=FIRST)
        search.mixtures(2)
        assert search.origins == ["anchor:natural", "anchor:uniform", "random"]

    def test_an_anchor_that_failed_is_tried_again_once_that_is_forgiven(self) -> None:
        search = Search(RandomStrategy(FREE, {}, 0), first=FIRST)
        search.end(search.ask(), failed=True)
        search.ask()
        search.sampler.forgiven = frozenset({0})
        search.mixtures(2)
        assert search.origins == ["anchor:natural", "anchor:uniform", "anchor:natural", "random"]

    def test_what_failed_is_not_proposed_again(self) -> None:
        search = Search(first=FIRST)
        seen = []
        for _ in range(8):
            job = search.ask()
            seen.append(mixture_of(job))
            search.end(job, failed=True)
        assert len(set(seen)) == 8

    def test_a_trial_that_was_never_meant_to_be_run_is_proposed_again(self) -> None:
        search = Search(first=FIRST)
        for _ in range(4):
            wanted = search.sampler.propose(search.jobs.records())
            search.study.tell(search.study.ask(), state=TrialState.FAIL)  # a driver died before it stored the intent
            assert wanted.mixture == mixture_of(search.ask())
            assert wanted.origin == search.origins[-1]


class TestHistory:
    def test_the_same_seed_and_history_give_the_same_proposals(self) -> None:
        assert filled(8) == filled(8)
        assert filled(8) != filled(8, seed=1)

    def test_a_new_process_goes_on_as_the_old_one_would_have(self) -> None:
        whole, search = filled(8), Search()
        begun = search.mixtures(3)
        search.sampler = SimplexSampler(
            PointSpace(simplex=FREE), SimplexGP(PointSpace(simplex=FREE), seed=0), anchors=()
        )
        assert begun + search.mixtures(5) == whole

    def test_the_strategy_sees_all_that_came_before_with_its_judge(self) -> None:
        strategy = Asked(FREE)
        search = Search(strategy)
        search.end(search.ask())
        search.end(search.ask(), failed=True)
        search.sampler.scorer = gains_of("a/x")
        search.mixtures(2)
        assert [record.state for record in strategy.records[3]] == [
            JobState.COMPLETE,
            JobState.FAILED,
            JobState.RUNNING,
        ]
        assert strategy.numbers == [0, 1, 2, 3]
        assert strategy.scorers == [None, None, search.sampler.scorer, search.sampler.scorer]

    def test_a_trial_that_was_never_meant_to_be_run_changes_no_draw(self) -> None:
        strategy = Asked(FREE)
        search = Search(strategy)
        search.ask()
        search.study.tell(search.study.ask(), state=TrialState.FAIL)
        search.ask()
        assert strategy.numbers == [0, 1]

    def test_the_strategy_knows_how_many_trials_are_left(self) -> None:
        """Those that failed are asked for again, and those from elsewhere were never counted."""
        strategy = Asked(FREE)
        search = Search(strategy)
        search.ask()
        search.sampler.trials = 4
        search.end(search.ask(), failed=True)
        past = PastRun(
            line=2,
            mixture=Mixture.uniform(NAMES),
            hyperparameters={},
            measurement=trial(0, Mixture.uniform(NAMES), {"a/x": 1.0}).measurement,  # type: ignore[arg-type]
        )
        search.jobs.take(past, {}, [1.0], 0)
        search.mixtures(4)
        assert strategy.left == [None, 2, 2, 1, 0, 0]


class TestParameters:
    def test_are_the_shares_and_every_mixture_is_exact_and_allowed(self) -> None:
        space = SimplexSpace.of({"a": (0.1, 0.4), "b": (0.0, 0.3), "c": (0.25, 0.25), "d": (0.0, 1.0)})
        for search in (random(space), Search(space=space)):
            for mixture in search.mixtures(20):
                assert mixture in space
                assert mixture["c"] == 0.25
                assert math.fsum(mixture.shares) == 1.0
            assert set(search.study.trials[0].params) == {f"share/{name}" for name in NAMES}

    def test_are_the_searched_hyperparameters_too_with_those_of_the_anchors_settled(self) -> None:
        usual = {"rate": 1e-3, "rank": 16, "schedule": "cosine"}
        search = Search(first=FIRST, searched=SEARCHED, settings=usual)
        jobs = [search.ask() for _ in range(5)]
        assert [dict(job.hyperparameters) for job in jobs[:2]] == [usual, usual]
        for job in jobs:
            assert set(job.hyperparameters) == set(SEARCHED)
            assert all(value in SEARCHED[name] for name, value in job.hyperparameters.items())
        assert len({job.hyperparameters["rate"] for job in jobs[2:]}) == 3


class TestFilling:
    """What `SimplexGP` asks for before its model is asked."""

    def test_open_trials_count_as_tried(self) -> None:
        """So that trials that run side by side are different questions."""
        mixtures = filled(8)
        assert min(a.distance(b) for i, a in enumerate(mixtures) for b in mixtures[:i]) > 0.05

    def test_it_fills_the_space_better_than_uniform_draws_do(self) -> None:
        """By the mean distance from any mixture to the nearest tried one, over three seeds of each."""
        whole = np.sqrt(FREE.sample(1000, np.random.default_rng(99)))

        def gap(shares: np.ndarray) -> float:
            return float(np.linalg.norm(whole[:, None] - np.sqrt(np.clip(shares, 0, None)), axis=2).min(axis=1).mean())

        designs = [gap(np.array([m.shares for m in filled(16, seed=seed)])) for seed in range(3)]
        draws = [gap(FREE.sample(16, np.random.default_rng(seed))) for seed in range(3)]
        assert max(designs) < min(draws)

    def test_a_study_of_one_trial_looks_in_the_middle_when_there_are_no_anchors(self) -> None:
        [only] = filled(1)
        assert only.distance(Mixture.uniform(NAMES)) < 0.15

    def test_thirty_domains_with_tight_caps(self) -> None:
        space = SimplexSpace.of(dict.fromkeys([f"d{i}" for i in range(30)], (0.0, 0.04)))
        mixtures = filled(3, space)
        assert len(set(mixtures)) == 3
        assert all(mixture in space for mixture in mixtures)
