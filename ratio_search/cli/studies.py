"""Commands that check a study and run it."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratio_search.cli.app import (
    RUNS,
    DataRootOption,
    JsonOption,
    NameArgument,
    RunsOption,
    app,
    console_on,
    open_study,
    print_json,
    settle,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from objectives.data import Finding
    from ratio_search.console import PlainConsole
    from ratio_search.plan import Plan
    from ratio_search.recipe import Recipe
    from ratio_search.runner import Runner
    from ratio_search.spec import StudySpec
    from ratio_search.study import Study

    MakeRunner = Callable[[StudySpec, Callable[[], bool]], Runner]
    MakeFor = Callable[[Study, StudySpec, Callable[[], bool]], Runner]


class RunnerKind(enum.StrEnum):
    """Where trials run."""

    RAY = "ray"
    PROCESSES = "processes"
    SERIAL = "serial"


StudyFileArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).")]
TrialsOption = Annotated[int | None, typer.Option(min=1, help="Fine-tunes to finish in all.")]
ParallelOption = Annotated[int | None, typer.Option(min=1, help="Fine-tunes at a time.")]
AddressOption = Annotated[str | None, typer.Option(help="Ray cluster to join; without it Ray runs here alone.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Start though the worst case goes beyond the budget.")]
RunnerOption = Annotated[RunnerKind, typer.Option(help="Parallel on Ray, or in processes here; or one after another.")]


@app.command()
def check(
    study: StudyFileArgument,
    trials: TrialsOption = None,
    parallel: ParallelOption = None,
    as_json: JsonOption = False,
    data_root: DataRootOption = None,
) -> None:
    """Check a study file, its data and its objective, without starting anything."""
    from objectives.data import SHOWN, AuditError, Finding
    from ratio_search import plan_report

    try:
        plan = planned(study, tuple(Finding), count=True, shown=None if as_json else SHOWN, root=data_root)
        plan = plan.asking(trials=trials, parallel=parallel)
    except AuditError as error:
        if as_json:
            print_json({"findings": [found.to_json() for found in error.found]})
        raise
    if as_json:
        print_json(plan.to_json())
        return
    console = console_on()
    console.show(plan_report.plan_table(plan))
    for line in plan_report.plan_lines(plan):
        console.say(line)


@app.command()
def launch(
    study: StudyFileArgument,
    runs: RunsOption = RUNS,
    trials: TrialsOption = None,
    parallel: ParallelOption = None,
    ray_address: AddressOption = None,
    runner: RunnerOption = RunnerKind.RAY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and stop there.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start a study: run its fine-tunes, and end with a recipe."""
    if dry_run:
        check(study, trials, parallel, as_json)
        return
    from ratio_search.forecast import check_agreed
    from ratio_search.spec import StudySpec
    from ratio_search.study import Study

    spec = StudySpec.load(study)
    check_run_here(spec)
    plan = checked(study, spec, console_on(stderr=True))
    if ray_address is not None:
        maker(spec, runner, ray_address)  # before anything is made
    asked = plan.asking(trials=trials, parallel=parallel)
    if asked.forecast is not None:
        check_agreed(asked.forecast, yes)
    created = Study.create(plan.spec, runs)
    created.foresee(plan.foreseen)
    _drive(created, runner, ray_address, as_json, trials=trials, parallel=parallel)


@app.command()
def resume(
    name: NameArgument,
    runs: RunsOption = RUNS,
    trials: TrialsOption = None,
    parallel: ParallelOption = None,
    ray_address: AddressOption = None,
    runner: RunnerOption = RunnerKind.RAY,
    data_root: DataRootOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a study after anything; a finished one prints its result again."""
    from ratio_search.bookkeeping import forecast_of_more
    from ratio_search.forecast import check_agreed
    from ratio_search.sampler.strategy import check_installed

    study = open_study(name, runs, data_root)
    check_run_here(study.spec)
    if data_root is not None or trials is not None or not study.done:  # what only prints its result needs no data
        study.check_identity()
        study.spec.backend.check(study.spec.root)
        check_installed(study.spec.search.sampler)
    if data_root is not None:
        settle(study)
    if trials is not None:
        check_agreed(forecast_of_more(study, trials, parallel), yes)
    _drive(study, runner, ray_address, as_json, trials=trials, parallel=parallel)


def planned(
    path: Path, wanted: Collection[Finding], *, count: bool, shown: int | None, root: Path | None = None
) -> Plan:
    """What the study of a study file would do; everything is checked that can be."""
    from ratio_search.plan import Plan
    from ratio_search.spec import StudySpec

    return Plan.of(StudySpec.load(path, root), wanted, count=count, shown=shown)


def checked(path: Path, spec: StudySpec, console: PlainConsole) -> Plan:
    """The plan of a study that is about to be made; findings that do not forbid it are told."""
    from objectives.data import SHOWN, Action, Finding
    from ratio_search import plan_report
    from ratio_search.manifest import SLOW

    actions = spec.data.actions
    wanted = [finding for finding in Finding if finding not in SLOW or actions[finding] is not Action.WARN]
    plan = planned(path, wanted, count=False, shown=SHOWN)
    for found in plan.found:
        console.say(f"{plan_report.finding_text(found)}; ratio-search check {path} shows more")
    return plan


def check_run_here(spec: StudySpec) -> None:
    """Refuses a study whose trials are not run from the command line."""
    from ratio_search.errors import SpecError

    if spec.backend.EXTERNAL:
        raise SpecError(
            f"study {spec.name!r}: trials of an objective of kind {spec.backend.kind!r} are run by its caller: in "
            "Python, make it with Study.create, or Study.open, and use its ask and tell; status, trials and export "
            "show one that is kept in a folder"
        )


def _drive(
    study: Study, kind: RunnerKind, ray_address: str | None, as_json: bool, *, trials: int | None, parallel: int | None
) -> None:
    """Runs a study with a display and prints its result; exits when it was interrupted."""
    from ratio_search.driver import drive
    from ratio_search.recipe import Recipe

    console = console_on(stderr=as_json)

    def work(runner: MakeRunner) -> int:
        return drive(study, runner, console, trials=trials, parallel=parallel)

    worked(work, study, kind, ray_address, console, f"resume with: {again('resume', study, kind, ray_address)}")
    recipe = Recipe.of(study, study.folder.recipe_file)
    recipe.save(study.folder.recipe_file)
    _show_result(study, recipe, console, as_json)


def worked(
    work: Callable[[MakeRunner], int],
    study: Study,
    kind: RunnerKind,
    ray_address: str | None,
    console: PlainConsole,
    then: str,
) -> None:
    """Does what needs a runner; exits when it was interrupted.

    Args:
        work: is given what makes the runner; gives an exit code.
        study: whose work it is.
        kind: where fine-tunes run that no platform runs.
        ray_address: of a Ray cluster to join; None starts Ray here.
        console: where people look.
        then: what to say when it was interrupted.
    """
    from objectives.errors import RatioSearchError
    from ratio_search.errors import LeaseError

    made: list[Runner] = []
    make = maker(study.spec, kind, ray_address)

    def runner(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
        made.append(make(study, spec, stopping))
        return made[0]

    try:
        code = work(runner)
    except LeaseError:
        raise  # it is another driver's
    except RatioSearchError as error:
        console.say(then)
        if not any(one.stuck for one in made):
            raise
        code = told(error)
    else:
        if code:
            console.say(then)
    if code and any(one.stuck for one in made):
        console.file.flush()
        os._exit(code)
    if code:
        raise typer.Exit(code)


def maker(spec: StudySpec, kind: RunnerKind, ray_address: str | None) -> MakeFor:
    """What makes runners for a study; Ray is loaded only where it is wanted.

    Args:
        spec: of the study, which need not be there yet.
        kind: where fine-tunes run that no platform runs.
        ray_address: of a Ray cluster to join; None starts Ray here.

    Raises:
        RunnerError: there is no cluster, or a platform runs the study's jobs.
    """
    if spec.backend.REMOTE:
        return _remote_maker(spec, ray_address)
    if kind is RunnerKind.SERIAL:
        from ratio_search.runner import SerialRunner

        return lambda study, spec, stopping: SerialRunner(spec.blueprint, stopping)
    if kind is RunnerKind.PROCESSES:
        from ratio_search.runner.processes import ProcessRunner

        return lambda study, spec, stopping: ProcessRunner(spec.blueprint, slots=spec.parallel)
    from ratio_search.runner.cluster import check_joinable
    from ratio_search.runner.on_ray import RayRunner

    if ray_address is not None:
        check_joinable(ray_address)
    return lambda study, spec, stopping: RayRunner(spec.blueprint, slots=spec.parallel, address=ray_address)


def _remote_maker(spec: StudySpec, ray_address: str | None) -> MakeFor:
    from ratio_search.errors import RunnerError
    from ratio_search.journal import StudyJournal
    from ratio_search.runner.remote import RemoteRunner
    from ratio_search.stop_request import StopRequest

    if ray_address is not None:
        raise RunnerError(
            f"--ray-address: found {ray_address!r}, but jobs of objective {spec.backend.kind!r} run on its platform, "
            "which the driver calls itself; leave it out"
        )

    def make(study: Study, spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
        request = StopRequest(study.folder.stop_file)
        return RemoteRunner(spec.blueprint, spec.parallel, StudyJournal(study), lambda: request.cancels_remote)

    return make


def again(command: str, study: Study, kind: RunnerKind, ray_address: str | None) -> str:
    """The command that goes on with what was interrupted.

    Args:
        command: the program's.
        study: whose work it was.
        kind: where fine-tunes ran.
        ray_address: of the Ray cluster that was joined; None where there was none.
    """
    import shlex

    runner = [] if kind is RunnerKind.RAY else ["--runner", kind.value]
    cluster = [] if ray_address is None else ["--ray-address", ray_address]
    return shlex.join(["ratio-search", command, str(study.folder.path), *runner, *cluster])


def _show_result(study: Study, recipe: Recipe, console: PlainConsole, as_json: bool) -> None:
    from ratio_search import front_report, report, verdict_report

    if as_json:
        print_json(recipe.to_json())
        return
    console.show(report.comparison(study, recipe))
    if any(expected.interval is not None for expected in recipe.expected.values()):
        console.show(report.expectations(recipe))
    front = front_report.front_of(study)
    if front is not None:
        front_report.show(console, study.spec.name, front)
    console.say(f"recommended: {recipe.choice}")
    console.say(f"chosen as: {recipe.basis}")
    for line in verdict_report.verdict_lines(recipe):
        console.say(line)
    for line in report.alternatives(recipe):
        console.say(line)
    console.say(f"recipe: {study.folder.recipe_file}")
