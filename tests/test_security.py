"""What names, files and trainers from elsewhere cannot do, and where secrets never are; docs/security.md says it."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from objectives.base import Measurement
from objectives.errors import RatioSearchError, ResultError
from ratio_search import Study, StudySpec
from ratio_search.cli import main
from ratio_search.errors import SpecError, StudyError
from ratio_search.keep import Keeper, kept
from ratio_search.mix import Order, manifest_file, mix
from ratio_search.recipe import Recipe
from ratio_search.record import Record
from ratio_search.runner.parcel import inside
from ratio_search.selection import Selection
from ratio_search.storage import StudyFolder
from ratio_search.yaml_file import loaded, plain

from .ratio_search.conftest import SmallStudy, small_study_in
from .ratio_search.test_mix import recipe_of
from .test_architecture import SOURCES

NASTY = (
    "../x",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "~root",
    "-rf",
    "a\0b",
    "a\nb",
    "a\n",
    " a",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "| touch pwned",
    "a' OR '1'='1",
    'a"; touch pwned; "',
    "${HOME}",
    "%s%n",
    "{0.__class__}",
    "!!python/object/apply:os.system [touch pwned]",
    "\u2025/x",  # two dots in one
    "a\u2215b",  # a slash that is none
    "\u0430dmin",  # not the a that it looks like
    "\u202ea",
    "\ufeffa",
    "a\ud7ff",
    "CON.",
    "x" * 300,
)

nasty = st.sampled_from(NASTY) | st.text(max_size=40) | st.from_regex(r"[./\\~$;|&`'\"\0\n a-z-]{1,12}", fullmatch=True)


Said = Callable[..., str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Runs the program in this process: all that it said."""

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["ratio-search", *arguments])
        found: Any = 0
        try:
            main()
        except SystemExit as end:
            found = end.code or 0
        text = "".join(capsys.readouterr())
        assert found == code, text
        return text

    return run


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


DOCUMENT: dict[str, Any] = {
    "name": "small",
    "domains": {"a": {}, "b": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": "a/f1", "reference": 0, "scale": 1, "goal": "maximize"}],
}


class TestNames:
    """What becomes a folder, a file or a key is a plain name, or is refused with its place in the file."""

    def accepts(self, **keys: Any) -> bool:
        try:
            StudySpec.parse(yaml.safe_dump({**DOCUMENT, **keys}), Path("/nowhere"))
        except SpecError:
            return False
        return True

    def test_the_document_itself_is_good(self) -> None:
        assert self.accepts()

    @given(name=nasty)
    def test_a_study_lies_in_a_folder_right_below_the_runs(self, name: str) -> None:
        if self.accepts(name=name):
            assert name.isascii() and name.isprintable() and name[0].isalnum() and len(name) <= 64
            assert name.strip("._-").translate(str.maketrans("._-", "xxx")).isalnum()

    @given(name=nasty)
    def test_domains_and_groups_are_plain(self, name: str) -> None:
        metrics = [{**DOCUMENT["metrics"][0], "name": f"{name}/f1"}]
        as_domain = self.accepts(domains={name: {}, "other": {}}, metrics=metrics)
        as_group = self.accepts(search={"space": {"groups": {name: {"domains": ["a", "b"]}}}})
        if as_domain or as_group:
            assert name.isascii() and name[0].isalnum() and not set(name) & set("/\\\0\n $;`'\"")

    @given(name=nasty)
    def test_hyperparameters_are_plain(self, name: str) -> None:
        if self.accepts(search={"hyperparameters": {name: {"low": 0.0, "high": 1.0}}}):
            assert name.isascii() and not set(name) & set("/\\\0\n $;`'\"")

    @given(name=nasty)
    def test_metrics_can_be_printed(self, name: str) -> None:
        for metric in (name, f"a/{name}"):
            if self.accepts(metrics=[{**DOCUMENT["metrics"][0], "name": metric}]):
                assert metric.strip() and metric.isprintable()

    @given(text=nasty)
    @example("best:../../x")
    @example("best:/etc/passwd")
    @example("weights:a/../../x=1")
    def test_a_selection_names_a_file_in_the_studys_folder(self, text: str) -> None:
        folder = StudyFolder(Path("/runs/small"))
        for selection in (text, f"best:{text}", f"weights:{text}=1"):
            file = folder.selected_file(selection)
            assert file.parent == folder.path and file.name.startswith("recipe")
            assert len(file.name.encode()) <= 255 and file.name.isascii() and "\0" not in file.name
            try:
                assert folder.selected_file(str(Selection.parse(selection))).parent == folder.path
            except RatioSearchError:
                continue

    @given(name=nasty)
    def test_what_a_worker_sends_stays_in_its_box(self, name: str) -> None:
        box = Path("/runs/small/jobs/trial-0001/attempt-1/belongings.partial")
        try:
            path = box / inside(name)
        except ResultError:
            return
        assert Path(os.path.normpath(path)).is_relative_to(box)


METRICS = [{"name": f"{name}/accuracy", "reference": 0.2} for name in ("support", "legal", "manuals")]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with one finished trial, whose folder has an adapter and links that lead out of it."""
    small = small_study_in(tmp_path_factory.mktemp("study"), baseline=False, metrics=METRICS)
    study = Study.create(small.spec, small.runs)
    job = study.ask()
    assert job is not None
    folder = study.start(job).folder
    (folder / "adapter").mkdir()
    (folder / "adapter" / "weights").write_text("x")
    (folder / "out").symlink_to(study.spec.root)
    (folder / "adapter" / "out").symlink_to(study.spec.root)
    (folder / "self").symlink_to(folder)
    study.tell(job.id, {f"{name}/accuracy": 0.5 for name in ("support", "legal", "manuals")})
    return study


class TestTrainer:
    """What a trainer says decides nothing outside of its attempt's folder."""

    @given(
        place=nasty | st.lists(st.sampled_from(["..", "out", "self", "adapter", ".", "/"]), max_size=6).map("/".join)
    )
    @example("../../..")
    @example("adapter/../../attempt-1/../..")
    @example("out/data")
    @example("adapter/out")
    @example("self/../..")
    @example("x" * 300)
    @example("\ud800")
    def test_an_artefact_is_a_folder_inside(self, study: Study, place: str) -> None:
        [record] = study.records()
        folder = study.attempt(record.job).folder
        for path in kept(study, told(record, place)).values():
            assert path.resolve() != folder and path.resolve().is_relative_to(folder)

    def test_what_is_no_longer_needed_is_removed_there_and_nowhere_else(self, tmp_path: Path) -> None:
        small = small_study_in(tmp_path, baseline=False, metrics=METRICS, keep={"best": 0})
        study = Study.create(small.spec, small.runs)
        precious = tmp_path / "precious"
        for folder in (precious / "checkpoint", precious / "data"):
            folder.mkdir(parents=True)
            (folder / "file").write_text("mine")
        job = study.ask()
        assert job is not None
        folder = study.start(job).folder
        (folder / "adapter").mkdir()
        (folder / "adapter" / "out").symlink_to(precious)
        (folder / "link").symlink_to(precious / "data")
        (folder.parent / "attempt-0").symlink_to(precious)  # whose checkpoint would be one of the job's
        places = [
            "adapter",
            "link",
            "../attempt-0/data",
            str(precious / "data"),
            "adapter/out/data",
            "..",
            "",
            "a\0",
            "x" * 300,
        ]
        measured = Measurement.of_numbers({f"{name}/accuracy": 0.5 for name in ("support", "legal", "manuals")})
        artefacts = {f"artefact-{i}": place for i, place in enumerate(places)}
        study.tell(job.id, dataclasses.replace(measured, artefacts=artefacts))
        Keeper(study).tidy()
        assert not (folder / "adapter").exists()
        assert [path.read_text() for path in sorted(precious.rglob("file"))] == ["mine", "mine"]
        assert folder.is_dir() and study.folder.exists

    def test_arguments_reach_no_shell(self, tmp_path: Path, said: Said) -> None:
        items = [item for item in NASTY if "\0" not in item and item.isprintable()]
        code = """
            import json, os, sys
            from pathlib import Path
            job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
            Path(job["folder"], "seen").write_text(json.dumps(sys.argv[1:]))
            metrics = {name + "/accuracy": 0.5 for name in job["test_files"]}
            Path(job["result_file"]).write_text(json.dumps({"metrics": metrics}))
        """
        argv = [sys.executable, "-c", textwrap.dedent(code), *items]
        small = small_study_in(tmp_path, objective={"kind": "command", "argv": argv, "rows": 60}, search={"trials": 1})
        said("launch", str(small.file), "--runs", str(small.runs), "--runner", "serial")
        seen = [json.loads(path.read_text()) for path in small.runs.rglob("seen")]
        assert seen == [items, items]
        assert not list(tmp_path.rglob("pwned"))

    def test_an_argument_that_no_program_can_be_given_is_refused(self, tmp_path: Path, said: Said) -> None:
        objective = {"kind": "command", "argv": [sys.executable, "a\0b"], "rows": 60}
        small = small_study_in(tmp_path, objective=objective, search={"trials": 1})
        text = said("launch", str(small.file), "--runs", str(small.runs), "--runner", "serial", code=1)
        assert "embedded null" in text


def told(record: Record, place: str) -> Record:
    """A record whose trainer named one artefact."""
    assert record.measurement is not None
    return dataclasses.replace(record, measurement=dataclasses.replace(record.measurement, artefacts={"one": place}))


class TestRecipe:
    """A recipe from elsewhere is read as data: only its study file says what is run, by `train`."""

    FIELDS = ("study", "identity", "created", "trial", "basis")

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=nasty)
    def test_what_it_says_names_no_file(self, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
        small = small_study_in(tmp_path_factory.mktemp("recipe"))
        whole = recipe_of(small).to_json()
        file, out = small.runs.with_name("recipe.json"), small.runs.with_name("mixed") / "mix.jsonl"
        out.parent.mkdir()
        changed = dict.fromkeys(self.FIELDS, name) | {"command": ["sh", "-c", name], "artefacts": {name: name}}
        file.write_text(json.dumps({**whole, **changed}))
        before = set(files(small.runs.parent))
        mix(Recipe.load(file), out, Order(rows=10))
        assert set(files(small.runs.parent)) - before == {out, manifest_file(out)}

    @pytest.mark.parametrize(
        "text", ["!!python/object/apply:os.system [touch pwned]", "a: &a [*a]", "[" * 50_000, '{"a": ' * 50_000]
    )
    def test_that_is_none_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "recipe.yaml").write_text(text)
        with pytest.raises(StudyError, match="is no recipe"):
            Recipe.load(tmp_path / "recipe.yaml")
        assert list(tmp_path.iterdir()) == [tmp_path / "recipe.yaml"]


class TestYaml:
    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object/apply:os.system ['touch pwned']",
            "!!python/object/apply:subprocess.check_output [[touch, pwned]]",
            "!!python/object/new:os.system ['touch pwned']",
            "!!python/object:pathlib.Path {}",
            "!!python/name:os.system",
            "!!python/module:os",
            "!!python/tuple [1, 2]",
            "!own {}",
        ],
    )
    def test_constructs_no_objects(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
        monkeypatch.chdir(tmp_path)
        for read in (loaded, plain):
            with pytest.raises(SpecError, match="could not determine a constructor"):
                read(f"name: x\nobjective: {tag}\n")
        assert not any(tmp_path.iterdir())

    def test_a_few_lines_do_not_unfold_into_gigabytes(self) -> None:
        """Aliases of aliases, what merges itself, and anchors that hold themselves: an answer, in little memory."""
        laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        laughs += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        merges = ["a0: &a0 {a: 1, b: 2, c: 3}"]
        merges += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12)]
        study = "name: x\ndomains: {a: {}, b: {}}\nmetrics: [{name: a/f1, reference: 0, scale: 1, goal: maximize}]\n"
        bombs = ["\n".join(lines) for lines in (laughs, merges)]
        for kind in ("command, rows: 3, argv", "hf, base_model", "replay, table", "external, resources"):
            bombs += [f"{bomb}\n{study}objective: {{kind: {kind}: *a11}}" for bomb in bombs[:2]]
            bombs += [f"{study}objective: &o {{kind: {kind}: *o}}", f"{study}objective: {{kind: {kind}: &o [x, *o]}}"]
        for key in ("train", "share", "max_epochs"):
            bombs += [f"{bomb}\nname: x\ndomains: {{a: {{{key}: *a11}}}}" for bomb in bombs[:2]]
        bombs += [f"{study}search: &s {{hyperparameters: *s, space: {{groups: *s}}}}", f"{study}current: &c {{a: *c}}"]
        bombs += [f"{study}a: &a {{<<: *a}}", f"{study}a: {'[' * 20_000}", f"{study}a: {'{b: ' * 20_000}"]
        script = f"""
            import resource
            from pathlib import Path
            from ratio_search.errors import SpecError
            from ratio_search.spec import StudySpec
            from ratio_search.yaml_file import plain

            begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for bomb in {bombs!r}:
                for read in (lambda text: StudySpec.parse(text, Path("/nowhere")), plain):
                    try:
                        read(bomb)
                    except SpecError as error:
                        assert len(str(error)) < 20_000, len(str(error))
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun)
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 100_000, "kilobytes"


FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput",
    "subprocess.getstatusoutput", "pickle.load", "pickle.loads", "marshal.load", "marshal.loads", "dill.load",
    "dill.loads", "cloudpickle.load", "cloudpickle.loads", "shelve.open", "joblib.load", "yaml.unsafe_load",
    "yaml.full_load", "yaml.load_all", "tempfile.mktemp", "runpy.run_path",
}  # fmt: skip
"""What runs text, or anything that a file holds."""


def wrong(source: str) -> Iterator[str]:
    """The calls in a source that could run what it was only given."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, keywords = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in FORBIDDEN_CALLS or "shell" in keywords:
            yield f"line {node.lineno}: {name}"
        if name == "yaml.load" and keywords.get("Loader") not in ("loader", "_Loader", "_PlainLoader"):
            yield f"line {node.lineno}: yaml.load without a loader of ours"
        if name == "torch.load" and keywords.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load of more than weights"
        if name in ("np.load", "numpy.load") and "allow_pickle" in keywords:
            yield f"line {node.lineno}: numpy.load of objects"
        if keywords.get("trust_remote_code") == "True":
            yield f"line {node.lineno}: code of a model's own"


class TestSource:
    def test_what_is_wrong_is_found(self) -> None:
        lines = ["eval(x)", "os.system(x)", "subprocess.run(x, shell=True)", "yaml.load(x, Loader=yaml.Loader)"]
        lines += ["torch.load(x)", "np.load(x, allow_pickle=True)", "a.b(trust_remote_code=True)", "pickle.loads(x)"]
        for line in lines:
            assert list(wrong(f"def f(x):\n    {line}\n")), line
        assert not list(wrong("model.eval()\nsubprocess.run([x])\ntorch.load(x, weights_only=True)\nre.compile(x)\n"))

    def test_nothing_runs_text_or_what_a_file_holds(self) -> None:
        assert len(SOURCES) > 100
        assert not {path: found for path, source in SOURCES.items() if (found := list(wrong(source)))}


SECRETS = {
    name: f"planted-{name.lower()}-5f3c9a71"
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GOOGLE_API_KEY",
        "HF_TOKEN",
        "OPENAI_API_KEY",
        "PGPASSWORD",
        "RAY_AUTH_TOKEN",
        "WANDB_API_KEY",
    )
}


class TestSecrets:
    """A whole study, with trials that fail and a driver that fails at last. Its trainers do have the secrets."""

    @pytest.fixture
    def small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallStudy:
        code = """
            import json, os, sys
            from pathlib import Path
            job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
            assert os.environ["HF_TOKEN"].startswith("planted-")
            if job["id"] != "trial-0000" and job["mixture"]:
                sys.exit("boom")
            metrics = {name + "/accuracy": 0.5 for name in job["test_files"]}
            Path(job["result_file"]).write_text(json.dumps({"metrics": metrics}))
        """
        for name, secret in SECRETS.items():
            monkeypatch.setenv(name, secret)
        objective = {"kind": "command", "argv": [sys.executable, "-c", textwrap.dedent(code)], "rows": 60}
        return small_study_in(tmp_path, objective=objective, search={"trials": 4, "parallel": 1})

    @staticmethod
    def check(small: SmallStudy, text: str) -> None:
        assert "trials failed in a row" in text and "boom" in text
        written = {path: path.read_bytes() for path in files(small.runs)}
        assert {"study.db", "history.jsonl", "handover.json", "log.txt"} <= {path.name for path in written}
        for secret in SECRETS.values():
            assert secret not in text
            assert not [path for path, content in written.items() if secret.encode() in content]

    @pytest.mark.parametrize("runner", ["serial", "processes"])
    def test_are_in_no_file_of_a_study_and_in_nothing_that_is_said(
        self, small: SmallStudy, said: Said, runner: str
    ) -> None:
        text = said("launch", str(small.file), "--runs", str(small.runs), "--runner", runner, code=1)
        folder = str(small.runs / "small")
        for command in ("status", "status --json", "trials --csv", "export", "resume --runner serial"):
            name, *options = command.split()
            text += said(name, folder, *options, code=1 if name == "resume" else 0)
        self.check(small, text)

    def test_nor_where_ray_runs_it(self, small: SmallStudy) -> None:
        command = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        self.check(small, done.stdout + done.stderr)
