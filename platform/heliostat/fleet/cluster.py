"""Connecting to Ray: an embedded one, the caller's own, or a cluster."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray

from heliostat.errors import RequestError
from heliostat.system.device import cores


class Resources(NamedTuple):
    """What there is to work with, and what was asked of it."""

    workers: int
    gpus: float


@contextmanager
def connect(on: str, workers: int | None, gpus: float | None) -> Iterator[Resources]:
    """Ray for the length of a run; an embedded one is ended with it.

    A session that the caller has already opened is used as it is and left open.

    Raises:
        RequestError: if the address does not answer, or GPUs are asked that are not
            there.
    """
    owns_ray = not ray.is_initialized()
    with warnings.catch_warnings():
        # JAX fears for forked children; those of Ray are other programs at once
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        if owns_ray:
            _start_embedded(workers) if on == "local" else _connect_to_cluster(on)
    try:
        yield _available(workers, gpus)
    finally:
        if owns_ray:
            ray.shutdown()


def _start_embedded(workers: int | None) -> None:
    """A private Ray on this machine, never a stranger's cluster, with its own token."""
    ray.init(
        address="local",
        num_cpus=max(workers or 0, len(cores())),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _connect_to_cluster(address: str) -> None:
    """The cluster this process belongs to (``auto``), or the one at an address."""
    _check_reachable(address)
    roots = _source_roots()
    env: dict[str, Any] = {"env_vars": {"PYTHONPATH": roots}} if roots else {}
    try:
        ray.init(
            address=address,
            runtime_env=env or None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"--on {address}: no Ray cluster answers ({reason})"
        ) from error


def _check_reachable(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto, or what Ray knows by another name
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        told = f"--on {address}: no Ray cluster answers ({error})"
        raise RequestError(told) from error


def _source_roots() -> str:
    """Where the workers of a job find the packages: beside the job's own files.

    Relative, because every node unpacks the working directory somewhere else; empty
    where the packages are installed.
    """
    here = Path(__file__).resolve().parents[2]
    cwd = Path.cwd().resolve()
    if here.parent != cwd:
        return ""
    return "platform:tasks"


def _available(workers: int | None, gpus: float | None) -> Resources:
    resources = ray.cluster_resources()
    there = resources.get("GPU", 0.0)
    if gpus is not None and gpus > there:
        raise RequestError(f"gpus={gpus:g}: the cluster has {there:g}")
    gpus = there if gpus is None else gpus
    whole = int(gpus) if gpus else int(resources.get("CPU", 1))
    return Resources(workers or max(1, whole), gpus)
