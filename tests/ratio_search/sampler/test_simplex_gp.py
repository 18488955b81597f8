from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.base import Estimate, Value
from objectives.metrics import Comparison, Goal
from objectives.mixture import Mixture
from objectives.scorer import Balance, BalanceKind, Metric, Scorer
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.model.evidence import Evidence
from ratio_search.model.points import PointSpace
from ratio_search.record import Record
from ratio_search.sampler.shadow import RandomStrategy
from ratio_search.sampler.simplex_gp import AVOIDED, Outlook, SimplexGP
from ratio_search.sampler.strategy import Proposal
from ratio_search.space import SAME, SimplexSpace
from tests.ratio_search.asked import Asked, asked
from tests.ratio_search.trials import gains_of, searched, trial

ORIGINS = {"space-filling", "explore", "improve", "repeat"}
SPACE = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("abcd", (0.0, 1.0))))
COARSE = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("abcd", (0.0, 1.0)), grid=0.25))
BEST = Mixture.of({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4})
METRICS = tuple(f"{name}/x" for name in "abcd")
SCORER = gains_of(*METRICS)
SEARCHED: dict[str, Hyperparameter] = {
    "rate": Real(low=1e-5, high=1e-2, log=True),
    "rank": Whole(low=4, high=64, step=4),
    "schedule": Choice(choices=("linear", "cosine")),
}
NARROW = [
    Metric(name="a/accuracy", goal=Goal.MAXIMIZE, reference=0.5, upper=1.0, guard=0.1),
    Metric(name="b/perplexity", goal=Goal.MINIMIZE, reference=8.0, comparison=Comparison.LOG_RATIO),
    Metric(name="c/latency", goal=Goal.MINIMIZE, reference=100.0, scale=1e4),
]


def law(mixture: Mixture) -> dict[str, float]:
    """Each metric grows with its domain; their smallest one is largest, and 0, at `BEST`."""
    return {f"{name}/x": share**0.5 - BEST[name] ** 0.5 for name, share in mixture.items()}


def worst(mixture: Mixture) -> float:
    return min(law(mixture).values())


def mixtures(n: int, space: PointSpace = SPACE, seed: int = 0) -> list[Mixture]:
    return [space.simplex.mixture(row) for row in space.simplex.sample(n, np.random.default_rng(seed))]


def noisy(mixture: Mixture, rng: np.random.Generator, noise: float = 0.1) -> dict[str, float]:
    """The law as it is measured."""
    return {name: value + noise * rng.standard_normal() for name, value in law(mixture).items()}


def history(n: int, seed: int = 0, noise: float = 0.0) -> list[Record]:
    """Finished trials of uniform mixtures."""
    rng = np.random.default_rng(seed + 1000)
    return [trial(i, mixture, noisy(mixture, rng, noise)) for i, mixture in enumerate(mixtures(n, seed=seed))]


def proposed(
    records: Sequence[Record],
    number: int = 50,
    *,
    space: PointSpace = SPACE,
    scorer: Scorer | None = SCORER,
    seed: int = 0,
    left: int | None = None,
) -> Proposal:
    """What a strategy that remembers nothing proposes."""
    return SimplexGP(space, seed=seed).propose(records, scorer, number, left)


def outlook(records: Sequence[Record], *, space: PointSpace = SPACE, scorer: Scorer = SCORER, seed: int = 0) -> Outlook:
    return SimplexGP(space, seed=seed).outlook(Evidence.of(records, scorer, space), scorer)


def recommended(records: Sequence[Record], *, scorer: Scorer = SCORER, seed: int = 0) -> Mixture:
    return SPACE.simplex.mixture(outlook(records, scorer=scorer, seed=seed).best.shares[0])


def mixture_of(record: Record) -> Mixture:
    assert record.job.mixture is not None
    return record.job.mixture


def apart(many: Sequence[Mixture]) -> float:
    """The smallest distance between two of them."""
    return min(a.distance(b) for i, a in enumerate(many) for b in many[:i])


@st.composite
def metrics_told(draw: st.DrawFn, metrics: Sequence[Metric], spread: float) -> dict[str, Estimate]:
    """What a trial could report of metrics, each of them within what it can be."""
    found = {}
    for metric in metrics:
        step = spread * draw(st.integers(-20, 20)) / 10
        value = 100 + 1e4 * step
        if metric.upper is not None:
            value = min(max(0.5 + 0.1 * step, 0.0), 1.0)
        if metric.comparison is Comparison.LOG_RATIO:
            value = 8 * float(np.exp(np.clip(step, -600, 600)))
        stderr = draw(st.sampled_from([None, 0.0, 0.1 * spread, 10 * spread]))
        found[metric.name] = Estimate(value=value, stderr=stderr)
    return found


@st.composite
def histories(draw: st.DrawFn, space: PointSpace, metrics: Sequence[Metric]) -> list[Record]:
    """Anything that can have happened: repeats, failures early and late, trials that run, odd values, huge ones."""
    n, seed = draw(st.integers(0, 12)), draw(st.integers(0, 2**32 - 1))
    points = space.sample(max(n, 1), np.random.default_rng(seed))
    spread = draw(st.sampled_from([0.0, 1e-12, 1e-3, 1.0, 1.0, 1e6, 1e250]))
    found = []
    for number in range(n):
        place = draw(st.sampled_from([number, number, 0]))
        told: dict[str, Estimate] | None = draw(metrics_told(metrics, spread))
        state = draw(st.sampled_from(["done", "done", "done", "partly", "odd", "failed", "running"]))
        if state == "partly":
            told = {name: told[name] for name in told if draw(st.booleans())} if told else None
        if state == "odd":
            told = {**(told or {}), "a/accuracy": Estimate(value=75.0)}
        other = space.simplex.mixture(points.shares[draw(st.integers(0, n - 1))])
        found.append(
            trial(
                number,
                space.simplex.mixture(points.shares[place]),
                None if state in ("failed", "running") else told,
                failed=state in ("failed", "partly", "odd"),
                realised=draw(st.sampled_from([None, None, other])),
                hyperparameters=points.settings[place],
            )
        )
    return found


class TestBadHistories:
    """They break nothing: a proposal always comes, inside the space, and says on what it rests."""

    @settings(max_examples=40, deadline=None)
    @given(st.data(), asked(most=4), st.sets(st.sampled_from(sorted(SEARCHED))), st.sampled_from(list(BalanceKind)))
    def test_anything_can_have_happened(
        self, data: st.DataObject, wanted: Asked, kinds: set[str], balance: BalanceKind
    ) -> None:
        space = PointSpace(simplex=wanted.space, hyperparameters={name: SEARCHED[name] for name in sorted(kinds)})
        metrics = NARROW[: data.draw(st.integers(1, 3))]
        scorer = Scorer(metrics=metrics, balance=Balance(kind=balance), baseline={})
        records = data.draw(histories(space, metrics))
        found = proposed(records, space=space, scorer=scorer, left=data.draw(st.sampled_from([None, 0, 1, 10])))
        assert found.mixture in space.simplex and not wanted.wrong(found.mixture)
        assert set(found.hyperparameters) == kinds
        assert all(found.hyperparameters[name] in SEARCHED[name] for name in kinds)
        assert found.origin in ORIGINS
        told = [r.number for r in records if r.failure or r.measurement is None or r.measurement.metrics]
        assert found.basis == tuple(told)

    @pytest.mark.parametrize("n", [0, 1, 2, 4])
    def test_before_there_is_enough_to_learn_from_the_space_is_filled(self, n: int) -> None:
        found = proposed(history(n))
        assert (found.origin, found.basis) == ("space-filling", tuple(range(n)))

    def test_without_references_the_space_is_filled(self) -> None:
        found = proposed(history(12), scorer=None)
        assert (found.origin, found.basis) == ("space-filling", tuple(range(12)))

    def test_when_all_failed_the_space_is_filled_elsewhere(self) -> None:
        records = [trial(i, mixture, failed=True) for i, mixture in enumerate(mixtures(12))]
        found = proposed(records)
        assert (found.origin, found.basis) == ("space-filling", tuple(range(12)))
        assert apart([found.mixture, *mixtures(12)]) > AVOIDED

    def test_metrics_that_never_change(self) -> None:
        records = [trial(i, mixture, dict.fromkeys(METRICS, 0.1)) for i, mixture in enumerate(mixtures(9))]
        found = proposed(records)
        assert found.origin in ORIGINS - {"space-filling"} and found.basis == tuple(range(9))
        assert all(part <= 0 for part in outlook(records).surrogate.explained)

    def test_one_mixture_again_and_again(self) -> None:
        records = [trial(i, BEST, dict.fromkeys(METRICS, 0.01 * i)) for i in range(9)]
        found = proposed(records)
        assert found.origin in ORIGINS - {"space-filling"} and found.basis == tuple(range(9))
        assert found.mixture.distance(BEST) > SAME

    def test_a_metric_that_is_missing_in_some_trials(self) -> None:
        records = history(9)
        lacking = [
            trial(9 + i, mixture, {"a/x": law(mixture)["a/x"]}, failed=True)
            for i, mixture in enumerate(mixtures(5, seed=1))
        ]
        found = proposed([*records, *lacking])
        assert found.origin in ORIGINS - {"space-filling"} and found.basis == tuple(range(14))

    def test_a_metric_that_nothing_has_reported(self) -> None:
        records = [trial(i, mixture, {"a/x": 0.1}, failed=True) for i, mixture in enumerate(mixtures(9))]
        assert proposed(records).origin == "space-filling"

    def test_a_domain_that_must_stay_0(self) -> None:
        bounds = {"a": (0.0, 0.0), "b": (0.0, 1.0), "c": (0.0, 1.0), "d": (0.0, 0.5)}
        space = PointSpace(simplex=SimplexSpace.of(bounds))
        records = searched(SimplexGP(space, seed=0), SCORER, law, 9)
        assert all(mixture_of(record)["a"] == 0 and mixture_of(record) in space.simplex for record in records)

    def test_more_domains_than_trials(self) -> None:
        names = [f"d{i}" for i in range(30)]
        space = PointSpace(simplex=SimplexSpace.of(dict.fromkeys(names, (0.0, 1.0))))
        scorer = gains_of("d0/x", "d1/x")
        records = searched(SimplexGP(space, seed=0), scorer, lambda m: {f"{d}/x": m[d] ** 0.5 for d in ("d0", "d1")}, 8)
        found = proposed(records, space=space, scorer=scorer)
        assert found.mixture in space.simplex and found.origin in ORIGINS - {"space-filling"}


class TestRepeatable:
    def test_the_same_trials_seed_and_number_give_the_same_proposal(self) -> None:
        records = [*history(9), trial(9, BEST), trial(10, mixtures(1, seed=3)[0], failed=True)]
        first = proposed(records, 11)
        assert first == proposed(list(records), 11)
        assert first != proposed(records, 12)
        assert first != proposed(records, 11, seed=1)

    def test_a_strategy_that_was_asked_before_gives_what_a_new_one_gives(self) -> None:
        records, strategy = history(8), SimplexGP(SPACE, seed=0)
        for number in range(8, 14):
            found = strategy.propose(records, SCORER, number)
            assert found == proposed(records, number)
            told = law(found.mixture) if number % 3 == 2 else None
            records.append(trial(number, found.mixture, told, failed=number == 12))

    def test_what_the_study_judges_by_may_change_meanwhile(self) -> None:
        records, strategy = history(9), SimplexGP(SPACE, seed=0)
        strategy.propose(records, SCORER, 9)
        other = gains_of(*METRICS, balance=Balance(kind=BalanceKind.WEIGHTED))
        assert strategy.propose(records, other, 9) == proposed(records, 9, scorer=other) != proposed(records, 9)

    def test_the_first_trials_do_not_repeat_each_other(self) -> None:
        records: list[Record] = []
        for number in range(8):
            records.append(trial(number, proposed(records, number).mixture))
        assert apart([mixture_of(record) for record in records]) > 0.1


class TestParallel:
    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("n", [10, 25])
    def test_trials_side_by_side_ask_different_questions(self, n: int, seed: int) -> None:
        records, strategy = history(n, seed, noise=0.1), SimplexGP(SPACE, seed=seed)
        asked_for = []
        for number in range(n, n + 8):
            found = strategy.propose(records, SCORER, number)
            assert found.basis == tuple(range(number))
            asked_for.append(found.mixture)
            tried = [mixture_of(record) for record in records[:n]]
            assert (min(found.mixture.distance(one) for one in tried) <= SAME) == (found.origin == "repeat")
            records.append(trial(number, found.mixture))
        assert apart(asked_for) > 0.005
        others = [min(a.distance(b) for b in asked_for if b is not a) for a in asked_for]
        assert np.median(others) > 0.015

    def test_pending_trials_count_as_begun(self) -> None:
        records = [*history(3), *(trial(3 + i, mixture) for i, mixture in enumerate(mixtures(6, seed=2)))]
        found = proposed(records)
        assert found.origin in ORIGINS - {"space-filling"} and found.basis == tuple(range(9))


class TestFailures:
    def test_what_failed_is_kept_away_from(self) -> None:
        records = history(12)
        for number in range(12, 20):
            records.append(trial(number, proposed(records, number).mixture, failed=True))
        failed = [mixture_of(record) for record in records[12:]]
        assert apart(failed) > AVOIDED

    def test_what_failed_with_other_hyperparameters_may_be_tried(self) -> None:
        space = PointSpace(
            simplex=SimplexSpace.of(dict.fromkeys("ab", (0.0, 1.0)), grid=0.5),
            hyperparameters={"schedule": Choice(choices=("linear", "cosine"))},
        )
        done = [(0.0, "linear"), (0.5, "linear")] * 4
        failed = [(share, "cosine") for share in (0.0, 0.5, 1.0)]
        records = []
        for number, (share, schedule) in enumerate([*done, *failed]):
            told = {"a/x": 0.1} if schedule == "linear" else None
            mixture, values = space.simplex.mixture([share, 1 - share]), {"schedule": schedule}
            records.append(trial(number, mixture, told, failed=told is None, hyperparameters=values))
        found = proposed(records, space=space, scorer=gains_of("a/x"))
        assert (found.mixture["a"], found.hyperparameters["schedule"]) == (1.0, "linear")
        assert found.origin in {"explore", "improve"}


class TestTinySpace:
    def test_when_all_was_tried_the_best_is_run_again(self) -> None:
        space = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("ab", (0.0, 1.0)), grid=0.5))
        scorer = gains_of("a/x")
        tried = [space.simplex.mixture([share, 1 - share]) for share in (0.0, 0.5, 1.0, 0.5, 0.0)]
        records = [trial(i, mixture, {"a/x": mixture["a"] ** 0.5}) for i, mixture in enumerate(tried)]
        found = proposed(records, space=space, scorer=scorer)
        assert (found.origin, found.mixture["a"], found.basis) == ("repeat", 1.0, tuple(range(5)))

    def test_what_is_left_is_tried_first(self) -> None:
        space = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("ab", (0.0, 1.0)), grid=0.25))
        shares = (0.0, 0.5, 0.75, 1.0, 0.5)
        records = [trial(i, space.simplex.mixture([s, 1 - s]), {"a/x": s}) for i, s in enumerate(shares)]
        found = proposed(records, space=space, scorer=gains_of("a/x"))
        assert (found.origin, found.mixture["a"]) == ("explore", 0.25)


class TestLast:
    def test_the_recommendation_itself_is_tried_last_if_it_was_not(self) -> None:
        for seed in range(3):
            records = history(12, seed)
            best = recommended(records, seed=seed)
            assert all(best.distance(mixture_of(record)) > SAME for record in records)
            found = proposed(records, seed=seed, left=0)
            assert found.mixture.distance(best) < 1e-9 and found.origin == "improve"

    def test_with_noise_it_is_the_careful_one(self) -> None:
        records = history(12, noise=0.3)
        assert proposed(records, left=0).mixture.distance(recommended(records)) < 1e-9

    def test_if_it_was_tried_something_else_is(self) -> None:
        space = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("abcd", (0.0, 1.0)), grid=0.1))
        many = [*mixtures(12, space), BEST]
        records = [trial(i, mixture, law(mixture)) for i, mixture in enumerate(many)]
        assert outlook(records, space=space).best.shares[0] == pytest.approx(BEST.shares)
        found = proposed(records, space=space, left=0)
        assert found.mixture.distance(BEST) > 0.09 and found.origin == "explore"


class TestSearch:
    def test_it_finds_what_random_draws_do_not(self) -> None:
        """By how far the recommendation falls short of the optimum, and the best random draw."""
        short, random = [], []
        for seed in range(3):
            records = searched(SimplexGP(SPACE, seed=seed), SCORER, law, 20)
            short.append(-worst(recommended(records, seed=seed)))
            drawn = searched(RandomStrategy(SPACE.simplex, {}, seed), SCORER, law, 20)
            random.append(-max(worst(mixture_of(record)) for record in drawn))
        assert np.mean(short) < np.mean(random) / 4
        assert max(short) < 0.03

    def test_with_noise_it_recommends_no_lucky_trial(self) -> None:
        short, lucky = [], []
        for seed in range(2):
            rng = np.random.default_rng(seed)
            strategy = SimplexGP(SPACE, seed=seed)
            records = searched(strategy, SCORER, functools.partial(noisy, rng=rng), 20)
            short.append(-worst(recommended(records, seed=seed)))
            best = max(records, key=lambda record: min(record.values.values()))
            lucky.append(-worst(mixture_of(best)))
        assert np.mean(short) < 0.1
        assert np.mean(short) < np.mean(lucky) + 0.05

    @pytest.mark.parametrize("seed", range(3))
    def test_a_guard_is_kept_that_the_best_score_would_break(self, seed: int) -> None:
        """The score grows with a share, of which a guard allows 0.4."""
        scorer = gains_of("a/x", "b/y", guards={"b/y": 0.1})

        def guarded(mixture: Mixture) -> dict[str, float]:
            return {"a/x": mixture["a"] ** 0.5, "b/y": 0.3 - mixture["a"]}

        records = searched(SimplexGP(SPACE, seed=seed), scorer, guarded, 14)
        best = recommended(records, scorer=scorer, seed=seed)
        assert scorer.score(guarded(best)).feasible
        assert best["a"] > 0.3
        unguarded = gains_of("a/x", "b/y", guards={"b/y": 9.0})
        assert recommended(records, scorer=unguarded, seed=seed)["a"] > 0.7

    def test_the_surer_a_guard_is_to_be_the_farther_from_it_is_recommended(self) -> None:
        scorer = gains_of("a/x", "b/y", guards={"b/y": 0.1})
        loose, tight = scorer.metrics
        shares = []
        for seed in range(8):
            rng = np.random.default_rng(seed)

            def guarded(mixture: Mixture, rng: np.random.Generator = rng) -> dict[str, float]:
                values = {"a/x": 8 * mixture["a"], "b/y": 0.3 - mixture["a"]}
                return {name: value + 0.1 * rng.standard_normal() for name, value in values.items()}

            records = searched(SimplexGP(SPACE, seed=seed), scorer, guarded, 14)
            for confidence in (0.5, 0.8, 0.95):
                asked = dataclasses.replace(scorer, metrics=(loose, dataclasses.replace(tight, confidence=confidence)))
                found = outlook(records, scorer=asked, seed=seed)
                draws = found.surrogate.draws(SPACE.coordinates(found.best), 2048, np.random.default_rng(0))
                # Of 64 draws, a twelfth is chance.
                assert (draws.base[1, 0] >= -0.1).mean() >= confidence - 0.08
                shares.append(found.best.shares[0][0])
        half, more, most = np.reshape(shares, (8, 3)).mean(axis=0)
        assert half > more + 0.02 > most + 0.04

    def test_leaders_are_run_again_where_noise_hides_which_is_best_and_only_there(self) -> None:
        """On a coarse grid, as elsewhere a new mixture right beside a leader tells as much."""
        again = []
        for noise in (0.0, 0.6):
            rng = np.random.default_rng(7)
            records = searched(SimplexGP(COARSE, seed=7), SCORER, functools.partial(noisy, rng=rng, noise=noise), 20)
            again.append(20 - len({mixture_of(record).shares for record in records}))
        assert again[0] == 0
        assert again[1] >= 1

    def test_a_leader_is_not_run_again_while_it_runs(self) -> None:
        rng = np.random.default_rng(7)
        records = searched(SimplexGP(COARSE, seed=7), SCORER, functools.partial(noisy, rng=rng, noise=0.6), 20)
        shares = [mixture_of(record).shares for record in records]
        number = next(i for i in range(20) if shares[i] in shares[:i])
        repeat = proposed(records[:number], number, seed=7, space=COARSE)
        assert (repeat.origin, repeat.mixture.shares) == ("repeat", shares[number])
        assert repeat.gain is not None and repeat.gain > 0
        running = [*records[:number], trial(number, repeat.mixture)]
        assert proposed(running, number + 1, seed=7, space=COARSE).mixture.distance(repeat.mixture) > SAME

    def test_the_recommendation_itself_is_tried_where_that_tells_most(self) -> None:
        found = []
        for seed in range(6):
            records, strategy = history(8, seed, noise=0.05), SimplexGP(SPACE, seed=seed)
            evidence = Evidence.of(records, SCORER, SPACE)
            best = SPACE.simplex.mixture(strategy._outlook(evidence, SCORER, bold=True).best.shares[0])
            found.append(proposed(records, seed=seed).mixture.distance(best) <= SAME)
        assert any(found) and not all(found)

    def test_what_it_learns_from_is_what_was_trained_on(self) -> None:
        """Asked for by the wrong name, so that only the realised shares make sense."""

        def turned(mixture: Mixture) -> Mixture:
            return Mixture.of(dict(zip(mixture, reversed(mixture.shares), strict=True)))

        many = mixtures(25)
        records = [trial(i, turned(mixture), law(mixture), realised=mixture) for i, mixture in enumerate(many)]
        assert worst(recommended(records)) > worst(turned(recommended(records))) + 0.2

    def test_hyperparameters_are_searched_with_the_shares(self) -> None:
        space = PointSpace(simplex=SPACE.simplex, hyperparameters=SEARCHED)
        random, records = RandomStrategy(SPACE.simplex, SEARCHED, 0), []
        for number in range(25):
            drawn = random.propose([], None, number)
            values = {name: value - cost(drawn.hyperparameters) for name, value in law(drawn.mixture).items()}
            records.append(trial(number, drawn.mixture, values, hyperparameters=drawn.hyperparameters))
        [best] = outlook(records, space=space).best.settings
        assert best["schedule"] == "cosine" and cost(best) < 0.3
        found = proposed(records, space=space)
        assert found.hyperparameters["schedule"] == "cosine"

    def test_a_front_is_looked_for_all_along(self) -> None:
        """Where two metrics pull against each other, all mixtures of their domains are on the front."""
        spread = {}
        for kind in (BalanceKind.WORST, BalanceKind.PARETO):
            scorer = gains_of("a/x", "b/x", balance=Balance(kind=kind))
            strategy = SimplexGP(SPACE, seed=0)
            records = searched(strategy, scorer, lambda m: {"a/x": m["a"] ** 0.5, "b/x": m["b"] ** 0.5}, 20)
            front = [mixture_of(record) for record in records[8:]]
            # The median, as a search that has found its one best mixture looks elsewhere now and then.
            away = [abs(mixture["a"] - 0.5) for mixture in front if mixture["a"] + mixture["b"] > 0.9]
            spread[kind] = np.median(away)
        assert spread[BalanceKind.WORST] < 0.02 < 0.1 < spread[BalanceKind.PARETO]


class TestOutlook:
    def test_a_tried_mixture_that_is_best_is_recommended_or_its_like(self) -> None:
        records = [*history(20), trial(20, BEST, law(BEST))]
        assert recommended(records).distance(BEST) < 0.01

    def test_trials_are_proposed_by_bold_beliefs_and_recommendations_are_of_careful_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records = history(12, noise=0.3)
        found = proposed(records).mixture, recommended(records)
        monkeypatch.setattr("ratio_search.model.view.WAYS", 2)
        assert proposed(records).mixture == found[0]
        assert recommended(records) != found[1]

    def test_mixtures_that_bounds_of_now_forbid_are_learned_from_but_not_recommended(self) -> None:
        space = PointSpace(simplex=SimplexSpace.of({**dict.fromkeys("abc", (0.0, 1.0)), "d": (0.0, 0.3)}))
        records = [*history(20), trial(20, BEST, law(BEST))]
        found = outlook(records, space=space)
        assert len(found.evidence.measured) == 21
        assert space.simplex.mixture(found.best.shares[0]) in space.simplex
        assert found.best.shares[0, 3] == pytest.approx(0.3, abs=0.01)

    def test_it_is_the_one_of_the_trials_that_are_asked_about(self) -> None:
        strategy, records = SimplexGP(SPACE, seed=0), history(9)
        for extra in ([], [trial(9, BEST)], [trial(9, BEST, failed=True)]):
            evidence = Evidence.of([*records, *extra], SCORER, SPACE)
            found = strategy.outlook(evidence, SCORER)
            assert found.evidence is evidence
        assert len(found.evidence.failed) == 1

    def test_by_another_judge_rests_on_the_same_fit_and_is_what_a_new_search_would_find(self) -> None:
        strategy, records = SimplexGP(SPACE, seed=0), history(12, noise=0.02)
        evidence = Evidence.of(records, SCORER, SPACE)
        fitted = strategy.outlook(evidence, SCORER).surrogate
        heavier = [dataclasses.replace(metric, weight=3.0 - i) for i, metric in enumerate(SCORER.metrics)]
        aiming = [dataclasses.replace(metric, target=0.1 if i else None) for i, metric in enumerate(SCORER.metrics)]
        for metrics, kind in (
            (heavier, BalanceKind.WEIGHTED),
            (aiming, BalanceKind.TARGET),
            (SCORER.metrics, BalanceKind.WORST),
        ):
            scorer = dataclasses.replace(SCORER, metrics=metrics, balance=Balance(kind=kind))
            found = strategy.outlook(Evidence.of(records, scorer, SPACE), scorer)
            assert found.surrogate is fitted
            assert found.best.shares == pytest.approx(outlook(records, scorer=scorer).best.shares)

    def test_from_another_reference_or_of_other_trials_rests_on_a_new_fit(self) -> None:
        strategy, records = SimplexGP(SPACE, seed=0), history(12, noise=0.02)
        fitted = strategy.outlook(Evidence.of(records, SCORER, SPACE), SCORER).surrogate
        moved = dataclasses.replace(
            SCORER, metrics=[dataclasses.replace(metric, reference=0.1) for metric in SCORER.metrics]
        )
        found = strategy.outlook(Evidence.of(records, moved, SPACE), moved)
        assert found.surrogate is not fitted
        assert found.best.shares == pytest.approx(outlook(records, scorer=moved).best.shares)
        again = strategy.outlook(Evidence.of(records[:-1], SCORER, SPACE), SCORER).surrogate
        assert again is not fitted and again is not found.surrogate


def cost(values: Mapping[str, Value]) -> float:
    """What settings take from every metric: least at a rate of 10^-3.5 with the schedule `cosine`."""
    return 0.3 * abs(float(np.log10(float(values["rate"]))) + 3.5) + 0.5 * (values["schedule"] == "linear")
