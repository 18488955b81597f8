"""A driver: one process that holds a study's lease, and runs its search or its confirmation until that ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

from objectives.errors import AccessError
from objectives.fence import lockable
from ratio_search.agenda import Agenda, Trials
from ratio_search.bookkeeping import account_of
from ratio_search.confirm import Confirming
from ratio_search.console import PlainConsole
from ratio_search.display import Display
from ratio_search.errors import StudyError, StudyFailed
from ratio_search.floor import DiskFloor
from ratio_search.interrupt import Interrupt
from ratio_search.lineup import Lineup
from ratio_search.remote_jobs import remote_jobs
from ratio_search.runner import Runner
from ratio_search.search import Ending, Search
from ratio_search.spec import StudySpec
from ratio_search.storage import STORAGE_ERRORS
from ratio_search.study import Study

STOPPING = "stopping: running jobs save a checkpoint first; a second Ctrl-C ends them at once"
LOCKLESS = (
    "its file system has no locks; should this driver die, wait a minute before you resume, as nothing else waits for "
    "what is left of its trials"
)
STOPPING_REMOTE = "stopping: nothing more is begun on the platform, and what runs there goes on without a driver"


def drive(
    study: Study,
    make_runner: Callable[[StudySpec, Callable[[], bool]], Runner],
    console: PlainConsole,
    *,
    trials: int | None = None,
    parallel: int | None = None,
) -> int:
    """Runs a study and shows it.

    A study that has all its trials, and nothing open, is left as it is: nothing is started.

    Args:
        study: what to run.
        make_runner: gives a runner that is not entered yet, of a spec and a function that becomes true when the study
            should end.
        console: where people look.
        trials: fine-tunes to finish in all, instead of what the study file states.
        parallel: fine-tunes at a time, likewise.

    Returns:
        0 when the study or its budget is done, else 128 and the number of the signal that interrupted it, or of
        SIGTERM where it was told to stop; it can be resumed.

    Raises:
        LeaseError: another driver runs it.
        RunnerError: trials cannot be run here.
        StudyFailed: its work fails, or its folder cannot be written to.
        AccessError: its platform lets this driver do nothing, until somebody has repaired that.
    """

    def agenda() -> Agenda | None:
        study.override(trials=trials, parallel=parallel)
        return None if study.done else Trials(study)

    ending, code = _driven(study, agenda, make_runner, console)
    if ending is Ending.BUDGET:
        _tell_spent(study, Trials(study), console, "resume")
    if ending is Ending.DONE:
        _tell_early(study, console)
    return code


def confirm(
    study: Study,
    lineup: Lineup,
    make_runner: Callable[[StudySpec, Callable[[], bool]], Runner],
    console: PlainConsole,
    *,
    parallel: int | None = None,
) -> int:
    """Runs what the confirmation of a study still lacks, and shows it; see `drive`.

    Args:
        study: what is confirmed.
        lineup: who is compared.
        make_runner: gives a runner that is not entered yet, of a spec and a function that becomes true when it should
            end.
        console: where people look.
        parallel: fine-tunes at a time, instead of what the study file states.
    """

    def agenda() -> Agenda | None:
        study.override(trials=None, parallel=parallel)
        study.line_up(lineup)
        confirming = Confirming(study, lineup)
        return None if confirming.complete == confirming.planned else confirming

    ending, code = _driven(study, agenda, make_runner, console)
    if ending is Ending.BUDGET:
        _tell_spent(study, Confirming(study, lineup), console, "confirm again")
    return code


def _driven(
    study: Study,
    make_agenda: Callable[[], Agenda | None],
    make_runner: Callable[[StudySpec, Callable[[], bool]], Runner],
    console: PlainConsole,
) -> tuple[Ending, int]:
    """Works off an agenda under the study's lease; how that ended, and the exit code.

    Args:
        study: whose it is.
        make_agenda: called under the lease; gives None where nothing is left to do.
        make_runner: see `drive`.
        console: where people look.
    """
    stop = study.folder.stop_file
    with study.folder.lease() as study.lease, Interrupt() as interrupt:

        def stopping() -> bool:
            return interrupt.received is not None or stop.exists()

        try:
            stop.unlink(missing_ok=True)
            with study.folder.patient(console.say, stopping):
                agenda = make_agenda()
                if agenda is not None and study.spec.held_down is not None:
                    console.say(study.spec.held_down)
                try:
                    ending = Ending.DONE if agenda is None else _search(study, agenda, make_runner, console, stopping)
                finally:
                    _tell_remote(study, console)
        except KeyboardInterrupt:  # the second signal: whatever still runs is ended with the runner
            ending = Ending.STOPPED
        except AccessError as error:
            with contextlib.suppress(*STORAGE_ERRORS):  # then only who watches it knows
                study.note_denied(str(error))
            raise
        except STORAGE_ERRORS as error:
            raise StudyFailed(
                f"{study.folder.unwritable(error)}, then resume the study; what is finished is kept"
            ) from error
    return ending, (interrupt.exit_code or 128 + signal.SIGTERM) if ending is Ending.STOPPED else 0


def _tell_remote(study: Study, console: PlainConsole) -> None:
    """Says what goes on without a driver, on the study's platform."""
    if not study.spec.backend.REMOTE:
        return
    with contextlib.suppress(*STORAGE_ERRORS, StudyError):  # what cannot be read is told by somebody else
        for job in remote_jobs(study):
            console.say(f"goes on without a driver: {job}")


def _tell_spent(study: Study, agenda: Agenda, console: PlainConsole, then: str) -> None:
    """Says which limit ended a study, and what it would do with more."""
    done = f"{agenda.complete} of {agenda.planned} {agenda.noun} are done"
    wanted = agenda.planned - agenda.complete
    why = account_of(study, {}).ended(wanted, study.spec.parallel, study.folder.study_file)
    console.say(f"{done}; {why} and {then}")


def _tell_early(study: Study, console: PlainConsole) -> None:
    """Says that a search was stopped before all its trials were run, and how to go on; nothing otherwise."""
    stop = study.early_stop
    if stop is not None:
        console.say(
            f"{stop.reason}; {study.complete} of {study.spec.search.trials} trials are done. To go on, resume with "
            f"more --trials, or with a lower search.worth in {study.folder.study_file}"
        )


def _search(
    study: Study,
    agenda: Agenda,
    make_runner: Callable[[StudySpec, Callable[[], bool]], Runner],
    console: PlainConsole,
    stopping: Callable[[], bool],
) -> Ending:
    if not study.spec.backend.REMOTE and not lockable(study.folder.path):
        console.say(f"warning: {study.folder.path}: {LOCKLESS}")
    said = False

    def announced() -> bool:
        nonlocal said
        asked = stopping()
        if asked and not said:
            said = True
            console.say(STOPPING_REMOTE if study.spec.backend.REMOTE else STOPPING)
        return asked

    # The runner asks, too: one that works in this process lets nobody else ask while a trainer ends.
    with (
        make_runner(agenda.spec, announced) as runner,
        Display(study, runner.slots, console, agenda) as display,
    ):
        return Search(study, runner, display, announced, agenda, DiskFloor.of(study, display.say)).run()
