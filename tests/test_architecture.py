"""Who may import whom, in the whole source tree, lazily or not."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in ("objectives", "ratio_search")
    for path in sorted((ROOT / package).rglob("*.py"))
}

FENCES = {
    "boto3": ("objectives/backends/sagemaker/",),
    "botocore": ("objectives/backends/sagemaker/",),
    "datasketch": ("objectives/data/near.py",),
    "filelock": (
        "objectives/backends/hf/tiny.py",
        "objectives/data/index.py",
        "objectives/depot.py",
        "ratio_search/runner/actor.py",
        "ratio_search/runner/scratch.py",
    ),
    "huggingface_hub": ("objectives/backends/hf/hub.py",),
    "moocore": ("ratio_search/dominance.py",),
    "optuna": (
        "ratio_search/distributions.py",
        "ratio_search/jobs.py",
        "ratio_search/sampler/optuna_sampler.py",
        "ratio_search/sampler/shadow.py",
        "ratio_search/standing.py",
        "ratio_search/storage/",
        "ratio_search/stored_trials.py",
        "ratio_search/study.py",
        "ratio_search/trial.py",
    ),
    "orjson": ("objectives/data/",),
    "peft": ("objectives/backends/hf/",),
    "pyarrow": ("objectives/data/rows/parquet.py",),
    "ray": ("ratio_search/runner/cluster.py",),
    "rich": (
        "ratio_search/cli/",
        "ratio_search/console.py",
        "ratio_search/display.py",
        "ratio_search/explain_report.py",
        "ratio_search/front_report.py",
        "ratio_search/plan_report.py",
        "ratio_search/report.py",
        "ratio_search/rescoring_report.py",
        "ratio_search/status_report.py",
        "ratio_search/verdict_report.py",
    ),
    "rapidfuzz": ("objectives/metrics/rouge_l.py",),
    "sklearn": ("objectives/metrics/f1.py", "objectives/backends/replay/model.py"),
    "sqlalchemy": ("ratio_search/storage/", "ratio_search/stored_trials.py"),
    "threadpoolctl": ("ratio_search/model/threads.py", "objectives/backends/replay/model.py"),
    "tokenizers": ("objectives/backends/hf/",),
    "torch": ("objectives/backends/hf/",),
    "transformers": ("objectives/backends/hf/",),
    "typer": ("ratio_search/cli/",),
    "zstandard": ("objectives/data/rows/streams.py",),
}
"""A library that costs time or ties us down, and the only places that may import it."""

APART = {
    "ratio_search.adviser": (
        "ratio_search.study",
        "ratio_search.recipe",
        "ratio_search.sampler.simplex_sampler",
        "ratio_search.jobs",
    ),
    "ratio_search.anchors": ("ratio_search.spec", "ratio_search.manifest", "ratio_search.standing"),
    "ratio_search.base_models": ("ratio_search.standing", "ratio_search.study", "ratio_search.spec"),
    "ratio_search.keep": ("ratio_search.chosen", "ratio_search.recipe", "ratio_search.leftovers"),
    "ratio_search.leftovers": (
        "ratio_search.recipe",
        "ratio_search.status",
        "ratio_search.runner",
        "ratio_search.driver",
    ),
    "ratio_search.model.evidence": (
        "ratio_search.model.surrogate",
        "ratio_search.sampler.simplex_gp",
        "ratio_search.study",
    ),
    "ratio_search.model.gaussian_process": (
        "ratio_search.model.surrogate",
        "ratio_search.model.points",
        "ratio_search.record",
        "objectives",
    ),
    "ratio_search.dominance": ("ratio_search.front", "ratio_search.record", "objectives"),
    "ratio_search.formats": ("ratio_search.cli", "ratio_search.report", "ratio_search.search", "ratio_search.mix"),
    "ratio_search.front": ("ratio_search.grounds", "ratio_search.standing", "ratio_search.study"),
    "ratio_search.grounds": ("ratio_search.standing", "ratio_search.study", "ratio_search.jobs"),
    "ratio_search.explanation": (
        "ratio_search.study",
        "ratio_search.standing",
        "ratio_search.recipe",
        "ratio_search.jobs",
    ),
    "ratio_search.account": ("ratio_search.spec", "ratio_search.standing", "ratio_search.bookkeeping"),
    "ratio_search.budget": ("ratio_search.account", "ratio_search.spec", "ratio_search.forecast"),
    "ratio_search.bookkeeping": ("ratio_search.search", "ratio_search.driver", "ratio_search.runner"),
    "ratio_search.forecast": ("ratio_search.plan", "ratio_search.standing", "ratio_search.bookkeeping"),
    "ratio_search.agenda": ("ratio_search.search", "ratio_search.runner", "ratio_search.keep"),
    "ratio_search.contest": ("ratio_search.study", "ratio_search.recipe", "ratio_search.keep"),
    "ratio_search.lineup": ("ratio_search.standing", "ratio_search.study", "ratio_search.adviser"),
    "ratio_search.verdict": ("ratio_search.record", "ratio_search.lineup", "ratio_search.study", "optuna"),
    "ratio_search.jobs": (
        "ratio_search.study",
        "ratio_search.sampler.simplex_sampler",
        "ratio_search.sampler.simplex_gp",
        "ratio_search.spec",
    ),
    "ratio_search.manifest": ("ratio_search.repetition", "ratio_search.plan", "ratio_search.study"),
    "ratio_search.plan": ("ratio_search.study", "ratio_search.storage", "ratio_search.runner", "ratio_search.report"),
    "ratio_search.ranks": ("ratio_search.standing", "ratio_search.study", "ratio_search.jobs", "optuna"),
    "ratio_search.recipe": ("ratio_search.formats", "ratio_search.mix", "ratio_search.train"),
    "ratio_search.reference": ("ratio_search.judged", "ratio_search.spec", "ratio_search.study", "ratio_search.recipe"),
    "ratio_search.repetition": ("ratio_search.plan", "ratio_search.charter", "ratio_search.study"),
    "ratio_search.runner": ("ratio_search.study", "ratio_search.search", "objectives.scorer"),
    "ratio_search.model.points": ("ratio_search.model.evidence", "ratio_search.model.surrogate", "ratio_search.record"),
    "ratio_search.recommendation": ("ratio_search.adviser", "ratio_search.sampler.simplex_gp", "ratio_search.study"),
    "ratio_search.sampler.simplex_sampler": (
        "ratio_search.study",
        "ratio_search.search",
        "ratio_search.runner",
        "ratio_search.sampler.strategies",
        "ratio_search.jobs",
    ),
    "ratio_search.sampler.simplex_gp": (
        "ratio_search.adviser",
        "ratio_search.study",
        "ratio_search.sampler.simplex_sampler",
    ),
    "ratio_search.selection": ("ratio_search.recommendation", "ratio_search.front", "ratio_search.grounds"),
    "ratio_search.journal": ("ratio_search.runner", "ratio_search.search", "ratio_search.driver"),
    "ratio_search.remote_jobs": ("ratio_search.search", "ratio_search.driver", "ratio_search.agenda"),
    "ratio_search.stages": ("ratio_search.record", "ratio_search.study", "ratio_search.runner", "optuna"),
    "ratio_search.space.simplex": ("ratio_search.spec", "ratio_search.study", "ratio_search.sampler.simplex_sampler"),
    "ratio_search.spec": ("ratio_search.study", "ratio_search.storage", "ratio_search.runner", "ratio_search.search"),
    "ratio_search.sampler.strategies": (
        "ratio_search.study",
        "ratio_search.sampler.simplex_sampler",
        "ratio_search.adviser",
    ),
    "ratio_search.sampler.strategy": (
        "ratio_search.sampler.strategies",
        "ratio_search.sampler.simplex_sampler",
        "ratio_search.model.points",
    ),
    "ratio_search.in_flight": ("ratio_search.study", "ratio_search.runner", "ratio_search.search", "optuna"),
    "ratio_search.study": ("ratio_search.runner", "ratio_search.search", "ratio_search.recipe", "ratio_search.report"),
    "ratio_search.standing": ("ratio_search.study", "ratio_search.runner", "ratio_search.search"),
    "ratio_search.storage": (
        "ratio_search.study",
        "ratio_search.standing",
        "ratio_search.search",
        "ratio_search.runner",
    ),
    "ratio_search.storage.patience": ("ratio_search.storage.folder", "ratio_search.lease"),
    "ratio_search.lease": ("ratio_search.storage", "ratio_search.study"),
    "ratio_search.database_url": ("ratio_search.storage", "ratio_search.study_file"),
    "ratio_search.model.surrogate": (
        "ratio_search.model.points",
        "ratio_search.model.evidence",
        "ratio_search.record",
        "objectives",
    ),
    "ratio_search.stopping": (
        "ratio_search.study",
        "ratio_search.study_file",
        "ratio_search.sampler",
        "ratio_search.model",
    ),
    "ratio_search.moves": ("ratio_search.model", "ratio_search.sampler", "ratio_search.explanation"),
    "ratio_search.stored_trials": ("ratio_search.trial", "ratio_search.jobs", "ratio_search.study"),
    "ratio_search.trial": ("ratio_search.jobs", "ratio_search.sampler.simplex_sampler", "ratio_search.study"),
    "ratio_search.runner.actor": (
        "ratio_search.runner.cluster",
        "ratio_search.runner.dispatch",
        "ratio_search.runner.on_ray",
    ),
    "ratio_search.runner.parcel": ("ratio_search.runner.order", "ratio_search.runner.away", "objectives.attempt"),
    "objectives.place": ("objectives.backends", "objectives.shipment", "objectives.depot"),
    "objectives.remote": ("objectives.backends", "objectives.scorer"),
    "ratio_search.floor": ("ratio_search.search", "ratio_search.driver", "ratio_search.agenda"),
    "ratio_search.health": ("ratio_search.status", "ratio_search.agenda", "ratio_search.search", "ratio_search.runner"),
    "ratio_search.status": ("ratio_search.search", "ratio_search.driver", "ratio_search.runner", "ratio_search.report"),
    "objectives.disk": ("objectives.attempt", "objectives.base", "objectives.backends"),
    "objectives.heartbeat": ("objectives.attempt", "objectives.base", "objectives.backends"),
    "objectives.log": ("objectives.attempt", "objectives.base", "objectives.backends"),
    "objectives.fence": ("objectives.base", "objectives.attempt", "objectives.backends"),
    "objectives.memory": ("objectives.base", "objectives.attempt", "objectives.backends"),
    "objectives.scorer": ("objectives.backends", "objectives.attempt"),
    "objectives.shipment": ("objectives.depot", "objectives.attempt"),
    "objectives.data": ("objectives.base", "objectives.backends", "objectives.attempt"),
    "objectives.data.rows": ("objectives.data.index", "objectives.data.dataset", "objectives.data.corpus"),
}
"""A module, and those above it that it must not know."""

HEAVY = {
    "torch",
    "transformers",
    "peft",
    "sklearn",
    "scipy",
    "optuna",
    "ray",
    "ratio_search",
    "datasketch",
    "huggingface_hub",
    "pyarrow",
}


def imports(source: str) -> Iterator[str]:
    """All that is imported at run time: modules, and the names that are taken from them as if they were modules."""
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module(path): set(imports(source)) for path, source in SOURCES.items()}


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_imports_are_found_wherever_they_stand() -> None:
    source = (
        "import a.b\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import only_for_types\nelse:\n    import c\n"
        "def f():\n    try:\n        from d import e\n    except ImportError:\n        import g as h\n"
    )
    assert set(imports(source)) == {"a.b", "typing", "typing.TYPE_CHECKING", "c", "d", "d.e", "g"}


def test_the_source_tree_is_there() -> None:
    assert {"objectives.base", "objectives.backends.hf", "ratio_search.study"} <= set(MODULES)


def test_objectives_do_not_know_the_search() -> None:
    for name, imported in MODULES.items():
        if inside(name, "objectives"):
            assert not {other for other in imported if inside(other, "ratio_search")}, name


@pytest.mark.parametrize("library", FENCES)
def test_a_library_stays_behind_its_fence(library: str) -> None:
    users = {path for path in SOURCES if any(inside(other, library) for other in MODULES[module(path)])}
    strangers = {path for path in users if not path.startswith(FENCES[library])}
    assert not strangers, f"{library} is imported outside of {', '.join(FENCES[library])}"


@pytest.mark.parametrize("lower", APART)
def test_a_module_does_not_know_those_above_it(lower: str) -> None:
    for name, imported in MODULES.items():
        if inside(name, lower):
            known = {upper for upper in APART[lower] if any(inside(other, upper) for other in imported)}
            assert not known, name


def test_no_module_imports_itself_through_others() -> None:
    # A package may load its own parts when they are needed: settings build what they describe.
    graph = {
        name: {other for other in imported if other in MODULES and not inside(other, name)}
        for name, imported in MODULES.items()
    }
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")
    assert set(order) == set(MODULES)


def test_the_back_ends_settings_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom objectives.backends import BACKENDS, load\n"
        "for kind in BACKENDS:\n    load(kind)\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "objectives.backends.hf" in loaded and "objectives.backends.command" in loaded
    assert not HEAVY & loaded
