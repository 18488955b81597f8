"""A real cluster: two Ray nodes without a disk in common with the driver, a token, and a node that dies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ratio_search.record import JobState
from ratio_search.study import Study
from tests.ratio_search.runner.nodes import Node, apart_command, free_port
from tests.ratio_search.runner.stepping import SteppingStudy, stepping_study

DRIVER = Path(__file__).with_name("cluster_driver.py")
TOKEN = "f00dc0ffee" * 6

pytestmark = pytest.mark.skipif(apart_command() is None, reason="a node cannot have mounts of its own here")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoNodes:
    """Two nodes, and one to come; `apart` is a folder that only the driver sees, `common` one that all see."""

    address: str
    head: Node
    other: Node
    late: Node
    apart: Path
    common: Path

    def environment(self, **variables: str) -> dict[str, str]:
        """The driver's; by default it has the token."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        own = {"HOME": str(self.apart), "RATIO_SEARCH_CACHE": str(self.apart / "cache")}
        return {**plain, **own, **(variables or {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN})}


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as name:
        folder = Path(name)
        apart, common = folder / "apart", folder / "common"
        apart.mkdir()
        common.mkdir()
        head, other, late = (Node(folder=folder / n, hidden=apart, token=TOKEN) for n in ("head", "other", "late"))
        address = f"127.0.0.1:{free_port()}"
        try:
            head.start("--head", "--port", address.rpartition(":")[2], "--include-dashboard", "false")
            other.start("--address", address)
            yield TwoNodes(address=address, head=head, other=other, late=late, apart=apart, common=common)
        finally:
            for node in (head, other, late):
                node.remove()


def program(nodes: TwoNodes, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ratio_search", *arguments],
        cwd=nodes.apart,
        env=nodes.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"RAY_USAGE_STATS_ENABLED": "0"}, "none"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another" * 8}, "another one"),
    ],
)
def test_a_cluster_that_asks_for_a_token_says_what_to_set(
    nodes: TwoNodes, tmp_path: Path, variables: dict[str, str], found: str
) -> None:
    study = stepping_study(tmp_path, tmp_path / "ledger")
    runs = str(tmp_path / "runs")
    done = program(nodes, "launch", str(study.file), "--runs", runs, "--ray-address", nodes.address, **variables)
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert f"the Ray cluster at {nodes.address} asks for a token, and found {found} here" in told
    assert "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH" in told
    assert not (tmp_path / "runs").exists()


def test_where_the_disk_is_shared_everything_runs_in_place(nodes: TwoNodes) -> None:
    study = stepping_study(nodes.common / "in-place", nodes.common / "ledger", steps=2, search={"trials": 2})
    runs = nodes.common / "runs"
    done = program(nodes, "launch", str(study.file), "--runs", str(runs), "--ray-address", nodes.address)
    assert done.returncode == 0, done.stderr
    assert "recommended:" in done.stdout
    told = json.loads(next((runs / "stepping" / "jobs").glob("trial-*/attempt-1/handover.json")).read_text())
    assert told["folder"].startswith(str(runs))
    assert told["test_files"]["absolute"] == [str(nodes.common / "in-place" / "elsewhere" / "absolute.test.jsonl")]
    assert not any((node.cache / "shipped").exists() for node in (nodes.head, nodes.other))
    assert not list(runs.rglob("mark-*"))
    assert TOKEN not in done.stdout + done.stderr
    assert not [path for path in runs.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_a_node_that_dies_loses_nothing_that_came_back(nodes: TwoNodes, tmp_path: Path) -> None:
    trials, steps = 4, 16
    # The ledger is in a folder that all see, and nothing else.
    search = {"trials": trials, "parallel": 2}
    made = stepping_study(
        nodes.apart / "made", nodes.common / "steps", steps=steps, seconds=0.2, search=search, keep={"best": trials}
    )
    study = Study.create(made.spec, nodes.apart / "runs")
    heard = tmp_path / "heard"
    with heard.open("w") as out, (tmp_path / "errors").open("w") as errors:
        driver = subprocess.Popen(
            [sys.executable, str(DRIVER), str(study.folder.path), nodes.address],
            env=nodes.environment(),
            stdout=out,
            stderr=errors,
        )
        killed = kill_when_a_checkpoint_came_back(nodes, study, made)
        assert driver.wait() == 0, (tmp_path / "errors").read_text()
    lines = [json.loads(line) for line in heard.read_text().splitlines()]

    again = Study.open(study.folder.path)
    assert [record.state for record in again.records()] == [JobState.COMPLETE] * trials
    lost = [line for line in lines if line["moment"] == "lost"]
    assert [(line["job"], line["kind"]) for line in lost] == [(killed.job, "infrastructure")]
    for record in again.records():
        attempt = again.attempt(record.job)
        assert attempt.result() == record.measurement
        assert (attempt.folder / "adapter" / "deep" / "weights").read_bytes() == bytes([steps]) * 3000
        assert "trained 16 steps on" in attempt.log()

    # Nothing was trained twice but what had not come back when the node died.
    taken = [(step.job, step.step) for step in made.steps]
    twice = {one for one in taken if taken.count(one) > 1}
    assert {job for job, _ in twice} <= {killed.job}
    assert all(step > killed.came_back for _, step in twice), (twice, killed)
    retried = [step for step in made.steps if step.job == killed.job and step.attempt == 2]
    assert {step.machine for step in retried} == {"head"}
    assert retried[0].step > killed.came_back >= 1
    assert [step for _, step in sorted(set(taken)) if _ == killed.job] == list(range(1, steps + 1))

    # A file went to each node once, whatever ran there.
    notes = [line["note"] for line in lines if line["moment"] == "progress"]
    sent = [note for note in notes if note.startswith("is sent ")]
    assert len(sent) == 2 * 8, sent
    assert all(sent.count(note) == 2 for note in sent)
    assert not (nodes.head.cache / "scratch").exists() or not any((nodes.head.cache / "scratch").iterdir())

    # Progress came while trials ran, and a trial without a place said so.
    assert {line["step"] for line in lines if line.get("job") == killed.job and "step" in line} >= {1, steps}
    assert any(note.startswith("waiting for a place in the cluster") for note in notes)


def test_a_trial_waits_for_a_node_that_has_what_it_needs_and_says_so(nodes: TwoNodes) -> None:
    needs = {"cpus": 0.5, "gpus": 0.5}
    study = stepping_study(nodes.apart / "growing", nodes.common / "growth", search={"trials": 2}, needs=needs)
    command = [sys.executable, "-m", "ratio_search", "launch", str(study.file), "--runs", str(nodes.apart / "grown")]
    told = []
    with subprocess.Popen(
        [*command, "--ray-address", nodes.address],
        env=nodes.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            told.append(line)
            if "waiting for a place in the cluster: no machine in it has cpus: 0.5, gpus: 0.5 yet" in line:
                nodes.late.start("--address", nodes.address, "--num-gpus", "2")
                break
        told += list(driver.stdout)
    assert driver.returncode == 0, "".join(told)
    logs = [path.read_text() for path in (nodes.apart / "grown").rglob("log.txt")]
    assert logs and all(re.search(r"on late, GPUs: [01]$", log.strip()) for log in logs), logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """The trial that ran on the node that died, and the step of its checkpoint that had come back by then."""

    job: str
    came_back: int


def kill_when_a_checkpoint_came_back(nodes: TwoNodes, study: Study, made: SteppingStudy) -> Killed:
    while True:
        there = {step.job for step in made.steps if step.machine == "other"}
        for job in sorted(there):
            folder = study.folder.path / "jobs" / job / "attempt-1"
            came_back = checkpoint(folder)
            if came_back and not (folder / "result.json").exists():
                assert nodes.other.kill() >= 3  # the raylet, a worker and its trainer, at least
                time.sleep(1)  # what was on its way when it died arrives, or not
                return Killed(job=job, came_back=checkpoint(folder))
        time.sleep(0.05)


def checkpoint(folder: Path) -> int:
    """The step of the checkpoint in an attempt's folder; 0 where there is none."""
    try:
        found: Any = json.loads((folder / "checkpoint" / "state" / "model.json").read_text())
    except FileNotFoundError:
        return 0
    return int(found[0])
