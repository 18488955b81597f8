from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from objectives.attempt import Failure, FailureKind
from objectives.base import Job, Progress
from ratio_search.console import PlainConsole
from ratio_search.display import Display
from ratio_search.search import Moment
from ratio_search.study import Study

NAMES = ("support", "legal", "manuals")


@pytest.fixture
def study(small_study: Any) -> Study:
    small = small_study()
    return Study.create(small.spec, small.runs)


class Screen(PlainConsole):
    """A console of 160 columns whose output is kept."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        super().__init__()
        self.file, self.width = io.StringIO(), 160

    @property
    def is_terminal(self) -> bool:
        return self._terminal


def console(terminal: bool) -> PlainConsole:
    return Screen(terminal=terminal)


def said(console: PlainConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def run(study: Study, display: Display, value: Callable[[str], float] | None) -> Job:
    """One job from its asking to its end, told to the display as a search does; None fails it."""
    job = study.ask()
    assert job is not None
    display(Moment.ASKED, job, None)
    display(Moment.SUBMITTED, job, None)
    display(Moment.PROGRESS, job, Progress(step=3, total=8, note="loss 1.2"))
    if value is None:
        record = study.fail(job.id, "the disk was full")
    else:
        display(Moment.REPORTED, job, None)
        record = study.tell(job.id, {f"{name}/accuracy": value(name) for name in NAMES})
    display(Moment.CLOSED, job, record)
    return job


def test_elsewhere_than_in_a_terminal_each_start_and_end_is_a_line(study: Study) -> None:
    where = console(terminal=False)
    with Display(study, slots=2, console=where) as display:
        run(study, display, lambda name: 0.2)
        run(study, display, lambda name: 0.3)
        run(study, display, None)
    lines = [re.sub(r"^\[0:00:\d\d\] ", "", line) for line in said(where).splitlines()]
    assert lines == [
        "reference-0000: started",
        "reference-0000: complete support/accuracy=0.2000 legal/accuracy=0.2000 manuals/accuracy=0.2000",
        "trial-0000: started support=0.500 legal=0.333 manuals=0.167",
        "trial-0000: complete score +0.1000 support/accuracy=0.3000 legal/accuracy=0.3000 manuals/accuracy=0.3000 "
        "(5 to go, about 0:00:00)",
        "trial-0001: started support=0.333 legal=0.333 manuals=0.333",
        "trial-0001: failed the disk was full",
    ]


def test_a_lost_and_a_paused_attempt_are_lines_too(study: Study) -> None:
    where = console(terminal=False)
    with Display(study, slots=2, console=where) as display:
        job = study.ask()
        assert job is not None
        display(Moment.LOST, job, Failure(kind=FailureKind.INFRASTRUCTURE, message="node lost"))
        display(Moment.PAUSED, job, Failure(kind=FailureKind.CANCELLED, message="cancelled after 3 steps"))
    assert "reference-0000: lost, tried again: node lost" in said(where)
    assert "reference-0000: paused: cancelled after 3 steps" in said(where)


def test_in_a_terminal_there_is_a_table_that_is_drawn_again(study: Study) -> None:
    where = console(terminal=True)
    with Display(study, slots=2, console=where) as display:
        run(study, display, lambda name: 0.2)
        run(study, display, lambda name: 0.3 if name != "legal" else 0.25)
        run(study, display, None)
        job = study.ask()
        assert job is not None
        display(Moment.SUBMITTED, job, None)
        display(Moment.PROGRESS, job, Progress(step=3, total=8, note="loss 1.2"))
        display.say("stopping")
    last = said(where).rpartition("small: ")[2]
    assert last.startswith("1 of 6 trials done, 1 running, 1 failed, 0:00:0")
    assert "(5 to go, about 0:00:00)" in last
    assert "trial-0002" in last
    assert "step 3 of 8 loss 1.2" in last
    assert "best so far: trial-0000, score +0.0500" in last
    assert re.search(r"legal/accuracy +maximize +0\.2000 +0\.2500 +\+0\.0500", last)
    assert "stopping" in said(where)


def test_a_broken_guard_is_said(small_study: Any) -> None:
    metrics = [{"name": f"{name}/accuracy", "guard": 0.0} for name in NAMES]
    small = small_study(metrics=metrics)
    study = Study.create(small.spec, small.runs)
    where = console(terminal=True)
    with Display(study, slots=1, console=where) as display:
        run(study, display, lambda name: 0.2)
        run(study, display, lambda name: 0.1)
    assert "guard broken" in said(where)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_guard_that_the_baseline_breaks_is_said_when_it_is_known_and_after_each_start(
    small_study: Any, terminal: bool
) -> None:
    metrics = [{"name": f"{name}/accuracy", "reference": 0.5, "guard": 0.1} for name in NAMES[:1]]
    small = small_study(metrics=metrics)
    study = Study.create(small.spec, small.runs)
    warning = "warning: support/accuracy: even the untuned baseline breaks this guard: its value is 0.2, the limit 0.4"
    for again in (study, Study.open(study.folder)):
        where = console(terminal=terminal)
        with Display(again, slots=1, console=where) as display:
            assert (warning in said(where)) == (again is not study)
            run(again, display, lambda name: 0.2)
        assert said(where).count(warning) == 1


def test_a_resumed_study_shows_what_it_had(study: Study) -> None:
    with Display(study, slots=1, console=console(terminal=False)) as display:
        run(study, display, lambda name: 0.2)
        run(study, display, lambda name: 0.3)
    where = console(terminal=True)
    with Display(Study.open(study.folder), slots=1, console=where):
        pass
    assert "1 of 6 trials done" in said(where)
    assert "best so far: trial-0000" in said(where)
