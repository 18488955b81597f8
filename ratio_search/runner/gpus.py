"""The GPUs of this machine, and which of them an attempt gets."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
from collections.abc import Mapping, Sequence

from ratio_search.errors import RunnerError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable with the GPUs that a process sees; empty for none."""

ANSWER_S = 30.0
"""How long the driver's own program may take to list them."""


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process may use, as the environment variable names them."""
    if VISIBLE in environment:
        found = [name.strip() for name in environment[VISIBLE].split(",")]
        # By CUDA's rule, what follows the first that is none does not count.
        end = next((i for i, name in enumerate(found) if name in ("", "-1", "NoDevFiles")), len(found))
        return found[:end]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=ANSWER_S,
        )
        return listed.stdout.split()
    return []


def places(gpus: float, each: float) -> float:
    """Attempts that have room on some GPUs at a time; a part of a GPU is always that of a single one."""
    if each == 0:
        return math.inf
    return math.floor(gpus / each) if each >= 1 else math.floor(gpus) * math.floor(1 / each + 1e-9)


def check_room(found: float, each: float, slots: int) -> None:
    """Checks that all slots have their GPUs at the same time.

    Args:
        found: GPUs that there are.
        each: GPUs of an attempt, or its part of one.
        slots: attempts at a time.

    Raises:
        RunnerError: there are too few.
    """
    room = places(found, each)
    if slots > room:
        raise RunnerError(
            f"found {found:g} GPUs, which have room for {room:g} trials at a time with {each:g} each, none of them "
            f"divided among two; expected room for {slots}; lower search.parallel or objective.resources.gpus"
        )


def dealt(devices: Sequence[str], each: float, slots: int) -> list[tuple[str, ...]]:
    """The GPUs of every slot: its own where each has whole ones, else one that it shares with as few as may be.

    Args:
        devices: GPUs that there are; they have room.
        each: GPUs of an attempt, or its part of one.
        slots: attempts at a time.
    """
    if each == 0:
        return [()] * slots
    if each < 1:
        return [(devices[slot % len(devices)],) for slot in range(slots)]
    whole = int(each)
    return [tuple(devices[slot * whole : (slot + 1) * whole]) for slot in range(slots)]
