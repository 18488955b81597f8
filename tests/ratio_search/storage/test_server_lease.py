from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratio_search.console import PlainConsole
from ratio_search.driver import drive
from ratio_search.errors import LeaseError, StudyError
from ratio_search.lease import held
from ratio_search.record import JobState
from ratio_search.runner import SerialRunner
from ratio_search.storage import StudyFolder
from ratio_search.study import Study
from tests.ratio_search.storage.server import PostgresServer

ROOT = Path(__file__).parents[3]
LOCK = "application_name LIKE 'ratio-search driver%'"
"""The connection that holds a study, among all."""

HOLD = """
import sys
from ratio_search.study import Study
with Study.open(sys.argv[1]).home.lease():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new()


@pytest.fixture
def here(url: str, small_study: Callable[..., Any]) -> StudyFolder:
    """The folder of a study."""
    small = small_study(storage=url)
    return Study.create(small.spec, small.runs).folder


@pytest.fixture
def there(here: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of it, as on another machine."""
    shutil.copytree(here.path, tmp_path / "there" / "small")
    return StudyFolder(tmp_path / "there" / "small").as_stated()


@contextmanager
def holder(folder: StudyFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a study; it is killed at the end."""
    started = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.path)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    with started:
        try:
            assert started.stdout.readline() == "held\n"
            yield started
        finally:
            started.kill()


class TestOneDriverAtATime:
    def test_another_machine_is_told_who_holds_it_and_since_when(self, here: StudyFolder, there: StudyFolder) -> None:
        with holder(here) as first:
            with pytest.raises(LeaseError) as error, there.lease():
                pass
            who = rf"process {first.pid} on \S+ since \d{{4}}-\d\d-\d\dT[\d:]+\+00:00"
            assert re.match(rf"the study is being run by {who}; wait for it, or end it there", str(error.value))
            assert not held(there.lock_file)
            assert all(re.fullmatch(who, str(folder.driver())) for folder in (here, there))
            first.kill()
            first.wait()
            while here.driver() is not None:  # until the server has seen that the connection is gone
                time.sleep(0.01)
            with there.lease() as lease:
                lease.check()
                assert f"process {os.getpid()} " in str(here.driver())
        assert here.driver() is None

    def test_a_copy_of_a_folder_is_not_where_it_is_stopped(
        self, here: StudyFolder, there: StudyFolder, program: Callable[..., Any]
    ) -> None:
        with here.lease():
            done = program("stop", str(there.path))
            assert (done.code, done.out) == (3, "")
            assert f"is a copy of a folder that process {os.getpid()} on" in done.err
            assert not there.stop_file.exists()
            assert program("stop", str(here.path)).out == "small: asked to stop\n"

    def test_a_folder_is_held_on_its_own_machine_even_without_a_connection(
        self, postgres: PostgresServer, url: str, here: StudyFolder
    ) -> None:
        with here.lease():
            postgres.cut(url, LOCK)
            with pytest.raises(LeaseError, match=f"run by process {os.getpid()}"), here.lease():
                pass

    def test_other_studies_of_the_same_database_are_free(
        self, here: StudyFolder, url: str, small_study: Callable[..., Any]
    ) -> None:
        small = small_study(storage=url, name="other")
        with here.lease() as lease, Study.create(small.spec, small.runs).folder.lease() as other:
            lease.check()
            other.check()


class TestADroppedConnection:
    def test_the_lease_is_taken_again(self, postgres: PostgresServer, url: str, here: StudyFolder) -> None:
        with here.lease() as lease:
            for _ in range(2):
                assert postgres.cut(url, LOCK) == 1
                assert here.as_stated().driver() is not None  # by its folder
                lease.check()
                assert postgres.cut(url, f"NOT ({LOCK})") >= 0
                lease.check()
        assert here.driver() is None

    @pytest.mark.parametrize("still", [True, False])
    def test_it_is_lost_to_a_driver_that_has_it_or_had_it_meanwhile(
        self, postgres: PostgresServer, url: str, here: StudyFolder, there: StudyFolder, still: bool
    ) -> None:
        with here.lease() as lease:
            postgres.cut(url, LOCK)
            with there.lease() as other:
                if still:
                    with pytest.raises(
                        LeaseError, match=rf"dropped, and process {os.getpid()} on .* took the study over"
                    ):
                        lease.check()
                other.check()
            with pytest.raises(LeaseError, match=rf"dropped, and process {os.getpid()} on .* took the study over"):
                lease.check()

    def test_a_lock_that_the_server_still_keeps_for_it_is_waited_for(
        self, postgres: PostgresServer, url: str, here: StudyFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after a cable was pulled: the server does not know yet that nobody is there."""
        monkeypatch.setattr("ratio_search.storage.patience.SHORT_S", 0.5)
        with StudyFolder(here.path).as_stated().lease() as lease:
            backend = lease._connection  # type: ignore[attr-defined]
            lease._connection = None  # type: ignore[attr-defined]
            with pytest.raises(StudyError, match="has yet to notice that this driver's connection dropped"):
                lease.check()
            postgres.cut(url, LOCK)
            lease.check()
            backend.close()


class TestAStaleDriver:
    def test_what_it_tells_too_late_changes_nothing(
        self, postgres: PostgresServer, small_study: Callable[..., Any], tmp_path: Path
    ) -> None:
        url = postgres.new()
        small = small_study("sleep", storage=url, search={"trials": 2})
        command = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs)]
        stale = subprocess.Popen(
            [*command, "--runner", "serial"], cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            here = StudyFolder(small.runs / "small")
            while not (here.path / "jobs" / "trial-0000" / "attempt-1" / "job.json").exists():
                assert stale.poll() is None
                time.sleep(0.01)
            stale.send_signal(signal.SIGSTOP)
            shutil.copytree(here.path, tmp_path / "there" / "small")
            while postgres.cut(url):
                time.sleep(0.01)
            study = Study.open(tmp_path / "there" / "small")
            assert drive(study, lambda spec, stopping: SerialRunner(spec.blueprint, stopping), PlainConsole()) == 0
            before = (
                postgres.sql("SELECT * FROM trials ORDER BY 1", database=url),
                [
                    postgres.sql(f"SELECT * FROM {table} ORDER BY 1", database=url)
                    for table in ("trial_values", "trial_user_attributes", "trial_params")
                ],
            )
            assert [record.state for record in study.records()] == [JobState.COMPLETE] * 2
            stale.send_signal(signal.SIGCONT)
            _, said = stale.communicate()
        finally:
            stale.kill()
        assert stale.returncode == 3, said
        assert re.search(rf"dropped, and process {os.getpid()} on \S+ since \S+ took the study over meanwhile", said)
        assert before == (
            postgres.sql("SELECT * FROM trials ORDER BY 1", database=url),
            [
                postgres.sql(f"SELECT * FROM {table} ORDER BY 1", database=url)
                for table in ("trial_values", "trial_user_attributes", "trial_params")
            ],
        )

    def test_without_a_lease_the_trials_state_refuses_it(self, here: StudyFolder, there: StudyFolder) -> None:
        stale, other = Study.open(here.path), Study.open(there.path)
        job = stale.ask()
        assert job is not None
        metrics = {f"{name}/accuracy": 0.5 for name in ("support", "legal", "manuals")}
        told = other.tell(job.id, metrics)
        with pytest.raises(StudyError, match="no open job 'reference-0000'"):
            stale.tell(job.id, dict.fromkeys(metrics, 0.9))
        assert Study.open(here.path).baseline() == told
