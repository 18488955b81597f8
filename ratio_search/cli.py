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
    from collections.abc import Callable

    from ratio_search.console import PlainConsole
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
    spec, plan = _checked(study)
    if as_json:
        _print_json(plan)
        return
    from rich.table import Table

    table = Table("domain", "train rows", "test rows", "share from", "share to", title=f"{spec.name}: ready")
    for name, domain in plan["domains"].items():
        low, high = domain["share"] or ("", "")
        table.add_row(name, str(domain["train"] or ""), str(domain["test"] or ""), f"{low}", f"{high}")
    console = _console()
    console.show(table)
    for name, mixture in plan["anchors"].items():
        console.say(f"anchor {name}: " + " ".join(f"{key}={share:.3f}" for key, share in mixture.items()))
    console.say(f"{plan['trials']} trials, {plan['parallel']} at a time")


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
    spec, _ = _checked(study)
    from ratio_search.runner import check_answers
    from ratio_search.study import Study

    if ray_address is not None:
        check_answers(ray_address)
    created = Study.create(spec, runs)
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
    study = _open(name, runs)
    if trials is not None or not study.done:  # what only prints its result needs no data
        study.check_identity()
        study.spec.backend.check(study.spec.root)
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
        print(text if out is None else f"{out}: {recipe.mixture}\n", end="")


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


def _checked(path: Path) -> tuple[StudySpec, dict[str, Any]]:
    """The study file's spec and, as plain data, what it would do; everything is checked that can be."""
    from ratio_search.anchors import anchors
    from ratio_search.manifest import Manifest
    from ratio_search.spec import StudySpec

    spec = StudySpec.load(path)
    spec.backend.check(spec.root)
    manifest = Manifest.of(spec)
    plan = {
        "name": spec.name,
        "domains": {
            d.name: {
                **{split: manifest.rows[d.name].get(split) for split in ("train", "test", "final")},
                "share": [d.lower, d.upper] if d.mixed else None,
            }
            for d in spec.domains
        },
        "anchors": {a.name: dict(a.mixture) for a in anchors(spec.space, manifest.train_rows, spec.current)},
        "metrics": [metric.name for metric in spec.metrics],
        "trials": spec.search.trials,
        "parallel": spec.search.parallel,
    }
    return spec, plan


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
    console.say(f"recommended: {recipe.mixture}")
    console.say(f"chosen as: {recipe.basis}")
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
