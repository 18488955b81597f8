"""A disk without room: a study waits for it, and what a disk that is really full breaks is lost to nobody."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives.disk import room
from ratio_search.driver import drive
from ratio_search.errors import StudyFailed
from ratio_search.floor import DiskFloor
from ratio_search.record import JobState
from ratio_search.runner import SerialRunner
from ratio_search.search import Ending, Search
from ratio_search.study import Study

from .conftest import Program
from .test_driver import Recorder, never, serial

FLOOR = 0.002
"""Gigabytes. A database and its log take some megabytes, too."""

MB = 10**6


class TestDiskFloor:
    def test_is_told_where_it_begins_and_ends_and_needs_a_little_more_to_go_on(self, small_disk: Any) -> None:
        disk = small_disk("4m")
        said: list[str] = []
        events: list[tuple[str, dict[str, Any]]] = []
        filler = disk.path / "filler"
        floor = DiskFloor(disk.path, FLOOR, 0.0, said.append, lambda event, **details: events.append((event, details)))
        assert not floor.low()
        filler.write_bytes(bytes(3 * MB))
        assert floor.low()
        floor.pause()
        floor.pause()
        filler.write_bytes(bytes(2**22 - 2 * MB - 50_000))
        assert floor.low(), "it would begin and pause by turns"
        filler.write_bytes(bytes(2 * MB))
        assert not floor.low()
        floor.go_on()
        floor.go_on()
        paused, back = said
        assert f"GB are free at {disk.path}, and health.floor_gb asks for 0.002; make room there" in paused
        assert back.startswith("goes on: 0.002 GB are free at ")
        assert [event for event, _ in events] == ["paused", "went_on"]
        assert events[0][1]["free_gb"] < events[0][1]["floor_gb"] == FLOOR

    def test_waits_for_as_long_as_is_stated(self, small_disk: Any) -> None:
        disk = small_disk("1m")
        patient, hasty = (DiskFloor(disk.path, 1.0, wait_s) for wait_s in (600.0, 0.0))
        assert patient.low() and hasty.low()
        assert patient.hopeless() is None
        why = hasty.hopeless()
        assert why is not None
        assert why.startswith(f"0.001 GB are free at {disk.path}, and health.floor_gb asks for 1; make room there")

    def test_asks_nothing_where_nobody_knows_how_much_is_free(self) -> None:
        assert not DiskFloor(Path("/proc"), 1.0, 0.0).low()

    def test_is_there_unless_the_file_wants_none(self, small_study: Any) -> None:
        small = small_study()
        study = Study.create(small.spec, small.runs)
        assert DiskFloor.of(study, print) is not None
        none = small_study(health={"floor_gb": None})
        assert DiskFloor.of(Study.create(none.spec, none.runs.with_name("none")), print) is None


class TestPause:
    """The floor under a driver: the disk is low, and not yet full."""

    @pytest.fixture
    def study(self, small_study: Any, small_disk: Any) -> Callable[..., Study]:
        """Makes a study on a disk of 16 MB, of which it asks for 2 to be free."""

        def make(*modes: str, wait_s: float = 600.0, trials: int = 3) -> Study:
            health = {"floor_gb": FLOOR, "wait_s": wait_s}
            small = small_study(*modes, search={"trials": trials}, health=health)
            return Study.create(small.spec, small_disk("16m").path)

        return make

    @staticmethod
    def filler(study: Study) -> Path:
        return study.folder.path.parent / "filler"

    def fill(self, study: Study) -> None:
        left = room(study.folder.path)
        assert left is not None
        self.filler(study).write_bytes(bytes(left - MB))

    def test_nothing_is_started_until_there_is_room_and_nothing_fails(self, study: Any) -> None:
        study, where = study(), Recorder()
        self.fill(study)
        at_pause: list[int] = []

        def make_room() -> None:
            while "paused: " not in where.said:
                time.sleep(0.01)
            time.sleep(0.7)  # for longer than the driver looks away
            at_pause.append(len(study.records()))
            self.filler(study).unlink()

        helper = threading.Thread(target=make_room)
        helper.start()
        assert drive(study, serial, where) == 0
        helper.join()
        assert at_pause == [0]
        assert [record.state for record in study.records()] == [JobState.COMPLETE] * 3
        assert where.said.count("paused: ") == where.said.count("goes on: ") == 1
        events = [line["event"] for line in history(study)]
        assert events.index("paused") < events.index("went_on") < events.index("ended")

    def test_what_runs_goes_on(self, study: Any) -> None:
        study, where = study("held"), Recorder()

        def begun(number: int) -> Path:
            attempt: Path = study.folder.path / "jobs" / f"trial-{number:04}" / "attempt-1"
            while not (attempt / "handover.json").exists():
                time.sleep(0.01)
            return attempt

        def take_room() -> None:
            running = begun(0)
            self.fill(study)
            (running / "go").touch()
            while "paused: " not in where.said:
                time.sleep(0.01)
            assert [record.state for record in study.records()] == [JobState.COMPLETE]
            self.filler(study).unlink()
            for number in (1, 2):
                (begun(number) / "go").touch()

        helper = threading.Thread(target=take_room)
        helper.start()
        assert drive(study, serial, where) == 0
        helper.join()
        assert [(record.state, record.failure) for record in study.records()] == [(JobState.COMPLETE, None)] * 3

    def test_room_that_is_made_right_after_the_look_for_it_ends_no_study(self, study: Any) -> None:
        study = study()
        self.fill(study)

        def say(text: str) -> None:
            if text.startswith("paused: "):
                self.filler(study).unlink()

        floor = DiskFloor(study.folder.path, FLOOR, 600.0, say)
        with SerialRunner(study.spec.blueprint) as runner:
            assert Search(study, runner, floor=floor).run() is Ending.DONE
        assert [record.state for record in study.records()] == [JobState.COMPLETE] * 3

    def test_without_hope_it_ends_and_can_be_resumed(self, study: Any, program: Program) -> None:
        study = study(wait_s=0.0)
        self.fill(study)
        folder = str(study.folder.path)
        done = program("resume", folder, "--runner", "serial")
        assert done.code == 1
        [error] = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert f"GB are free at {folder}, and health.floor_gb asks for 0.002; make room there" in error
        assert error.endswith(f"; then: ratio-search resume {folder}")
        assert "make room there" in history(study)[-1]["why"]
        assert json.loads(program("status", folder, "--json").out)["health"]["disk"]["low"]
        self.filler(study).unlink()
        assert program("resume", folder, "--runner", "serial").code == 0
        assert Study.open(folder).complete == 3

    def test_it_can_be_told_to_stop_meanwhile(self, study: Any) -> None:
        study, where = study(), Recorder()
        self.fill(study)

        def ask() -> None:
            while "paused: " not in where.said:
                time.sleep(0.01)
            study.folder.stop_file.touch()

        helper = threading.Thread(target=ask)
        helper.start()
        assert drive(study, serial, where) == 143
        helper.join()

    def test_a_study_that_has_all_its_trials_needs_no_room(self, study: Any) -> None:
        study = study(trials=1)
        assert drive(study, serial, Recorder()) == 0
        self.fill(study)
        assert drive(Study.open(study.folder), never, Recorder()) == 0


class TestFull:
    """A disk without one more byte, in the middle of a study."""

    @pytest.mark.parametrize("mode", ["fill", "fill-late"])
    def test_nothing_finished_is_lost(self, small_study: Any, small_disk: Any, mode: str) -> None:
        """Filled by a trainer that then fails, and by one whose result is yet to be written."""
        small = small_study(mode, search={"trials": 4}, health={"floor_gb": FLOOR})
        study, where, over = Study.create(small.spec, small_disk("16m").path), Recorder(), threading.Event()

        def make_room() -> None:
            while "paused: " not in where.said and not over.is_set():
                time.sleep(0.01)
            next(study.folder.path.glob("jobs/trial-0001/attempt-1/filler")).unlink()

        helper = threading.Thread(target=make_room)
        helper.start()
        try:
            assert drive(study, serial, where) == 0
        except StudyFailed as error:  # what was put aside for the result may not suffice for the database, too
            assert "make room there, then resume the study" in str(error)
            over.set()
            helper.join()
            assert drive(Study.open(study.folder), serial, where) == 0
        helper.join()
        records = Study.open(study.folder).records()
        assert [record.state for record in records] == [JobState.COMPLETE] * 4
        assert [record.job.attempt for record in records] == [1, 2 if mode == "fill" else 1, 1, 1]
        assert small.evaluated == ["reference-0000", *(record.job.id for record in records)], "paid twice"
        assert {"paused", "ended"} <= {line["event"] for line in history(study)}

    def test_a_database_elsewhere_waits_for_room_instead_of_losing_the_trial(
        self, small_study: Any, small_disk: Any
    ) -> None:
        """Where only the jobs' disk is full, an attempt is lost, and no trial."""
        small = small_study("fill", search={"trials": 3}, health={"floor_gb": None})
        study, disk = Study.create(small.spec, small.runs), small_disk("4m")
        (study.folder.path / "jobs").symlink_to(disk.path)

        class RoomMaker(Recorder):
            """Makes room once it is told of a loss, before the next attempt may be lost, too."""

            def say(self, text: str) -> None:
                super().say(text)
                if "lost, tried again" in text:
                    next(disk.path.glob("*/attempt-*/filler")).unlink()

        where = RoomMaker()
        assert drive(study, serial, where) == 0
        assert where.said.count("lost, tried again") == where.said.count("the disk is full: ") == 1
        assert [record.state for record in study.records()] == [JobState.COMPLETE] * 3


def history(study: Study) -> list[dict[str, Any]]:
    """The study's history; that a line of it was torn is seen, and ruins no other one."""
    lines, found = (study.folder.path / "history.jsonl").read_text().splitlines(), []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            assert not line.endswith("}")
    return found
