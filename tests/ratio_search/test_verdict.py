"""Verdicts over measurements that are made from numbers: what is true is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from objectives.base import Estimate, Measurement
from objectives.metrics import Comparison, Goal
from objectives.scorer import Balance, BalanceKind, Metric, Scorer
from ratio_search.verdict import CREDIBLE, Contender, Interval, Promise, judge

from .trials import gains_of

ONE = gains_of("a/x")


def runs(values: Sequence[Mapping[str, float]], stderr: float | None = None) -> dict[int, Measurement]:
    """What each replicate measured."""
    return {
        number: Measurement(metrics={name: Estimate(value=value, stderr=stderr) for name, value in found.items()})
        for number, found in enumerate(values)
    }


def contender(name: str, *values: float, stderr: float | None = None, candidate: bool = True) -> Contender:
    """One that is judged by a single metric."""
    return Contender(name=name, runs=runs([{"a/x": value} for value in values], stderr), candidate=candidate)


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def test_the_best_candidate_wins_and_rivals_cannot() -> None:
    verdict = judge([contender("a", 1, 2), contender("b", 3, 3), contender("c", 9, 9, candidate=False)], ONE)
    assert verdict.winner == "b"
    assert [(lead.rival, lead.candidate) for lead in verdict.leads] == [("a", True), ("c", False)]
    assert verdict.beaten_by == ("c",)
    assert "train with c instead" in " ".join(verdict.lines)


def test_where_candidates_are_level_the_first_one_wins() -> None:
    assert judge([contender("a", 1, 2), contender("b", 2, 1)], ONE).winner == "a"


def test_two_contenders_are_compared_by_students_paired_test() -> None:
    ours, theirs = [0.5, 0.9, 0.4, 0.8], [0.3, 0.8, 0.35, 0.5]
    [lead] = judge([contender("a", *ours), contender("b", *theirs, candidate=False)], ONE).leads
    expected = stats.ttest_rel(ours, theirs)
    known = expected.confidence_interval(CREDIBLE)
    assert ends(lead.score) == pytest.approx((known.low, known.high))
    assert lead.better == pytest.approx(1 - expected.pvalue / 2)
    assert lead.replicates == 4


def test_luck_that_a_replicate_shares_goes_out() -> None:
    luck = [0.0, 5.0, -3.0]
    apart = [0.1, 0.2, 0.15]
    ours = contender("a", *(x + d for x, d in zip(luck, apart, strict=True)))
    [lead] = judge([ours, contender("b", *luck, candidate=False)], ONE).leads
    low, high = ends(lead.score)
    assert lead.score.value == pytest.approx(0.15)
    assert high - low < 0.2


def test_only_replicates_that_both_have_are_paired() -> None:
    ours = Contender(name="a", runs={n: run for n, run in contender("", 1, 2, 3, 9).runs.items() if n != 1})
    theirs = Contender(name="b", runs=contender("", 0, 7, 1).runs, candidate=False)
    [lead] = judge([ours, theirs], ONE).leads
    assert (lead.replicates, lead.score.value) == (2, pytest.approx(1.5))


def test_candidates_are_chosen_from_in_replicates_that_all_have() -> None:
    lucky = Contender(name="a", runs={2: contender("", 9, 9, 9).runs[2]})
    other = contender("b", 0, 0, 10)
    assert judge([lucky, other], ONE).winner == "b"


def test_without_a_common_replicate_nothing_is_known_of_the_error() -> None:
    ours = Contender(name="a", runs={0: contender("", 3, stderr=0.1).runs[0]})
    theirs = Contender(name="b", runs={1: contender("", 1, 1, stderr=0.1).runs[1]}, candidate=False)
    [lead] = judge([ours, theirs], ONE).leads
    assert (lead.replicates, lead.score, lead.better) == (0, Interval(value=2.0, low=None, high=None), None)
    assert "nothing is known of the error" in lead.words


class TestOneReplicate:
    def test_has_no_interval_without_the_evaluations_error(self) -> None:
        verdict = judge([contender("a", 2), contender("b", 1)], ONE)
        assert verdict.leads[0].score == Interval(value=1.0, low=None, high=None)
        assert verdict.leads[0].better is None
        assert verdict.metrics["a"]["a/x"].stderr is None

    def test_has_a_wide_one_with_it(self) -> None:
        [lead] = judge([contender("a", 2, stderr=0.3), contender("b", 1, stderr=0.4)], ONE).leads
        reach = float(stats.t.ppf(0.95, 1)) * 0.5
        assert ends(lead.score) == pytest.approx((1 - reach, 1 + reach))
        assert lead.better == pytest.approx(float(stats.t.cdf(2, 1)))

    def test_is_not_certain_of_an_error_of_0(self) -> None:
        assert judge([contender("a", 2, stderr=0.0), contender("b", 1, stderr=0.0)], ONE).leads[0].better is None


def test_few_replicates_that_agree_by_chance_are_not_believed() -> None:
    agreeing = [contender("a", 1.0, 1.0), contender("b", 0.9, 0.9, candidate=False)]
    assert judge(agreeing, ONE).leads[0].better == 1.0
    told = [contender("a", 1.0, 1.0, stderr=0.2), contender("b", 0.9, 0.9, stderr=0.2, candidate=False)]
    by_evaluation = judge(told, ONE).leads[0].better
    assert by_evaluation is not None and by_evaluation < 0.75
    others = judge([*agreeing, contender("c", 0.2, 0.9, candidate=False)], ONE).leads[0].better
    assert others is not None and others < 0.9


@given(
    st.lists(st.tuples(*[st.integers(-50, 50)] * 3), min_size=2, max_size=5),
    st.floats(0.01, 3),
)
def test_what_else_is_known_only_widens_an_interval(values: list[tuple[float, ...]], stderr: float) -> None:
    def leads(error: float | None, others: int) -> tuple[float, float]:
        found = [
            contender(name, *(row[i] for row in values), stderr=error, candidate=i == 0)
            for i, name in enumerate("abc"[: 2 + others])
        ]
        return ends(judge(found, ONE).leads[0].score)

    low, high = leads(None, 0)
    for error, others in ((stderr, 0), (None, 1), (stderr, 1)):
        wider = leads(error, others)
        assert wider[0] <= low + 1e-9 and high - 1e-9 <= wider[1]


def test_its_intervals_hold_what_is_true() -> None:
    rng, hits, told = np.random.default_rng(0), [], []
    scorer = gains_of("a/x", "b/x", balance=Balance(kind=BalanceKind.WEIGHTED))
    for _ in range(300):
        true = rng.normal(0, 1, (4, 2))
        luck, noise = rng.normal(0, 2, (1, 3, 2)), rng.normal(0, 0.7, (4, 3, 2))
        measured = true[:, None] + luck + noise
        found = [
            Contender(name=str(i), runs=runs([{"a/x": x, "b/x": y} for x, y in rows]), candidate=i < 2)
            for i, rows in enumerate(measured.tolist())
        ]
        verdict = judge(found, scorer)
        for lead in verdict.leads:
            apart = true[int(verdict.winner)] - true[int(lead.rival)]
            for k, gain in enumerate(lead.gains.values()):
                low, high = ends(gain)
                hits.append(low <= apart[k] <= high)
            told.append((lead.better, apart.mean() > 0))
    assert 0.88 <= np.mean(hits) <= 0.99
    sure = [right for better, right in told if better is not None and better >= 0.9]
    assert np.mean(sure) >= 0.9
    split = [right for better, right in told if better is not None and 0.4 <= better <= 0.6]
    assert 0.3 <= np.mean(split) <= 0.7


class TestGuards:
    scorer = gains_of("a/x", "a/safe", guards={"a/safe": 0.1})

    def judged(self, *safe: float, stderr: float | None = None) -> tuple[bool, float | None]:
        found = judge([Contender(name="a", runs=runs([{"a/x": 1, "a/safe": v} for v in safe], stderr))], self.scorer)
        return found.guards["a/safe"].kept, found.guarded

    def test_are_as_sure_as_the_runs_allow(self) -> None:
        assert self.judged(0.0, 0.01, -0.01)[0]
        kept, holds = self.judged(-0.05, 0.01, -0.15)
        mean, sd = -0.19 / 3, np.std([-0.05, 0.01, -0.15], ddof=1)
        assert kept and holds == pytest.approx(float(stats.t.cdf((mean + 0.1) / (sd / math.sqrt(3)), 2)))
        kept, holds = self.judged(-0.2, -0.3, -0.25)
        assert not kept and holds is not None and holds < 0.05

    def test_are_less_sure_where_the_test_set_is_small(self) -> None:
        assert self.judged(0.0, 0.01, -0.01, stderr=0.2)[1] < self.judged(0.0, 0.01, -0.01)[1]  # type: ignore[operator]

    def test_at_the_limit_is_kept(self) -> None:
        assert self.judged(-0.1, -0.1) == (True, 0.5)

    def test_one_run_without_an_error_says_no_probability(self) -> None:
        assert self.judged(0.0) == (True, None)

    def test_a_candidate_that_breaks_one_loses_to_one_that_does_not(self) -> None:
        bold = Contender(name="bold", runs=runs([{"a/x": 2, "a/safe": -0.5}, {"a/x": 2.1, "a/safe": -0.6}]))
        safe = Contender(name="safe", runs=runs([{"a/x": 1, "a/safe": 0.0}, {"a/x": 1.1, "a/safe": 0.1}]))
        verdict = judge([bold, safe], self.scorer)
        assert verdict.winner == "safe"
        assert verdict.leads[0].score.value == pytest.approx(-1)
        assert verdict.leads[0].better is not None and verdict.leads[0].better > 0.9

    def test_the_untuned_models_error_counts_where_it_is_the_reference(self) -> None:
        metric = Metric(name="a/x", goal=Goal.MAXIMIZE, guard=0.1)
        scorer = Scorer(metrics=[metric], balance=Balance(), baseline={"a/x": 1.0})
        runs_ = runs([{"a/x": 1.0}, {"a/x": 1.02}])
        base = Measurement(metrics={"a/x": Estimate(value=1.0, stderr=0.2)})
        sure, unsure = (judge([Contender(name="a", runs=runs_)], scorer, baseline=one).guarded for one in (None, base))
        assert sure is not None and unsure is not None and unsure < sure


class TestWhatWasPromised:
    def promised(self, score: float, reach: float | None, *values: float) -> Contender:
        ends_ = {"low": None, "high": None} if reach is None else {"low": score - reach, "high": score + reach}
        promise = Promise(score=score, gains={"a/x": Interval(value=score, **ends_)})
        return Contender(name="a", runs=contender("", *values).runs, promise=promise)

    def test_too_much_is_told_only_beyond_the_errors(self) -> None:
        found = judge([self.promised(1.0, 0.1, 0.5, 0.52, 0.48)], ONE)
        assert found.score is not None and found.score.beyond is True
        assert found.score.optimism.value == pytest.approx(0.5)
        assert "too much, by more than their errors explain" in " ".join(found.lines)
        within = judge([self.promised(1.0, 0.9, 0.5, 0.52, 0.48)], ONE)
        assert within.score is not None and within.score.beyond is False
        assert within.gains["a/x"].beyond is False

    def test_too_little_is_told_as_well(self) -> None:
        assert "too little" in " ".join(judge([self.promised(0.1, 0.01, 0.5, 0.52, 0.48)], ONE).lines)

    def test_it_is_the_recommendation_that_is_checked_whoever_wins(self) -> None:
        found = judge([self.promised(1.0, 0.1, 0.5, 0.6), contender("b", 2, 2)], ONE)
        assert (found.winner, found.promised) == ("b", "a")

    def test_nobody_knows_with_one_run(self) -> None:
        found = judge([self.promised(1.0, 0.1, 0.5)], ONE)
        assert found.score is not None and found.score.beyond is None


def test_a_perplexitys_error_is_told_in_its_own_units() -> None:
    metric = Metric(name="a/x", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)
    scorer = Scorer(metrics=[metric], balance=Balance(), baseline={"a/x": 20.0})
    found = judge([contender("a", 10, stderr=0.5)], scorer).metrics["a"]["a/x"]
    assert (found.value, found.stderr, found.gain) == (
        pytest.approx(10),
        pytest.approx(0.5),
        pytest.approx(math.log(2)),
    )


def test_contenders_without_a_run_are_named() -> None:
    verdict = judge([Contender(name="a", runs={}), contender("b", 1, 2)], ONE)
    assert (verdict.winner, verdict.missing, verdict.leads) == ("b", ("a",), ())
    assert "a has no finished run" in verdict.lines
