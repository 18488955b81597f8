"""The account of a study: what is spent and pending, and whether one more fine-tune fits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.attempt import Failure, FailureKind
from objectives.mixture import Mixture
from ratio_search.account import Account, unreported
from ratio_search.budget import Limit
from ratio_search.record import IMPORTED, JobState, Record
from ratio_search.stages import StageRecord
from ratio_search.study_file import BudgetSection

from .trials import trial

HALVES = Mixture.of({"a": 0.5, "b": 0.5})
COST = st.floats(0, 1000)


def job(number: int, cost: Mapping[str, float] | None = None, **changes: Any) -> Record:
    """A fine-tune that is finished and cost so much; one that is open without a cost."""
    found = trial(number, HALVES, None if cost is None else {"a/f1": 0.5})
    if found.measurement is not None and cost is not None:
        found = dataclasses.replace(found, measurement=dataclasses.replace(found.measurement, cost=cost))
    return dataclasses.replace(found, **changes)


def untuned(cost: Mapping[str, float]) -> Record:
    found = job(0, cost)
    return dataclasses.replace(found, job=dataclasses.replace(found.job, id="reference-0000", mixture=None))


def account(
    records: Sequence[Record],
    budget: Mapping[str, Any],
    running: Mapping[str, Mapping[str, float]] | None = None,
    hours: float = 0.0,
    foreseen: Mapping[str, float] | None = None,
) -> Account:
    return Account.of(
        records,
        BudgetSection.model_validate(budget),
        hours=hours,
        running=running or {},
        foreseen={True: foreseen or {}, False: {}},
    )


class TestSpent:
    @given(st.lists(st.lists(COST, min_size=1, max_size=3), max_size=6), st.randoms())
    def test_is_what_all_attempts_cost_in_any_order(self, attempts: list[list[float]], random: Any) -> None:
        records = [
            job(number, {"usd": last}, spent={i: {"usd": usd} for i, usd in enumerate(lost, 1)})
            for number, (*lost, last) in enumerate(attempts)
        ]
        imported = job(len(records), {"usd": 1e6}, origin=IMPORTED)
        shuffled = [*records, imported]
        random.shuffle(shuffled)
        line = account(shuffled, {"usd": 5}).lines[Limit.USD]
        assert line.spent == pytest.approx(math.fsum(usd for job in attempts for usd in job))
        assert (line.pending, line.assumed) == (0, 0)
        each = line.spent / len(attempts) if attempts else None
        assert line.each == (None if each is None else pytest.approx(each))

    def test_a_failed_job_counts_as_far_as_it_is_known(self) -> None:
        failed = {"state": JobState.FAILED, "failure": Failure(kind=FailureKind.OBJECTIVE, message="broken")}
        records = [
            job(0, {"usd": 3}),
            job(1, {"usd": 2}, **failed),  # it reported something that could not be used
            job(2, None, spent={1: {"usd": 1}}, **failed),
            job(3, None, **failed),
        ]
        line = account(records, {"usd": 50}).lines[Limit.USD]
        assert (line.spent, line.pending, line.each, line.assumed) == (6, 0, 3, 0)

    def test_one_that_did_not_report_it_counts_as_the_mean(self) -> None:
        line = account([job(0, {"usd": 2}), job(1, {"usd": 4}), job(2, {})], {"usd": 50}).lines[Limit.USD]
        assert (line.spent, line.each, line.assumed) == (9, 3, 1)
        assert line.words == (
            "$9.00 of $50.00 spent, $41.00 left; 1 finished job did not report it, taken to have cost the mean of its "
            "kind, where that is known"
        )

    def test_the_untuned_model_is_no_measure_of_a_fine_tune(self) -> None:
        records = [untuned({"usd": 1}), job(0, {"usd": 4})]
        line = account(records, {"usd": 50}).lines[Limit.USD]
        assert (line.spent, line.each) == (5, 4)
        assert account([untuned({})], {"tokens": 50}).lines[Limit.TOKENS].assumed == 0

    def test_a_platforms_amounts_count_once(self) -> None:
        stages = tuple(
            StageRecord(stage="train", attempt=i, name=f"n{i}", cost={"usd": usd}) for i, usd in ((1, 2.0), (2, 3.0))
        )
        told, untold = job(0, {"usd": 3}, stages=stages), job(1, {}, stages=stages)
        assert account([told, untold], {"usd": 50}).lines[Limit.USD].spent == 10
        under_way = job(2, None, stages=stages)
        running = {"trial-0002": {"usd": 5.0}}
        line = account([told, untold, under_way], {"usd": 50}, running).lines[Limit.USD]
        assert (line.spent, line.pending) == (10, 5)
        assert account([told, untold, under_way], {"usd": 50}).lines[Limit.USD].spent == 15, "left open"

    def test_hours_are_the_drivers_and_have_a_price(self) -> None:
        records = [job(0, {"wall_seconds": 7200, "usd": 4})]
        found = account(records, {"usd": 50, "prices": {"usd_per_hour": 10}}, hours=1.5)
        assert (found.lines[Limit.HOURS].spent, found.lines[Limit.HOURS].each) == (1.5, 2)
        line = found.lines[Limit.USD]
        assert (line.spent, line.each) == (19, 24)
        assert line.with_more(4, 2) == pytest.approx(19 + 4 * 4 + 2 * 20), "time side by side is paid once"


class TestPending:
    @given(st.lists(COST, min_size=1, max_size=5), st.lists(COST, min_size=1, max_size=4))
    def test_what_is_under_way_costs_the_mean_or_what_it_has_cost(self, done: list[float], so_far: list[float]) -> None:
        records = [job(i, {"tokens": tokens}) for i, tokens in enumerate(done)]
        open_ = [job(len(done) + i) for i in range(len(so_far))]
        running = {record.job.id: {"tokens": tokens} for record, tokens in zip(open_, so_far, strict=True)}
        line = account([*records, *open_], {"tokens": 2000}, running).lines[Limit.TOKENS]
        mean = math.fsum(done) / len(done)
        assert line.spent == pytest.approx(math.fsum(done))
        assert line.pending == pytest.approx(math.fsum(max(mean, tokens) for tokens in so_far))
        assert line.left == pytest.approx(max(0, 2000 - line.spent - line.pending))

    def test_before_any_is_finished_what_was_foreseen_counts(self) -> None:
        found = account([job(0)], {"tokens": 100}, {"trial-0000": {}}, foreseen={"tokens": 40})
        line = found.lines[Limit.TOKENS]
        assert (line.spent, line.pending, line.each) == (0, 40, 40)
        assert found.allows_another
        assert not account([job(0)], {"tokens": 79}, {"trial-0000": {}}, foreseen={"tokens": 40}).allows_another

    def test_attempts_that_were_lost_are_spent_and_the_next_one_is_pending(self) -> None:
        records = [job(0, {"usd": 4}), job(1, None, spent={1: {"usd": 3}})]
        line = account(records, {"usd": 50}, {"trial-0001": {"usd": 1}}).lines[Limit.USD]
        assert (line.spent, line.pending) == (7, 4)

    def test_hours_pass_side_by_side(self) -> None:
        records = [job(0, {"wall_seconds": 3600}), job(1), job(2)]
        running = {"trial-0001": {"wall_seconds": 900.0}, "trial-0002": {"wall_seconds": 1800.0}}
        line = account(records, {"hours": 2.0}, running, hours=1.2).lines[Limit.HOURS]
        assert line.pending == pytest.approx(0.75)
        assert not line.takes_another, "one more takes an hour"
        assert dataclasses.replace(line, allowed=2.2).takes_another


class TestWhetherOneMoreFits:
    @given(
        st.floats(1, 100),
        st.integers(1, 60).map(lambda n: n / 4),
        st.integers(1, 8),
    )
    def test_a_budget_is_used_up_and_never_overrun_where_all_cost_the_same(
        self, each: float, budget: float, parallel: int
    ) -> None:
        """Whatever runs side by side: a driver in small, that fills its slots and ends the oldest job."""
        limit = each * budget
        done = [job(0, {"usd": each})]  # the first one shows what one costs
        open_: list[Record] = []
        for _ in range(200):
            running = {record.job.id: {"usd": 0.0} for record in open_}
            found = account([*done, *open_], {"usd": limit}, running)
            if len(open_) < parallel and found.allows_another:
                open_.append(job(len(done) + len(open_)))
            elif open_:
                done.append(job(open_.pop(0).number, {"usd": each}))
            else:
                break
        spent = each * len(done)
        assert spent <= max(limit, each) * (1 + 1e-6)
        assert spent + each > limit * (1 - 1e-6)

    @given(st.lists(st.floats(0.1, 10), min_size=30, max_size=30), st.floats(20, 100), st.integers(1, 6))
    def test_it_is_overrun_by_what_the_last_ones_cost_above_the_mean(
        self, costs: list[float], limit: float, parallel: int
    ) -> None:
        done, above = [job(0, {"usd": costs[0]})], 0.0
        open_: list[Record] = []
        while True:
            running: dict[str, dict[str, float]] = {record.job.id: {} for record in open_}
            found = account([*done, *open_], {"usd": limit}, running)
            number, each = len(done) + len(open_), found.lines[Limit.USD].each
            assert each is not None
            if len(open_) < parallel and found.allows_another and number < len(costs):
                open_.append(job(number))
                above = sum(max(0.0, costs[record.number] - each) for record in open_)
            elif open_:
                ended = open_.pop(0).number
                done.append(job(ended, {"usd": costs[ended]}))
            else:
                break
        assert math.fsum(costs[: len(done)]) <= limit + above + 1e-6

    def test_while_nobody_knows_what_one_costs_they_go_one_by_one(self) -> None:
        assert account([], {"usd": 5}).allows_another
        assert account([untuned({})], {"usd": 5}, {"reference-0000": {}}).allows_another
        under_way = account([job(0)], {"usd": 5}, {"trial-0000": {"wall_seconds": 2}})
        assert under_way.learning and not under_way.allows_another
        assert account([job(0)], {"hours": 5}, {"trial-0000": {}}).allows_another, "time passes for all of them"
        assert account([job(0)], {"prices": {"usd_per_gpu_hour": 3}}, {"trial-0000": {}}).allows_another

    @pytest.mark.parametrize("limit", list(Limit))
    def test_the_limit_that_comes_first_is_named(self, limit: Limit) -> None:
        cost = {"usd": 40.0, "wall_seconds": 40 * 3600.0, "gpu_seconds": 40 * 3600.0, "tokens": 40.0}
        records = [job(0, cost), job(1, cost)]
        enough = {of.value: 1000.0 for of in Limit}
        found = account(records, {**enough, limit.value: 110.0}, hours=80)
        assert found.full is not None and found.full.limit is limit
        words = found.ended(3, 2, Path("study.yaml"))
        needed = limit.told(160 if limit is Limit.HOURS else 200)
        assert words.startswith(f"budget.{limit} is spent: {limit.told(80)} of {limit.told(110)} spent")
        assert words.endswith(f". 3 more are wanted: to go on, raise budget.{limit} to about {needed} in study.yaml")
        assert account(records, enough, hours=80).full is None

    def test_all_limits_that_more_would_reach_are_to_be_raised(self) -> None:
        found = account([job(0, {"usd": 4, "tokens": 10})], {"usd": 6, "tokens": 25})
        words = found.ended(2, 1, Path("study.yaml"))
        assert words.endswith("raise budget.usd to about $12.00 and budget.tokens to about 30 tokens in study.yaml")


def test_a_finished_fine_tune_has_to_report_what_is_limited() -> None:
    budget = BudgetSection.model_validate({"usd": 5, "hours": 2, "tokens": 100})
    assert unreported(job(0, {"usd": 1, "tokens": 5}), budget) is None
    assert unreported(job(0, {"tokens": 5}), budget) is Limit.USD
    assert unreported(job(0, {"usd": 5}), budget) is Limit.TOKENS
    assert unreported(untuned({}), budget) is None
    assert unreported(job(0), budget) is None, "it is not finished"
    # What a lost attempt is known to have cost does not tell of the one that was finished.
    assert unreported(job(0, {"tokens": 5}, spent={1: {"usd": 1}}), budget) is Limit.USD


def test_limits_that_nobody_stated_are_told_where_something_is_known() -> None:
    found = account([job(0, {"tokens": 5, "gpu_seconds": 3600})], {}, hours=0.5)
    assert list(found.lines) == [Limit.HOURS, Limit.GPU_HOURS, Limit.TOKENS]
    assert found.lines[Limit.GPU_HOURS].words == "1 GPU hour spent"
    assert found.to_json()["tokens"] == {
        "limit": None,
        "spent": 5,
        "pending": 0,
        "left": None,
        "each": 5,
        "assumed": 0,
        "words": "5 tokens spent",
    }
    assert found.full is None
