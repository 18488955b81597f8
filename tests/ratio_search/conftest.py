"""Small studies that really run: their trainer is a program that takes a few hundredths of a second."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from objectives.backends import BACKENDS
from objectives.data import Row
from ratio_search.cli import main
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.spec import StudySpec
from ratio_search.study import Study
from tests.services.backend import PlatformBackend
from tests.services.server import PretendServer

TRAINER = Path(__file__).parents[1] / "trainers" / "ledger.py"
DOMAINS = {"support": 30, "legal": 20, "manuals": 10}
CONFIRMABLE = {name: {split: f"data/{name}.{split}.jsonl" for split in ("train", "test", "final")} for name in DOMAINS}
"""Domains of a study that can be confirmed: without it, a small study states no final files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallStudy:
    """A study file with its data, and the ledger that its trainer writes."""

    file: Path
    runs: Path
    ledger: Path

    @property
    def spec(self) -> StudySpec:
        return StudySpec.load(self.file)

    @property
    def evaluated(self) -> list[str]:
        """The jobs that the trainer finished, in order, with repeats."""
        return [line.split()[0] for line in self.ledger.read_text().splitlines()] if self.ledger.exists() else []


MakeRemote = Callable[..., SmallStudy]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What other runs, of other code, kept of the same rows is not believed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATIO_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def small_study_in(folder: Path, *modes: str, **keys: Any) -> SmallStudy:
    """Makes a study file with its data; keywords replace its keys, `modes` says what goes wrong in the trainer."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for name, size in DOMAINS.items():
        for split, rows in (("train", size), ("test", 5), ("final", 5)):
            lines = [{"instruction": f"{name} {split} {i}", "output": "yes", "label": "yes"} for i in range(rows)]
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            (data / f"{name}.{split}.jsonl").write_text(text)
    ledger = folder / "ledger"
    file = folder / "study.yaml"
    document = {
        "name": "small",
        "domains": {name: {"train": f"data/{name}.train.jsonl", "test": f"data/{name}.test.jsonl"} for name in DOMAINS},
        "objective": {"kind": "command", "argv": [sys.executable, str(TRAINER), str(ledger), *modes], "rows": 60},
        "metrics": [{"name": f"{name}/accuracy"} for name in DOMAINS],
        "search": {"trials": 6, "parallel": 2},
    }
    file.write_text(yaml.safe_dump({**document, **keys}, sort_keys=False))
    return SmallStudy(file=file, runs=folder / "runs", ledger=ledger)


@pytest.fixture
def small_study(tmp_path: Path) -> Callable[..., SmallStudy]:
    """Makes a study; keywords replace keys of the study file, `modes` says what goes wrong in the trainer."""

    def make(*modes: str, **keys: Any) -> SmallStudy:
        return small_study_in(tmp_path, *modes, **keys)

    return make


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PretendServer]:
    with PretendServer(tmp_path / "platform") as found:
        yield found


@pytest.fixture
def remote_study(small_study: Any, server: PretendServer, monkeypatch: pytest.MonkeyPatch) -> MakeRemote:
    """Makes a study of the pretend platform; keywords replace keys of its file, `settings` add to its objective."""
    monkeypatch.setitem(BACKENDS, "pretend", f"{PlatformBackend.__module__}:{PlatformBackend.__name__}")

    def make(**keys: Any) -> SmallStudy:
        objective = {"kind": "pretend", "url": server.url, **keys.pop("settings", {})}
        keys["search"] = {"trials": 4, "parallel": 2, "sampler": "random", **keys.get("search", {})}
        small: SmallStudy = small_study(**{"objective": objective, **keys})
        return small

    return make


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base model as far as it is needed to count tokens: nothing else of it can be loaded."""
    from objectives.backends.hf.tiny import TinyRecipe, _tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    rows = {name: [Row.of(f"{name} train {i}", "yes") for i in range(20)] for name in DOMAINS}
    _tokenizer(rows, TinyRecipe(vocabulary=300, context=64)).save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def study(small_study: Any) -> Study:
    """A finished study in which one trial failed."""
    small = small_study(search={"trials": 4})
    study = Study.create(small.spec, small.runs)
    baseline, job = study.ask(), study.ask()
    assert baseline is not None and job is not None
    study.tell(baseline.id, {f"{name}/accuracy": 0.2 for name in ("support", "legal", "manuals")})
    study.fail(job.id, "the disk was full")
    return finished(study)


def finished(study: Study) -> Study:
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    return study


class Done(NamedTuple):
    """How the program ended."""

    code: int
    out: str
    err: str


Program = Callable[..., Done]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    """Runs the program in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ratio-search", *arguments])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        found = capsys.readouterr()
        return Done(code, found.out, found.err)

    return run
