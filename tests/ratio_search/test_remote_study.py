"""Studies whose jobs run on a platform: a pretend one, whose server is a real one in a process of its own."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from objectives.attempt import FailureKind
from objectives.base import JobKind
from objectives.errors import AccessError
from ratio_search.confirm import Confirming
from ratio_search.driver import drive
from ratio_search.errors import LeaseError, StudyFailed
from ratio_search.journal import StudyJournal
from ratio_search.record import JobState
from ratio_search.remote_jobs import remote_jobs
from ratio_search.runner import Runner
from ratio_search.runner.remote import RemoteRunner
from ratio_search.search import Search
from ratio_search.spec import StudySpec
from ratio_search.stages import StageState
from ratio_search.status import status
from ratio_search.study import Study
from tests.ratio_search.conftest import CONFIRMABLE, MakeRemote, Program, SmallStudy
from tests.ratio_search.test_driver import Recorder
from tests.services.backend import LOCKED
from tests.services.server import PretendServer

DONE, CANCELLED, LOST = StageState.DONE, StageState.CANCELLED, StageState.LOST


def created(small: SmallStudy) -> Study:
    return Study.create(small.spec, small.runs)


def remotely(study: Study) -> Callable[[StudySpec, Callable[[], bool]], Runner]:
    return lambda spec, stopping: RemoteRunner(spec.blueprint, spec.parallel, StudyJournal(study))


def driven(study: Study, **more: Any) -> str:
    """Drives a study to its end; what was said."""
    where = Recorder()
    assert drive(study, remotely(study), where, **more) == 0
    return where.said


def when(happened: Callable[[], object], then: Callable[[], object]) -> threading.Thread:
    """Does something as soon as something else has happened."""

    def watch() -> None:
        while not happened():
            time.sleep(0.005)
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def slow(server: PretendServer) -> None:
    """Has stages take long enough for anything."""
    server.fault("poll", *["idle"] * 100)


def once(server: PretendServer, jobs: int = 5) -> None:
    """Checks that every job's stages were begun once; the baseline has one of them."""
    assert set(server.taken().values()) == {1}
    assert server.taken().total() == 2 * jobs - 1


def test_a_study_runs_on_a_platform_and_keeps_what_it_cost(remote_study: MakeRemote, server: PretendServer) -> None:
    study = created(remote_study())
    driven(study)
    once(server)
    for record in study.records():
        assert record.state is JobState.COMPLETE and record.measurement is not None
        assert [(stage.stage, stage.state) for stage in record.stages] == [("train", DONE), ("evaluate", DONE)]
        assert record.measurement.cost == record.cost == {"tokens": 600.0}
        assert record.values["support/accuracy"] == pytest.approx(0.2 + 0.6 * record.job.mixture["support"])  # type: ignore[index]
    names = {line["name"] for line in server.ledger if line["event"] == "taken"}
    assert names == {stage.name for record in study.jobs() for stage in record.stages}
    assert str(study.folder.charter().mark).startswith(str(study.identifier))
    assert all(name.startswith(f"small-{study.identifier}-") for name in names)


def test_studies_of_one_name_have_other_names_on_the_platform(remote_study: MakeRemote, server: PretendServer) -> None:
    small = remote_study(search={"trials": 2, "parallel": 1})
    for runs in ("runs", "others"):
        driven(Study.create(small.spec, small.runs.with_name(runs)))
    names = [line["name"] for line in server.ledger if line["event"] == "taken"]
    assert len(names) == len(set(names)) == 10


def test_a_platform_that_makes_mistakes_fails_no_trial(remote_study: MakeRemote, server: PretendServer) -> None:
    for call in ("submit", "poll", "result"):
        server.fault(call, "throttle", "broken", "silent", "busy")
    study = created(remote_study())
    driven(study)
    once(server)
    assert study.complete == 4


def test_what_was_lost_three_times_has_failed_and_the_rest_of_its_stages_were_paid_for_once(
    remote_study: MakeRemote, server: PretendServer
) -> None:
    study = created(remote_study(search={"trials": 2, "parallel": 1}))
    server.fault("poll", "preempt", "preempt", "preempt", stage="evaluate", after=4)
    driven(study)
    failed, *others = study.records()
    assert failed.failure is not None
    assert (failed.state, failed.failure.kind, failed.losses) == (JobState.FAILED, FailureKind.INFRASTRUCTURE, 3)
    assert [(stage.stage, stage.attempt, stage.state) for stage in failed.stages] == [
        ("train", 1, DONE),
        ("evaluate", 1, LOST),
        ("evaluate", 2, LOST),
        ("evaluate", 3, LOST),
    ]
    assert failed.cost == {"tokens": 300.0 + 100.0}
    assert [record.state for record in others] == [JobState.COMPLETE] * 2


def test_what_is_refused_is_the_studys_own_failure(remote_study: MakeRemote, server: PretendServer) -> None:
    server.fault("submit", "forbidden")
    # One at a time: a trial beside it may be submitted first, and be the one that is refused.
    study = created(remote_study(search={"parallel": 1}))
    with pytest.raises(StudyFailed, match=r"untuned baseline cannot be evaluated: the platform refuses with 403"):
        driven(study)
    assert server.taken() == {}, "nothing was begun"
    driven(Study.open(study.folder))
    assert set(server.taken().values()) == {1}


class TestUnfetched:
    """Jobs that are done, and whose results cannot be fetched."""

    def test_the_others_go_on_and_a_resume_fetches_it(self, remote_study: MakeRemote, server: PretendServer) -> None:
        server.fault("result", "forbidden", after=2)
        study = created(remote_study())
        with pytest.raises(StudyFailed, match=r"has of 1 job cannot be fetched:\n  trial-000\d: what it found.*403"):
            driven(study)
        once(server)
        assert study.complete == 3
        assert not study.done
        [left] = [record for record in study.records() if record.state is JobState.RUNNING]
        assert left.failure is not None and left.failure.kind is FailureKind.UNFETCHED
        assert study.ask() is None, "it is not asked for again"

        again = Study.open(study.folder)
        driven(again)
        once(server)
        assert again.done
        assert {record.failure for record in again.records()} == {None}

    def test_a_baseline_without_its_result_ends_the_study_before_more_is_spent(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        server.fault("result", "forbidden")
        study = created(remote_study(search={"trials": 4, "parallel": 1}))
        with pytest.raises(StudyFailed, match="reference-0000: what it found cannot be fetched"):
            driven(study)
        assert server.taken() == {("reference-0000", "evaluate"): 1}
        driven(Study.open(study.folder))
        once(server)

    def test_three_of_them_in_a_row_end_the_study_before_more_is_spent(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        server.fault("result", *["forbidden"] * 3, after=2)
        study = created(remote_study(search={"trials": 12, "parallel": 1}))
        with pytest.raises(StudyFailed, match="has of 3 jobs cannot be fetched"):
            driven(study)
        assert study.complete == 1
        assert len(server.taken("evaluate")) == 5
        again = Study.open(study.folder)
        driven(again, trials=5)
        assert again.complete == 5
        once(server, jobs=6)

    def test_status_says_what_to_do(self, remote_study: MakeRemote, server: PretendServer, program: Program) -> None:
        server.fault("result", "forbidden", after=1)
        small = remote_study(search={"trials": 1, "parallel": 1})
        done = program("launch", str(small.file), "--runs", str(small.runs))
        assert done.code == 1
        assert "paid for, they stay open and are not run again; repair the cause, then resume the study" in done.err
        assert f"resume with: ratio-search resume {small.runs / 'small'}" in done.out
        [open_] = json.loads(program("status", str(small.runs / "small"), "--json").out)["running"]
        assert open_["unfetched"].startswith("what it found cannot be fetched")
        assert "what it found cannot be fetched" in program("status", str(small.runs / "small")).out
        assert program("resume", str(small.runs / "small")).code == 0
        once(server, jobs=2)


class TestAccess:
    """A platform that lets the driver do nothing, until somebody has repaired that."""

    @pytest.mark.parametrize(("call", "after"), [("submit", 3), ("submit", 0), ("poll", 9), ("result", 2)])
    def test_it_ends_leaves_every_job_open_and_a_resume_pays_nothing_twice(
        self, remote_study: MakeRemote, server: PretendServer, call: str, after: int
    ) -> None:
        study = created(remote_study(search={"trials": 8, "parallel": 4}))
        server.fault(call, *["expired"] * 100, after=after)
        with pytest.raises(AccessError, match=r"answers 401: expired, as planned; renew the credentials"):
            driven(study)
        begun = server.taken().total()
        assert status(study)["denied"] == study.denied
        assert "answers 401" in str(study.denied)
        for record in study.jobs():
            assert record.state is not JobState.FAILED
            assert record.failure is None
        assert study.complete < 8

        with pytest.raises(AccessError):  # nobody has repaired it
            driven(Study.open(study.folder))
        assert server.taken().total() == begun or call != "submit"
        server.repair()
        again = Study.open(study.folder)
        driven(again)
        assert (again.complete, again.done, again.denied) == (8, True, None)
        assert server.taken().total() > begun
        once(server, jobs=9)

    def test_it_is_looked_up_first_what_the_refused_call_may_have_begun(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        study = created(remote_study())
        server.fault("submit", "silent", after=1)
        server.fault("find", "expired")
        with pytest.raises(AccessError):
            driven(study)
        driven(Study.open(study.folder))
        once(server)

    def test_the_baseline_meets_it(self, remote_study: MakeRemote, server: PretendServer, program: Program) -> None:
        server.fault("submit", "expired")
        small = remote_study()
        folder = str(small.runs / "small")
        done = program("launch", str(small.file), "--runs", str(small.runs), "--parallel", "1")
        assert done.code == 1
        assert "error: the platform answers 401: expired, as planned; renew the credentials" in done.err
        assert f"resume with: ratio-search resume {folder}" in done.out
        assert server.taken() == {}
        found = json.loads(program("status", folder, "--json").out)
        assert found["denied"] == "the platform answers 401: expired, as planned; renew the credentials"
        assert found["trials"]["failed"] == found["trials"]["complete"] == 0
        assert "lets nothing be done: the platform answers 401" in program("status", folder).out
        assert program("resume", folder).code == 0
        assert json.loads(program("status", folder, "--json").out)["denied"] is None
        once(server)

    def test_there_is_no_way_in(
        self, remote_study: MakeRemote, server: PretendServer, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = remote_study(domains=CONFIRMABLE, search={"trials": 2, "parallel": 2})
        folder = str(small.runs / "small")
        monkeypatch.setenv(LOCKED, "no credentials were found: set them")
        done = program("launch", str(small.file), "--runs", str(small.runs))
        assert (done.code, done.err) == (1, "error: no credentials were found: set them\n")
        assert f"resume with: ratio-search resume {folder}" in done.out
        assert json.loads(program("status", folder, "--json").out)["denied"] == "no credentials were found: set them"
        monkeypatch.delenv(LOCKED)
        assert program("resume", folder).code == 0

        before = server.taken().total()
        server.fault("submit", "expired", after=2)
        done = program("confirm", folder, "--seeds", "1", "--parallel", "1")
        assert done.code == 1
        assert "error: the platform answers 401" in done.err
        assert f"go on with: ratio-search confirm {folder}" in done.out
        assert server.taken().total() == before + 2
        assert program("confirm", folder).code == 0
        assert set(server.taken().values()) == {1}

    def test_nothing_can_be_cancelled(
        self, remote_study: MakeRemote, server: PretendServer, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = created(remote_study(search={"trials": 1, "parallel": 1}))
        slow(server)
        interrupted(study, lambda: server.taken("train"))
        server.fault("cancel", "expired")
        done = program("stop", str(study.folder.path), "--cancel-remote")
        assert done.code == 1
        assert "this may still run on the platform:\n  trial-0000: train " in done.err
        assert "answers 401" in done.err
        monkeypatch.setenv(LOCKED, "no credentials were found: set them")
        done = program("stop", str(study.folder.path), "--cancel-remote")
        assert done.code == 1
        assert "so far: no credentials were found: set them" in done.err
        monkeypatch.delenv(LOCKED)
        driven(Study.open(study.folder))
        once(server, jobs=2)


class TestMostAtOnce:
    """A platform runs no more jobs at a time than are stated, whatever is asked."""

    def test_no_more_are_there_at_a_time(
        self, remote_study: MakeRemote, server: PretendServer, program: Program
    ) -> None:
        small = remote_study(settings={"max_concurrent_jobs": 2}, search={"trials": 6, "parallel": 3})
        told = "2 at a time in place of 5: objective 'pretend' is stated to run no more jobs than that"
        dry = program("launch", str(small.file), "--parallel", "5", "--dry-run").out
        assert dry.splitlines()[-1] == f"6 trials, {told}"
        assert "6 fine-tunes and the untuned baseline, 2 at a time" in dry
        assert json.loads(program("check", str(small.file), "--json").out)["parallel"] == 2
        done = program("launch", str(small.file), "--runs", str(small.runs), "--parallel", "5")
        assert done.code == 0, done.err
        assert done.out.count(told) == 1
        assert most_at_once(server) == 2
        once(server, jobs=7)

    def test_where_fewer_are_asked_for_there_is_nothing_to_say(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        study = created(remote_study(settings={"max_concurrent_jobs": 2}, search={"trials": 2, "parallel": 1}))
        assert "at a time" not in driven(study)
        assert most_at_once(server) == 1

    def test_it_may_be_changed_while_a_study_runs(self, remote_study: MakeRemote) -> None:
        study = created(remote_study(settings={"max_concurrent_jobs": 2}, search={"trials": 2, "parallel": 4}))
        assert study.spec.parallel == 2
        text = study.folder.study_file.read_text()
        study.folder.study_file.write_text(text.replace("max_concurrent_jobs: 2", "max_concurrent_jobs: 3"))
        again = Study.open(study.folder)
        again.check_identity()
        assert again.spec.parallel == 3


def most_at_once(server: PretendServer) -> int:
    """Most jobs that ran on the platform at a time, by its ledger."""
    steps = itertools.accumulate({"taken": 1, "ended": -1}.get(line["event"], 0) for line in server.ledger)
    return max(steps)


class TestBaseModel:
    """A platform may begin with another base model from one day to the next."""

    def test_a_change_is_warned_about_once_and_wherever_results_are_shown(
        self, remote_study: MakeRemote, server: PretendServer, program: Program
    ) -> None:
        small = remote_study(search={"trials": 2, "parallel": 1})
        folder = str(small.runs / "small")
        done = program("launch", str(small.file), "--runs", str(small.runs))
        assert "base model" not in done.out
        assert json.loads(program("status", folder, "--json").out)["warnings"] == []
        server.rebase("base/2")
        done = program("resume", folder, "--trials", "4")
        warning = (
            "the base model changed while the study ran, so that results may not be comparable; the first jobs of each "
            "are reference-0000 with base/1, trial-0002 with base/2; confirm what is recommended, which runs all of it "
            "again, or launch a new study"
        )
        assert done.out.count(f"warning: {warning}") == 1
        [basis] = [line for line in done.out.splitlines() if line.startswith("chosen as: ")]
        assert basis.endswith(f"; {warning}")
        assert json.loads(program("status", folder, "--json").out)["warnings"] == [warning]
        assert "the base model changed while the study ran" in program("status", folder).out
        assert json.loads(program("export", folder).out)["basis"].endswith(warning)
        again = program("resume", folder, "--trials", "5")
        assert again.out.count(f"warning: {warning}") == 1


class TestBudget:
    def test_what_the_platform_has_is_finished_though_nothing_more_may_be_spent(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        small = remote_study()
        study = created(small)
        slow(server)
        interrupted(study, lambda: len(server.taken("train")) == 2)
        text = study.folder.study_file.read_text()
        study.folder.study_file.write_text(f"{text}budget: {{tokens: 1}}\n")
        again = Study.open(study.folder)
        driven(again)
        assert again.complete == 2
        assert set(server.taken().values()) == {1}


def interrupted(study: Study, happened: Callable[[], object]) -> str:
    """Drives a study, and stops it as Ctrl-C does once something has happened; what was said."""
    where = Recorder()
    thread = when(happened, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert drive(study, remotely(study), where) == 130
    thread.join()
    return where.said


class TestStopping:
    def test_ctrl_c_leaves_what_runs_and_lists_it_and_a_resume_goes_on_with_it(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        study = created(remote_study())
        slow(server)
        said = interrupted(study, lambda: len(server.taken("train")) == 2)
        assert "stopping: nothing more is begun on the platform" in said
        left = remote_jobs(study)
        assert 1 <= len(left) <= 2
        for one in left:
            assert one.stage.handle == f"platform:{one.stage.name}"
            assert f"goes on without a driver: {one.job}: {one.stage.stage} {one.stage.name}, " in said
            assert f"{one.job}: paused " in said
        assert server.ended("stopped") == []
        driven(Study.open(study.folder))
        once(server)

    def test_a_second_ctrl_c_ends_it_at_once_though_a_call_hangs(
        self, remote_study: MakeRemote, server: PretendServer
    ) -> None:
        study = created(remote_study(objective={"kind": "pretend", "url": server.url, "timeout_s": 5}))
        server.fault("submit", "wait")
        made: list[Runner] = []

        def runner(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
            made.append(remotely(study)(spec, stopping))
            return made[0]

        def insist() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            while "stopping" not in where.said:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        where = Recorder()
        thread = when(lambda: study.folder.path.joinpath("jobs").exists() and stages_named(study), insist)
        assert drive(study, runner, where) == 130
        thread.join()
        assert made[0].stuck
        assert server.taken("train").total() <= 1
        server.release()
        driven(Study.open(study.folder))
        once(server)

    def test_stop_ends_a_driver_elsewhere_and_cancels_where_that_is_asked(
        self, remote_study: MakeRemote, server: PretendServer, program: Program
    ) -> None:
        study = created(remote_study())
        slow(server)
        driver = os.fork()
        if driver == 0:
            code = 1
            try:
                code = program("resume", str(study.folder.path)).code
            finally:
                os._exit(code)
        while len(server.taken("train")) < 2:
            time.sleep(0.01)
        done = program("stop", str(study.folder.path), "--cancel-remote", "--json")
        assert os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1]) == 143
        found = json.loads(done.out)
        assert (done.code, found["asked"], found["left"]) == (0, True, [])
        assert found["cancelled"]
        cancelled = {(job["job"], job["stage"]): job["name"] for job in found["cancelled"]}
        assert sorted(server.ended("stopped")) == sorted(cancelled.values())
        records = {record.job.id: record for record in Study.open(study.folder).jobs()}
        for job, _ in cancelled:
            assert records[job].state is JobState.RUNNING
            assert records[job].stages[-1].state is CANCELLED

        driven(Study.open(study.folder))
        for (job, stage), times in server.taken().items():
            assert times == (2 if (job, stage) in cancelled else 1)
        repeated = {record.job.id: record for record in Study.open(study.folder).jobs()}
        assert all(repeated[job].stages[-1].state is DONE for job, _ in cancelled)

    def test_stop_cancels_without_a_driver(
        self, remote_study: MakeRemote, server: PretendServer, program: Program
    ) -> None:
        study = created(remote_study())
        slow(server)
        interrupted(study, lambda: len(server.taken("train")) == 2)
        left = remote_jobs(study)
        server.fault("cancel", "throttle")
        done = program("stop", str(study.folder.path), "--cancel-remote")
        assert done.code == 0, done.err
        assert "no driver is running" in done.out
        for one in left:
            assert f"cancelled: {one.job}: {one.stage.stage} {one.stage.name}, " in done.out
        assert sorted(server.ended("stopped")) == sorted(one.stage.name for one in left)
        assert "cancelled: " in program("stop", str(study.folder.path), "--cancel-remote").out, "told again, done once"
        driven(Study.open(study.folder))
        assert study.complete == 4

    def test_stop_says_what_it_could_not_cancel(
        self, remote_study: MakeRemote, server: PretendServer, program: Program
    ) -> None:
        study = created(remote_study(search={"trials": 1, "parallel": 1}))
        slow(server)
        interrupted(study, lambda: server.taken("train"))
        server.fault("cancel", "forbidden")
        done = program("stop", str(study.folder.path), "--cancel-remote")
        assert done.code == 1
        assert "this may still run on the platform:\n  trial-0000: train " in done.err
        assert "the platform refuses with 403" in done.err
        driven(Study.open(study.folder))
        once(server, jobs=2)


def stages_named(study: Study) -> bool:
    return any(record.stages for record in Study.open(study.folder).jobs())


def test_a_confirmation_runs_on_the_platform_and_is_taken_up_again(
    remote_study: MakeRemote, server: PretendServer, program: Program
) -> None:
    small = remote_study(domains=CONFIRMABLE, search={"trials": 3, "parallel": 2})
    study = created(small)
    driven(study)
    before = server.taken().total()
    thread = when(lambda: server.taken().total() > before, lambda: os.kill(os.getpid(), signal.SIGINT))
    slow(server)
    done = program("confirm", str(study.folder.path), "--seeds", "1")
    thread.join()
    assert done.code == 130
    assert "goes on without a driver: confirmation-" in done.out
    done = program("confirm", str(study.folder.path), "--seeds", "1")
    assert done.code == 0, done.err
    assert set(server.taken().values()) == {1}
    kinds = {record.job.kind for record in Study.open(study.folder).confirmations()}
    assert kinds == {JobKind.CONFIRMATION}


def test_a_confirmation_that_nobody_asks_for_any_more_is_closed_and_says_what_may_still_run(
    remote_study: MakeRemote, server: PretendServer, program: Program
) -> None:
    study = created(remote_study(domains=CONFIRMABLE, search={"trials": 2, "parallel": 2}))
    driven(study)
    before = server.taken().total()
    thread = when(lambda: server.taken().total() > before + 1, lambda: os.kill(os.getpid(), signal.SIGINT))
    slow(server)
    assert program("confirm", str(study.folder.path), "--seeds", "2").code == 130
    thread.join()
    left = {one.job: one.stage.name for one in remote_jobs(study) if one.job != "confirmation-0001"}
    again = Study.open(study.folder)
    again.line_up(dataclasses.replace(again.lineup, entrants=again.lineup.entrants[-1:]))  # type: ignore[union-attr,type-var]
    Confirming(again, again.lineup).unfinished()  # type: ignore[arg-type]
    closed = [record for record in again.confirmations() if record.state is JobState.FAILED]
    for record in closed:
        assert record.failure is not None
        assert f"cancel {left[record.job.id]} on its platform, where it may still run" in record.failure.message
    assert len(closed) == len(left) >= 1


def test_a_recipe_of_a_platform_is_not_trained_with_here(remote_study: MakeRemote, program: Program) -> None:
    small = remote_study(search={"trials": 2})
    assert program("launch", str(small.file), "--runs", str(small.runs)).code == 0
    recipe = small.runs / "small" / "recipe.json"
    assert json.loads(recipe.read_text())["command"] == []
    done = program("train", str(recipe), "--out", "trained")
    assert done.code == 2
    assert "were run elsewhere (objective.kind: pretend)" in done.err


def test_a_lease_that_is_lost_ends_the_driver_before_anything_is_begun(
    remote_study: MakeRemote, server: PretendServer
) -> None:
    study = created(remote_study())
    with study.folder.lease() as study.lease, remotely(study)(study.spec, lambda: False) as runner:
        study.folder.lock_file.unlink()
        with pytest.raises(LeaseError):
            Search(study, runner).run()
    assert server.taken() == {}


def test_a_study_of_a_platform_needs_no_ray(remote_study: MakeRemote, program: Program) -> None:
    small = remote_study()
    done = program("launch", str(small.file), "--ray-address", "head:6379")
    assert done.code == 2
    assert "--ray-address: found 'head:6379', but jobs of objective 'pretend' run on its platform" in done.err
    assert not small.runs.exists()


def test_status_shows_where_an_open_job_is(remote_study: MakeRemote, server: PretendServer) -> None:
    study = created(remote_study(search={"trials": 1, "parallel": 1}))
    slow(server)
    interrupted(study, lambda: server.taken("train"))
    [open_] = status(study)["running"]
    assert (open_["doing"], open_["stages"]) == ("elsewhere", ["train: submitted"])


def test_an_attempt_that_was_lost_for_the_last_time_is_closed_by_the_next_driver(
    remote_study: MakeRemote, server: PretendServer
) -> None:
    study = created(remote_study(search={"trials": 1, "parallel": 1}, baseline=False, metrics=REFERENCED))
    server.fault("poll", "preempt", "preempt", "preempt")

    class Dead(RuntimeError):
        pass

    def lost(job: Any) -> bool:
        if len([stage for stage in study.stages(job.id) if stage.state is LOST]) == 3:
            raise Dead  # before the job could be closed
        return Study.lost(study, job)

    study.lost = lost  # type: ignore[method-assign]
    with pytest.raises(Dead):
        driven(study)
    again = Study.open(study.folder)
    driven(again)
    first, second = again.records()
    assert (first.state, second.state) == (JobState.FAILED, JobState.COMPLETE)
    assert first.failure is not None
    assert first.failure.message == "3 attempts were lost to the infrastructure"
    assert server.taken("train") == {("trial-0000", "train"): 3, ("trial-0001", "train"): 1}


REFERENCED = [{"name": f"{name}/accuracy", "reference": 0.2} for name in ("support", "legal", "manuals")]
