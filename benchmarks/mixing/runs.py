"""One contestant on one problem: played, and kept so that it need not be played again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from .contestants import ours
from .contestants.base import Contestant, History, Setting
from .contestants.registry import OWN, SUFFIX, code, entry
from .problems import Floats, Problem, digest
from .regret import Yardstick
from .suite import Suite

PROTOCOL = 1
"""Raise it when the way in which runs are played changes."""

TRIALS = 100
CHECKPOINTS = (10, 15, 20, 30, 40, 60, 100)
"""Trials after which a recommendation is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is to be played.

    Attributes:
        contestant: its name.
        suite: where the problem is found.
        problem: its name.
        seed: of the noise, the same for all contestants, and of the contestant.
        parallel: trials at a time; they finish in the order in which they were asked for.
        trials: in all.
    """

    contestant: str
    suite: Suite
    problem: str
    seed: int
    parallel: int = 1
    trials: int = TRIALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        key: of all that it depends on.
        contestant, problem, seed, parallel, trials: as in `Run`.
        regrets: after each checkpoint; not floored.
        ask_seconds: median time of a proposal.
        recommend_seconds: median time of a recommendation.
    """

    key: str
    contestant: str
    problem: str
    seed: int
    parallel: int
    trials: int
    regrets: Mapping[int, float]
    ask_seconds: float
    recommend_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Outcomes on disk: a line each, added to as they come; trials beside them.

    Attributes:
        file: of the outcomes.
        cache: a folder for trials, nets and optima.
    """

    file: Path
    cache: Path

    def read(self) -> dict[str, Outcome]:
        """All of them by key."""
        if not self.file.is_file():
            return {}
        found = {}
        for line in self.file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            record["regrets"] = {int(n): regret for n, regret in record["regrets"].items()}
            found[record["key"]] = Outcome(**record)
        return found

    def add(self, outcome: Outcome) -> None:
        """Adds one. A line is written in one piece, so that several processes may add."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(outcome)) + "\n")

    def history(self, key: str) -> Path:
        """The file of a run's trials."""
        return self.cache / "trials" / f"{key}.npz"


def key_of(run: Run, problem: Problem) -> str:
    """The hash of all that a run's outcome depends on."""
    key = _trials_key(run, problem)
    return digest([key, code(OWN)]) if run.contestant.endswith(SUFFIX) else key


def _trials_key(run: Run, problem: Problem) -> str:
    """The hash of all that a run's trials depend on."""
    made_by = code(run.contestant.removesuffix(SUFFIX))
    return digest([PROTOCOL, made_by, problem.digest, run.seed, run.parallel, run.trials])


def play(run: Run, results: Results) -> Outcome:
    """Plays a run, or recommends from the trials of one that was played before."""
    problem = next(one for one in run.suite.problems(results.cache) if one.name == run.problem)
    yardstick = Yardstick.of(problem, results.cache)
    trials = results.history(_trials_key(run, problem))
    checkpoints = [n for n in CHECKPOINTS if n <= run.trials]
    setting = Setting(task=problem.task, seed=run.seed, trials=run.trials, parallel=run.parallel)
    if run.contestant.endswith(SUFFIX):
        played = _recommended(setting, History.load(trials), checkpoints)
    else:
        played = _played(problem, entry(run.contestant).make(setting), setting, checkpoints)
        played.history.save(trials)
    regrets = yardstick.regret(problem, np.stack([played.recommended[n] for n in checkpoints]))
    return Outcome(
        key=key_of(run, problem),
        contestant=run.contestant,
        problem=run.problem,
        seed=run.seed,
        parallel=run.parallel,
        trials=run.trials,
        regrets=dict(zip(checkpoints, regrets.round(6).tolist(), strict=True)),
        ask_seconds=round(median(played.asked), 6),
        recommend_seconds=round(median(played.waited), 6),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Played:
    """Trials, recommendations at the checkpoints, and the seconds that each proposal and recommendation took."""

    history: History
    recommended: Mapping[int, Floats]
    asked: Sequence[float]
    waited: Sequence[float]


def _recommended(setting: Setting, history: History, checkpoints: Iterable[int]) -> _Played:
    """Our recommendations from another contestant's trials."""
    recommended, waited = {}, []
    for n in checkpoints:
        begun = time.perf_counter()
        recommended[n] = _checked(ours.our_recommendation(setting, history.first(n)))
        waited.append(time.perf_counter() - begun)
    return _Played(history=history, recommended=recommended, asked=[0.0], waited=waited)


def _played(problem: Problem, contestant: Contestant, setting: Setting, checkpoints: Iterable[int]) -> _Played:
    domains, metrics = len(setting.task.domains), len(setting.task.metrics)
    history = History(shares=np.empty((0, domains)), values=np.empty((0, metrics)))
    recommended, asked, waited = {}, [], []
    pending: list[Floats] = []
    while len(history) < setting.trials:
        while len(pending) < setting.parallel and len(history) + len(pending) < setting.trials:
            begun = time.perf_counter()
            pending.append(_checked(contestant.ask(history, np.array(pending).reshape(-1, domains))))
            asked.append(time.perf_counter() - begun)
        shares = pending.pop(0)
        # Drawn for the trial's number alone, so that all contestants meet the same luck.
        rng = np.random.default_rng([setting.seed, len(history), int(problem.landscape.digest, 16)])
        history = history.with_trial(shares, problem.measure(shares, rng))
        if len(history) in checkpoints:
            begun = time.perf_counter()
            recommended[len(history)] = _checked(contestant.recommend(history))
            waited.append(time.perf_counter() - begun)
    return _Played(history=history, recommended=recommended, asked=asked, waited=waited)


def _checked(shares: Floats) -> Floats:
    """Shares with an exact sum; that they are a mixture is the contestant's affair."""
    assert np.all(shares > -1e-9) and abs(shares.sum() - 1) < 1e-6, shares
    positive = np.clip(shares, 0, None)
    checked: Floats = positive / positive.sum()
    return checked
