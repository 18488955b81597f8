"""Names of stages, and what is remembered of them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.attempt import Failure, FailureKind
from objectives.base import Job, JobKind, Seeds
from ratio_search.stages import LONGEST_NAME, StageRecord, StageState, latest, spent, stage_name, under_way

ALLOWED = re.compile("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def job(identifier: str = "trial-0007") -> Job:
    return Job(id=identifier, kind=JobKind.TRIAL, mixture=None, seeds=Seeds(data=1, training=2))


def test_a_name_says_what_it_is_of() -> None:
    assert stage_name("support-legal", "1f2e3d4c", job(), "train", 2) == "support-legal-1f2e3d4c-trial-0007-train-a2"


def test_what_a_platform_does_not_allow_is_replaced() -> None:
    assert stage_name("Süß & _new_", "1f2e3d4c", job(), "train", 1) == "S-new-1f2e3d4c-trial-0007-train-a1"
    assert stage_name("__", "1f2e3d4c", job(), "train", 1) == "1f2e3d4c-trial-0007-train-a1"


@given(
    study=st.text(max_size=100),
    identifier=st.text("0123456789abcdef", min_size=8, max_size=8),
    number=st.integers(0, 10**6),
    stage=st.sampled_from(["upload", "train", "evaluate"]),
    attempt=st.integers(1, 99),
)
def test_every_name_is_allowed_and_ends_with_what_differs(
    study: str, identifier: str, number: int, stage: str, attempt: int
) -> None:
    of = job(f"confirmation-{number:04d}")
    name = stage_name(study, identifier, of, stage, attempt)
    assert ALLOWED.fullmatch(name) and len(name) <= LONGEST_NAME
    assert name.endswith(f"{of.id}-{stage}-a{attempt}")
    assert name == stage_name(study, identifier, of, stage, attempt)


@pytest.mark.parametrize("study", ["short", "long" * 20])
def test_names_differ_wherever_something_differs(study: str) -> None:
    names = {
        stage_name(study, identifier, job(f"trial-{number:04d}"), stage, attempt)
        for identifier in ("1f2e3d4c", "5a6b7c8d")
        for number in range(3)
        for stage in ("train", "evaluate")
        for attempt in (1, 2)
    }
    assert len(names) == 24


def test_long_names_that_differ_at_their_beginning_only_still_differ() -> None:
    names = {stage_name(f"{first}{'x' * 80}", "1f2e3d4c", job(), "train", 1) for first in "ab"}
    assert len(names) == 2


def record(stage: str, attempt: int, state: StageState, **cost: float) -> StageRecord:
    return StageRecord(stage=stage, attempt=attempt, name=f"{stage}-a{attempt}", state=state, cost=cost)


def test_a_record_survives_json() -> None:
    failure = Failure(kind=FailureKind.INFRASTRUCTURE, message="preempted", log="x")
    full = StageRecord(
        stage="train", attempt=2, name="n", handle="h", state=StageState.LOST, cost={"usd": 1.5}, failure=failure
    )
    for one in (full, StageRecord(stage="train", attempt=1, name="n")):
        assert StageRecord.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_costs_of_all_attempts_add_up() -> None:
    stages = [
        record("train", 1, StageState.LOST, tokens=10, usd=1),
        record("train", 2, StageState.DONE, tokens=30),
        record("evaluate", 1, StageState.NAMED),
    ]
    assert spent(stages) == {"tokens": 40, "usd": 1}
    assert latest(stages, "train") == stages[1]
    assert latest(stages, "upload") is None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], False),
        ([StageState.NAMED], True),
        ([StageState.SUBMITTED], True),
        ([StageState.DONE], True),
        ([StageState.DONE, StageState.LOST], False),
        ([StageState.CANCELLED], False),
        ([StageState.FAILED], False),
    ],
)
def test_what_is_under_way_has_nothing_to_repeat(states: list[StageState], expected: bool) -> None:
    assert under_way([record(f"stage-{i}", 1, state) for i, state in enumerate(states)]) is expected
