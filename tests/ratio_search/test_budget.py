"""What is limited, and what the costs of a job amount to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.attempt import Attempt
from objectives.backends import Backend
from objectives.base import Job, JobKind, Measurement, Progress, Seeds
from objectives.errors import ObjectiveError
from ratio_search.budget import Foreseen, Limit, amounts, check_knowable, cost_so_far
from ratio_search.errors import SpecError
from ratio_search.study_file import BudgetSection, PricesSection

AMOUNT = st.floats(0, 1e6)
NAMES = ("wall_seconds", "gpu_seconds", "tokens")
NO_PRICE = PricesSection()


@st.composite
def prices(draw: st.DrawFn) -> PricesSection:
    return PricesSection(**{name: draw(st.none() | st.floats(0, 100)) for name in PricesSection.model_fields})


class TestAmounts:
    @given(st.dictionaries(st.sampled_from(NAMES), AMOUNT), prices(), st.floats(0, 50))
    def test_are_proportional_to_the_costs(self, cost: dict[str, float], price: PricesSection, factor: float) -> None:
        one, many = (amounts({name: part * n for name, part in cost.items()}, price) for n in (1, factor))
        assert many == pytest.approx({limit: amount * factor for limit, amount in one.items()}, abs=1e-9)

    @given(st.fixed_dictionaries(dict.fromkeys(NAMES, AMOUNT)), prices())
    def test_money_is_what_has_a_price_but_for_the_drivers_hours(
        self, cost: dict[str, float], price: PricesSection
    ) -> None:
        found = amounts(cost, price)
        assert found[Limit.HOURS] == cost["wall_seconds"] / 3600
        assert found[Limit.GPU_HOURS] == cost["gpu_seconds"] / 3600
        assert found[Limit.TOKENS] == cost["tokens"]
        expected = (price.usd_per_gpu_hour or 0) * cost["gpu_seconds"] / 3600
        expected += (price.usd_per_million_tokens or 0) * cost["tokens"] / 1e6
        stated = any(amount is not None for amount in price.model_dump().values())
        assert found.get(Limit.USD) == (pytest.approx(expected) if stated else None)

    @given(st.dictionaries(st.sampled_from(NAMES), AMOUNT), prices(), AMOUNT)
    def test_what_is_billed_counts_whatever_the_prices(
        self, cost: dict[str, float], price: PricesSection, billed: float
    ) -> None:
        assert amounts({**cost, "usd": billed}, price)[Limit.USD] == billed

    def test_money_is_not_known_where_something_with_a_price_is_not(self) -> None:
        both = PricesSection(usd_per_gpu_hour=2, usd_per_million_tokens=8)
        cost = {"gpu_seconds": 1800.0}
        assert Limit.USD not in amounts(cost, both)
        assert amounts(cost, both, whole=False)[Limit.USD] == 1
        assert amounts(cost, both, tuned=False)[Limit.USD] == 1, "the untuned model trains on nothing"
        assert Limit.USD not in amounts({**cost, "tokens": 5}, NO_PRICE)

    def test_less_than_nothing_is_not_an_amount(self) -> None:
        cost = {"usd": -1.0, "tokens": -5.0, "wall_seconds": 3600.0}
        assert amounts(cost, PricesSection(usd_per_million_tokens=1)) == {Limit.HOURS: 1}


@pytest.mark.parametrize(
    ("limit", "amount", "words"),
    [
        (Limit.USD, 1234.5, "$1,234.50"),
        (Limit.USD, 0.0123, "$0.012"),
        (Limit.USD, 0, "$0.00"),
        (Limit.HOURS, 1, "1 hour"),
        (Limit.HOURS, 0.0001, "0.0001 hours"),
        (Limit.GPU_HOURS, 2400, "2,400 GPU hours"),
        (Limit.TOKENS, 1.2e7, "12,000,000 tokens"),
    ],
)
def test_amounts_in_words(limit: Limit, amount: float, words: str) -> None:
    assert limit.told(amount) == words


def backend(kind: str, **settings: Any) -> Backend:
    from objectives.backends import load

    needed = {"command": {"argv": ["train"], "rows": 10}, "replay": {"table": "runs.csv"}}.get(kind, {})
    return load(kind)(kind=kind, **{**needed, **settings})


class TestWhatCanNeverBeKnown:
    @pytest.mark.parametrize(
        ("kind", "budget", "message"),
        [
            ("hf", {"usd": 5}, "budget.usd: objective 'hf' does not report what its jobs cost; add budget.prices"),
            ("hf", {"gpu_hours": 5}, "budget.gpu_hours: would never be reached, as objective.resources.gpus is 0"),
            ("replay", {"tokens": 5}, "budget.tokens: objective 'replay' does not report tokens; remove it"),
            ("external", {"hours": 5}, "budget.hours: trials of objective 'external' are run by their caller"),
        ],
    )
    def test_is_refused(self, kind: str, budget: dict[str, Any], message: str) -> None:
        with pytest.raises(SpecError) as error:
            check_knowable(BudgetSection.model_validate(budget), backend(kind))
        assert str(error.value).startswith(message)

    @pytest.mark.parametrize(
        ("kind", "settings", "budget"),
        [
            ("hf", {}, {"usd": 5, "prices": {"usd_per_million_tokens": 8}}),
            ("hf", {}, {"usd": 5, "prices": {"usd_per_hour": 8}}),
            ("hf", {"resources": {"gpus": 1}}, {"gpu_hours": 5, "tokens": 1e9, "hours": 3}),
            ("command", {}, {"usd": 5, "gpu_hours": 5, "tokens": 5}),
            ("replay", {}, {"hours": 5}),
            ("external", {}, {"prices": {"usd_per_hour": 1}}),
        ],
    )
    def test_but_not_what_may_be(self, kind: str, settings: dict[str, Any], budget: dict[str, Any]) -> None:
        check_knowable(BudgetSection.model_validate(budget), backend(kind, **settings))

    def test_a_study_file_says_where(self, small_study: Any) -> None:
        with pytest.raises(SpecError, match=r"study\.yaml:\nbudget\.usd: objective 'hf'"):
            _ = small_study(objective={"kind": "hf"}, budget={"usd": 5}).spec


class TestWhatBackEndsKnowBeforehand:
    def test_hf_knows_its_tokens(self) -> None:
        hf = backend("hf", steps=10, batch_size=4)
        for foreseen in (hf.expected_cost, hf.most_cost):
            assert foreseen(tuned=True, row_tokens=25.0) == {"tokens": 1000, "gpu_seconds": 0}
            assert foreseen(tuned=True, row_tokens=None) == {"gpu_seconds": 0}
            assert foreseen(tuned=False, row_tokens=25.0) == {"tokens": 0, "gpu_seconds": 0}
        assert backend("hf", resources={"gpus": 1}).expected_cost(tuned=False, row_tokens=None) == {"tokens": 0}

    def test_a_command_is_bounded_by_its_time_limit(self) -> None:
        limited = backend("command", time_limit_s=90, grace_s=10, resources={"gpus": 0.5})
        assert limited.most_cost(tuned=True, row_tokens=2.0) == {"wall_seconds": 100, "gpu_seconds": 50}
        assert limited.expected_cost(tuned=True, row_tokens=2.0) == {"tokens": 20}
        assert backend("command").most_cost(tuned=True, row_tokens=2.0) == {"gpu_seconds": 0}

    def test_a_replay_by_its_seconds(self) -> None:
        assert backend("replay", seconds=3).expected_cost(tuned=True, row_tokens=None) == {"wall_seconds": 3}


def test_what_is_foreseen_is_kept_as_plain_data() -> None:
    found = Foreseen(expected={True: {"tokens": 5}, False: {}}, most={True: {}, False: {"tokens": 0}})
    assert Foreseen.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert Foreseen.from_json(None).expected == {True: {}, False: {}}


class Interrupted:
    """An objective that reports what it costs, and fails."""

    def run(self, job: Job, context: Any) -> Any:
        yield Progress(step=1, total=2, cost={"tokens": 40})
        yield Progress(step=2, total=2, cost={"tokens": 90, "usd": 0.5})
        raise ObjectiveError("broken")
        yield Measurement(metrics={})


class TestAnAttemptWithoutAResult:
    @pytest.fixture
    def attempt(self, tmp_path: Path) -> Attempt:
        job = Job(id="trial-0000", kind=JobKind.TRIAL, mixture=None, seeds=Seeds(data=0, training=0))
        return Attempt(job=job, folder=tmp_path / "trial-0000" / "attempt-1")

    def test_cost_what_it_reported_last_and_its_time(self, attempt: Attempt) -> None:
        list(attempt.run(Interrupted()))
        known = attempt.spent()
        assert {name: known[name] for name in ("tokens", "usd")} == {"tokens": 90, "usd": 0.5}
        assert known["wall_seconds"] >= 0

    def test_gpus_are_held_all_the_time(self, attempt: Attempt) -> None:
        list(attempt.run(Interrupted()))
        os.utime(attempt.job_file, (time.time() - 30,) * 2)
        found = cost_so_far(attempt, backend("command", resources={"gpus": 2}), 1000.0)
        assert 30 <= found["wall_seconds"] < 1000, "it had waited for a place"
        assert found["gpu_seconds"] == 2 * found["wall_seconds"]
        os.utime(attempt.job_file, (time.time() + 500,) * 2)  # the clock was put back
        assert cost_so_far(attempt, backend("command"), 20.0)["wall_seconds"] == 20

    def test_of_one_that_never_began_nothing_is_known(self, attempt: Attempt) -> None:
        assert attempt.spent() == {}
        assert cost_so_far(attempt, backend("command")) == {}
        assert cost_so_far(attempt, backend("command"), 20.0) == {"wall_seconds": 20}
