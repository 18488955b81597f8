"""Rounds of chaos for jobs on a platform: drivers die at every boundary of a stage, and the platform makes mistakes.

`python -m tests.chaos.remote --rounds 100` plays many by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from objectives.errors import AccessError
from ratio_search.console import PlainConsole
from ratio_search.driver import drive
from ratio_search.journal import StudyJournal
from ratio_search.runner.remote import RemoteRunner
from ratio_search.spec import StudySpec
from ratio_search.stages import StageRecord, StageState
from ratio_search.study import Study
from tests.chaos.kill import CHAOS, Kill, Plan, Point, note
from tests.chaos.points import path
from tests.chaos.rounds import DOMAINS, MOST_DRIVERS, RANDOM, TRIALS, apart, compared, ends_here, known
from tests.services.backend import register
from tests.services.server import PretendServer

KEEP = "ratio_search.journal:StudyJournal.keep_stage"
OBJECTIVE = "tests.services.backend:PlatformObjective"


def kept(state: StageState, *, cost: bool | None = None) -> Callable[..., bool]:
    """Whether a stage is kept that is in this state, with or without a known cost."""

    def matches(journal: Any, job_id: str, stage: StageRecord) -> bool:
        return stage.state is state and cost in (None, bool(stage.cost))

    return matches


def posts(connection: Any) -> bool:
    """Whether a stage was sent to the platform."""
    return bool(connection._method == "POST")


POINTS = (
    Point(name="stage: name not stored", target=KEEP, matching=kept(StageState.NAMED)),
    Point(name="stage: name stored, not sent", target=KEEP, after=True, matching=kept(StageState.NAMED)),
    Point(name="stage: sent, not answered", target="http.client:HTTPConnection.getresponse", matching=posts),
    Point(name="stage: answered, handle not stored", target=KEEP, matching=kept(StageState.SUBMITTED, cost=False)),
    Point(name="stage: handle stored", target=KEEP, after=True, matching=kept(StageState.SUBMITTED, cost=False)),
    Point(name="stage: looked at", target=f"{OBJECTIVE}.poll", after=True),
    Point(name="stage: cost stored", target=KEEP, after=True, matching=kept(StageState.SUBMITTED, cost=True)),
    Point(name="stage: done, not stored", target=KEEP, matching=kept(StageState.DONE)),
    Point(name="stage: done, stored", target=KEEP, after=True, matching=kept(StageState.DONE)),
    Point(name="stage: about to be looked up", target=f"{OBJECTIVE}.find"),
    Point(name="stage: looked up", target=f"{OBJECTIVE}.find", after=True),
    Point(name="stage: lost, not stored", target=KEEP, matching=kept(StageState.LOST)),
    Point(name="stage: lost, stored", target=KEEP, after=True, matching=kept(StageState.LOST)),
    Point(name="job: next attempt not noted", target="ratio_search.study:Study.again"),
    Point(name="job: next attempt noted", target="ratio_search.study:Study.again", after=True),
    Point(name="job: result not fetched", target=f"{OBJECTIVE}.result"),
    Point(name="job: result fetched, not written", target=f"{OBJECTIVE}.result", after=True),
    Point(
        name="job: result written, not stored",
        target="ratio_search.runner.course:write_json",
        after=True,
        matching=path("result.json"),
    ),
    Point(name="job: result not stored", target="ratio_search.study:Study.store"),
    Point(name="job: result stored, not closed", target="ratio_search.study:Study.store", after=True),
    Point(name="job: closed", target="ratio_search.jobs:Jobs.close", after=True),
)
"""Every boundary of what is written when, of a stage and of its job."""

FORKED_WITH = ("alembic.command", "alembic.config", "optuna.storages._rdb.models", "sqlalchemy.dialects.sqlite")
"""What every driver would otherwise load anew."""

MISTAKES = ("late", "silent", "throttle", "broken", "busy")

DENIED = 7
"""Exit code of a driver whose platform lets it do nothing, until somebody has repaired that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a round.

    Attributes:
        drivers: how many it took.
        points: where they were killed.
        missed: kills that were planned and did not happen.
        wrong: what is not as it must be; empty for a round that is well.
        stages: begun on the platform.
        lost: of these, by the platform.
        denied: drivers that the platform let do nothing.
        seconds: how long it took.
    """

    drivers: int
    points: list[str]
    missed: list[str]
    wrong: list[str]
    stages: int
    lost: int
    denied: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Arena:
    """A study on a platform of its own."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "runs" / "chaos"

    @property
    def log(self) -> Path:
        return self.folder / "kills.jsonl"

    def make(self, url: str) -> None:
        """Makes the study."""
        data = self.folder / "data"
        data.mkdir()
        for name, size in DOMAINS.items():
            for split, rows in (("train", size), ("test", 3)):
                lines = [{"instruction": f"{name} {split} {i}", "output": "yes", "label": "yes"} for i in range(rows)]
                (data / f"{name}.{split}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        document = {
            "name": "chaos",
            "domains": {name: {split: f"data/{name}.{split}.jsonl" for split in ("train", "test")} for name in DOMAINS},
            "objective": {"kind": "pretend", "url": url},
            "metrics": [{"name": f"{name}/accuracy"} for name in DOMAINS],
            "search": {"trials": TRIALS, "parallel": 4, "sampler": "random"},
        }
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(document))

        def create() -> str:
            register()
            return str(Study.create(StudySpec.load(file), self.folder / "runs").folder.path)

        apart(create)

    def drive(self, plan: Plan, after_s: float | None) -> int:
        """Has a driver run until it ends or dies; its exit code, as `os.waitstatus_to_exitcode` has it."""
        child = os.fork()
        if child == 0:
            with ends_here(), (self.folder / f"{plan.name}.txt").open("ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.environ[CHAOS] = plan.to_json()
                self._drive()
        deadline = None if after_s is None else time.monotonic() + after_s
        while deadline is not None and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() >= deadline:
                note(self.log, point=RANDOM, victim="driver", by=os.getpid(), killed=[child])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                break
            time.sleep(0.005)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _drive(self) -> None:
        register()
        Plan.given().arm(POINTS)
        study = Study.open(self.study)

        def runner(spec: StudySpec, stopping: Callable[[], bool]) -> RemoteRunner:
            return RemoteRunner(spec.blueprint, spec.parallel, StudyJournal(study))

        try:
            code = drive(study, runner, PlainConsole())
        except AccessError:
            sys.stdout.flush()
            os._exit(DENIED)
        assert code == 0, code

    def records(self) -> list[dict[str, Any]]:
        """All that the study knows of its jobs, the baseline first."""

        def read() -> str:
            register()
            study = Study.open(self.study)
            return json.dumps(
                [
                    {
                        **known(record),
                        "names": [stage.name for stage in record.stages],
                        "tokens": record.cost.get("tokens"),
                    }
                    for record in study.jobs()
                ]
            )

        found: list[dict[str, Any]] = json.loads(apart(read))
        return found


def unpaid(records: Sequence[dict[str, Any]], ledger: Sequence[dict[str, Any]]) -> list[str]:
    """Every stage that the platform began too often or too rarely, that the study does not know, or that cost more."""
    taken = {line["name"]: line["asked"] for line in ledger if line["event"] == "taken"}
    ended = {line["name"]: line for line in ledger if line["event"] == "ended"}
    began = Counter((asked["job"], asked["stage"]) for asked in taken.values())
    lost = Counter((taken[n]["job"], taken[n]["stage"]) for n, line in ended.items() if line["state"] == "preempted")
    expected = {(record["id"], "evaluate") for record in records}
    expected |= {(record["id"], "train") for record in records if record["mixture"] is not None}
    wrong = [
        f"{job}: {stage} was begun {began[job, stage]} times, and lost {lost[job, stage]} times"
        for job, stage in sorted(expected | set(began))
        if began[job, stage] != lost[job, stage] + 1 or (job, stage) not in expected
    ]
    known = {name for record in records for name in record["names"]}
    if known != set(taken):
        wrong.append(f"not on record: {sorted(set(taken) - known)}; not on the platform: {sorted(known - set(taken))}")
    for record in records:
        billed = sum(100.0 * ended[name]["polls"] for name in record["names"] if name in ended)
        if record["tokens"] != billed:
            wrong.append(f"{record['id']}: {record['tokens']} tokens on record, billed were {billed}")
    return wrong


def play(folder: Path, number: int, generator: random.Random, *, calm: Path | None) -> Result:
    """Plays a round.

    Args:
        folder: for all that it writes; not there yet.
        number: the round's, which decides on the points at which drivers die.
        generator: of all that is left to chance.
        calm: folder of a round in which nothing went wrong; None if this is that round.
    """
    began = time.monotonic()
    for module in FORKED_WITH:
        importlib.import_module(module)
    folder.mkdir(parents=True)
    arena = Arena(folder)
    kills: list[Kill | None] = [] if calm is None else [*_kills(number, generator), None]
    wrong: list[str] = []
    led: set[int] = set()
    with PretendServer(folder / "platform", length=2) as server:
        arena.make(server.url)
        if calm is not None:
            _plan_mistakes(server, generator)
        missed, denied = [], 0
        for driver in range(MOST_DRIVERS):
            turn = driver - denied  # one that was denied everything did not die: another one goes in its place
            kill = kills[turn] if turn < len(kills) else None
            plan = Plan(kills=() if kill is None else (kill,), log=arena.log, name=f"driver-{driver}")
            by_chance = turn < len(kills) and kill is None
            for word, (call, fault) in LEADS_TO.items():
                if kill is not None and word in kill.point and turn not in led:
                    server.fault(call, fault, after=generator.randint(0, 4))
            led.add(turn)
            code = arena.drive(plan, generator.uniform(0.3, 2.0) if by_chance else None)
            if code == DENIED:
                denied += 1
                continue
            missed += [kill.point for kill in plan.pending()]
            if code not in (0, -signal.SIGKILL):
                wrong.append(f"driver {driver} ended with {code}: {(folder / f'{plan.name}.txt').read_text()[-2000:]}")
            if code == 0 and turn >= len(kills) - 1:
                break
        else:
            wrong.append(f"not done after {MOST_DRIVERS} drivers")
        records, ledger = arena.records(), server.ledger
    wrong += compared(records, records if calm is None else Arena(calm).records())
    wrong += unpaid(records, ledger)
    log = arena.log.read_text().splitlines() if arena.log.exists() else []
    return Result(
        drivers=driver + 1,
        points=[json.loads(line)["point"] for line in log],
        missed=missed,
        wrong=wrong,
        stages=sum(line["event"] == "taken" for line in ledger),
        lost=sum(line.get("state") == "preempted" for line in ledger),
        denied=denied,
        seconds=time.monotonic() - began,
    )


LEADS_TO = {"lost": ("poll", "preempt"), "next attempt": ("poll", "preempt"), "looked up": ("submit", "silent")}
"""The mistake that the platform has to make for a driver to get to points with these words."""

ROUNDS = 7
"""Rounds after which drivers have died at every point."""


def _kills(number: int, generator: random.Random) -> list[Kill]:
    """Which drivers of a round die where: over `ROUNDS` rounds, every point has its turn."""
    mine = [point.name for i, point in enumerate(POINTS) if i % ROUNDS == number % ROUNDS]
    generator.shuffle(mine)
    rare = [any(word in name for word in LEADS_TO) for name in mine]
    return [Kill(point=p, count=1 if few else generator.randint(1, 6)) for p, few in zip(mine, rare, strict=True)]


def _plan_mistakes(server: PretendServer, generator: random.Random) -> None:
    server.fault("poll", "preempt", after=generator.randint(2, 40))
    for call, most in (("submit", 8), ("poll", 20), ("result", 6)):
        for fault in generator.sample(MISTAKES, 3):
            server.fault(call, fault, after=generator.randint(0, most))
    server.fault("find", generator.choice(MISTAKES))
    for call, most in generator.sample((("submit", 40), ("poll", 100), ("result", 20), ("find", 1)), 2):
        server.fault(call, "expired", after=generator.randint(0, most))


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills drivers of studies on a platform, and looks what was paid for.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-remote-"))
    calm = play(folder / "calm", 0, random.Random(0), calm=None)
    results = [calm]
    for number in range(options.first, options.first + options.rounds):
        here = folder / f"round-{number:04d}"
        result = play(here, number, random.Random(f"{options.seed}/{number}"), calm=folder / "calm")
        results.append(result)
        if not options.json:
            lines = "".join(f"\n  WRONG: {what}" for what in result.wrong)
            print(
                f"round {number}: {result.seconds:.1f} s, {result.drivers} drivers, {len(result.points)} kills, "
                f"{result.stages} stages, {result.lost} lost, denied {result.denied} times, "
                f"missed {result.missed}{lines}",
                flush=True,
            )
        if not result.wrong:
            shutil.rmtree(here)
    if options.json:
        print(json.dumps([dataclasses.asdict(result) for result in results]))
    else:
        for point, times in sorted(Counter(point for result in results for point in result.points).items()):
            print(f"{times:5d}  {point}")
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
