"""Studies that really run out of what they may spend, and accounts that are right after anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.attempt import Failure, FailureKind
from objectives.base import Job, Measurement
from ratio_search.account import Account
from ratio_search.bookkeeping import Bookkeeper, account_of, forecast_of_more
from ratio_search.budget import Foreseen, Limit
from ratio_search.confirm import Confirming, lineup_of
from ratio_search.errors import StudyFailed
from ratio_search.record import JobState
from ratio_search.runner import SerialRunner
from ratio_search.runner.processes import ProcessRunner
from ratio_search.search import Ending, Moment, Search
from ratio_search.study import Study

from .conftest import CONFIRMABLE, SmallStudy

TRAINER = Path(__file__).parents[1] / "trainers" / "costly.py"
DRIVER = Path(__file__).with_name("killed_driver.py")


@pytest.fixture
def costly(small_study: Any, tmp_path: Path) -> Callable[..., SmallStudy]:
    """Makes a study of a trainer that says what it costs; see tests/trainers/costly.py."""

    def make(*modes: str, objective: Any = None, **keys: Any) -> SmallStudy:
        argv = [sys.executable, str(TRAINER), str(tmp_path / "ledger"), *modes]
        stated = {"kind": "command", "argv": argv, "rows": 60, "grace_s": 1, **(objective or {})}
        made: SmallStudy = small_study(objective=stated, **keys)
        return made

    return make


def search(study: Study, runner: type[SerialRunner] = SerialRunner) -> Ending:
    with runner(study.spec.blueprint) as running:
        return Search(study, running).run()


def ledger(small: SmallStudy, name: str) -> float:
    """What all attempts really cost, by the trainer's own ledger."""
    last = {}
    for line in small.ledger.read_text().splitlines():
        row = json.loads(line)
        last[row["job"], row["attempt"]] = row["cost"][name]
    return sum(last.values())


def spent(study: Study, limit: Limit) -> float:
    return account_of(study).lines[limit].spent


def rewrite(study: Study, **budget: Any) -> Study:
    """States another budget in a study's own file."""
    file = study.folder.study_file
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "budget": budget}))
    return Study.open(study.folder)


class TestALimitEndsTheStudy:
    @pytest.mark.parametrize(
        ("budget", "mode", "done"),
        [
            ({"tokens": 200}, "tokens=100", 2),
            ({"usd": 0.003, "prices": {"usd_per_million_tokens": 10}}, "tokens=200", 1),
            ({"gpu_hours": 1.5}, "gpu_seconds=3600", 1),
        ],
    )
    def test_with_all_that_fits_and_nothing_more(
        self, costly: Any, budget: dict[str, Any], mode: str, done: int
    ) -> None:
        small = costly(mode, budget=budget)
        study = Study.create(small.spec, small.runs)
        assert search(study) is Ending.BUDGET
        assert study.complete == done
        assert not [record for record in study.records() if record.state is not JobState.COMPLETE]
        name, _, each = mode.partition("=")
        assert ledger(small, name) == done * float(each)
        # Another driver finds it spent, and starts nothing.
        again = Study.open(study.folder)
        assert search(again) is Ending.BUDGET
        assert again.complete == done

    def test_nothing_is_overrun_side_by_side(self, costly: Any) -> None:
        small = costly("usd=2", budget={"usd": 7}, search={"trials": 9, "parallel": 3})
        study = Study.create(small.spec, small.runs)
        most: list[int] = []

        def watch(moment: Moment, job: Job, detail: object) -> None:
            if moment is Moment.SUBMITTED:
                most.append(sum(record.state is JobState.RUNNING for record in study.records()))

        with ProcessRunner(small.spec.blueprint, slots=3) as runner:
            assert Search(study, runner, watch).run() is Ending.BUDGET
        assert (study.complete, spent(study, Limit.USD), ledger(small, "usd")) == (3, 6, 6)
        assert most[:2] == [0, 1], "the first shows what one costs"

    def test_trials_end_it_where_they_come_first(self, costly: Any) -> None:
        small = costly("usd=2", budget={"usd": 4}, search={"trials": 2})
        study = Study.create(small.spec, small.runs)
        assert search(study) is Ending.DONE
        assert (study.complete, spent(study, Limit.USD)) == (2, 4)

    def test_what_was_foreseen_is_too_much_for_the_first(self, costly: Any) -> None:
        small = costly("tokens=100", budget={"tokens": 90})
        study = Study.create(small.spec, small.runs)
        study.foresee(Foreseen(expected={True: {"tokens": 100}, False: {}}, most={True: {}, False: {}}))
        assert search(study) is Ending.BUDGET
        assert study.records() == [] and study.baseline() is None

    def test_more_is_spent_once_it_is_raised_and_nothing_is_forgotten(self, costly: Any) -> None:
        small = costly("usd=2", budget={"usd": 4})
        study = Study.create(small.spec, small.runs)
        assert search(study) is Ending.BUDGET
        study = rewrite(study, usd=9)
        study.override(trials=5)
        assert search(study) is Ending.BUDGET
        assert (study.complete, spent(study, Limit.USD)) == (4, 8)
        study = rewrite(study, usd=10)
        assert search(study) is Ending.DONE
        assert (study.complete, spent(study, Limit.USD)) == (5, 10)

    def test_confirming_runs_spend_of_the_same_budget(self, costly: Any) -> None:
        small = costly("usd=2", budget={"usd": 8.5}, search={"trials": 2}, domains=CONFIRMABLE)
        study = Study.create(small.spec, small.runs)
        assert search(study) is Ending.DONE
        lineup = lineup_of(study)
        study.line_up(lineup)
        confirming = Confirming(study, lineup)
        with SerialRunner(confirming.spec.blueprint) as runner:
            assert Search(study, runner, agenda=confirming).run() is Ending.BUDGET
        assert sum(record.job.mixture is not None for record in study.confirmations()) == 2
        assert spent(study, Limit.USD) == 8

    def test_imported_runs_cost_it_nothing(self, costly: Any, tmp_path: Path) -> None:
        small = costly("usd=2", budget={"usd": 4})
        study = Study.create(small.spec, small.runs)
        head = "support,legal,manuals,support/accuracy,legal/accuracy,manuals/accuracy,cost/usd"
        (tmp_path / "past.csv").write_text(f"{head}\n0.2,0.3,0.5,0.4,0.5,0.6,99\n")
        study.import_runs(tmp_path / "past.csv")
        assert search(study) is Ending.BUDGET
        assert (study.complete, spent(study, Limit.USD)) == (2, 4)


class TestWhatDoesNotReport:
    def test_ends_it_before_more_is_spent(self, costly: Any) -> None:
        small = costly("silent", "usd=2", budget={"usd": 50})
        study = Study.create(small.spec, small.runs)
        with pytest.raises(StudyFailed) as error:
            search(study)
        message = str(error.value)
        assert message.startswith(
            "trial-0000 is finished, and did not report cost.usd, or all that has a price, which "
        )
        assert "budget.prices" in message and str(study.folder.study_file) in message
        assert study.complete == 1

    def test_also_gpu_hours_that_nobody_knows_of(self, costly: Any) -> None:
        small = costly("usd=2", budget={"gpu_hours": 5})
        with pytest.raises(StudyFailed, match=r"trial-0000 is finished, and did not report cost\.gpu_seconds"):
            search(Study.create(small.spec, small.runs))

    def test_unless_it_is_not_limited(self, costly: Any) -> None:
        small = costly("silent", "usd=2", budget={"hours": 5}, search={"trials": 2})
        assert search(Study.create(small.spec, small.runs)) is Ending.DONE

    def test_a_price_for_what_it_reports_repairs_it(self, costly: Any) -> None:
        small = costly("silent", "usd=2", budget={"usd": 50}, search={"trials": 2})
        study = Study.create(small.spec, small.runs)
        with pytest.raises(StudyFailed):
            search(study)
        study = rewrite(study, usd=50, prices={"usd_per_hour": 3})
        assert search(study) is Ending.DONE
        assert spent(study, Limit.USD) == pytest.approx(3 * study.driver_hours)


class TestAttemptsWithoutAResult:
    def test_a_failed_one_costs_what_it_reported_and_the_gpus_that_it_held(self, costly: Any) -> None:
        small = costly("break", "tokens=100", "usd=2", objective={"resources": {"gpus": 2}}, search={"trials": 4})
        study = Study.create(small.spec, small.runs)
        with pytest.raises(StudyFailed, match="3 trials failed in a row"):
            search(study)
        assert ledger(small, "tokens") == 2 * 100 + 3 * 50
        assert spent(study, Limit.TOKENS) == 350
        assert spent(study, Limit.USD) == 7
        failed = study.records()[2]
        assert failed.cost["tokens"] == 50 and failed.cost["wall_seconds"] > 0.2
        records = [*study.records(), study.baseline()]
        for record in records:
            assert record.cost["gpu_seconds"] == pytest.approx(2 * record.cost["wall_seconds"])
        held = sum(record.cost["gpu_seconds"] for record in records)
        assert spent(study, Limit.GPU_HOURS) == pytest.approx(held / 3600)

    def test_a_lost_one_costs_too_and_the_next_one_comes_on_top(self, costly: Any) -> None:
        class Loses(SerialRunner):
            """Loses the first attempt at the second trial, when it is done."""

            def reports(self, timeout_s: float) -> Any:
                for report in super().reports(timeout_s):
                    job = report.attempt.job
                    if (job.id, job.attempt) == ("trial-0001", 1) and isinstance(report.event, Measurement):
                        report.attempt.result_file.unlink()
                        gone = Failure(kind=FailureKind.INFRASTRUCTURE, message="gone")
                        yield type(report)(attempt=report.attempt, event=gone)
                    else:
                        yield report

        small = costly("tokens=100", search={"trials": 3}, budget={"tokens": 1000})
        study = Study.create(small.spec, small.runs)
        assert search(study, Loses) is Ending.DONE
        lost = study.records()[1]
        assert (lost.job.attempt, lost.losses) == (2, 1)
        assert lost.spent[1]["tokens"] > 0
        assert lost.cost["tokens"] == 100 + lost.spent[1]["tokens"]
        assert spent(study, Limit.TOKENS) == 300 + lost.spent[1]["tokens"]

    def test_one_that_left_nothing_costs_the_time_that_its_driver_saw(self, costly: Any) -> None:
        study = Study.create(costly().spec, costly().runs)
        study.ask()
        job = study.ask()
        assert job is not None
        books = Bookkeeper(study)
        books.began(job)
        time.sleep(0.05)
        assert books.account.lines[Limit.HOURS].spent >= 0.05 / 3600
        books.ended(job, Failure(kind=FailureKind.CANCELLED, message="told to stop"))
        assert study.records()[0].spent[1]["wall_seconds"] >= 0.05

    def test_one_that_was_given_up_and_finished_after_all_counts_once(self, costly: Any) -> None:
        small = costly("usd=2")
        study = Study.create(small.spec, small.runs)
        study.ask()
        job = study.ask()
        assert job is not None
        first = study.start(job)
        study.note_spent(job, 30.0)
        second = study.again(job)
        study.start(second)
        result = Measurement.of_numbers({f"{name}/accuracy": 0.5 for name in ("support", "legal", "manuals")})
        first.result_file.write_text(json.dumps(result.to_json()))
        study.tell(job.id, result)
        assert study.records()[0].spent == {}


class TestKilled:
    def test_in_the_middle_the_account_is_right(self, costly: Any) -> None:
        """The second trial is half done when its driver is killed; that half is paid for twice, and known."""
        small = costly("hold", "usd=4", budget={"usd": 13}, search={"trials": 5})
        study = Study.create(small.spec, small.runs)
        driver = subprocess.Popen([sys.executable, str(DRIVER), str(study.folder.path), "serial", "never", "1"])
        half = study.folder.path / "jobs" / "trial-0001" / "attempt-1" / "progress.json"
        while not half.exists() or json.loads(half.read_text())["cost"].get("usd") != 2:
            assert driver.poll() is None
            time.sleep(0.02)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()

        found = account_of(Study.open(study.folder)).lines[Limit.USD]
        assert (found.spent, found.pending) == (4, 4)
        again = Study.open(study.folder)
        assert search(again) is Ending.BUDGET
        # 4, 2 that were lost with the driver, 4 for the trial's next attempt; another 4 would be 14.
        assert (again.complete, spent(again, Limit.USD), ledger(small, "usd")) == (2, 10, 10)
        assert again.records()[1].spent[1]["usd"] == 2
        assert again.records()[1].spent[1]["wall_seconds"] >= 0

    @pytest.mark.parametrize("moment", [Moment.SUBMITTED, Moment.STORED])
    def test_at_any_boundary_nothing_is_counted_twice_or_forgotten(self, costly: Any, moment: Moment) -> None:
        small = costly("usd=4", budget={"usd": 9})
        study = Study.create(small.spec, small.runs)
        command = [sys.executable, str(DRIVER), str(study.folder.path), "serial", moment.value, "2"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        again = Study.open(study.folder)
        assert search(again) is Ending.BUDGET
        # What was submitted but had not begun when its driver died costs nothing.
        assert (again.complete, spent(again, Limit.USD), ledger(small, "usd")) == (2, 8, 8)


class TestTime:
    def test_is_stored_now_and_then(self, costly: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        study = Study.create(costly().spec, costly().runs)
        books = Bookkeeper(study)
        books.pass_time()
        assert study.driver_hours == 0, "it writes to the disk"
        monkeypatch.setattr("ratio_search.bookkeeping.STORED_S", 0.01)
        time.sleep(0.02)
        books.pass_time()
        assert study.driver_hours >= 0.02 / 3600
        stored = study.driver_hours
        assert books.account.lines[Limit.HOURS].spent >= stored
        books.store()
        assert study.driver_hours > stored

    def test_ends_it_and_has_a_price(self, costly: Any) -> None:
        small = costly(budget={"usd": 0.5, "prices": {"usd_per_hour": 3000}}, search={"trials": 50})
        study = Study.create(small.spec, small.runs)
        assert search(study) is Ending.BUDGET
        found = account_of(study)
        assert found.lines[Limit.USD].spent == pytest.approx(3000 * study.driver_hours)
        assert 0 < study.complete < 50


def test_going_on_is_forecast_from_what_was_spent(costly: Any) -> None:
    small = costly("usd=2", search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    search(study)
    figure = forecast_of_more(rewrite(study, usd=7), 5).figures[Limit.USD]
    assert figure.expected == 4 + 3 * 2
    assert isinstance(account_of(study), Account)
