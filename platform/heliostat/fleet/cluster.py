"""Connection to Ray: an embedded one, the caller's own session, or a cluster."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import ray

from heliostat.errors import RayUnavailable, RequestError
from heliostat.system import sessions
from heliostat.system.device import cores
from heliostat.system.signals import sigterm_restored

START_ATTEMPTS = 3
"""Attempts to start an embedded Ray. Each gives its node 30 s, a constant of Ray, which
may be too little on a loaded machine; the next finds its files in memory."""

START_SECONDS = 90
"""Seconds for the first process of Ray; 30 are its default."""

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
    owns_ray, session = not ray.is_initialized(), None
    with warnings.catch_warnings(), sigterm_restored():
        # JAX warns of forked children; those of Ray execute another program at once
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        if owns_ray:
            session = _start(on, workers)
    try:
        yield _available(workers, gpus)
    except RequestError:
        raise
    except Exception:
        session = None  # its logs may say why; `heliostat gc` removes it later
        raise
    finally:
        if owns_ray:
            ray.shutdown()
        if session:
            sessions.remove(session)


def _start(on: str, workers: int | None) -> Path | None:
    """Connect to Ray; return the folder of an embedded one, claimed by this process."""
    if on != "local":
        _connect_to_cluster(on)
        return None
    session = _start_embedded(workers)
    sessions.claim(session)
    return session


def _start_embedded(workers: int | None, attempts: int = START_ATTEMPTS) -> Path:
    """Start a private Ray on this machine, with a token of its own.

    Returns:
        The folder of its session.

    Raises:
        RayUnavailable: if it does not start, again and again.
    """
    options: dict[str, Any] = {
        "address": "local",
        "num_cpus": max(workers or 0, len(cores())),
        "include_dashboard": False,
    }
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", str(START_SECONDS))
    try:
        context: Any = ray.init(**options, **QUIET)
    except Exception as error:  # Ray raises many types
        ray.shutdown()
        sessions.claim_failed()
        if attempts > 1:
            return _start_embedded(workers, attempts - 1)
        raise RayUnavailable(
            f"Ray does not start on this machine ({_reason(error)}); is it "
            "too busy? try again, or compute without Ray: --on here"
        ) from error
    return Path(context.address_info["session_dir"])


def _connect_to_cluster(address: str) -> None:
    """Connect to the cluster of this process (``auto``) or to the one at an address.

    Raises:
        RayUnavailable: if no cluster answers there, or if it refuses the token.
    """
    check_reachable(address)
    roots = _source_roots()
    env: dict[str, Any] = {"env_vars": {"PYTHONPATH": roots}} if roots else {}
    with tempfile.TemporaryFile() as messages:
        try:
            with _standard_error_to(messages.fileno()):
                ray.init(address=address, runtime_env=env or None, **QUIET)
        except Exception as error:  # Ray raises many types
            ray.shutdown()
            messages.seek(0)
            refused = b"InvalidAuthToken" in messages.read()
            reason = "it refuses the token, or wants one" if refused else _reason(error)
            raise _no_cluster(address, reason) from error


@contextmanager
def _standard_error_to(file: int) -> Generator[None]:
    """Redirect standard error, to which Ray's C++ writes a line for each attempt."""
    saved = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def check_reachable(address: str) -> None:
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
