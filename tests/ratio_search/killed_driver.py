"""Drives a study until a named moment comes for the n-th time, and kills itself there with SIGKILL.

Arguments: the study's folder, `serial` or `processes`, the moment, n, and `confirm` where the study is confirmed.
"""

import os
import signal
import sys

from objectives.base import Job
from ratio_search.agenda import Agenda, Trials
from ratio_search.confirm import Confirming, lineup_of
from ratio_search.lease import Lease
from ratio_search.runner import SerialRunner
from ratio_search.runner.processes import ProcessRunner
from ratio_search.search import Moment, Search
from ratio_search.study import Study


def main(folder: str, kind: str, moment: str, count: str, *what: str) -> None:
    study = Study.open(folder)
    left = int(count)

    def listener(now: Moment, job: Job, detail: object) -> None:
        nonlocal left
        if now == moment and job.mixture is not None:
            left -= 1
            if left == 0:
                print(f"killed at {moment} of {job.id}", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    agenda: Agenda = Trials(study)
    if what:
        study.line_up(lineup_of(study))
        agenda = Confirming(study, lineup_of(study))
    blueprint = agenda.spec.blueprint
    runner = SerialRunner(blueprint) if kind == "serial" else ProcessRunner(blueprint, study.spec.search.parallel)
    with Lease(study.folder.lock_file), runner:
        Search(study, runner, listener, agenda=agenda).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
