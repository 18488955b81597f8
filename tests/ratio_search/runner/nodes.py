"""Nodes of a Ray cluster on this machine that have no folder in common that a study would be in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

RAY = Path(sys.executable).with_name("ray")

HEALTH = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
}
"""A dead node is noticed within seconds: Ray's own patience is half a minute."""


def apart_command() -> list[str] | None:
    """What starts a program with mounts of its own; None where that is not allowed."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node, with a home and a cache of its own.

    Attributes:
        folder: its own, with a short path: there are sockets in it.
        hidden: a folder that it sees empty.
        token: of the cluster.
    """

    folder: Path
    hidden: Path
    token: str

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RATIO_SEARCH_CACHE": str(self.cache),
            "RATIO_SEARCH_MACHINE": self.folder.name,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            **HEALTH,
        }

    def start(self, *options: str) -> None:
        self.cache.mkdir(parents=True)
        ray = [str(RAY), "start", "--temp-dir", str(self.folder / "r"), "--num-cpus", "1", *options]
        ray += ["--object-store-memory", "100000000", "--node-ip-address", "127.0.0.1", "--disable-usage-stats"]
        hide = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
        apart = apart_command()
        assert apart is not None
        done = subprocess.run(
            [*apart, "sh", "-c", hide, str(self.hidden), *ray],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def kill(self) -> int:
        """Kills the node's raylet with all its workers and their trainers; how many processes that were."""
        killed = 0
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("RATIO_SEARCH_CACHE") == str(self.cache):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
        return killed

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
