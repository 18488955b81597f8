from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from objectives.attempt import Attempt
from objectives.backends import load
from objectives.backends.command import CommandBackend
from objectives.base import Job, JobKind, Measurement, Progress, Seeds
from objectives.data import Capacity, Format
from objectives.domain import Domain
from objectives.errors import OptionsError
from objectives.mixture import Mixture

EXAMPLE = Path(__file__).parents[4] / "studies" / "command.yaml"


def settings(*argv: str, **others: object) -> CommandBackend:
    return CommandBackend.model_validate({"kind": "command", "argv": argv, "rows": 10, **others})


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_is_found_by_its_kind() -> None:
    assert load("command") is CommandBackend


def test_loading_it_imports_nothing_heavy() -> None:
    code = "import sys; from objectives.backends import load; load('command'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "sklearn", "optuna", "ray"} & set(done.stdout.split())


def test_a_job_trains_on_the_stated_rows() -> None:
    assert settings("true").train_rows == 10


def test_what_it_measures_is_not_known_beforehand() -> None:
    assert settings("true").produces({"a": ()}) is None


def test_rows_are_handed_over_as_instructions_unless_another_format_is_stated() -> None:
    assert settings("true").format is Format.INSTRUCTION
    assert settings("true", format="converse").format is Format.CONVERSE


def test_it_counts_no_tokens_and_reads_rows_of_any_length() -> None:
    assert settings("true").capacity(Path()) == Capacity(context=None, counter=None)
    assert settings("true").rows_per_step is None


def test_limits_may_change_while_a_study_runs_but_the_program_may_not() -> None:
    assert {"resources", "sources", "time_limit_s", "grace_s"} == CommandBackend.POLICY
    assert set(CommandBackend.model_fields) >= CommandBackend.POLICY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"argv": []}, "at least 1 item"),
        ({"argv": "python train.py"}, "valid tuple"),
        ({"rows": 0}, "greater than or equal to 1"),
        ({"time_limit_s": 0}, "greater than 0"),
        ({"time_limit_s": float("nan")}, "finite"),
        ({"grace_s": -1}, "greater than or equal to 0"),
        ({"shell": True}, "Extra inputs"),
        ({"format": "csv"}, "'instruction', 'messages', 'converse' or 'contents'"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CommandBackend.model_validate({"kind": "command", "argv": ["true"], "rows": 1, **change})


class TestTheProgram:
    def test_a_bare_name_is_looked_up_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = executable(tmp_path / "bin" / "train-it")
        monkeypatch.setenv("PATH", str(program.parent))
        assert settings("train-it", "--fast").resolved(tmp_path) == (str(program), "--fast")

    def test_a_name_with_a_slash_is_relative_to_the_study_file(self, tmp_path: Path) -> None:
        program = executable(tmp_path / "tools" / "train-it")
        assert settings("tools/train-it").resolved(tmp_path) == (str(program),)
        settings("tools/train-it").check(tmp_path)

    def test_python_stands_for_the_interpreter_of_ratio_search(self, tmp_path: Path) -> None:
        assert settings("{python}", "train.py").resolved(tmp_path) == (sys.executable, "train.py")

    @pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", "/no/such/program"])
    def test_one_that_is_not_there_is_refused_with_what_was_expected(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match=rf"objective\.argv: found no executable program '{name}'.*expected"):
            settings(name).check(tmp_path)

    def test_a_file_without_the_right_to_execute_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("")
        with pytest.raises(OptionsError, match="no executable program"):
            settings("./train.py").check(tmp_path)

    def test_a_file_beside_the_study_needs_a_slash(self, tmp_path: Path) -> None:
        executable(tmp_path / "train-it")
        with pytest.raises(OptionsError, match=r"write '\./train-it'"):
            settings("train-it").check(tmp_path)


class TestTheExample:
    def test_really_learns_from_the_sample_data(self, tmp_path: Path) -> None:
        study = yaml.safe_load(EXAMPLE.read_text())
        backend = CommandBackend.model_validate(study["objective"])
        backend.check(EXAMPLE.parent)
        domains = [
            Domain(name=name, train=(Path(files["train"]),), test=(Path(files["test"]),))
            for name, files in study["domains"].items()
        ]
        objective = backend.build(domains, EXAMPLE.parent)
        uniform = Mixture.uniform(study["domains"])
        measurements = []
        for name, mixture in (("baseline", None), ("trial", uniform)):
            kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
            job = Job(id=name, kind=kind, mixture=mixture, seeds=Seeds(data=0, training=0))
            *progress, last = Attempt(job=job, folder=tmp_path / name).run(objective)
            assert progress and all(isinstance(event, Progress) for event in progress)
            assert isinstance(last, Measurement), last
            measurements.append(last)
        untuned, tuned = measurements
        for name in (metric["name"] for metric in study["metrics"]):
            before, after = untuned.metrics[name], tuned.metrics[name]
            assert before.stderr is not None and after.stderr is not None
            assert after.value - before.value > 3 * (before.stderr + after.stderr), name
        assert sum(tuned.rows.values()) == backend.train_rows
