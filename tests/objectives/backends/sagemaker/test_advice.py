"""What is recommended and not demanded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from objectives.backends import Backend, load
from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.domain import Domain

REST = Domain(name="rest", categories=CATEGORIES)


def said(folder: Path, *domains: Domain, **settings: Any) -> tuple[str, ...]:
    return backend(**settings).remarks(domains, folder)


def backend(**settings: Any) -> Backend:
    stated = {
        "kind": "sagemaker",
        "role": "arn:aws:iam::123456789012:role/nova",
        "place": "s3://bucket/prefix",
        "model_package_group": "group",
    }
    return load("sagemaker").model_validate(stated | settings)


def domain(folder: Path, name: str, rows: int = 200, system: str | None = None, **more: Any) -> Domain:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    tools = more.pop("tools", None)
    row = {"messages": messages} if tools is None else {"messages": messages, "tools": tools}
    (folder / name).write_text(f"{json.dumps(row)}\n" * rows)
    return Domain(name=name, train=(Path(name),), **more)


def test_nothing_is_said_of_what_is_as_recommended(tmp_path: Path) -> None:
    assert said(tmp_path, domain(tmp_path, "voc"), REST) == ()


def test_few_rows(tmp_path: Path) -> None:
    domains = [domain(tmp_path, "voc", 199), domain(tmp_path, "support", 200), domain(tmp_path, "legal", 30)]
    assert said(tmp_path, *domains) == (
        "few training rows (voc 199, legal 30): Amazon recommends 200 or more for each task",
    )


def test_a_batch_size_that_is_not_documented(tmp_path: Path) -> None:
    [told] = said(tmp_path, domain(tmp_path, "voc"), REST, batch_size=48)
    assert told.startswith("objective.batch_size is 48; Amazon documents 32, 64,")


@pytest.mark.parametrize(
    ("upper", "lower", "taken"), [(1.0, 0.0, "32,000"), (0.7, 0.0, "22,400"), (1.0, 0.3, "22,400"), (0.6, 0.0, None)]
)
def test_more_rows_than_a_file_may_have(tmp_path: Path, upper: float, lower: float, taken: str | None) -> None:
    voc = domain(tmp_path, "voc", upper=upper)
    told = said(tmp_path, voc, Domain(name="rest", categories=CATEGORIES, lower=lower), steps=1000)
    assert [one.split(" of the team's")[0] for one in told] == [f"a job can take up to {taken} rows"] * bool(taken)


def test_rows_of_two_forms(tmp_path: Path) -> None:
    [told] = said(tmp_path, domain(tmp_path, "voc", system="Be brief."), domain(tmp_path, "support"))
    assert told.startswith("some training rows have a system text (in voc) and others have none (in support)")
    assert said(tmp_path, domain(tmp_path, "voc", system="a"), domain(tmp_path, "support", system="b")) == ()


def test_rows_with_tools(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "d"}}]
    [told] = said(tmp_path, domain(tmp_path, "voc", tools=tools), domain(tmp_path, "support"))
    assert told.startswith("training rows with tools (in voc): Amazon's pages disagree")


def test_categories_that_are_left_out(tmp_path: Path) -> None:
    voc, code = domain(tmp_path, "voc"), Domain(name="code", categories={"code": 1.0})
    rai = Domain(name="rai", categories={"rai": 1.0})
    [told] = said(tmp_path, voc, code)
    assert told.startswith("no domain has Nova's categories rai and reasoning-instruction-following, of which")
    [told] = said(tmp_path, voc, code, rai)
    assert "categories reasoning-instruction-following," in told
    assert said(tmp_path, voc, code, categories={"code": 1, "chat": 1}) == ()


@pytest.mark.parametrize(("stated", "tokens"), [(None, 32_768), ("8K", 8192), ("64K", 65_536)])
def test_how_much_of_a_row_is_read(tmp_path: Path, stated: str | None, tokens: int) -> None:
    capacity = backend(sequence_length=stated).capacity(tmp_path)
    assert capacity.context == tokens and capacity.counter is None
