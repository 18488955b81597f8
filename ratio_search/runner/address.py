"""Where a Ray cluster is, and whether there is anyone."""

from __future__ import annotations

import socket

from ratio_search.errors import RunnerError

AUTO = "auto"
"""The cluster that this machine is a node of."""

ANSWER_S = 5.0
"""How long a cluster's head may take to answer."""


def check_answers(address: str) -> None:
    """Checks that there is anyone at a cluster's address: Ray itself would try for twenty minutes.

    Raises:
        RunnerError: it is no address, or nobody answers there.
    """
    if address == AUTO:
        return
    if address.startswith("ray://"):
        raise RunnerError(
            f"--ray-address: found {address!r}, the address of a Ray Client server, which ends all trials when the "
            "connection drops; expected host:port of the cluster's head, from a machine that is a node of the cluster "
            "(`ray start --address=host:port --num-cpus=0` makes it one), or auto; docs/clusters.md says more"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise RunnerError(f"--ray-address: expected host:port of a Ray cluster's head, or auto, found {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise RunnerError(
            f"nobody answers at {address} ({error}); expected the head of a running Ray cluster, as `ray status` on "
            "it shows"
        ) from error
