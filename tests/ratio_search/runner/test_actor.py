"""A worker that has no disk in common with the driver, and the driver's side of it, without a cluster between them."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from objectives.attempt import Attempt, Event, Failure, FailureKind
from objectives.base import Job, JobKind, Measurement, Progress, Seeds
from objectives.mixture import Mixture
from objectives.shipment import Item, Shipment
from ratio_search.runner.actor import Actor
from ratio_search.runner.dispatch import Dispatch
from ratio_search.runner.order import Goods, Order, Request
from ratio_search.runner.parcel import Box, Parcel, Seal
from tests.ratio_search.runner.stepping import SteppingStudy, stepping_study

ELSEWHERE = "mark-that-is-not-there"
MIXTURE = Mixture.of({"inside": 0.5, "beside": 0.3, "absolute": 0.2})


@dataclass(kw_only=True)
class Conversation:
    """A worker's attempt, and all that is said about it."""

    actor: Actor
    attempt: Attempt
    shipment: Callable[[], Shipment]
    listen: Callable[[Event], None] = lambda event: None
    events: list[Event] = field(default_factory=list)
    requests: list[Order | Parcel | Seal] = field(default_factory=list)

    def run(self, mark: str | None = ELSEWHERE) -> Event:
        """Runs to the end, or until listening raises; gives the last event."""
        dispatch = Dispatch(self.attempt, self.shipment)
        try:
            for said in self.actor.run(self.attempt, mark):
                if isinstance(said, Request):
                    self.requests.append(said.what)
                    self.actor.answer(said.number, dispatch.answer(said.what))
                else:
                    self.events.append(dispatch.keep(said))
                    self.listen(said)
        finally:
            dispatch.close()
        return self.events[-1]

    @property
    def files(self) -> list[str]:
        """The names of the study's files that were sent, each as often as it was."""
        orders = [what for what in self.requests if isinstance(what, Order) and what.goods is Goods.STUDY]
        return [Path(order.name).name for order in orders if order.name is not None and order.offset == 0]


@pytest.fixture
def study(tmp_path: Path) -> SteppingStudy:
    return stepping_study(tmp_path / "driver", tmp_path / "ledger")


def job(number: int = 1, attempt: int = 1) -> Job:
    seeds = Seeds(data=1, training=2)
    return Job(id=f"trial-{number:04d}", kind=JobKind.TRIAL, mixture=MIXTURE, seeds=seeds, attempt=attempt)


def attempt(runs: Path, number: int = 1, of: int = 1) -> Attempt:
    folder = runs / f"trial-{number:04d}"
    earlier = tuple(folder / f"attempt-{n}" for n in range(of - 1, 0, -1))
    return Attempt(job=job(number, of), folder=folder / f"attempt-{of}", earlier=earlier)


def conversation(
    study: SteppingStudy, tmp_path: Path, machine: str = "a", number: int = 1, of: int = 1
) -> Conversation:
    blueprint = study.spec.blueprint
    actor = Actor(blueprint, tmp_path / machine)
    return Conversation(
        actor=actor, attempt=attempt(tmp_path / "runs", number, of), shipment=lambda: Shipment.of(blueprint)
    )


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_attempt_elsewhere_measures_the_same_and_leaves_the_same(study: SteppingStudy, tmp_path: Path) -> None:
    here, there = conversation(study, tmp_path, "a", 1), conversation(study, tmp_path, "b", 2)
    in_place, away = here.run(mark=None), there.run()
    assert isinstance(in_place, Measurement) and isinstance(away, Measurement), (in_place, away)
    assert (away.metrics, away.realised, away.rows) == (in_place.metrics, in_place.realised, in_place.rows)
    assert there.attempt.result() == away
    ours = names(here.attempt.folder)
    assert {"log.txt", "adapter/deep/weights", "adapter/empty", "result.json"} <= ours
    assert names(there.attempt.folder) == ours
    for name in ("adapter/deep/weights", "adapter/empty", "log.txt"):
        assert (there.attempt.folder / name).read_bytes() == (here.attempt.folder / name).read_bytes()
    assert not here.requests


def test_an_attempt_runs_in_place_where_the_drivers_mark_is_seen(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    talk.attempt.folder.mkdir(parents=True)
    (talk.attempt.folder / "mark-1").touch()
    assert isinstance(talk.run(mark="mark-1"), Measurement)
    assert not talk.requests
    assert not (tmp_path / "a").exists()


def test_files_are_sent_where_only_the_attempts_folder_is_shared(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    talk.attempt.folder.mkdir(parents=True)
    (talk.attempt.folder / "mark-1").touch()
    hidden = study.file.parent / "data" / "inside.test.jsonl"
    blueprint, shipment = study.spec.blueprint, Shipment.of(study.spec.blueprint)
    kept = hidden.read_bytes()

    def seen_by_the_driver() -> Shipment:
        hidden.write_bytes(kept)
        return shipment

    hidden.unlink()
    talk = dataclasses.replace(talk, actor=Actor(blueprint, tmp_path / "a"), shipment=seen_by_the_driver)
    assert isinstance(talk.run(mark="mark-1"), Measurement)
    assert "inside.test.jsonl" in talk.files
    assert talk.attempt.result() is not None
    assert not any(isinstance(what, Parcel) for what in talk.requests)


def test_a_file_is_sent_once_to_a_machine(study: SteppingStudy, tmp_path: Path) -> None:
    first, second, other = (conversation(study, tmp_path, machine, n) for n, machine in enumerate("aab", 1))
    for talk in (first, second, other):
        assert isinstance(talk.run(), Measurement)
    expected = {"steps.py", "weights.py"} | {f"{name}.{split}.jsonl" for name in MIXTURE for split in ("train", "test")}
    assert sorted(first.files) == sorted(expected)
    assert second.files == []
    assert sorted(other.files) == sorted(expected)


def test_workers_of_a_machine_that_begin_together_are_sent_a_file_once(study: SteppingStudy, tmp_path: Path) -> None:
    talks = [conversation(study, tmp_path, "a", number) for number in range(1, 5)]
    threads = [threading.Thread(target=talk.run) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(talk.events[-1], Measurement) for talk in talks)
    sent = [name for talk in talks for name in talk.files]
    assert len(sent) == len(set(sent)) == 8


def test_a_file_that_changed_since_it_was_hashed_is_refused(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    shipment = Shipment.of(study.spec.blueprint)
    changed = study.file.parent / "data" / "inside.train.jsonl"
    time.sleep(0.01)
    changed.write_text(changed.read_text().replace("inside", "upside"))
    failure = dataclasses.replace(talk, shipment=lambda: shipment).run()
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.OBJECTIVE
    assert f"{changed}: was changed since the study was started" in failure.message
    assert not list((tmp_path / "a" / "shipped").glob("*.partial"))


def test_a_file_that_changed_unnoticed_is_refused_by_its_content(
    study: SteppingStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = conversation(study, tmp_path)
    monkeypatch.setattr(Item, "piece", lambda item, offset, size: b"x" * item.size)
    failure = talk.run()
    assert isinstance(failure, Failure) and "was changed since" in failure.message
    assert not [path for path in (tmp_path / "a" / "shipped").iterdir() if path.suffix != ".lock"]


def test_a_data_file_that_is_gone_fails_the_attempt(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    (study.file.parent / "data" / "inside.train.jsonl").unlink()
    failure = talk.run()
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.OBJECTIVE
    assert "inside.train.jsonl" in failure.message


def test_the_next_attempt_goes_on_elsewhere_from_the_last_checkpoint_that_came_back(tmp_path: Path) -> None:
    study = stepping_study(tmp_path / "driver", tmp_path / "ledger", "hold", steps=4)
    first = conversation(study, tmp_path, "a")
    # The fourth step is taken, and it is told that it ends, so that its last checkpoint is certain to come back.
    first.listen = lambda event: first.actor.cancel("trial-0001", 1) if _step(event) == 4 else None
    cancelled = first.run()
    assert isinstance(cancelled, Failure) and cancelled.kind is FailureKind.CANCELLED
    assert names(first.attempt.folder) >= {"checkpoint/state/model.json", "log.txt", "progress.json"}
    assert first.attempt.result() is None
    second = conversation(study, tmp_path, "b", of=2)
    assert isinstance(second.run(), Measurement)
    assert [(s.attempt, s.step) for s in study.steps] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert (second.attempt.folder / "adapter" / "deep" / "weights").read_bytes() == b"\x04" * 3000


def test_a_checkpoint_comes_back_while_the_fine_tune_goes_on(tmp_path: Path) -> None:
    study = stepping_study(tmp_path / "driver", tmp_path / "ledger", "hold", steps=2)
    talk = conversation(study, tmp_path)
    came = talk.attempt.checkpoint / "state" / "model.json"

    def watch() -> None:
        while not came.exists() or came.read_text() != "[2, 2]":
            time.sleep(0.02)
        talk.actor.cancel("trial-0001", 1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert isinstance(talk.run(), Failure)
    watcher.join()
    assert [path.name for path in talk.attempt.folder.glob("checkpoint*")] == ["checkpoint"]


def test_a_dead_workers_next_attempt_starts_from_what_the_driver_has(tmp_path: Path) -> None:
    study = stepping_study(tmp_path / "driver", tmp_path / "ledger")
    runs = tmp_path / "runs"
    left = attempt(runs).checkpoint / "state" / "model.json"
    left.parent.mkdir(parents=True)
    left.write_text("[2, 2]")
    # The second one's machine dies before anything came back from there.
    second = conversation(study, tmp_path, "a", of=2)
    second.listen = _die
    with pytest.raises(KeyboardInterrupt):
        second.run()
    third = conversation(study, tmp_path, "b", of=3)
    assert isinstance(third.run(), Measurement)
    assert [(s.attempt, s.step) for s in study.steps if s.attempt == 3] == [(3, 3)]


def test_a_failures_log_comes_back(tmp_path: Path) -> None:
    study = stepping_study(tmp_path / "driver", tmp_path / "ledger", "fail")
    talk = conversation(study, tmp_path)
    failure = talk.run()
    assert isinstance(failure, Failure) and failure.kind is FailureKind.OBJECTIVE
    assert "trained 3 steps" in failure.log
    assert "trained 3 steps" in talk.attempt.log()
    assert not (talk.attempt.folder / "adapter").exists()


def test_progress_is_kept_by_the_driver(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    talk.run()
    assert talk.attempt.progress() == Progress(step=3, total=3)
    assert talk.attempt.silence() is not None


@pytest.mark.parametrize(("modes", "kind"), [([], Measurement), (["fail"], Failure)])
def test_a_machine_keeps_nothing_of_an_attempt_when_its_last_word_is_heard(
    tmp_path: Path, modes: list[str], kind: type[Event]
) -> None:
    study = stepping_study(tmp_path / "driver", tmp_path / "ledger", *modes)
    talk = conversation(study, tmp_path)
    left: list[int] = []
    talk.listen = lambda event: left.append(len(list((tmp_path / "a" / "scratch").glob("*"))))
    assert isinstance(talk.run(), kind)
    assert max(left) == 2  # the folder and its lock, while it runs
    assert left[-1] == 0


def test_what_a_killed_worker_left_is_removed_by_the_next(study: SteppingStudy, tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\nfrom ratio_search.runner.scratch import scratch\n"
        "with scratch(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'large').write_bytes(b'x')\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert len(list((tmp_path / "a" / "scratch").iterdir())) == 2
    conversation(study, tmp_path).run()
    assert list((tmp_path / "a" / "scratch").iterdir()) == []


def test_a_cancelled_attempt_that_waits_for_files_ends(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    talk.actor.cancel("trial-0001", 1)
    failure = talk.run()
    assert isinstance(failure, Failure) and failure.kind is FailureKind.CANCELLED


def test_an_answer_to_a_cancelled_attempt_is_not_taken_by_the_next(study: SteppingStudy, tmp_path: Path) -> None:
    talk = conversation(study, tmp_path)
    talk.actor.answer(0, b"late")
    talk.actor.answer(17, b"never asked")
    assert isinstance(talk.run(), Measurement)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "", "a\0b"])
def test_nothing_is_written_outside_of_an_attempts_folder(tmp_path: Path, name: str, study: SteppingStudy) -> None:
    talk = conversation(study, tmp_path)
    dispatch = Dispatch(talk.attempt, talk.shipment)
    talk.attempt.folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    dispatch.answer(Parcel(box=Box.BELONGINGS, name=name, offset=0, data=b"x"))
    dispatch.answer(Seal(box=Box.BELONGINGS, sizes={name: 1}))
    dispatch.close()
    assert set(tmp_path.rglob("*")) == before
    order = Order(goods=Goods.CHECKPOINT, depot=tmp_path, name=name)
    assert isinstance(dispatch.answer(order), Failure)


def test_a_box_that_is_not_whole_is_not_taken(tmp_path: Path, study: SteppingStudy) -> None:
    talk = conversation(study, tmp_path)
    dispatch = Dispatch(talk.attempt, talk.shipment)
    talk.attempt.checkpoint.mkdir(parents=True)
    (talk.attempt.checkpoint / "last").write_text("good")
    dispatch.answer(Parcel(box=Box.CHECKPOINT, name="next", offset=0, data=b"torn"))
    dispatch.answer(Seal(box=Box.CHECKPOINT, sizes={"next": 5}))
    dispatch.close()
    assert names(talk.attempt.folder) == {"checkpoint/last"}


def test_a_checkpoint_that_was_being_replaced_when_the_driver_died_is_still_found(tmp_path: Path) -> None:
    one, two = attempt(tmp_path), attempt(tmp_path, of=2)
    (one.folder / "checkpoint.old").mkdir(parents=True)
    (one.folder / "checkpoint.old" / "step").write_text("7")
    two.folder.mkdir()
    two.prepare()
    assert (two.checkpoint / "step").read_text() == "7"


def test_a_study_file_that_the_driver_does_not_have_is_not_given_away(tmp_path: Path, study: SteppingStudy) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    talk = conversation(study, tmp_path)
    order = Order(goods=Goods.STUDY, depot=tmp_path, name=str(secret))
    assert isinstance(Dispatch(talk.attempt, talk.shipment).answer(order), Failure)


def test_a_machine_whose_sent_files_were_removed_is_sent_them_again(study: SteppingStudy, tmp_path: Path) -> None:
    conversation(study, tmp_path).run()
    shutil.rmtree(tmp_path / "a" / "shipped")
    again = conversation(study, tmp_path, "a", 2)
    assert isinstance(again.run(), Measurement)
    assert len(again.files) == 8


def _step(event: Event) -> int | None:
    return event.step if isinstance(event, Progress) else None


def _die(event: Event) -> None:
    if isinstance(event, Progress) and event.note == "loading model and data":
        raise KeyboardInterrupt
