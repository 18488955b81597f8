"""What the benchmark of overhead compares is alike, and a trial asks no more of the database in a long study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from benchmarks.overhead import METRICS, Bare, Spent, ask_tell, driven, law, study
from objectives.mixture import Mixture
from ratio_search.runner import SerialRunner
from ratio_search.study import Study


@pytest.fixture
def made(tmp_path: Path) -> Study:
    return study(tmp_path, 400)


def database(made: Study) -> sqlalchemy.Engine:
    """The engine that a study reads and writes through."""
    storage = made._trials._storage
    assert isinstance(storage, optuna.storages.RDBStorage)
    return storage.engine


def multiply(engine: sqlalchemy.Engine, copies: int) -> None:
    """Puts copies of the first trial behind the last one."""
    numbers = f"WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {copies})"
    with engine.begin() as connection:
        last = connection.exec_driver_sql("SELECT MAX(number) FROM trials").scalar_one()
        connection.exec_driver_sql(
            "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
            f"{numbers} SELECT {last} + n, study_id, state, datetime_start, datetime_complete FROM trials, copy "
            "WHERE number = 0"
        )
        for table, columns in (
            ("trial_params", "param_name, param_value, distribution_json"),
            ("trial_user_attributes", "key, value_json"),
            ("trial_values", "objective, value, value_type"),
        ):
            connection.exec_driver_sql(
                f"INSERT INTO {table} (trial_id, {columns}) SELECT t.trial_id, {columns} FROM trials t, {table} f "
                f"JOIN trials o ON o.trial_id = f.trial_id WHERE o.number = 0 AND t.number > {last}"
            )


def asked_of(engine: sqlalchemy.Engine, work: Callable[[], object]) -> dict[str, int]:
    """What some work asks of a database."""
    found, written = {"statements": 0, "commits": 0}, False

    def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal written
        found["statements"] += 1
        written = written or not statement.startswith("SELECT")

    def committed(connection: Any) -> None:
        nonlocal written
        found["commits"] += written
        written = False

    watched = {"after_cursor_execute": executed, "commit": committed}
    for name, watch in watched.items():
        sqlalchemy.event.listen(engine, name, watch)
    work()
    for name, watch in watched.items():
        sqlalchemy.event.remove(engine, name, watch)
    return found


def test_asking_and_telling_take_as_much_after_many_trials_as_after_few(made: Study) -> None:
    """By statements, and by commits, each of which waits for the disk: the intent, what was measured, the end."""
    for _ in range(4):
        ask_tell(made)
    few = asked_of(database(made), lambda: ask_tell(made))
    multiply(database(made), 300)
    assert len(made.records()) == made.complete == 305
    assert asked_of(database(made), lambda: ask_tell(made)) == few
    assert few["commits"] == 3
    assert made.complete == 306


def test_optuna_alone_keeps_the_same_of_a_trial_in_a_commit_for_each_part(made: Study, tmp_path: Path) -> None:
    bare = Bare(tmp_path / "optuna")
    bare.trial()
    for _ in range(2):  # the first one is an anchor
        ask_tell(made)
    ours = optuna.load_study(study_name="overhead", storage=f"sqlite:///{made.folder.path}/study.db").trials[1]
    [theirs] = bare.study.trials
    for trial in (ours, theirs):
        assert trial.state is TrialState.COMPLETE and trial.values is not None and len(trial.values) == len(METRICS)
    assert set(ours.params) == set(theirs.params) and ours.distributions == theirs.distributions
    assert {key: type(value) for key, value in ours.user_attrs.items()} == {
        key: type(value) for key, value in theirs.user_attrs.items()
    }
    assert bare.study.user_attrs == {} and ours.user_attrs["origin"] == theirs.user_attrs["origin"] == "random"


def test_both_write_their_log_ahead_and_wait_for_the_disk(made: Study, tmp_path: Path) -> None:
    bare = Bare(tmp_path / "optuna")
    found = []
    for engine in (database(made), bare.engine):
        with engine.connect() as connection:
            found.append(
                [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
            )
    assert found == [["wal", 2], ["wal", 2]]


def test_a_driver_runs_trials_that_do_nothing(tmp_path: Path) -> None:
    spent = driven(tmp_path, 3, SerialRunner)
    assert 0 < spent.cpu <= spent.wall * 8
    [history] = (tmp_path / "overhead").glob("history.jsonl")
    assert json.loads(history.read_text().splitlines()[-1])["why"] == "done"


def test_metrics_gain_from_their_own_domain() -> None:
    even, own = law(Mixture.uniform("abcde")), law(Mixture.of({"a": 0.8, "b": 0.05, "c": 0.05, "d": 0.05, "e": 0.05}))
    assert set(even) == set(METRICS)
    assert own["a/skill"] > even["a/skill"] and own["b/skill"] < even["b/skill"]


def test_the_usual_trial_is_the_median_and_a_part_is_told_in_milliseconds() -> None:
    usual = Spent.usual([Spent(cpu=cpu, wall=10 * cpu) for cpu in (0.001, 0.002, 0.9)])
    assert usual == Spent(cpu=0.002, wall=0.02)
    assert usual.over(2).told("ray") == {"ray_cpu_ms": 1.0, "ray_wall_ms": 10.0}
