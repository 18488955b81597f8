"""Drives a study on a Ray cluster, and prints a line of JSON for everything that it hears.

Arguments: the study's folder, and the cluster's address.
"""

import json
import sys

from objectives.attempt import Failure
from objectives.base import Job, Progress
from ratio_search.runner.on_ray import RayRunner
from ratio_search.search import Moment, Search
from ratio_search.study import Study


def main(folder: str, address: str) -> None:
    study = Study.open(folder)

    def listener(moment: Moment, job: Job, detail: object) -> None:
        heard = {"moment": moment.value, "job": job.id, "attempt": job.attempt}
        if isinstance(detail, Progress):
            heard |= {"step": detail.step, "note": detail.note}
        if isinstance(detail, Failure):
            heard |= {"message": detail.message, "kind": detail.kind.value}
        print(json.dumps(heard), flush=True)

    runner = RayRunner(study.spec.blueprint, slots=study.spec.search.parallel, address=address)
    with study.folder.lease() as study.lease, runner:
        Search(study, runner, listener).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
