"""The manifest for Kubernetes that the documents show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ratio_search.cli import app

MANIFEST = Path(__file__).parents[1] / "docs" / "rayjob.yaml"
DOCUMENTS: dict[str, Any] = {
    document["kind"]: document for document in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
}
JOB = DOCUMENTS["RayJob"]["spec"]
CLUSTER = JOB["rayClusterSpec"]
PODS = {
    "head": CLUSTER["headGroupSpec"]["template"]["spec"],
    "worker": CLUSTER["workerGroupSpecs"][0]["template"]["spec"],
}


def test_it_has_what_a_study_needs() -> None:
    versions = {kind: document["apiVersion"] for kind, document in DOCUMENTS.items()}
    assert versions == {"PersistentVolumeClaim": "v1", "ConfigMap": "v1", "RayJob": "ray.io/v1"}
    assert all(document["metadata"]["name"] for document in DOCUMENTS.values())


def test_its_fields_are_those_of_kuberay() -> None:
    assert set(JOB) == {
        "entrypoint",
        "submissionMode",
        "backoffLimit",
        "shutdownAfterJobFinishes",
        "ttlSecondsAfterFinished",
        "rayClusterSpec",
    }
    assert set(CLUSTER) == {
        "rayVersion",
        "authOptions",
        "enableInTreeAutoscaling",
        "autoscalerOptions",
        "headGroupSpec",
        "workerGroupSpecs",
    }
    assert CLUSTER["authOptions"] == {"mode": "token"}
    [group] = CLUSTER["workerGroupSpecs"]
    assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for params in (group["rayStartParams"], CLUSTER["headGroupSpec"]["rayStartParams"]):
        assert all(isinstance(value, str) for value in params.values()), "KubeRay takes texts only"


@pytest.mark.parametrize("pod", PODS)
def test_every_volume_is_there_and_used(pod: str) -> None:
    spec = PODS[pod]
    [container] = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            named = DOCUMENTS["PersistentVolumeClaim"]["metadata"]["name"]
            assert volume["persistentVolumeClaim"]["claimName"] == named
        if "configMap" in volume:
            assert volume["configMap"]["name"] == DOCUMENTS["ConfigMap"]["metadata"]["name"]


def test_no_worker_has_the_drivers_volume_and_each_has_a_cache() -> None:
    [container] = PODS["worker"]["containers"]
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert not any("persistentVolumeClaim" in volume for volume in PODS["worker"]["volumes"])
    assert {"name": "RATIO_SEARCH_CACHE", "value": places["cache"]} in container["env"]


def test_its_commands_are_ours() -> None:
    [(name, script)] = DOCUMENTS["ConfigMap"]["data"].items()
    [head] = PODS["head"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in head["volumeMounts"]}
    assert JOB["entrypoint"] == f"sh {mounts['drive']}/{name}"
    assert f"cd {mounts['study']}\n" in script
    commands: Any = typer.main.get_command(app)
    found = re.findall(r"exec ratio-search (.*)", script)
    assert [shlex.split(line)[0] for line in found] == ["resume", "launch"]
    for line in found:
        command, *arguments = shlex.split(line)
        context = commands.commands[command].make_context(command, arguments)
        assert context.params["ray_address"] == "auto"


def test_ray_is_the_version_that_is_tested() -> None:
    constraints = (MANIFEST.parents[1] / "constraints.txt").read_text(encoding="utf-8")
    assert f"ray=={CLUSTER['rayVersion']}\n" in constraints
