"""What docs/nova.md says of Amazon Nova is so: permissions, settings, formats and the table of the benchmark."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from benchmarks.nova import SEEDS
from objectives.backends.sagemaker import EvaluateBy, Method, SagemakerBackend
from ratio_search.cli import app
from ratio_search.formats import Format
from tests.services.sagemaker.rehearsal import FORMATS
from tests.services.sagemaker.server import SagemakerServer
from tests.services.sagemaker.study import small_nova_study

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "nova.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "objectives" / "backends" / "sagemaker").glob("*.py"))
SERVICES = ("sagemaker", "s3", "sts")

ELSE = {
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListParts": "s3:ListMultipartUploadParts",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "DeleteObjects": "s3:DeleteObject",
    "GetCallerIdentity": None,
}
"""Permissions of operations that are not called as these are; None where none is needed.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
"""

ALONG = {"iam:PassRole", "sagemaker:AddTags"}
"""What CreateTrainingJob needs as well: for its role, and for tags."""


@pytest.fixture(scope="module")
def operations() -> dict[str, tuple[str, str]]:
    """Names of methods of boto3's clients, each with its service and operation."""
    session = botocore.session.get_session()
    return {
        xform_name(name): (service, name)
        for service in SERVICES
        for name in session.get_service_model(service).operation_names
    }


def permissions(called: set[tuple[str, str]]) -> set[str]:
    """What has to be allowed for some operations."""
    found = {ELSE.get(name, f"{service}:{name}") for service, name in called}
    return {action for action in found if action is not None} | (
        ALONG if ("sagemaker", "CreateTrainingJob") in called else set()
    )


def in_source(operations: dict[str, tuple[str, str]]) -> set[tuple[str, str]]:
    """Operations that the back end's code calls, itself or through a paginator."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                if name == "get_paginator":
                    assert isinstance(node.args[0], ast.Constant)
                    name = node.args[0].value
                elif node.args:  # clients take keywords alone; it is another method of that name
                    continue
                if name in operations:
                    found.add(operations[name])
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[str, str]]]:
    """Operations that are really sent, by what botocore notes of each."""
    found: set[tuple[str, str]] = set()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.msg, str) and record.msg.startswith("Making request for"):
                operation: Any = record.args[0] if isinstance(record.args, tuple) else None
                found.add((operation.service_model.service_name, operation.name))

    logger = logging.getLogger("botocore.endpoint")
    monkeypatch.setattr(logger, "handlers", [Listener()])
    monkeypatch.setattr(logger, "propagate", False)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    yield found
    logger.setLevel(before)


def policies() -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)]


def allowed(policy: dict[str, Any]) -> set[str]:
    actions = [statement["Action"] for statement in policy["Statement"]]
    return {action for some in actions for action in ([some] if isinstance(some, str) else some)}


def test_the_policy_allows_exactly_what_is_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operations: dict[str, tuple[str, str]],
    asked: set[tuple[str, str]],
) -> None:
    _, _, driver = policies()
    written = in_source(operations)
    assert allowed(driver) == permissions(written)
    with SagemakerServer(tmp_path / "service", length=1) as server:
        asked.clear()  # which made its bucket
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        file, runs = small_nova_study(tmp_path / "study", trials=3), ["--runs", str(tmp_path / "runs")]
        document = file.read_text(encoding="utf-8")
        file.write_text(f"{document}keep: {{best: 0}}\n", encoding="utf-8")
        for command in (["check", str(file)], ["launch", str(file), *runs], ["status", "small-nova", *runs]):
            app(command, standalone_mode=False)
        app(["leftovers", "small-nova", "--delete", "--yes", *runs], standalone_mode=False)
    assert permissions(asked) <= allowed(driver)
    # All but what happens to files beyond 16 MiB, to a study that is stopped, and to weights, which nobody has here.
    large = {name for _, name in written if "Part" in name or "Multipart" in name}
    assert {name for _, name in written - asked} == large | {"StopTrainingJob", "DeleteObjects"}


def test_every_command_of_the_page_is_run_here_or_by_a_rehearsal() -> None:
    """`make nova-rehearsal` runs all of it; here and in the rehearsal's own test it is a smaller study."""
    lines = "".join(re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)).splitlines()
    commands = [line.removeprefix("ratio-search ").split()[0] for line in lines if line.startswith("ratio-search")]
    assert set(commands) == {"check", "launch", "status", "export", "leftovers"}
    assert [line for line in lines if not line.startswith("ratio-search")] == ["make nova-rehearsal"]
    assert "\nmake nova-rehearsal\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_resource_of_the_policies_is_a_placeholder_or_amazons() -> None:
    for policy in policies():
        for statement in policy["Statement"]:
            resources = statement.get("Resource", [])
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource != "*" and re.search("BUCKET|ACCOUNT|SageMakerPublicHub|customer-escrow-", resource)


def test_the_page_names_every_setting() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(SagemakerBackend.model_fields) - {"kind", "resources"} <= named
    assert {*Method, *EvaluateBy} <= named
    stated = re.search(r"^(`place`.*) may change while a study runs", PAGE, flags=re.MULTILINE)
    assert stated is not None
    assert set(re.findall(r"`([a-z_]+)`", stated[1])) == SagemakerBackend.POLICY - {"resources"}


def test_the_page_states_every_default_as_it_is() -> None:
    fields = SagemakerBackend.model_fields
    for keys in (("steps", "batch_size"), ("time_limit_s",), ("poll_s", "timeout_s")):
        row = next(
            line for line in PAGE.splitlines() if line.startswith(f"| {', '.join(f'`{key}`' for key in keys)} |")
        )
        assert all(f"{fields[key].default:,.0f}" in row for key in keys), row


def test_the_page_and_the_rehearsal_have_every_format_of_recipes() -> None:
    assert {"json", *FORMATS} == set(Format)
    section = PAGE.partition("## The recipe")[2]
    assert set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)))) == set(
        Format
    )


def test_the_table_is_of_the_benchmarks_seeds() -> None:
    section = PAGE.partition("## Is the search worth it?")[2].partition("\n## ")[0]
    assert f"before, seeds {SEEDS[0]} to {SEEDS[-1]}:" in section
    assert tuple(range(SEEDS[0], SEEDS[-1] + 1)) == SEEDS
    assert "| fine-tunes | 20 | 20 | 20 | 4 | 4 |" in section
