"""The front of a study: what belongs to it, how surely, and what is spread over it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.front import CONSIDERED, POSSIBLE, Candidate, Front, Gain, Member, candidates
from ratio_search.hyperparameters import Hyperparameter, Real
from ratio_search.model import Evidence, PointSpace
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import Outlook, SimplexGP
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import gains_of, trial

SPACE = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))
SCORER = gains_of("a/x", "b/x")


def law(mixture: Mixture, sd: float = 0.0, rng: np.random.Generator | None = None) -> dict[str, float]:
    """Metrics of a and b by their own shares: what c has is lost to both."""
    noise = rng or np.random.default_rng(0)
    return {f"{name}/x": mixture[name] ** 0.5 + sd * noise.standard_normal() for name in "ab"}


def tried(n: int, sd: float = 0.02, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    mixtures = [SPACE.mixture(row) for row in SPACE.sample(n, rng)]
    return [trial(i, mixture, law(mixture, sd, rng)) for i, mixture in enumerate(mixtures)]


def outlook_of(
    records: Sequence[Record], scorer: Scorer = SCORER, searched: Mapping[str, Hyperparameter] | None = None
) -> tuple[Outlook, PointSpace]:
    points = PointSpace(simplex=SPACE, hyperparameters=searched or {})
    return SimplexGP(points, seed=0).outlook(Evidence.of(records, scorer, points), scorer), points


def front_of(
    records: Sequence[Record],
    scorer: Scorer = SCORER,
    *,
    allowed: Sequence[int] | None = None,
    searched: Mapping[str, Hyperparameter] | None = None,
) -> Front:
    outlook, points = outlook_of(records, scorer, searched)
    known = {record.number: record for record in records if allowed is None or record.number in allowed}
    return Front.of(outlook, known, scorer, points, np.random.default_rng(0))


def m_of(records: Sequence[Record]) -> list[Mixture]:
    return [record.job.mixture for record in records if record.job.mixture is not None]


def numbers(members: Sequence[Member]) -> list[int]:
    return [record.number for member in members for record in member.candidate.records]


def by_trial(front: Front) -> dict[int, Member]:
    return {record.number: member for member in front.members for record in member.candidate.records}


class TestOfAModel:
    def test_probabilities_are_those_of_other_draws_judged_by_the_definition(self) -> None:
        records = tried(12, sd=0.1, seed=2)
        front = front_of(records)
        outlook, points = outlook_of(records)
        rows = points.points(m_of(records), [{}] * 12)
        x = np.vstack([points.coordinates(rows), points.coordinates(outlook.best)])
        draws = outlook.surrogate.draws(x, 2048, np.random.default_rng(1)).base
        better = (draws[:, :, None] > draws[:, None]).all(axis=0)  # [j, i]: j is better than i in both metrics
        expected = 1 - better.any(axis=0).mean(axis=1)
        found = by_trial(front)
        assert 0 < len(found) < 12
        assert any(0.25 < member.unbeaten < 0.9 for member in found.values() if member.unbeaten is not None)
        for number, member in found.items():
            assert member.unbeaten == pytest.approx(expected[number], abs=4 * (0.25 / 512) ** 0.5)
        for number in set(range(12)) - set(found):
            assert expected[number] < POSSIBLE + 4 * (0.25 / 512) ** 0.5

    def test_mixtures_that_lose_everywhere_are_not_on_it_and_the_best_of_each_metric_is(self) -> None:
        records = tried(14, sd=0.005)
        front = front_of(records)
        shares = {record.number: record.job.mixture or Mixture.uniform("abc") for record in records}
        found = numbers(front.members)
        for name in "ab":
            assert max(shares, key=lambda number: shares[number][name]) in found
        assert max(shares, key=lambda number: shares[number]["c"]) not in found

    def test_the_recommended_one_comes_first_tried_or_not_then_the_surest(self) -> None:
        front = front_of(tried(12, sd=0.1))
        first, *rest = front.members
        assert first.candidate.recommended
        assert not any(member.candidate.recommended for member in rest)
        surest = [member.unbeaten or 0 for member in rest]
        assert surest == sorted(surest, reverse=True)
        assert first.candidate.records == ()
        assert front.considered == 13

    def test_trials_of_one_mixture_are_one_member(self) -> None:
        rng = np.random.default_rng(0)
        same = Mixture.of({"a": 0.5, "b": 0.5, "c": 0.0})
        records = [*tried(8), *(trial(8 + i, same, law(same, 0.02, rng)) for i in range(4))]
        front = front_of(records)
        [member] = [member for member in front.members if 9 in numbers([member])]
        assert numbers([member]) == [8, 9, 10, 11]
        assert member.candidate.mixture == same
        assert front.considered == 9 + (not any(m.candidate.records for m in front.members[:1]))

    def test_the_same_mixture_with_other_hyperparameters_is_another_one(self) -> None:
        same = Mixture.of({"a": 0.5, "b": 0.5, "c": 0.0})
        records = [trial(i, same, law(same), hyperparameters={"rate": 0.1 * (i % 3)}) for i in range(9)]
        front = front_of(records, searched={"rate": Real(low=0.0, high=1.0)})
        tried_ones = [member.candidate for member in front.members if member.candidate.records]
        assert [len(candidate.records) for candidate in tried_ones] == [3] * len(tried_ones)

    def test_gains_have_intervals_and_values(self) -> None:
        front = front_of(tried(20))
        for member in front.members:
            for name, gain in member.gains.items():
                assert gain.low is not None and gain.high is not None
                assert gain.low < gain.expected < gain.high
                assert gain.value == pytest.approx(gain.expected), "of metrics that are their own gains"
                assert gain.expected == pytest.approx(law(member.candidate.mixture)[name], abs=0.1)

    def test_a_metric_that_is_noise_alone_is_named_if_it_counts(self) -> None:
        # Twenty draws of noise can look like a trend.
        rng = np.random.default_rng(4)
        records = [trial(i, m, {**law(m), "b/x": rng.standard_normal()}) for i, m in enumerate(m_of(tried(20)))]
        assert front_of(records).unexplained == ("b/x",)
        assert front_of(records, gains_of("a/x", "b/x", guards={"b/x": 9.0})).unexplained == ()
        assert front_of(tried(20)).unexplained == ()

    def test_only_those_that_may_be_recommended_are_considered(self) -> None:
        records = tried(12)
        front = front_of(records, allowed=[0, 1, 2])
        assert set(numbers(front.members)) <= {0, 1, 2}
        assert front.considered <= 4

    def test_of_very_many_the_surely_beaten_are_left_out(self) -> None:
        records = tried(CONSIDERED + 30)
        front = front_of(records)
        assert front.considered >= CONSIDERED + 30
        shares = {record.number: record.job.mixture or Mixture.uniform("abc") for record in records}
        assert max(shares, key=lambda number: shares[number]["a"]) in numbers(front.members)


class TestGuards:
    SCORER = gains_of("a/x", "b/x", "c/x", guards={"c/x": 0.0})

    @staticmethod
    def judged(mixture: Mixture) -> dict[str, float]:
        """As `law`, and c may not fall below a tenth."""
        return {**law(mixture), "c/x": mixture["c"] - 0.1}

    def records(self) -> list[Record]:
        weights = itertools.product((1, 4), (1, 4), (0, 1, 4))
        mixtures = [Mixture.from_weights(dict(zip("abc", row, strict=True))) for row in weights]
        return [trial(i, mixture, self.judged(mixture)) for i, mixture in enumerate(mixtures)]

    def front(self) -> Front:
        return front_of(self.records(), self.SCORER)

    def test_a_guarded_metric_without_weight_does_not_count(self) -> None:
        front = self.front()
        assert front.counted == ("a/x", "b/x")
        assert set(front.corner) == {"a/x", "b/x"}
        assert set(front.members[0].gains) == {"a/x", "b/x", "c/x"}

    def test_what_breaks_them_is_marked_comes_last_and_beats_nothing_that_keeps_them(self) -> None:
        members = self.front().members
        marks = [member.breaks for member in members]
        assert marks == sorted(marks)
        assert any(marks) and not all(marks)
        for member in members:
            assert member.holds is not None
            assert member.breaks == (member.holds < 0.5)
            assert member.breaks == (member.candidate.mixture["c"] < 0.099)
        # With as much of c as the guard wants, a mixture is beaten by the same one with less of it, but for the guard.
        sound = [member for member in members if not member.breaks]
        assert any(member.candidate.mixture["c"] < 0.25 and (member.unbeaten or 0) > 0.5 for member in sound)
        assert max(member.candidate.mixture["c"] for member in sound) < 0.5, "more of c than is needed brings nothing"

    def test_what_breaks_them_covers_nothing(self) -> None:
        unguarded = [dataclasses.replace(metric, guard=None) for metric in self.SCORER.metrics]
        free = front_of(self.records(), dataclasses.replace(self.SCORER, metrics=unguarded))
        assert not any(member.breaks for member in free.members)
        assert 0 < self.front().hypervolume < free.hypervolume

    def test_spreads_leave_it_out(self) -> None:
        front = self.front()
        assert front.spreadable == sum(not member.breaks for member in front.members)
        assert not any(member.breaks for member in front.spread(front.spreadable))


class TestHypervolume:
    def test_is_that_of_the_expected_gains_above_the_references(self) -> None:
        mixtures = [Mixture.of({"a": a, "b": 1 - a, "c": 0.0}) for a in np.linspace(0.1, 0.9, 9)]
        front = front_of([trial(i, m, law(m)) for i, m in enumerate(mixtures)])
        assert front.corner == {"a/x": 0, "b/x": 0}
        # Under the quarter circle x^2 + y^2 = 1, less what steps leave of it.
        assert 0.6 < front.hypervolume < np.pi / 4

    def test_a_guard_of_a_metric_that_counts_moves_the_corner_to_where_it_breaks(self) -> None:
        records = tried(9)
        first, second = SCORER.metrics
        guarded = dataclasses.replace(SCORER, metrics=[first, dataclasses.replace(second, guard=0.2)])
        front = front_of(records, guarded)
        assert front.corner == {"a/x": 0, "b/x": pytest.approx(-0.2)}
        assert front.hypervolume > front_of(records).hypervolume > 0

    def test_of_mixtures_that_all_lose_something_is_0(self) -> None:
        records = [trial(i, m, {"a/x": m["a"], "b/x": -0.1 - m["a"]}) for i, m in enumerate(m_of(tried(8)))]
        assert front_of(records).hypervolume == 0


class TestOfWhatWasMeasured:
    def test_are_those_that_no_other_one_beat(self) -> None:
        gains = [(0.1, 0.5), (0.5, 0.1), (0.1, 0.1), (0.1, 0.5)]
        records = [
            trial(i, m, {"a/x": a, "b/x": b}) for i, (m, (a, b)) in enumerate(zip(m_of(tried(4)), gains, strict=True))
        ]
        front = Front.of_measured(records, SCORER)
        assert sorted(numbers(front.members)) == [0, 1, 3], "equals do not beat each other"
        assert front.members[0].candidate == Candidate(
            mixture=records[0].job.mixture or Mixture.uniform("abc"),
            hyperparameters={},
            records=(records[0],),
            recommended=True,
        )
        assert {member.unbeaten for member in front.members} == {None}
        assert front.members[0].gains["b/x"] == Gain(expected=0.5, low=None, high=None, value=0.5)
        assert front.hypervolume == pytest.approx(0.1 * 0.5 + 0.4 * 0.1)
        assert front.considered == 4

    def test_repeats_count_by_their_mean(self) -> None:
        one, other = m_of(tried(2))
        records = [
            trial(0, one, {"a/x": 0.9, "b/x": 0.1}),
            trial(1, one, {"a/x": 0.1, "b/x": 0.1}),
            trial(2, other, {"a/x": 0.6, "b/x": 0.2}),
        ]
        front = Front.of_measured(records, SCORER)
        assert [numbers([member]) for member in front.members] == [[0, 1], [2]], "the recommended one is beaten"
        assert front.members[0].gains["a/x"].expected == pytest.approx(0.5)

    def test_broken_guards_are_marked(self) -> None:
        scorer = gains_of("a/x", "b/x", guards={"b/x": 0.1})
        records = [trial(i, m, {"a/x": 1.0 - i, "b/x": i - 1.0}) for i, m in enumerate(m_of(tried(2)))]
        front = Front.of_measured([records[1], records[0]], scorer)
        assert [(numbers([m]), m.holds, m.breaks) for m in front.members] == [([1], 1.0, False), ([0], 0.0, True)]

    def test_a_guard_that_is_just_kept_but_for_rounding_is_kept(self) -> None:
        scorer = gains_of("a/x", "b/x", guards={"b/x": 0.1})
        [mixture] = m_of(tried(1))
        measured = {"a/x": 1.0, "b/x": -0.1 - 1e-12}
        assert scorer.score(measured).feasible
        assert not Front.of_measured([trial(0, mixture, measured)], scorer).members[0].breaks


class TestSpread:
    @staticmethod
    def front(gains: Sequence[tuple[float, float]], recommended: int) -> Front:
        members = tuple(
            Member(
                candidate=Candidate(
                    mixture=Mixture.uniform("abc"), hyperparameters={}, records=(), recommended=i == recommended
                ),
                unbeaten=1.0,
                holds=None,
                gains={
                    name: Gain(expected=gain, low=None, high=None, value=gain)
                    for name, gain in zip(("a/x", "b/x"), pair, strict=True)
                },
            )
            for i, pair in enumerate(gains)
        )
        return Front(members=members, considered=9, counted=("a/x", "b/x"), hypervolume=0.0, corner={})

    @given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=8), st.data())
    def test_all_differ_and_each_longer_one_goes_on_from_the_shorter(
        self, gains: list[tuple[float, float]], data: st.DataObject
    ) -> None:
        recommended = data.draw(st.integers(0, len(gains) - 1))
        front = self.front(gains, recommended)
        assert front.spreadable == len(gains)
        spreads = [front.spread(k) for k in range(1, len(gains) + 1)]
        assert spreads[0] == (front.members[recommended],)
        for short, long in itertools.pairwise(spreads):
            assert long[:-1] == short
        assert len({id(member) for member in spreads[-1]}) == len(gains)

    def test_each_is_the_farthest_whatever_the_metrics_units(self) -> None:
        front = self.front([(0.0, 500.0), (0.0, 100.0), (1.0, 499.0), (0.0, 0.0)], 0)
        assert [front.members.index(member) for member in front.spread(4)] == [0, 2, 3, 1]

    def test_what_lies_between_comes_last(self) -> None:
        line = [(0.0, 500.0), (0.1, 450.0), (0.4, 300.0), (0.5, 250.0), (1.0, 0.0)]
        front = self.front(line, 0)
        assert [front.members.index(member) for member in front.spread(5)] == [0, 4, 3, 1, 2]

    def test_a_metric_that_is_the_same_everywhere_says_nothing(self) -> None:
        front = self.front([(0.5, 0.0), (0.5, 0.2), (0.5, 1.0)], 0)
        assert [front.members.index(member) for member in front.spread(2)] == [0, 2]


class TestCandidates:
    def test_mixtures_that_are_as_good_as_the_same_are_one(self) -> None:
        near = Mixture.of({"a": 0.50005, "b": 0.49995, "c": 0.0})
        far = Mixture.of({"a": 0.501, "b": 0.499, "c": 0.0})
        half = Mixture.of({"b": 0.5, "a": 0.5, "c": 0.0})
        found = candidates([trial(i, m, {}) for i, m in enumerate([half, far, near])], near, {})
        assert [[record.number for record in candidate.records] for candidate in found] == [[0, 2], [1]]
        assert [candidate.recommended for candidate in found] == [True, False]

    def test_what_is_recommended_with_other_hyperparameters_was_not_tried(self) -> None:
        half = Mixture.of({"a": 0.5, "b": 0.5, "c": 0.0})
        first, last = candidates([trial(0, half, {}, hyperparameters={"rate": 0.1})], half, {"rate": 0.2})
        assert (first.recommended, last.recommended, last.records) == (False, True, ())
        assert last.hyperparameters == {"rate": 0.2}


def test_as_plain_data_it_has_all_members() -> None:
    front = front_of(tried(10))
    found = front.to_json()
    assert found["metrics"] == ["a/x", "b/x"]
    assert len(found["members"]) == len(front.members)
    for data, member in zip(found["members"], front.members, strict=True):
        assert data["trials"] == [record.job.id for record in member.candidate.records]
        assert Mixture.of(data["shares"]) == member.candidate.mixture
        assert data["unbeaten"] == member.unbeaten
        assert data["gains"]["a/x"]["expected"] == member.gains["a/x"].expected
