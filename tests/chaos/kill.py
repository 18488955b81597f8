"""Kills processes at named points of their lives, and writes down that it did.

The product knows nothing of this. A `Point` names a function of it and a side of its call; `Plan.arm` wraps that
function in the process that calls it, so that the call for which a kill is meant never returns, or never begins. A
plan travels as JSON in the environment variable `CHAOS`, to drivers, to the workers that they start, and to trainers:

    plan = Plan(kills=(Kill(point="worker: result written, not reported", count=3),), log=folder / "kills.jsonl")
    subprocess.run([sys.executable, "driver.py"], env={**os.environ, CHAOS: plan.to_json()})

    # in a process that may have to die, before it begins; a table of points of one's own will do as well:
    plan = Plan.given()
    plan.arm(POINTS)

    # at what is no function's, such as a moment that a search's listener is told of:
    plan.reached(moment)

Every kill happens once: whoever gets there for the stated time, in whichever process, marks it, and adds a line to the
log before anyone dies, which is the proof that the point was hit. `Plan.pending` has the kills that did not happen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

CHAOS = "CHAOS"
"""Environment variable with the plan."""

SELF = "self"
"""The victim that is whoever gets to the point."""


def always(*arguments: Any, **keywords: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place in the code.

    Attributes:
        name: what it is called.
        target: a function, as `module:name` or `module:Class.name`.
        after: whether once it has returned, and not before it is called.
        matching: whether a call is meant, by its arguments.
        inside: another function; only calls that come while it runs are meant. None for all.
    """

    name: str
    target: str
    after: bool = False
    matching: Callable[..., bool] = always
    inside: str | None = None

    def wrap(self, reached: Callable[[], None]) -> None:
        """Has a function called whenever this process gets there."""
        depth = 0

        def around(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            nonlocal depth
            depth += 1
            try:
                return function(*arguments, **keywords)
            finally:
                depth -= 1

        def at(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            meant = (self.inside is None or depth > 0) and self.matching(*arguments, **keywords)
            if meant and not self.after:
                reached()
            result = function(*arguments, **keywords)
            if meant and self.after:
                reached()
            return result

        replace(self.target, at)
        if self.inside is not None:
            replace(self.inside, around)


def replace(target: str, by: Callable[..., Any]) -> None:
    """Has a function called through another one, which is given it and its arguments."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        return by(function, *arguments, **keywords)

    setattr(owner, name, wrapper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Who dies when.

    Attributes:
        point: the name of a point or a moment.
        count: at which time that it is reached, in all processes of a plan together.
        victim: `SELF`, or a name that whoever gets to the point knows how to find.
    """

    point: str
    count: int = 1
    victim: str = SELF


def just_me(victim: str) -> list[int]:
    assert victim == SELF, f"nobody here knows {victim}"
    return [os.getpid()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Kills, and where they are written down.

    Attributes:
        kills: in any order.
        log: file of the kills that happened, a line of JSON each; beside it are marks of those of this plan.
        name: tells plans apart that share a log.
    """

    kills: tuple[Kill, ...] = ()
    log: Path = Path(os.devnull)
    name: str = "plan"

    def to_json(self) -> str:
        return json.dumps(
            {"kills": [dataclasses.asdict(kill) for kill in self.kills], "log": str(self.log), "name": self.name}
        )

    @classmethod
    def given(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The plan that this process was given; an empty one without any."""
        if CHAOS not in environment:
            return cls()
        data = json.loads(environment[CHAOS])
        return cls(kills=tuple(Kill(**kill) for kill in data["kills"]), log=Path(data["log"]), name=data["name"])

    def arm(self, points: Iterable[Point]) -> None:
        """Has this process die at those of these points that are in the plan."""
        wanted = {kill.point for kill in self.kills}
        for point in points:
            if point.name in wanted:
                point.wrap(functools.partial(self.reached, point.name))

    def reached(self, point: str, find: Callable[[str], Iterable[int]] = just_me) -> None:
        """Takes note that a point was reached, and kills if it is time.

        Args:
            point: its name; one that is not in the plan is none of its business.
            find: gives the processes that a victim's name stands for.
        """
        for number, kill in enumerate(self.kills):
            if kill.point == point and not self._mark(number).exists() and self._times(number) == kill.count:
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(self._mark(number), os.O_CREAT | os.O_EXCL))
                    self._kill(kill, list(find(kill.victim)))

    def pending(self) -> list[Kill]:
        """The kills that did not happen."""
        return [kill for number, kill in enumerate(self.kills) if not self._mark(number).exists()]

    def _kill(self, kill: Kill, dying: list[int]) -> None:
        note(self.log, point=kill.point, victim=kill.victim, by=os.getpid(), killed=dying)
        for process in dying:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while os.getpid() in dying:
            time.sleep(1)  # it has not got far

    def _mark(self, number: int) -> Path:
        return self.log.with_name(f"{self.log.name}.{self.name}.{number}")

    def _times(self, number: int) -> int:
        """How often the point was reached, this time included."""
        with self.log.with_name(f"{self.log.name}.{self.name}.{number}.times").open("ab") as file:
            file.write(b".")
            file.flush()
            return file.tell()


def note(log: Path, **what: Any) -> None:
    """Adds a line to a log of kills; on disk on return."""
    with log.open("a") as file:
        file.write(json.dumps({"time": time.time(), **what}) + "\n")
        file.flush()
        os.fsync(file.fileno())
