"""What a study would cost, and how that is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratio_search.account import Account
from ratio_search.budget import Foreseen, Limit
from ratio_search.errors import BudgetError
from ratio_search.forecast import Forecast, RowTokens, check_agreed, foreseen
from ratio_search.plan import Plan
from ratio_search.spec import StudySpec

NOTHING = Foreseen.from_json(None)


def command(**settings: Any) -> dict[str, Any]:
    return {"kind": "command", "argv": ["true"], "rows": 60, **settings}


def forecast(spec: StudySpec) -> Forecast:
    found = Plan.of(spec, (), count=True).forecast
    assert found is not None
    return found


class TestTokens:
    def test_of_a_row_at_uniform_shares_and_in_the_longest_domain(self, small_study: Any) -> None:
        spec, means = small_study().spec, {"support": 4.0, "legal": 8.0, "manuals": 12.0}
        rows = RowTokens.of(spec, spec.space, means)
        assert rows == RowTokens(usual=8, most=12, longest="manuals")
        weighed = small_study(data={"weigh_by": "tokens"}).spec
        found = RowTokens.of(weighed, weighed.space, means)
        assert found is not None and found.usual == pytest.approx(3 / (1 / 4 + 1 / 8 + 1 / 12))

    def test_of_domains_that_have_no_share_they_do_not_matter(self, small_study: Any) -> None:
        spec = small_study().spec
        space = spec.space_within({"support": (0.0, 1.0), "legal": (0.0, 1.0), "manuals": (0.0, 0.0)})
        rows = RowTokens.of(spec, space, {"support": 4.0, "legal": 8.0, "manuals": 12.0})
        assert rows == RowTokens(usual=6, most=8, longest="legal")
        assert RowTokens.of(spec, space, {"support": 4.0, "manuals": 9.0}) is None

    def test_follow_from_the_longest_run_that_is_searched(self, small_study: Any) -> None:
        searched = {"steps": {"low": 10, "high": 200}}
        objective = {"kind": "hf", "steps": 50, "batch_size": 4}
        spec = small_study(objective=objective, search={"trials": 5, "hyperparameters": searched}).spec
        known = foreseen(spec, RowTokens(usual=10, most=20, longest="legal"))
        assert known.expected[True]["tokens"] == 50 * 4 * 10
        assert known.most[True]["tokens"] == 200 * 4 * 20
        figure = Forecast.of(spec, known, None).figures[Limit.TOKENS]
        assert (figure.expected, figure.most) == (5 * 2000, 5 * 3 * 16000)

    def test_what_the_objective_does_not_read_is_not_counted(self, small_study: Any, tokenizer_folder: Any) -> None:
        objective = {"kind": "hf", "base_model": str(tokenizer_folder), "max_length": 8}
        small = small_study(objective=objective)
        row = {"instruction": "!" * 500, "output": "yes", "label": "yes"}
        (small.file.parent / "data" / "legal.train.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
        plan = Plan.of(small.spec, (), count=True)
        assert plan.rows is not None and (plan.rows.most, plan.rows.longest) == (8, "legal")


class TestTime:
    def test_the_worst_case_is_every_attempt_at_its_time_limit(self, small_study: Any) -> None:
        objective = command(time_limit_s=3590, grace_s=10, resources={"gpus": 2})
        prices = {"usd_per_gpu_hour": 3, "usd_per_hour": 1}
        figures = forecast(
            small_study(objective=objective, search={"trials": 6, "parallel": 4}, budget={"prices": prices}).spec
        ).figures
        assert {limit: figure.most for limit, figure in figures.items()} == {
            Limit.HOURS: 2 * 3,  # seven jobs, four at a time
            Limit.GPU_HOURS: 7 * 2 * 3,
            Limit.USD: 7 * 2 * 3 * 3 + 6,
            Limit.TOKENS: None,
        }
        assert figures[Limit.HOURS].words == (
            "at most 6 hours; how much to expect is unknown, because how long a fine-tune takes shows when the first "
            "has ended"
        )
        assert figures[Limit.USD].unknown == "hours and GPU hours have a price, and are not known"

    def test_it_is_not_known_without_a_limit(self, small_study: Any) -> None:
        figures = forecast(small_study(objective=command(resources={"gpus": 1})).spec).figures
        assert figures[Limit.HOURS].words == (
            "unknown, because how long a fine-tune takes shows when the first has ended; objective.time_limit_s would "
            "limit it"
        )
        assert Limit.USD not in figures
        spec = small_study(objective={"kind": "hf", "resources": {"gpus": 1}}).spec
        figures = Forecast.of(spec, foreseen(spec, None), None).figures
        assert figures[Limit.GPU_HOURS].words == (
            "unknown, because how long a fine-tune takes shows when the first has ended"
        )

    def test_without_a_baseline_there_is_a_job_less(self, small_study: Any) -> None:
        metrics = [{"name": "support/accuracy", "reference": 0.5}]
        spec = small_study(objective=command(time_limit_s=3570), baseline=False, metrics=metrics).spec
        found = forecast(spec)
        assert found.figures[Limit.HOURS].most == 3 * 3
        assert found.how.startswith("6 fine-tunes of 60 rows, 2 at a time; 5 tokens a row")


class TestMoney:
    def test_follows_from_what_has_a_price(self, small_study: Any) -> None:
        objective = {"kind": "hf", "steps": 25, "batch_size": 4}
        spec = small_study(objective=objective, budget={"prices": {"usd_per_million_tokens": 1e4}}).spec
        known = foreseen(spec, RowTokens(usual=10, most=20, longest="legal"))
        figure = Forecast.of(spec, known, None).figures[Limit.USD]
        assert figure.words == "about $60.00, at most $360.00"

    def test_without_a_price_only_trials_tell(self, small_study: Any) -> None:
        words = forecast(small_study(budget={"usd": 5}).spec).figures[Limit.USD].words
        assert words == "unknown, because what a fine-tune costs shows when the first has ended"


class TestAgreement:
    def test_the_worst_case_decides(self, small_study: Any) -> None:
        objective = command(time_limit_s=3570)
        found = forecast(small_study(objective=objective, budget={"hours": 11}).spec)
        assert found.figures[Limit.HOURS].most == 12
        with pytest.raises(BudgetError) as error:
            check_agreed(found, yes=False)
        assert "  budget.hours: 11 hours; the study would take at most 12 hours" in str(error.value)
        assert "nothing was started" in str(error.value) and "--yes" in str(error.value)
        check_agreed(found, yes=True)
        check_agreed(forecast(small_study(objective=objective, budget={"hours": 12}).spec), yes=False)

    def test_where_nothing_limits_it_what_is_expected_does(self, small_study: Any) -> None:
        assert forecast(small_study(budget={"tokens": 1799}).spec).beyond
        assert not forecast(small_study(budget={"tokens": 1800}).spec).beyond

    def test_what_nobody_knows_asks_nothing(self, small_study: Any) -> None:
        check_agreed(forecast(small_study(budget={"usd": 0.01, "hours": 0.01}).spec), yes=False)


class TestGoingOn:
    def of_more(self, spec: StudySpec, hours: float, wanted: int, known: Foreseen = NOTHING) -> Forecast:
        from .test_account import job

        records = [job(i, {"usd": 3, "wall_seconds": 1800}) for i in range(4)]
        account = Account.of(records, spec.budget, hours=hours, running={}, foreseen=known.expected)
        return Forecast.of_more(spec, known, account, wanted)

    def test_goes_by_what_fine_tunes_have_cost(self, small_study: Any) -> None:
        spec = small_study(budget={"usd": 20, "hours": 4}).spec
        found = self.of_more(spec, 2.0, 3)
        assert found.figures[Limit.USD].expected == 12 + 3 * 3
        assert found.figures[Limit.HOURS].expected == 2 + 2 * 0.5
        assert found.beyond == [
            "budget.usd: $20.00; the study would take about $21.00, with no upper limit, because nothing limits "
            "what a fine-tune takes"
        ]
        assert not self.of_more(spec, 2.0, 2).beyond
        assert self.of_more(spec, 3.1, 2).beyond == [] and self.of_more(spec, 3.6, 2).beyond

    def test_and_in_the_worst_case_by_the_time_limit(self, small_study: Any) -> None:
        spec = small_study(objective=command(time_limit_s=3570), budget={"hours": 9}).spec
        found = self.of_more(spec, 2.0, 4, foreseen(spec, None))
        assert found.figures[Limit.HOURS].most == 2 + 2 * 3
        assert found.beyond == []


def test_it_is_told_line_by_line_and_as_plain_data(small_study: Any) -> None:
    found = forecast(small_study(budget={"tokens": 5000}).spec)
    assert found.lines[1:] == [
        "GPU hours: none",
        "tokens: about 1,800 tokens, with no upper limit, because how often it trains on a row is the trainer's own "
        "affair (budget.tokens: 5,000 tokens)",
        f"reckoned with {found.how}",
    ]
    data = json.loads(json.dumps(found.to_json()))
    assert data["tokens"]["expected"] == 1800 and data["tokens"]["limit"] == 5000
    assert (data["how"], data["beyond"]) == (found.how, [])
