"""Ray itself: started on this machine alone, or a cluster that is joined."""

from __future__ import annotations

import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import objectives.attempt
import ratio_search
from objectives.backends import Resources
from ratio_search.errors import RunnerError, RunnerLost
from ratio_search.runner.address import AUTO, check_answers
from ratio_search.runner.gpus import check_room

# Read at import. A user's study is nobody else's business, and signals are the driver's.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")

import ray
import ray.exceptions

__all__ = ["Cluster", "check_joinable", "ray"]

OBJECT_STORE_BYTES = 100 * 2**20
"""Room for what crosses between processes, which is small JSON; Ray's default takes a third of the memory."""

SHUTDOWN_S = 15.0
"""How long Ray may take to end."""

TOKEN = (
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that holds the cluster's token, or RAY_AUTH_TOKEN to "
    "the token itself"
)

PACKAGES = (str(Path(ratio_search.__file__).parent), str(Path(objectives.attempt.__file__).parent))
"""The code that workers run: what is installed on their machines may be another version, or nothing."""


class Cluster:
    """Ray, from `enter` to `leave`."""

    def __init__(self, address: str | None) -> None:
        """Takes an address.

        Args:
            address: of a Ray cluster to join; None starts Ray on this machine alone.
        """
        self._address = address
        # Outside of the main thread Ray leaves the process's signal handlers alone; and its own processes end with the
        # thread that started them.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray")

    @property
    def joined(self) -> bool:
        """Whether it has other machines, now or later."""
        return self._address is not None

    def enter(self, needs: Resources, slots: int) -> None:
        """Starts or joins Ray.

        Args:
            needs: what one attempt occupies.
            slots: attempts at a time.

        Raises:
            RunnerError: it cannot be joined, or this machine has fewer GPUs than the attempts need.
        """
        options: dict[str, Any] = {}
        if self._address is None:
            # Slots are a promise of the user's, also where there are fewer cores; Ray would wait for ever.
            options["num_cpus"] = max(os.cpu_count() or 1, math.ceil(slots * needs.cpus))
            options["object_store_memory"] = OBJECT_STORE_BYTES
            options["include_dashboard"] = False
        else:
            check_joinable(self._address)
            # Neither environment variables nor anything else: it would be seen on the cluster's dashboard.
            options["runtime_env"] = {"py_modules": list(PACKAGES), "excludes": ["__pycache__"]}
        # Its remarks on dead nodes go to standard output, into whatever is printed there; failures say as much.
        ray._private.worker._worker_logs_enabled = False
        try:
            self._keeper.submit(
                ray.init, self._address or "local", log_to_driver=False, logging_level=logging.ERROR, **options
            ).result()
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise RunnerError(
                f"Ray at {self._address or 'this machine'} cannot be reached: {error}. For a cluster that asks for a "
                f"token, {TOKEN}"
            ) from error
        if self._address is None:
            try:
                check_room(ray.cluster_resources().get("GPU", 0), needs.gpus, slots)  # type: ignore[no-untyped-call]
            except RunnerError:
                self.leave()
                raise

    def leave(self) -> bool:
        """Ends or leaves Ray; whether it ended. Where its processes were killed it waits a minute for them."""
        ended = self._keeper.submit(ray.shutdown)
        done = wait([ended], timeout=SHUTDOWN_S).done
        self._keeper.shutdown(wait=False)
        return bool(done)

    def check_alive(self) -> None:
        """Checks that this machine's own Ray, if it is that, still runs: without it, no worker is ever started.

        Raises:
            RunnerLost: it does not.
        """
        if not self.joined and not any(node["Alive"] for node in ray.nodes()):  # type: ignore[no-untyped-call]
            raise RunnerLost(
                "Ray on this machine has died, perhaps for lack of memory; expected it to run as long as the study; "
                "resume the study, and what ran goes on from its last checkpoints"
            )

    def lacks(self, needs: Resources) -> str | None:
        """What one attempt needs, where no machine of the cluster has as much; None where one has."""
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if any(has.get("CPU", 0) >= needs.cpus and has.get("GPU", 0) >= needs.gpus for has in machines):
            return None
        return f"cpus: {needs.cpus:g}, gpus: {needs.gpus:g}"


def check_joinable(address: str) -> None:
    """Checks that there is a cluster, and that it takes this program's token.

    Ray itself would try for twenty seconds, or twenty minutes, and not say why.

    Raises:
        RunnerError: it is no address, nobody answers there, or the token is another one.
    """
    check_answers(address)
    if address == AUTO:
        return
    try:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]

        GcsClient(address=address)
    except ray.exceptions.AuthenticationError as error:
        had = "another one" if os.environ.get("RAY_AUTH_MODE", "").lower() == "token" else "none"
        raise RunnerError(
            f"the Ray cluster at {address} asks for a token, and found {had} here; {TOKEN}. Its nodes need the same"
        ) from error
    except Exception:
        return  # joining will tell, if this was not for another version of Ray
