"""What a person sees while a study runs: a live table in a terminal, one line for each event elsewhere."""

from __future__ import annotations

import datetime
import time
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from objectives.attempt import Failure
from objectives.base import Job, Progress
from objectives.scorer import Score, Scorer
from ratio_search.agenda import Agenda, Trials
from ratio_search.console import PlainConsole
from ratio_search.health import progress_text
from ratio_search.record import JobState, Record
from ratio_search.runner.runner import WAITING
from ratio_search.search import Moment
from ratio_search.study import Study

LINES = {
    Moment.SUBMITTED: "started",
    Moment.LOST: "lost, tried again",
    Moment.PAUSED: "paused",
    Moment.UNFETCHED: "left open",
}
"""Moments that are worth a line where there is no live table, beside a job's end."""


class Display:
    """Listens to a search and shows it: trials done and running, the best so far, metrics, and time left."""

    def __init__(self, study: Study, slots: int, console: PlainConsole, agenda: Agenda | None = None) -> None:
        """Prepares the display.

        Args:
            study: what is shown.
            slots: jobs at a time, for the time left.
            console: where; it decides whether there is a live table.
            agenda: what is worked off; None for the study's trials.
        """
        self._study = study
        self._agenda = agenda or Trials(study)
        self._slots = slots
        self._console = console
        self._started = time.monotonic()
        self._running: dict[str, tuple[Job, Progress | None]] = {}
        self._begun: dict[str, float] = {}
        self._ranking: list[tuple[Record, Score]] = []
        self._scorer: Scorer | None = None
        self._complete = self._planned = 0
        self._failed = 0
        self._warned: set[str] = set()
        self._seconds: list[float] = []
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2)

    def __enter__(self) -> Self:
        self._look()
        if self._console.is_terminal:
            self._live.__enter__()
        self._warn()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """Prints a line, above the live table where there is one."""
        self._console.say(text)

    def __call__(self, moment: Moment, job: Job, detail: Progress | Record | Failure | None) -> None:
        """Takes note of a moment of the search."""
        if isinstance(detail, Progress):
            self._running[job.id] = (job, detail)
        elif moment is Moment.SUBMITTED:
            self._running[job.id] = (job, None)
            self._begun[job.id] = time.monotonic()
        elif moment in (Moment.CLOSED, Moment.LOST, Moment.PAUSED, Moment.UNFETCHED):
            self._running.pop(job.id, None)
        if isinstance(detail, Record):
            self._close(detail)
        if not self._console.is_terminal:
            self._print(moment, job, detail)

    def _look(self) -> None:
        """Reads what the table shows: it is drawn by a thread of its own, which must not wait for a database."""
        self._ranking, self._scorer = self._study.ranking(), self._study.scorer()
        self._complete, self._planned = self._agenda.complete, self._agenda.planned

    def _close(self, record: Record) -> None:
        self._look()
        self._warn()
        if record.state is JobState.FAILED:
            self._failed += 1
        elif record.job.mixture is not None:
            self._seconds.append(time.monotonic() - self._begun[record.job.id])

    def _warn(self) -> None:
        """Says each warning when it is first known."""
        for warning in self._study.warnings():
            if warning not in self._warned:
                self._warned.add(warning)
                self.say(f"warning: {warning}")

    def _print(self, moment: Moment, job: Job, detail: Progress | Record | Failure | None) -> None:
        mixture = "" if job.mixture is None else f" {job.mixture}"
        if isinstance(detail, Record):
            text = f"{detail.state.value} {self._outcome(detail)}"
        elif moment in LINES:
            text = f"{LINES[moment]}{mixture}" + (f": {detail.message}" if isinstance(detail, Failure) else "")
        elif isinstance(detail, Progress) and detail.note.startswith(WAITING):
            text = detail.note
        else:
            return
        self.say(f"[{self._elapsed()}] {job.id}: {text}")

    def _outcome(self, record: Record) -> str:
        if record.failure is not None:
            return record.failure.message
        score = next((f"score {score.balanced:+.4f} " for r, score in self._ranking if r.job.id == record.job.id), "")
        values = " ".join(f"{m.name}={record.values[m.name]:.4f}" for m in self._study.spec.metrics)
        return f"{score}{values}{self._left()}"

    def _elapsed(self) -> str:
        return str(datetime.timedelta(seconds=round(time.monotonic() - self._started)))

    def _left(self) -> str:
        """The time that the open trials will take, from the mean of those that finished; empty at first."""
        if not self._seconds:
            return ""
        open_ = self._planned - self._complete
        seconds = round(open_ * sum(self._seconds) / len(self._seconds) / self._slots)
        stops = isinstance(self._agenda, Trials) and self._study.spec.search.stop is not None
        most = "at most " if stops else ""
        return f" ({most}{open_} to go, about {datetime.timedelta(seconds=seconds)})"

    def _table(self) -> Group:
        spec = self._study.spec
        head = (
            f"{spec.name}: {self._complete} of {self._planned} {self._agenda.noun} done, "
            f"{len(self._running)} running, {self._failed} failed, {self._elapsed()} so far{self._left()}"
        )
        metrics = Table("metric", "goal", "reference", "best trial", "gain", box=None)
        if self._ranking and self._scorer is not None:
            record, score = self._ranking[0]
            for metric in spec.metrics:
                broken = "  guard broken" if metric.name in score.violations else ""
                metrics.add_row(
                    metric.name,
                    metric.goal.value,
                    f"{self._scorer.reference(metric):.4f}",
                    f"{record.values[metric.name]:.4f}",
                    f"{score.gains[metric.name]:+.4f}{broken}",
                )
            best = f"best so far: {record.job.id}, score {score.balanced:+.4f}, {record.job.mixture}"
        else:
            best = "best so far: none yet"
        running = [f"  {job.id} {job.mixture or job.kind} {progress_text(p)}" for job, p in self._running.values()]
        return Group(Text(head, style="bold"), *map(Text, running), Text(best), metrics)
