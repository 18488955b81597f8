"""What the documents say is so: links lead somewhere, tables are complete, examples work.

The commands of the README are run, as they stand there, by `.ci/run`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from objectives.backends.command import CommandBackend
from objectives.backends.external import ExternalBackend
from objectives.backends.hf import HfBackend
from objectives.backends.replay import By, ReplayBackend
from objectives.data import Format as RowFormat
from objectives.metrics import KINDS, Answer, write_answers
from ratio_search.cli import app
from ratio_search.formats import Format
from ratio_search.spec import StudySpec
from ratio_search.study_file import AuditSection, DomainSection, HyperparameterSection, MetricSection, StudyFile

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("studies/**/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """A section of the README, up to the next title of the same or a higher level."""
    marks = title.partition(" ")[0]
    start = README.index(f"\n{title}\n")
    rest = README[start + len(title) + 2 :]
    end = re.search(rf"^#{{1,{len(marks)}}} ", rest, flags=re.MULTILINE)
    return rest[: end.start()] if end else rest


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


GROUP: Any = typer.main.get_command(app)


@pytest.mark.parametrize("name", GROUP.commands)
def test_the_readme_names_every_command_with_its_arguments_and_options(name: str) -> None:
    command = GROUP.commands[name]
    table = section("## Use it on your data")
    row = next((line for line in table.splitlines() if line.startswith(f"| `{name}")), None)
    assert row is not None, f"{name} is not in the table of commands"
    arguments = [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"]
    assert f"`{' '.join([name, *arguments])}`" in row
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert option in table, f"{name} {option}"


def test_the_readme_names_every_format_of_recipes() -> None:
    [row] = [line for line in section("## Use it on your data").splitlines() if line.startswith("| `export")]
    assert set(Format) <= set(re.findall(r"`(?:--format )?([a-z-]+)`", row))


def keys_of(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_the_readme_names_every_key_of_a_study_file() -> None:
    text = section("## The study file")
    found = set(re.findall(r"`([a-z_0-9]+)`", text)) | set(re.findall(r"([a-z_0-9]+): ", text))
    nested = [field.annotation for field in StudyFile.model_fields.values()]
    sections = [model for model in nested if isinstance(model, type) and issubclass(model, BaseModel)]
    assert len(sections) == 6
    models = [*sections, AuditSection, DomainSection, HyperparameterSection, MetricSection, StudyFile]
    wanted = set().union(*map(keys_of, models)) - {"domains"}
    assert wanted <= found, wanted - found
    assert "`domains.<name>`" in text


def test_the_documents_name_every_finding_with_its_default() -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| `([a-z_]+)` \| (error|warn|drop) \|", text, flags=re.MULTILINE))
    assert found == {name: action.value for name, action in AuditSection().model_dump().items() if name != "near"}


def test_the_documents_name_every_format_of_rows() -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)` \| `\{", text, flags=re.MULTILINE)) == set(RowFormat)


def test_the_readme_names_every_setting_of_the_hf_objective() -> None:
    found = set(re.findall(r"`([a-z_0-9]+)`", section("### `objective: {kind: hf}`")))
    assert keys_of(HfBackend) - {"kind"} <= found


def test_the_settings_of_the_command_objective_are_documented() -> None:
    text = (ROOT / "docs" / "command-objective.md").read_text(encoding="utf-8")
    assert keys_of(CommandBackend) - {"kind"} <= set(re.findall(r"\| `([a-z_0-9]+)` \|", text))


def test_the_readme_names_every_setting_that_can_be_searched() -> None:
    text = section("## The study file")
    assert HfBackend.SEARCHED is not None
    assert set(re.findall(r"`([a-z_.]+)`", text)) >= HfBackend.SEARCHED
    assert keys_of(HyperparameterSection) <= set(re.findall(r"\b([a-z]+): ", text))


def test_the_readme_names_every_setting_of_the_external_objective() -> None:
    assert keys_of(ExternalBackend) - {"kind", "resources"} <= set(
        re.findall(r"`([a-z_]+)`", section("### `objective: {kind: external}`"))
    )


def test_the_readme_names_every_setting_of_the_replay_objective() -> None:
    assert keys_of(ReplayBackend) - {"kind", "resources", "by"} <= set(
        re.findall(r"`([a-z_]+)`", section("### `objective: {kind: replay}`"))
    )
    assert {f"by: {by}" for by in By} <= set(re.findall(r"`(by: [a-z]+)`", section("### `objective: {kind: replay}`")))


def test_the_readmes_study_file_is_valid() -> None:
    [text] = blocks("yaml")
    spec = StudySpec.parse(text, ROOT)
    assert spec.name == "support-legal"


def test_the_readmes_python_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == "support=0.393 legal=0.314 manuals=0.168 pydocs=0.126\n"


def test_the_quickstarts_numbers_are_those_of_its_documents() -> None:
    """The picture, the page that judges it and the README must speak of the same run."""
    picture = (ROOT / "docs" / "quickstart.svg").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "quickstart-result.md").read_text(encoding="utf-8")
    shares = re.search(r"Recommended: support ([\d.]+), legal ([\d.]+), manuals ([\d.]+), pydocs ([\d.]+)\.", page)
    assert shares is not None
    assert all(share in picture for share in shares.groups())


def test_the_page_of_metrics_names_every_one_as_it_is() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^\| `([a-z_0-9]+)` \| (maximize|minimize) \| (difference|log ratio) \|", text, flags=re.MULTILINE
    )
    assert {name: (goal, comparison.replace(" ", "-")) for name, goal, comparison in found} == {
        name: (kind.goal.value, kind.comparison.value) for name, kind in KINDS.items()
    }


def test_a_metric_is_computed_again_as_the_page_of_metrics_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    judges, again = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("judges.py").write_text(judges)
    attempt = Path("runs/support-legal/jobs/trial-0000/attempt-1")
    for folder in (attempt, Path("data/support")):
        folder.mkdir(parents=True)
    Path("data/support/test.jsonl").write_text('{"instruction": "Refund?", "output": "Yes."}\n')
    answer = Answer(domain="support", row=0, digest="0", expected="Yes.", generated="Yes please")
    write_answers(attempt / "answers.jsonl", [answer])
    try:
        exec(compile(again, "docs/metrics.md", "exec"), {})
    finally:
        sys.modules.pop("judges", None)
    assert capsys.readouterr().out == f"trial-0000 {2 / 3} 1.0\n"
    [line] = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    assert json.loads(line).keys() == dataclasses.asdict(answer).keys()
