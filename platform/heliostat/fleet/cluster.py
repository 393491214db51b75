"""Connection to Ray: an embedded one, the caller's own session, or a cluster."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import ray

from heliostat.errors import RayUnavailable, RequestError
from heliostat.system.device import cores
from heliostat.system.signals import sigterm_restored

START_ATTEMPTS = 3
"""Attempts to start an embedded Ray: each gives its node 30 s, which a loaded machine
may need more than once."""

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


class Resources(NamedTuple):
    """Workers and GPUs that a run may use."""

    workers: int
    gpus: float


@contextmanager
def connect(on: str, workers: int | None, gpus: float | None) -> Generator[Resources]:
    """Connect to Ray and yield the resources; disconnect at the end of the block.

    A session that the caller has already opened is used as it is and left open.

    Args:
        on: ``"local"`` for an embedded Ray, ``"auto"`` or an address for a cluster.
        workers: processes; default one for each GPU, or for each core without GPUs.
        gpus: GPUs for all workers together; default all there are.

    Raises:
        RayUnavailable: if Ray does not start, or if the address does not answer.
        RequestError: if GPUs are missing.
    """
    owns_ray = not ray.is_initialized()
    with warnings.catch_warnings(), sigterm_restored():
        # JAX warns of forked children; those of Ray execute another program at once
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        if owns_ray:
            _start_embedded(workers) if on == "local" else _connect_to_cluster(on)
    try:
        yield _available(workers, gpus)
    finally:
        if owns_ray:
            ray.shutdown()


def _start_embedded(workers: int | None) -> None:
    """Start a private Ray on this machine, with a token of its own.

    Raises:
        RayUnavailable: if it does not start, again and again.
    """
    options: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(workers or 0, len(cores())),
        "include_dashboard": False,
    }
    for attempts_left in reversed(range(START_ATTEMPTS)):
        try:
            ray.init(**options, **QUIET)
            return
        except Exception as error:  # Ray raises many types
            ray.shutdown()
            if not attempts_left:
                raise RayUnavailable(
                    f"Ray does not start on this machine ({_reason(error)}); is it "
                    "too busy? try again, or compute without Ray: --on here"
                ) from error


def _connect_to_cluster(address: str) -> None:
    """Connect to the cluster of this process (``auto``) or to the one at an address.

    Raises:
        RayUnavailable: if no cluster answers there, or if it refuses the token.
    """
    _check_reachable(address)
    roots = _source_roots()
    env: dict[str, Any] = {"env_vars": {"PYTHONPATH": roots}} if roots else {}
    try:
        ray.init(address=address, runtime_env=env or None, **QUIET)
    except Exception as error:  # Ray raises many types
        ray.shutdown()
        raise _no_cluster(address, _reason(error)) from error


def _check_reachable(address: str) -> None:
    """Refuse an address that nobody listens on, which Ray would try for minutes.

    Raises:
        RayUnavailable: if nobody listens there, or something other than a cluster.
    """
    host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto, or an address in another notation of Ray
    host = host.strip("[]")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error
    if _speaks_http(host, int(port)):
        raise _no_cluster(address, "a web server answers, such as Ray's dashboard")


def _speaks_http(host: str, port: int) -> bool:
    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/api/version")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _no_cluster(address: str, reason: str) -> RayUnavailable:
    return RayUnavailable(
        f"--on {address}: no Ray cluster answers ({reason}); expected HOST:PORT of its "
        "head, with port 6379 by default; a cluster with a token wants this token in "
        "$RAY_AUTH_TOKEN or ~/.ray/auth_token"
    )


def _reason(error: Exception) -> str:
    """Return the first line of an error of Ray, which may have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


def _source_roots() -> str:
    """Return the folders of the packages inside the working directory of a job.

    Relative, because every node unpacks the working directory somewhere else; empty
    where the packages are installed.
    """
    platform = Path(__file__).resolve().parents[2]
    return "platform:tasks" if platform.parent == Path.cwd().resolve() else ""


def _available(workers: int | None, gpus: float | None) -> Resources:
    resources = ray.cluster_resources()
    available = resources.get("GPU", 0.0)
    if gpus is not None and gpus > available:
        raise RequestError(f"gpus={gpus:g}: the cluster has {available:g}")
    gpus = available if gpus is None else gpus
    whole = int(gpus) if gpus else int(resources.get("CPU", 1))
    return Resources(workers or max(1, whole), gpus)
