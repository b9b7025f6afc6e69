"""The connection to a Ray cluster: joining it, its devices, and what can be wrong with either."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auscult.errors import RunError

ANSWER_SECONDS = 5.0
"""Time that the head of a cluster has to answer."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Environment of a process that joins a cluster: no statistics are sent, and nothing is announced."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """While it lasts, this process is part of a Ray cluster; one to which it belongs already is used, and left alone.

    Args:
        address: `"auto"` for the cluster to which this machine belongs, or host and port of a cluster's head.

    Raises:
        RunError: if Ray is not installed, or there is no cluster there, or this machine is no part of it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray = load_ray()
    if ray.is_initialized():
        yield
        return
    _require_answer(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(
            f"no Ray cluster can be joined at {address!r}: {last_line(error)}. Start one with `ray start --head`, let "
            "other machines join it with `ray start --address=HOST:PORT`, and run this on one of them (docs/scale.md)"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def cluster_device(name: str) -> str:
    """The device of jobs on the cluster to which this process is connected; `"auto"` is CUDA if it has a GPU.

    Raises:
        RunError: if the name is no device of a cluster, or the cluster has no GPU.
    """
    gpus = float(load_ray().cluster_resources().get("GPU", 0))
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name not in ("cpu", "cuda"):
        raise RunError(
            f"device {name!r} cannot be chosen on a cluster, which gives each job its GPU; choose cpu or cuda"
        )
    if name == "cuda" and not gpus:
        raise RunError("the cluster has no GPU now; start a node that has one, or give --device cpu")
    return name


def load_ray() -> Any:
    """The module `ray`.

    Raises:
        RunError: if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise RunError("Ray is not installed; install it with: pip install 'auscult[cluster]'") from error
    return ray


def _require_answer(address: str) -> None:
    """Refuse addresses at which nobody answers: Ray itself would try for minutes.

    Raises:
        RunError: if there is none.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit():
        raise RunError(
            f"{address!r} is no address of a Ray cluster; give auto, or HOST:PORT of its head (docs/scale.md)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster answers at {address}: {error}; start one with `ray start --head`") from error


def last_line(error: Exception) -> str:
    """The last line of an error's message: what its traceback ends in."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__
