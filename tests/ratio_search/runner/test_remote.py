"""The runner of remote objectives, on a pretend platform that makes every mistake; its server is a real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.attempt import Attempt, Event, Failure, FailureKind
from objectives.backends import Blueprint
from objectives.base import Job, JobKind, Measurement, Progress, Seeds
from objectives.domain import Domain
from objectives.errors import DeviceError
from objectives.mixture import Mixture
from objectives.remote import StageRequest
from ratio_search.errors import LeaseError
from ratio_search.runner import Report
from ratio_search.runner.course import FETCH_TRIES
from ratio_search.runner.remote import RemoteRunner
from ratio_search.stages import StageRecord, StageState
from tests.services.backend import PlatformBackend, PlatformObjective
from tests.services.server import PretendServer

DOMAINS = tuple(Domain(name=name, train=(Path("a"),), test=(Path("b"),)) for name in ("support", "legal"))
EVEN = Mixture.of({"support": 0.5, "legal": 0.5})
SUBMITTED, DONE, LOST, CANCELLED = StageState.SUBMITTED, StageState.DONE, StageState.LOST, StageState.CANCELLED


class Notebook:
    """A journal on paper; each entry of `written` is what one call left there."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[StageRecord, ...]] = {}
        self.written: list[StageRecord] = []
        self.leased = True

    def stages(self, job_id: str) -> tuple[StageRecord, ...]:
        return self.pages.get(job_id, ())

    def stage_name(self, job: Job, stage: str, attempt: int) -> str:
        return f"{job.id}-{stage}-a{attempt}"

    def keep_stage(self, job_id: str, stage: StageRecord) -> None:
        others = [one for one in self.stages(job_id) if (one.stage, one.attempt) != (stage.stage, stage.attempt)]
        self.pages[job_id] = (*others, stage)
        self.written.append(stage)

    def check_lease(self) -> None:
        if not self.leased:
            raise LeaseError("somebody else has it")

    def states(self, job_id: str = "trial-0000") -> list[tuple[str, int, StageState]]:
        return [(one.stage, one.attempt, one.state) for one in self.stages(job_id)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PretendServer]:
    with PretendServer(tmp_path / "platform") as found:
        yield found


class Desk:
    """Where attempts are run in a test."""

    def __init__(self, folder: Path, server: PretendServer) -> None:
        self.journal = Notebook()
        self.server = server
        self.folder = folder

    def attempt(self, number: int = 0, mixture: Mixture | None = EVEN) -> Attempt:
        kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
        job = Job(id=f"trial-{number:04d}", kind=kind, mixture=mixture, seeds=Seeds(data=1, training=2))
        folder = self.folder / job.id
        folder.mkdir(exist_ok=True)
        return Attempt(job=job, folder=folder)

    def runner(self, slots: int = 3, cancelling: bool = False, timeout_s: float = 0.3) -> RemoteRunner:
        backend = PlatformBackend(kind="pretend", url=self.server.url, timeout_s=timeout_s)
        blueprint = Blueprint(backend=backend, domains=DOMAINS, root=Path("/"))
        return RemoteRunner(blueprint, slots, self.journal, lambda: cancelling)

    def run(self, *attempts: Attempt) -> dict[str, Event]:
        """Runs attempts to their ends, which these are."""
        with self.runner() as runner:
            for attempt in attempts or (self.attempt(),):
                runner.submit(attempt)
            return ends(drained(runner))

    def fail(self) -> Failure:
        """Runs one attempt that fails."""
        [event] = self.run().values()
        assert isinstance(event, Failure)
        return event

    def succeed(self) -> Measurement:
        """Runs one attempt that does not."""
        [event] = self.run().values()
        assert isinstance(event, Measurement), event
        return event

    def until(self, runner: RemoteRunner, happened: Callable[[], object]) -> list[Report]:
        reports: list[Report] = []
        while not happened():
            reports += runner.reports(0.05)
        return reports


def drained(runner: RemoteRunner) -> list[Report]:
    reports: list[Report] = []
    while runner._tasks:
        reports += runner.reports(0.5)
    return reports


def ends(reports: list[Report]) -> dict[str, Event]:
    return {report.attempt.job.id: report.event for report in reports if report.last}


@pytest.fixture
def desk(tmp_path: Path, server: PretendServer) -> Desk:
    return Desk(tmp_path, server)


def test_stages_run_in_order_and_lead_to_a_measurement_on_disk(desk: Desk) -> None:
    attempt, untuned = desk.attempt(), desk.attempt(1, mixture=None)
    found = desk.run(attempt, untuned)
    measured, other = found["trial-0000"], found["trial-0001"]
    assert isinstance(measured, Measurement) and isinstance(other, Measurement)
    assert attempt.result() == measured
    assert measured.metrics["support/accuracy"].value == pytest.approx(0.5)
    assert measured.cost == {"tokens": 600.0}, "two stages of three polls"
    assert other.cost == {"tokens": 300.0}
    assert desk.server.taken() == {
        ("trial-0000", "train"): 1,
        ("trial-0000", "evaluate"): 1,
        ("trial-0001", "evaluate"): 1,
    }
    evaluated = [line["asked"] for line in desk.server.ledger if line["event"] == "taken"]
    assert {one["model"] for one in evaluated if one["stage"] == "evaluate"} == {"platform:trial-0000-train-a1", None}


def test_names_then_handles_then_ends_are_on_record(desk: Desk) -> None:
    desk.succeed()
    told = [(one.stage, one.state, one.handle is not None) for one in desk.journal.written]
    expected = []
    for stage in ("train", "evaluate"):
        expected += [(stage, StageState.NAMED, False), (stage, SUBMITTED, True), (stage, DONE, True)]
    assert list(dict.fromkeys(told)) == expected


def test_progress_tells_the_stage_its_steps_and_what_the_job_cost(desk: Desk) -> None:
    attempt = desk.attempt()
    with desk.runner() as runner:
        runner.submit(attempt)
        shown = [report.event for report in drained(runner) if not report.last]
    assert Progress(step=2, total=3, note="train", cost={"tokens": 200.0}) in shown
    assert Progress(step=1, total=3, note="evaluate", cost={"tokens": 400.0}) in shown
    assert attempt.progress() == shown[-1]


def test_more_attempts_than_slots_would_be_our_own_mistake_and_all_slots_work(desk: Desk) -> None:
    found = desk.run(*(desk.attempt(i) for i in range(3)))
    assert all(isinstance(event, Measurement) for event in found.values())
    assert set(desk.server.taken().values()) == {1}


@pytest.mark.parametrize("known", ["handle", "name", "nothing of it"])
def test_a_later_runner_goes_on_where_its_journal_is(desk: Desk, known: str) -> None:
    with desk.runner() as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.journal.states()[-1:] == [("evaluate", 1, SUBMITTED)])
    train, evaluate = desk.journal.stages("trial-0000")
    if known == "name":
        evaluate = StageRecord(stage="evaluate", attempt=1, name=evaluate.name)
    if known == "nothing of it":
        evaluate = StageRecord(stage="evaluate", attempt=1, name="never-sent")
    desk.journal.pages["trial-0000"] = (train, evaluate)
    desk.succeed()
    assert desk.server.taken("train") == {("trial-0000", "train"): 1}
    assert desk.server.taken("evaluate").total() == (2 if known == "nothing of it" else 1)
    assert desk.journal.states() == [("train", 1, DONE), ("evaluate", 1, DONE)]
    assert "refused" not in [line["event"] for line in desk.server.ledger], "it was not looked up first"


def test_a_result_alone_is_fetched_where_all_stages_are_done(desk: Desk) -> None:
    first = desk.succeed()
    before = desk.server.ledger
    assert desk.succeed() == first
    assert [line["event"] for line in desk.server.ledger[len(before) :]] == ["fetched"]


@pytest.mark.parametrize("fault", ["late", "silent", "hang", "broken", "throttle", "busy"])
def test_a_stage_whose_answer_was_lost_is_not_begun_twice(desk: Desk, fault: str) -> None:
    desk.server.fault("submit", fault, fault, fault)
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


@pytest.mark.parametrize("call", ["poll", "find", "result"])
def test_a_platform_that_does_not_answer_is_waited_for(desk: Desk, call: str) -> None:
    desk.server.fault("submit", "silent")
    desk.server.fault(call, "throttle", "broken", "silent", "busy")
    with desk.runner() as runner:
        runner.submit(desk.attempt())
        reports = drained(runner)
    assert isinstance(ends(reports)["trial-0000"], Measurement)
    notes = [report.event.note for report in reports if isinstance(report.event, Progress)]
    assert any(note.startswith("waiting for the platform: ") and "429" in note for note in notes)
    assert set(desk.server.taken().values()) == {1}


def test_a_platform_that_dies_and_comes_back_is_waited_for(desk: Desk) -> None:
    desk.server.fault("poll", "throttle", "throttle")
    with desk.runner() as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.server.taken("train"))
        desk.server.kill()
        waiting = desk.until(runner, lambda: "does not answer" in str(desk.attempt().progress()))
        desk.server.start()
        assert not ends(waiting)
        assert isinstance(ends(drained(runner))["trial-0000"], Measurement)
    assert set(desk.server.taken().values()) == {1}


def test_a_lost_stage_alone_is_repeated_under_a_new_name(desk: Desk) -> None:
    desk.server.fault("poll", "preempt", stage="evaluate", after=1)
    failure = desk.fail()
    assert failure.kind is FailureKind.INFRASTRUCTURE
    assert desk.journal.states() == [("train", 1, DONE), ("evaluate", 1, LOST)]
    assert desk.succeed().cost == {"tokens": 300.0 + 100.0 + 300.0}, "what was lost is paid for, too"
    assert desk.journal.states() == [("train", 1, DONE), ("evaluate", 1, LOST), ("evaluate", 2, DONE)]
    assert desk.server.taken() == {("trial-0000", "train"): 1, ("trial-0000", "evaluate"): 2}


@pytest.mark.parametrize(
    ("call", "fault", "kind", "state"),
    [
        ("submit", "refuse", FailureKind.OBJECTIVE, StageState.FAILED),
        ("submit", "forbidden", FailureKind.OBJECTIVE, StageState.FAILED),
        ("poll", "overrun", FailureKind.OBJECTIVE, StageState.FAILED),
        ("poll", "stop", FailureKind.CANCELLED, CANCELLED),
        ("poll", "forbidden", FailureKind.UNFETCHED, SUBMITTED),
    ],
)
def test_whose_fault_it_is(desk: Desk, call: str, fault: str, kind: FailureKind, state: StageState) -> None:
    desk.server.fault(call, fault)
    failure = desk.fail()
    assert failure.kind is kind
    assert "train" in failure.message or call == "submit"
    assert desk.journal.states() == [("train", 1, state)]


def test_a_stage_that_cannot_be_looked_at_goes_on_and_is_not_begun_again(desk: Desk) -> None:
    desk.server.fault("poll", "forbidden")
    assert "how train trial-0000-train-a1 is cannot be fetched" in desk.fail().message
    desk.server.fault("submit", "refuse")  # is for the second stage
    desk.server.fault("find", "forbidden")  # for nothing, as it has a handle
    assert desk.fail().kind is FailureKind.OBJECTIVE
    assert desk.server.taken() == {("trial-0000", "train"): 1}


def test_a_stage_that_may_have_been_begun_stays_open_where_that_cannot_be_found_out(desk: Desk) -> None:
    desk.server.fault("submit", "silent")
    desk.server.fault("find", "forbidden")
    failure = desk.fail()
    assert failure.kind is FailureKind.UNFETCHED
    assert "whether its platform has train trial-0000-train-a1" in failure.message
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


@pytest.mark.parametrize("faults", [["forbidden"], ["busy"] * FETCH_TRIES])
def test_a_result_that_cannot_be_fetched_leaves_the_job_open_and_paid_for(desk: Desk, faults: list[str]) -> None:
    desk.server.fault("result", *faults)
    failure = desk.fail()
    assert failure.kind is FailureKind.UNFETCHED
    assert "what it found cannot be fetched" in failure.message
    assert not desk.attempt().result_file.exists()
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


def test_a_mistake_of_the_objectives_in_begun_work_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = PlatformObjective.submit

    def clumsy(objective: PlatformObjective, request: StageRequest) -> str:
        submit(objective, request)
        raise KeyError("handle")

    monkeypatch.setattr(PlatformObjective, "submit", clumsy)
    failure = desk.fail()
    assert failure.kind is FailureKind.UNFETCHED
    assert "whether its platform has train trial-0000-train-a1 cannot be fetched: 'handle'" in failure.message
    monkeypatch.undo()
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


def test_a_machine_that_fails_while_a_stage_is_begun_counts_as_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(objective: PlatformObjective, request: StageRequest) -> str:
        raise DeviceError("no such disk")

    monkeypatch.setattr(PlatformObjective, "submit", broken)
    assert desk.fail().kind is FailureKind.INFRASTRUCTURE
    monkeypatch.undo()
    desk.succeed()
    assert desk.journal.states() == [("train", 1, LOST), ("train", 2, DONE), ("evaluate", 1, DONE)]


def test_a_name_that_somebody_else_has_is_not_taken_over(desk: Desk) -> None:
    desk.server._post("/submit", {"name": "trial-0000-train-a1", "stage": "train", "mixture": None})
    failure = desk.fail()
    assert failure.kind is FailureKind.OBJECTIVE
    assert "asked for something else" in failure.message


def test_a_name_in_use_that_nobody_finds_is_a_failure_in_the_end(desk: Desk) -> None:
    class Blind(PlatformBackend):
        def build(self, *arguments, **keywords):  # type: ignore[no-untyped-def]
            built = super().build(*arguments, **keywords)
            built.find = lambda request: None  # type: ignore[method-assign]
            return built

    desk.server._post("/submit", {"name": "trial-0000-train-a1", "stage": "train"})
    blueprint = Blueprint(backend=Blind(kind="pretend", url=desk.server.url), domains=DOMAINS, root=Path("/"))
    with RemoteRunner(blueprint, 1, desk.journal) as runner:
        runner.submit(desk.attempt())
        [event] = ends(drained(runner)).values()
    assert isinstance(event, Failure) and "finds none of this name" in event.message


def test_a_call_without_an_answer_holds_up_its_own_attempt_alone(desk: Desk) -> None:
    desk.server.fault("submit", "wait")
    with desk.runner(timeout_s=60) as runner:
        runner.submit(desk.attempt(0))
        desk.until(runner, lambda: desk.journal.states())
        time.sleep(0.1)  # it hangs by now
        for number in (1, 2):
            runner.submit(desk.attempt(number))
        reports: list[Report] = []
        while len(ends(reports)) < 2:
            reports += runner.reports(0.5)
        assert set(ends(reports)) == {"trial-0001", "trial-0002"}
        desk.server.release()
        assert set(ends(drained(runner))) == {"trial-0000"}


def test_told_to_stop_it_leaves_what_runs_and_begins_nothing(desk: Desk) -> None:
    desk.server.fault("poll", *["throttle"] * 6)
    with desk.runner() as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.journal.states() == [("train", 1, SUBMITTED)])
        runner.cancel()
        [event] = ends(drained(runner)).values()
        assert not runner.stuck
    assert isinstance(event, Failure)
    assert (event.kind, event.message) == (FailureKind.CANCELLED, "left on its platform: train trial-0000-train-a1")
    assert desk.journal.states() == [("train", 1, SUBMITTED)]
    assert desk.server.ended("stopped") == []
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


def test_told_to_cancel_it_has_that_on_record_and_repeats_that_stage_alone(desk: Desk) -> None:
    desk.server.fault("cancel", "throttle", "broken")
    with desk.runner(cancelling=True) as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.journal.states()[-1:] == [("evaluate", 1, SUBMITTED)])
        runner.cancel()
        [event] = ends(drained(runner)).values()
    assert isinstance(event, Failure)
    assert (event.kind, event.message) == (FailureKind.CANCELLED, "cancelled: evaluate trial-0000-evaluate-a1")
    assert desk.server.ended("stopped") == ["trial-0000-evaluate-a1"]
    assert desk.journal.states() == [("train", 1, DONE), ("evaluate", 1, CANCELLED)]
    desk.succeed()
    assert desk.journal.states() == [("train", 1, DONE), ("evaluate", 1, CANCELLED), ("evaluate", 2, DONE)]
    assert desk.server.taken() == {("trial-0000", "train"): 1, ("trial-0000", "evaluate"): 2}


def test_what_was_done_before_it_could_be_cancelled_is_kept(desk: Desk) -> None:
    desk.server.fault("cancel", *["refuse"])
    with desk.runner(cancelling=True) as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.journal.states() == [("train", 1, SUBMITTED)])
        runner.cancel()
        [event] = ends(drained(runner)).values()
    assert isinstance(event, Failure)
    assert event.message.startswith("could not be cancelled, so that it may still run and cost: train")
    assert desk.journal.states() == [("train", 1, SUBMITTED)]
    # A driver that died after it had meant to cancel, and before the platform heard of it.
    [train] = desk.journal.stages("trial-0000")
    desk.journal.keep_stage("trial-0000", StageRecord.from_json({**train.to_json(), "state": "cancelled"}))
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}


@pytest.mark.parametrize("call", ["submit", "find", "poll", "result"])
def test_where_nobody_may_do_anything_all_attempts_stop_and_nothing_is_marked(desk: Desk, call: str) -> None:
    attempts = [desk.attempt(i) for i in range(3)]
    if call == "find":
        desk.server.fault("submit", "silent")
    desk.server.fault(call, "expired", after={"submit": 2, "poll": 5}.get(call, 0))
    if call != "result":  # the others have a long way to go, unless they are told to stop
        desk.server.fault("poll", *["idle"] * 100)
    with desk.runner() as runner:
        for attempt in attempts:
            runner.submit(attempt)
        found = ends(drained(runner))
    kinds = [event.kind for event in found.values() if isinstance(event, Failure)]
    assert kinds.count(FailureKind.ACCESS) == 1
    assert set(kinds) <= {FailureKind.ACCESS, FailureKind.CANCELLED}
    assert len(kinds) == 3 or call == "result"
    [message] = [e.message for e in found.values() if isinstance(e, Failure) and e.kind is FailureKind.ACCESS]
    assert message == "the platform answers 401: expired, as planned; renew the credentials"
    for attempt in attempts:
        assert {state for _, _, state in desk.journal.states(attempt.job.id)} <= {StageState.NAMED, SUBMITTED, DONE}
    assert all(isinstance(event, Measurement) for event in desk.run(*attempts).values())
    assert set(desk.server.taken().values()) == {1}


def test_what_may_not_be_cancelled_is_said_and_stays_as_it_is(desk: Desk) -> None:
    desk.server.fault("poll", *["idle"] * 100)
    desk.server.fault("cancel", "expired")
    with desk.runner(cancelling=True) as runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.journal.states() == [("train", 1, SUBMITTED)])
        runner.cancel()
        [event] = ends(drained(runner)).values()
    assert isinstance(event, Failure)
    assert event.message.startswith("could not be cancelled, so that it may still run and cost: train")
    assert desk.journal.states() == [("train", 1, SUBMITTED)]


def test_a_lease_that_is_lost_ends_the_driver_before_anything_is_begun(desk: Desk) -> None:
    desk.journal.leased = False
    with desk.runner() as runner:
        runner.submit(desk.attempt())
        with pytest.raises(LeaseError):
            drained(runner)
    assert desk.server.taken() == {}


def test_left_in_the_middle_of_a_call_it_is_stuck_and_the_call_is_not_lost(desk: Desk) -> None:
    desk.server.fault("submit", "late")
    runner = desk.runner()
    with runner:
        runner.submit(desk.attempt())
        desk.until(runner, lambda: desk.server.taken())
    assert runner.stuck
    assert desk.journal.states() == [("train", 1, StageState.NAMED)]
    desk.succeed()
    assert set(desk.server.taken().values()) == {1}
