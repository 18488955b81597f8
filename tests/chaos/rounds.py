"""Rounds of chaos: a study is driven to its end by drivers that die, and is compared with one whose driver did not."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml

from ratio_search.record import JobState, Record
from ratio_search.search import Moment
from ratio_search.spec import StudySpec
from ratio_search.study import Study
from tests.chaos.kill import CHAOS, Kill, Plan, note
from tests.chaos.ledger import EVERY, STEPS, Ledger
from tests.chaos.points import ASKING, CLOSING, LOSING, MOMENTS, RESUMING, TELLING, TRAINER, WORKER
from tests.chaos.victim import drive, family

TRIALS = 30
DOMAINS = {"support": 30, "legal": 20, "manuals": 10}
RANDOM = "at a random moment"
"""The point of a kill that nothing but the clock decides."""

MOST_DRIVERS = 12
"""Drivers that a round may take before it counts as one that does not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One driver of a round.

    Attributes:
        kills: at named points.
        after_s: when a random one of its processes is killed as well; None for never.
        whom: which.
    """

    kills: tuple[Kill, ...] = ()
    after_s: float | None = None
    whom: str = "driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a round.

    Attributes:
        runner: where trials ran.
        drivers: how many it took.
        kills: lines of the log.
        missed: kills that were planned and did not happen.
        wrong: what is not as it must be; empty for a round that is well.
        repeated: steps that were trained again, all of them beyond a checkpoint.
        steps: steps that were trained in all.
        seconds: how long it took.
    """

    runner: str
    drivers: int
    kills: list[dict[str, Any]]
    missed: list[str]
    wrong: list[str]
    repeated: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A study's folder, its trainer's ledger and the log of kills.

    Attributes:
        folder: holds all of them.
        parallel: trials at a time.
    """

    folder: Path
    parallel: int = 2

    @property
    def study(self) -> Path:
        return self.folder / "runs" / "chaos"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "kills.jsonl"

    def make(self) -> None:
        """Makes the study."""
        data = self.folder / "data"
        data.mkdir(parents=True)
        for name, size in DOMAINS.items():
            for split, rows in (("train", size), ("test", 3)):
                lines = [{"instruction": f"{name} {split} {i}", "output": "yes", "label": "yes"} for i in range(rows)]
                text = "".join(f"{json.dumps(line)}\n" for line in lines)
                (data / f"{name}.{split}.jsonl").write_text(text)
        trainer = Path(__file__).parents[1] / "trainers" / "mortal.py"
        document = {
            "name": "chaos",
            "domains": {name: {split: f"data/{name}.{split}.jsonl" for split in ("train", "test")} for name in DOMAINS},
            "objective": {
                "kind": "command",
                "argv": [sys.executable, "-S", "-E", str(trainer), str(self.ledger), str(STEPS), str(EVERY)],
                "rows": 30,
                "resources": {"cpus": 0.5},
            },
            "metrics": [{"name": f"{name}/accuracy"} for name in DOMAINS],
            "search": {"trials": TRIALS, "parallel": self.parallel, "sampler": "random"},
        }
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(document))
        apart(lambda: str(Study.create(StudySpec.load(file), self.folder / "runs").folder.path))

    def drive(self, runner: str, driver: Driver, name: str) -> int:
        """Has a driver run until it ends or dies; its exit code, as `os.waitstatus_to_exitcode` has it."""
        plan = Plan(kills=driver.kills, log=self.log, name=name)
        child = os.fork()
        if child == 0:
            with ends_here(), (self.folder / f"{name}.txt").open("ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.environ[CHAOS] = plan.to_json()
                drive(str(self.study), runner)
        if driver.after_s is not None:
            self._strike(child, driver)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _strike(self, child: int, driver: Driver) -> None:
        assert driver.after_s is not None
        deadline = time.monotonic() + driver.after_s
        while time.monotonic() < deadline or not (dying := family(child, driver.whom)):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return  # it is over before
            time.sleep(0.01)
        note(self.log, point=RANDOM, victim=driver.whom, by=os.getpid(), killed=dying[:1])
        with contextlib.suppress(ProcessLookupError):
            os.kill(dying[0], signal.SIGKILL)

    def records(self) -> list[dict[str, Any]]:
        """All that the study knows of its jobs, the baseline first."""

        def read() -> str:
            study = Study.open(self.study)
            records = [record for record in (study.baseline(), *study.records()) if record is not None]
            return json.dumps([{**known(record), "attempt": record.job.attempt} for record in records])

        found: list[dict[str, Any]] = json.loads(apart(read))
        return found


def known(record: Record) -> dict[str, Any]:
    """What a study knows of any job."""
    return {
        "id": record.job.id,
        "mixture": None if record.job.mixture is None else dict(record.job.mixture),
        "seeds": [record.job.seeds.data, record.job.seeds.training],
        "state": record.state.value,
        "values": record.values,
        "origin": record.origin,
        "failure": None if record.failure is None else record.failure.message,
    }


def warm() -> None:
    """Loads and prepares what every driver needs, so that those that are forked off need not."""
    storage = optuna.storages.RDBStorage("sqlite://")
    study = optuna.create_study(storage=storage)
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 0.0)
    assert study.trials
    storage.remove_session()
    storage.engine.dispose()


def apart(work: Callable[[], str]) -> str:
    """What a function gives, which is run in a process of its own: this one must stay fit to be forked."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with ends_here():
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                pipe.write(work())
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"ended with {code}"
    return text


@contextlib.contextmanager
def ends_here() -> Iterator[None]:
    """Ends a forked process after its work, whatever comes."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def play(folder: Path, runner: str, drivers: Sequence[Driver], calm: Path | None) -> Result:
    """Plays a round.

    Args:
        folder: for all that it writes; not there yet.
        runner: where trials run.
        drivers: who drives the study, one after another; then others do, who are left in peace.
        calm: folder of a round whose driver did not die; None if this is that round.
    """
    began = time.monotonic()
    arena = Arena(folder=folder)
    arena.make()
    wrong: list[str] = []
    missed: list[str] = []
    for number in range(MOST_DRIVERS):
        driver = drivers[number] if number < len(drivers) else Driver()
        code = arena.drive(runner, driver, f"driver-{number}")
        plan = Plan(kills=driver.kills, log=arena.log, name=f"driver-{number}")
        missed += [kill.point for kill in plan.pending()]
        if code not in (0, -signal.SIGKILL) and not _excused(driver):
            wrong.append(f"driver {number} ended with {code}: {(folder / f'driver-{number}.txt').read_text()[-2000:]}")
        if code == 0 and number >= len(drivers) - 1:
            break
    else:
        wrong.append(f"not done after {MOST_DRIVERS} drivers")
    records = arena.records()
    wrong += compared(records, records if calm is None else Arena(folder=calm).records())
    ledger = Ledger.read(arena.ledger)
    wrong += ledger.wrong() + unpaid(arena, records)
    kills = [json.loads(line) for line in arena.log.read_text().splitlines()] if arena.log.exists() else []
    return Result(
        runner=runner,
        drivers=number + 1,
        kills=kills,
        missed=missed,
        wrong=wrong,
        repeated=ledger.repeated,
        steps=ledger.steps,
        seconds=time.monotonic() - began,
    )


def _excused(driver: Driver) -> bool:
    """Whether a driver may have failed because its raylet was killed, without which it can start no worker."""
    return any(kill.victim == "raylet" for kill in driver.kills)


def compared(records: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> list[str]:
    """What differs from a study whose driver did not die, job by job in the order in which they were asked for."""
    wrong = []
    if len(records) != TRIALS + 1 or len(expected) != TRIALS + 1:
        wrong.append(f"{len(records)} jobs, and {len(expected)} without chaos, instead of {TRIALS + 1}")
    for mine, other in zip(records, expected, strict=False):
        if mine["state"] != JobState.COMPLETE:
            wrong.append(f"{mine['id']} is {mine['state']}: {mine['failure']}")
        for what in ("mixture", "seeds", "values", "origin"):
            if mine[what] != other[what]:
                wrong.append(f"{mine['id']}: {what} {mine[what]} instead of {other[what]}")
    return wrong


def unpaid(arena: Arena, records: Sequence[dict[str, Any]]) -> list[str]:
    """Jobs that do not have exactly one finished attempt, which is the one on record."""
    wrong = []
    for record in records:
        found = sorted(path.parent.name for path in (arena.study / "jobs" / record["id"]).glob("*/result.json"))
        if found != [f"attempt-{record['attempt']}"]:
            wrong.append(f"{record['id']}: results of {found}, on record is attempt {record['attempt']}")
    return wrong


def plans(number: int, generator: random.Random) -> list[Driver]:
    """The drivers of a round: over as many rounds as there are points of one sort, every point has its turn.

    Args:
        number: the round's.
        generator: of all that is left to chance.
    """
    firsts = [point.name for point in (*ASKING, *CLOSING)] + [moment.value for moment in MOMENTS]
    hurts = [point.name for point in WORKER] + list(TRAINER)
    laters = [point.name for point in (*RESUMING, *TELLING, *LOSING)]
    first, hurt = firsts[number % len(firsts)], Kill(point=hurts[number % len(hurts)], count=generator.randint(1, 3))
    drivers = [Driver(kills=(hurt, Kill(point=first, count=generator.randint(4, 9))))]
    if number % 2:  # then nothing but the clock decides
        whom = ("driver", "worker", "trainer")[number // 2 % 3]
        return [*drivers, Driver(after_s=generator.uniform(0.1, 2), whom=whom)]
    later = laters[number // 2 % len(laters)]
    if later in [point.name for point in TELLING]:  # there must be a result
        drivers.append(Driver(kills=(Kill(point=Moment.REPORTED.value, count=2),)))
    if later in [point.name for point in LOSING]:  # there must be a loss
        other = Kill(point=hurts[(number + len(hurts) // 2) % len(hurts)])
        return [*drivers, Driver(kills=(other, Kill(point=later)))]
    return [*drivers, Driver(kills=(Kill(point=later),))]


def on_ray(number: int, generator: random.Random) -> list[Driver]:
    """The drivers of a round on Ray, which takes seconds to start: one that dies, or loses what it needs.

    Args:
        number: the round's.
        generator: of all that is left to chance.
    """
    late = generator.randint(10, 20)
    kills = (
        [Kill(point=Moment.PROGRESS.value, count=late, victim="raylet")],
        [Kill(point=WORKER[8].name, count=2), Kill(point=Moment.STORED.value, count=late)],
        [Kill(point=TRAINER[1], count=5), Kill(point=Moment.SUBMITTED.value, count=late, victim="worker")],
    )
    return [Driver(kills=tuple(kills[number % len(kills)]))]
