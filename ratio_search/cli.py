"""The command line: parses, calls, prints, and turns errors into exit codes. Nothing heavy is imported for help."""

from __future__ import annotations

import enum
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from objectives.data import Finding
    from ratio_search.console import PlainConsole
    from ratio_search.plan import Plan
    from ratio_search.recipe import Recipe
    from ratio_search.spec import StudySpec
    from ratio_search.study import Study

app = typer.Typer(
    help="Finds how much of each data set to fine-tune a language model on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(enum.StrEnum):
    """What a recipe can be exported as."""

    JSON = "json"
    YAML = "yaml"


class RowFormat(enum.StrEnum):
    """What the rows of a mix can be written as."""

    INSTRUCTION = "instruction"
    MESSAGES = "messages"
    CONVERSE = "converse"
    CONTENTS = "contents"


class RunnerKind(enum.StrEnum):
    """Where trials run."""

    RAY = "ray"
    SERIAL = "serial"


StudyFileArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that holds the studies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TrialsOption = Annotated[int | None, typer.Option(min=1, help="Fine-tunes to finish in all.")]
ParallelOption = Annotated[int | None, typer.Option(min=1, help="Fine-tunes at a time.")]
AddressOption = Annotated[str | None, typer.Option(help="Ray cluster to join; without it Ray runs here alone.")]
RunnerOption = Annotated[RunnerKind, typer.Option(help="Parallel on Ray, or one after another in this process.")]
RUNS = Path("runs")


def main() -> None:
    """Runs the program and exits.

    Exit codes: 0 done, 1 the study or its work failed, 2 the input is wrong and nothing was started, 3 refused
    for now, 129, 130 and 143 interrupted and resumable.
    """
    from objectives.errors import ObjectiveError, RatioSearchError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name from elsewhere must not end a command
    try:
        app()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RatioSearchError as error:
        from ratio_search.errors import LeaseError, NothingToRecommend, StudyFailed

        print(f"error: {error}", file=sys.stderr)
        failed = isinstance(error, StudyFailed | NothingToRecommend | ObjectiveError)
        sys.exit(1 if failed else 3 if isinstance(error, LeaseError) else 2)


@app.command()
def check(study: StudyFileArgument, as_json: JsonOption = False) -> None:
    """Check a study file, its data and its objective, without starting anything."""
    from objectives.data import SHOWN, AuditError, Finding
    from ratio_search import plan_report

    try:
        plan = _planned(study, tuple(Finding), count=True, shown=None if as_json else SHOWN)
    except AuditError as error:
        if as_json:
            _print_json({"findings": [found.to_json() for found in error.found]})
        raise
    if as_json:
        _print_json(plan.to_json())
        return
    console = _console()
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
    as_json: JsonOption = False,
) -> None:
    """Start a study: run its fine-tunes, and end with a recipe."""
    if dry_run:
        check(study, as_json)
        return
    from ratio_search.runner import check_answers
    from ratio_search.spec import StudySpec
    from ratio_search.study import Study

    spec = StudySpec.load(study)
    _check_run_here(spec)
    plan = _checked(study, spec, _console(stderr=True))
    if ray_address is not None:
        check_answers(ray_address)
    created = Study.create(plan.spec, runs)
    _drive(created, runner, ray_address, as_json, trials=trials, parallel=parallel)


@app.command()
def resume(
    name: NameArgument,
    runs: RunsOption = RUNS,
    trials: TrialsOption = None,
    parallel: ParallelOption = None,
    ray_address: AddressOption = None,
    runner: RunnerOption = RunnerKind.RAY,
    as_json: JsonOption = False,
) -> None:
    """Go on with a study after anything; a finished one prints its result again."""
    from ratio_search.sampler.strategy import check_installed

    study = _open(name, runs)
    _check_run_here(study.spec)
    if trials is not None or not study.done:  # what only prints its result needs no data
        study.check_identity()
        study.spec.backend.check(study.spec.root)
        check_installed(study.spec.search.sampler)
    _drive(study, runner, ray_address, as_json, trials=trials, parallel=parallel)


@app.command()
def status(name: NameArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show where a study stands."""
    from ratio_search import report

    found = report.status(_open(name, runs))
    if as_json:
        _print_json(found)
    else:
        _console().show(report.status_table(found))


@app.command()
def stop(name: NameArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Ask a running study to save checkpoints and end; it can be resumed."""
    from ratio_search.lease import held
    from ratio_search.storage import find

    folder = find(name, runs)
    running = held(folder.lock_file)
    if running:
        folder.stop_file.touch()
    if as_json:
        _print_json({"name": folder.path.name, "asked": running})
    else:
        print(f"{folder.path.name}: asked to stop" if running else f"{folder.path.name}: no driver is running")


@app.command("runs")
def list_runs(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the studies in a folder of runs."""
    from ratio_search import report

    found = report.overview(runs)
    if as_json:
        _print_json(found)
    else:
        _console().show(report.overview_table(found))


@app.command()
def export(
    name: NameArgument,
    runs: RunsOption = RUNS,
    format_: Annotated[Format, typer.Option("--format", help="The recipe's format.")] = Format.JSON,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print or write the recommended mixture, with everything needed to believe and reproduce it."""
    from ratio_search.recipe import Recipe

    study = _open(name, runs)
    file = study.folder.recipe_file if out is None else out
    recipe = Recipe.of(study, file)
    text = recipe.text(format_.value)
    if out is None:
        recipe.save(file)  # the command in the recipe names this file
    else:
        _write(out, text)
    if as_json:
        _print_json(recipe.to_json())
    else:
        print(text if out is None else f"{out}: {recipe.choice}\n", end="")


@app.command()
def trials(
    name: NameArgument,
    runs: RunsOption = RUNS,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with everything known of every trial.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the trials of a study."""
    from ratio_search import report

    study = _open(name, runs)
    if as_json:
        _print_json(report.trial_rows(study))
    elif as_csv:
        print(report.trials_csv(study), end="")
    else:
        _console().show(report.trials_table(study))


@app.command("import")
def import_runs(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A study's name or folder, or the file of a study, new or not.")
    ],
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Past runs, in the columns of `trials --csv`, or some of them.")
    ],
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Take past runs into a study, to learn from; all of a file, or nothing where anything in it is wrong."""
    from ratio_search.errors import StudyFailed
    from ratio_search.lease import Lease
    from ratio_search.past_runs import PastRuns
    from ratio_search.spec import StudySpec
    from ratio_search.storage import STORAGE_ERRORS, StudyFolder, reason
    from ratio_search.study import Study

    console = _console(stderr=True)
    if Path(name).is_file() and not StudyFolder(runs / name).exists:
        spec = StudySpec.load(name)
        there = Study.reopen(spec, runs)
        past = PastRuns.read(table, spec if there is None else there.spec)  # before anything is made
        study = there or Study.create(_checked(Path(name), spec, console).spec, runs)
    else:
        study = _open(name, runs)
        past = PastRuns.read(table, study.spec)
    for warning in past.warnings:
        console.say(f"warning: {warning}")
    try:
        with Lease(study.folder.lock_file):
            found = study.import_runs(past)
    except STORAGE_ERRORS as error:
        raise StudyFailed(
            f"{study.folder.path}: cannot be written to ({reason(error)}); make room there, then import again: what is "
            "there already is skipped"
        ) from error
    if as_json:
        _print_json({"name": study.spec.name, "folder": str(study.folder.path), **found.to_json()})
        return
    for line in found.lines:
        print(f"{study.spec.name}: {line}")
    if not study.spec.backend.EXTERNAL and not study.done:
        console.say(f"run it with: ratio-search resume {study.folder.path}")


@app.command()
def mix(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="An exported recipe.")],
    out: Annotated[Path, typer.Option(help="File to write; a manifest is written beside it.")],
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of the mix, repeats counted.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of the mix; it ends with the last row that fits.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps of the study's batch size.")] = None,
    format_: Annotated[RowFormat, typer.Option("--format", help="The rows' format.")] = RowFormat.INSTRUCTION,
    split: Annotated[int, typer.Option(min=1, help="Files to divide the mix among.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the rows' order; without it, the recipe's trial's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the training file of a recipe, for any trainer or platform that takes one file."""
    from objectives.data import Format
    from ratio_search import report
    from ratio_search.errors import StudyError
    from ratio_search.mix import Order
    from ratio_search.mix import mix as write
    from ratio_search.recipe import Recipe
    from ratio_search.train import changed_data

    if sum(length is not None for length in (rows, tokens, steps)) > 1:
        raise StudyError("expected one of --rows, --tokens and --steps, found several; they state the same length")
    console = _console(stderr=True)
    chosen = Recipe.load(recipe)
    for change in changed_data(chosen):
        console.say(f"warning: not what the recipe was made from: {change}")
    order = Order(rows=rows, tokens=tokens, steps=steps, format=Format(format_.value), shards=split, seed=seed)
    with console.status("mixing"):
        written = write(chosen, out, order)
    for warning in written.warnings:
        console.say(f"warning: {warning}")
    if as_json:
        _print_json(written.to_json())
        return
    console = _console()
    console.show(report.mix_table(written))
    for file in written.files:
        console.say(f"{file.path}: {file.rows:,} rows, {file.size:,} bytes")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="An exported recipe.")],
    out: Annotated[Path, typer.Option(help="New folder for the trained model, its log and its result.")],
    seed: Annotated[int | None, typer.Option(min=0, help="New seeds; without it, those of the recipe's trial.")] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Evaluate on the final files instead of the test files.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune with a recipe, and evaluate every domain."""
    from rich.text import Text

    from objectives.attempt import Failure
    from objectives.base import Measurement, Progress
    from ratio_search import report
    from ratio_search.errors import StudyError, StudyFailed
    from ratio_search.recipe import Recipe
    from ratio_search.train import changed_data
    from ratio_search.train import train as run

    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StudyError(f"{out}: expected a new or empty folder; name another one")
    console = _console(stderr=True)
    chosen = Recipe.load(recipe)
    for change in changed_data(chosen):
        console.say(f"warning: not what the recipe was made from: {change}")
    with console.status("loading model and data") as shown:
        for event in run(chosen, out, seed=seed, final=final):
            if isinstance(event, Progress):
                shown.update(Text(report.progress_text(event)))
            elif isinstance(event, Failure):
                raise StudyFailed(f"{event.message}\n{event.log}".strip())
            else:
                measured: Measurement = event
    if as_json:
        _print_json(measured.to_json())
        return
    for metric, estimate in measured.metrics.items():
        error = "" if estimate.stderr is None else f" +- {estimate.stderr:.4f}"
        print(f"{metric} {estimate.value:.4f}{error}")


def _planned(path: Path, wanted: Collection[Finding], *, count: bool, shown: int | None) -> Plan:
    """What the study of a study file would do; everything is checked that can be."""
    from ratio_search.plan import Plan
    from ratio_search.spec import StudySpec

    return Plan.of(StudySpec.load(path), wanted, count=count, shown=shown)


def _checked(path: Path, spec: StudySpec, console: PlainConsole) -> Plan:
    """The plan of a study that is about to be made; findings that do not forbid it are told."""
    from objectives.data import SHOWN, Action, Finding
    from ratio_search import plan_report
    from ratio_search.manifest import SLOW

    actions = spec.data.actions
    wanted = [finding for finding in Finding if finding not in SLOW or actions[finding] is not Action.WARN]
    plan = _planned(path, wanted, count=False, shown=SHOWN)
    for found in plan.found:
        console.say(f"{plan_report.finding_text(found)}; ratio-search check {path} shows more")
    return plan


def _check_run_here(spec: StudySpec) -> None:
    """Refuses a study whose trials are not run from the command line."""
    from ratio_search.errors import SpecError

    if spec.backend.EXTERNAL:
        raise SpecError(
            f"study {spec.name!r}: trials of an objective of kind {spec.backend.kind!r} are run by its caller: in "
            "Python, make it with Study.create, or Study.open, and use its ask and tell; status, trials and export "
            "show one that is kept in a folder"
        )


def _open(name: str, runs: Path) -> Study:
    from ratio_search.storage import find
    from ratio_search.study import Study

    return Study.open(find(name, runs))


def _drive(
    study: Study, kind: RunnerKind, ray_address: str | None, as_json: bool, *, trials: int | None, parallel: int | None
) -> None:
    """Runs a study with a display and prints its result; exits when it was interrupted."""
    from ratio_search.driver import drive
    from ratio_search.recipe import Recipe
    from ratio_search.runner import RayRunner, Runner, SerialRunner, check_answers

    made: list[Runner] = []

    def runner(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
        if kind is RunnerKind.SERIAL:
            made.append(SerialRunner(spec.blueprint, stopping))
        else:
            made.append(RayRunner(spec.blueprint, slots=spec.search.parallel, address=ray_address))
        return made[0]

    if ray_address is not None:
        check_answers(ray_address)
    console = _console(stderr=as_json)
    code = drive(study, runner, console, trials=trials, parallel=parallel)
    if code:
        console.say(f"resume with: ratio-search resume {study.folder.path}")
        if any(one.stuck for one in made):
            console.file.flush()
            os._exit(code)
        raise typer.Exit(code)
    recipe = Recipe.of(study, study.folder.recipe_file)
    recipe.save(study.folder.recipe_file)
    _show_result(study, recipe, console, as_json)


def _show_result(study: Study, recipe: Recipe, console: PlainConsole, as_json: bool) -> None:
    from ratio_search import report

    if as_json:
        _print_json(recipe.to_json())
        return
    console.show(report.comparison(study, recipe))
    if any(expected.interval is not None for expected in recipe.expected.values()):
        console.show(report.expectations(recipe))
    console.say(f"recommended: {recipe.choice}")
    console.say(f"chosen as: {recipe.basis}")
    for line in report.alternatives(recipe):
        console.say(line)
    console.say(f"recipe: {study.folder.recipe_file}")


def _console(stderr: bool = False) -> PlainConsole:
    from ratio_search.console import PlainConsole

    return PlainConsole(stderr=stderr)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, allow_nan=False))


def _write(path: Path, text: str) -> None:
    from ratio_search.errors import StudyError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); choose another file") from error
