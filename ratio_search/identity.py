"""What makes a study the study it is, and what changed between two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from objectives.metrics import source_digest
from ratio_search.manifest import Manifest
from ratio_search.spec import StudySpec


def identity_of(spec: StudySpec, manifest: Manifest) -> dict[str, Any]:
    """What results depend on. A change of it makes another study."""
    identity = {**spec.identity, "base": spec.backend.fingerprint(spec.root), "data": manifest.identity}
    functions = {metric.name: metric.function for metric in spec.metrics if metric.function is not None}
    if functions:
        identity["functions"] = {
            name: {"path": path, "source": source_digest(path, spec.root)} for name, path in functions.items()
        }
    return identity


def digest(identity: Mapping[str, Any]) -> str:
    """A short name for an identity: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """The dotted paths at which two pieces of plain data differ, each with both values.

    A key with the value None counts as absent.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in {**before, **after}:
            at = f"{path}.{key}" if path else str(key)
            found += differences(before.get(key), after.get(key), at)
        return found
    return [] if before == after else [f"{path}: was {_shown(before)}, is {_shown(after)}"]


def _shown(value: Any) -> str:
    return "not there" if value is None else repr(value)


def listed(lines: Sequence[str]) -> str:
    """Differences as an indented list."""
    return "\n".join(f"  {line}" for line in lines)
