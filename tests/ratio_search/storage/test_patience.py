from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy.event
import sqlalchemy.exc

from ratio_search.errors import Unreachable
from ratio_search.record import JobState
from ratio_search.storage.patience import Patience
from ratio_search.study import Study
from tests.ratio_search.storage.server import PostgresServer


def gone(times: int, then: Callable[[], str] = lambda: "there") -> Callable[[], str]:
    """A call to a server that is away the first times."""
    left = iter(range(times))

    def call() -> str:
        if next(left, None) is not None:
            raise sqlalchemy.exc.OperationalError("SELECT", {}, Exception("the server went away"))
        return then()

    return call


class TestPatience:
    def test_a_drop_that_heals_at_once_is_not_worth_a_word(self) -> None:
        told: list[str] = []
        patience = Patience()
        with patience.endless(lambda event, words: told.append(event), lambda: False):
            assert patience.through(gone(1)) == "there"
        assert told == []

    def test_a_longer_one_is_told_when_it_begins_and_ends(self) -> None:
        told: list[tuple[str, str]] = []
        patience = Patience()
        with patience.endless(lambda event, words: told.append((event, words)), lambda: False):
            assert patience.through(gone(4)) == "there"
        (lost, why), (back, after) = told
        assert (lost, why, back) == ("database_lost", "the server went away", "database_back")
        assert after.startswith("after ")

    def test_who_is_no_driver_waits_for_a_short_time_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ratio_search.storage.patience.SHORT_S", 0.2)
        with pytest.raises(Unreachable, match=r"stayed away for \d s \(the server went away\); try again"):
            Patience().through(gone(1000))

    def test_who_is_told_to_stop_does_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ratio_search.storage.patience.SHORT_S", 0.2)
        patience = Patience()
        with patience.endless(lambda event, words: None, lambda: True):
            assert patience.through(gone(2)) == "there"
            with pytest.raises(KeyboardInterrupt):
                patience.through(gone(1000))

    def test_other_errors_are_not_waited_for(self) -> None:
        def wrong() -> None:
            raise sqlalchemy.exc.ProgrammingError("SELECT", {}, Exception("no such table"))

        with pytest.raises(sqlalchemy.exc.ProgrammingError):
            Patience().through(wrong)


class TestDrops:
    def test_a_study_goes_on_whatever_happens_to_its_connections_and_its_server(
        self, postgres: PostgresServer, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        url = postgres.new()
        small = small_study(storage=url, search={"trials": 8})
        over, hits = threading.Event(), 0
        history = small.runs / "small" / "history.jsonl"

        def torment() -> None:
            while not history.exists() or "started" not in history.read_text():
                time.sleep(0.01)
            nonlocal hits
            while hits < 9 and not over.wait(0.1):
                hit = postgres.cut(url) > 0
                hits += hit
                if hit and hits in (3, 6):
                    postgres.stop("immediate" if hits == 3 else "fast")
                    time.sleep(1)
                    postgres.start()

        tormentor = threading.Thread(target=torment)
        tormentor.start()
        try:
            done = program("launch", str(small.file), "--runner", "serial")
        finally:
            over.set()
            tormentor.join()
        assert done.code == 0, done.err
        assert hits >= 6, "it was over too soon"
        assert small.evaluated == ["reference-0000", *(f"trial-{i:04d}" for i in range(8))]
        study = Study.open(small.runs / "small")
        assert [record.job.attempt for record in study.jobs()] == [1] * 9
        assert study.done
        assert postgres.sql("SELECT count(*) FROM trials", database=url) == [(9,)]
        events = [json.loads(line) for line in history.read_text().splitlines()]
        lost = [line["event"] for line in events if line["event"].startswith("database")]
        assert lost[:2] == ["database_lost", "database_back"]
        assert len(lost) % 2 == 0
        assert f"database lost: {url}: " in done.out
        assert f"database back: {url}: after " in done.out

    def test_told_to_stop_while_the_server_is_away_it_ends_and_can_be_resumed(
        self,
        postgres: PostgresServer,
        small_study: Callable[..., Any],
        program: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("ratio_search.storage.patience.SHORT_S", 0.3)
        small = small_study("sleep", storage=postgres.new(), search={"trials": 2})
        folder = small.runs / "small"
        history, begun = folder / "history.jsonl", folder / "jobs" / "trial-0000" / "attempt-1" / "job.json"

        def leave() -> None:
            while not begun.exists():
                time.sleep(0.01)
            postgres.stop("immediate")
            while "database_lost" not in history.read_text():
                time.sleep(0.01)
            (folder / "stop").touch()

        leaver = threading.Thread(target=leave)
        leaver.start()
        try:
            done = program("launch", str(small.file), "--runner", "serial")
        finally:
            leaver.join()
            postgres.start()
        assert done.code == 143
        assert "resume with: ratio-search resume" in done.out
        assert program("resume", "small", "--runner", "serial").code == 0
        assert small.evaluated == ["reference-0000", "trial-0000", "trial-0001"]

    @pytest.mark.parametrize("when", ["SELECT", "INSERT", "UPDATE", "before the commit", "after the commit"])
    def test_one_in_the_middle_of_a_transaction_does_nothing_twice(
        self, postgres: PostgresServer, small_study: Callable[..., Any], when: str
    ) -> None:
        url = postgres.new()
        small = small_study(storage=url)
        study = Study.create(small.spec, small.runs)
        engine = study._optuna._storage._backend.engine  # type: ignore[attr-defined]
        commit, cuts, due = engine.dialect.do_commit, [], False
        statements: list[str] = []

        def cut() -> None:
            nonlocal due
            if due:
                due = False
                cuts.append(postgres.cut(url))

        def before(connection: Any, cursor: Any, text: str, *rest: Any) -> None:
            statements.append(text)
            if text.startswith(when):
                cut()

        def committed(connection: Any) -> None:
            wrote = any(text.startswith(("INSERT INTO trials ", "UPDATE trials ")) for text in statements)
            statements.clear()
            if wrote and when == "before the commit":
                cut()
            commit(connection)
            if wrote and when == "after the commit" and due:
                cut()
                connection.execute("SELECT 1")  # it is stored, and the driver hears that its connection is gone

        sqlalchemy.event.listen(engine, "before_cursor_execute", before)
        engine.dialect.do_commit = committed
        for number in range(2):
            due = True
            job = study.ask()
            assert job is not None
            due = True
            study.tell(job.id, {f"{name}/accuracy": 0.1 * number for name in ("support", "legal", "manuals")})
        assert len(cuts) == 4
        again = Study.open(study.folder.path)
        assert [record.job.id for record in again.jobs()] == ["reference-0000", "trial-0000"]
        assert [record.values["legal/accuracy"] for record in again.jobs()] == [0.0, 0.1]
        assert all(record.state is JobState.COMPLETE for record in again.jobs())
        assert postgres.sql("SELECT count(*) FROM trials", database=url) == [(2,)]
