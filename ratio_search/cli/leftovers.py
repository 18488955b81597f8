"""The command that shows what losing jobs left on a platform, and deletes it where that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratio_search.cli.app import RUNS, JsonOption, NameArgument, RunsOption, app, open_study, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ratio_search.leftovers import Left, Leftovers
    from ratio_search.study import Study


@app.command()
def leftovers(
    name: NameArgument,
    runs: RunsOption = RUNS,
    delete: Annotated[bool, typer.Option("--delete", help="Delete all that is listed, for good.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to that.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what trials that lost have left on a platform, where it may cost, and how to delete it."""
    from ratio_search.errors import ConsentError
    from ratio_search.leftovers import Leftovers

    study = open_study(name, runs)
    if delete and yes and study.spec.backend.REMOTE:
        _delete(study, as_json)
        return
    remote = study.spec.backend.REMOTE
    found = Leftovers.of(study, study.spec.blueprint.connect()) if remote else Leftovers()
    if as_json:
        print_json(_report(study, found.left, found))
    else:
        _show(study, found)
    if delete and found.left:
        raise ConsentError(f"{len(found.left)} of these would be deleted for good, and nothing was: --yes agrees to it")


def _show(study: Study, found: Leftovers) -> None:
    name, backend = study.spec.name, study.spec.backend
    for left in found.left:
        print(f"{left}\n  {left.leftover.command}")
    for stage in found.unknown:
        print(f"{stage}: failed later; look on the platform whether it left something, as that is not known here")
    if not backend.REMOTE:
        print(f"{name}: nothing is on a platform; objective {backend.kind!r} has none")
    elif not found.left:
        print(f"{name}: jobs that lost left nothing that is known here, or nothing any more")
    else:
        print(f"{len(found.left)} in all, which may cost as long as they are there; --delete --yes deletes them")
        if not study.done:
            print("the study is not finished: a trial that loses now may still be recommended")


def _delete(study: Study, as_json: bool) -> None:
    """Deletes what is left under the study's lease, and goes on after errors.

    Raises:
        StudyFailed: something could not be deleted.
        LeaseError: a driver runs the study.
    """
    from ratio_search.errors import StudyFailed
    from ratio_search.leftovers import Leftovers, discard

    objective = study.spec.blueprint.connect()
    deleted: list[Left] = []
    failed: list[tuple[Left, str]] = []
    with study.home.lease() as study.lease:
        found = Leftovers.of(study, objective)
        for left, why in discard(study, objective, found.left):
            if why is not None:
                failed.append((left, why))
                continue
            deleted.append(left)
            if not as_json:
                print(f"deleted: {left}", flush=True)
    if as_json:
        print_json(_report(study, [left for left, _ in failed], found, deleted))
    elif not found.left:
        _show(study, found)
    if failed:
        lines = "".join(f"\n  {left}: {why}" for left, why in failed)
        raise StudyFailed(f"this could not be deleted, and may still cost:{lines}\ntry again, or delete it there")


def _report(study: Study, left: Sequence[Left], found: Leftovers, deleted: Sequence[Left] = ()) -> dict[str, Any]:
    """What is left and what was deleted, as plain data."""
    return {
        "name": study.spec.name,
        "leftovers": [one.to_json() for one in left],
        "unknown": list(found.unknown),
        "deleted": [one.to_json() for one in deleted],
    }
