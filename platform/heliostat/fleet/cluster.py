"""Connection to Ray: an embedded one, the caller's own session, or a cluster."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray

from heliostat.errors import RequestError
from heliostat.system import sessions
from heliostat.system.device import cores
from heliostat.system.signals import sigterm_restored


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
        RequestError: if the address does not answer, or if GPUs are missing.
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


def _start_embedded(workers: int | None) -> Path:
    """Start a private Ray on this machine, with a token of its own.

    Returns:
        The folder of its session.
    """
    context: Any = ray.init(
        address="local",
        num_cpus=max(workers or 0, len(cores())),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return Path(context.address_info["session_dir"])


def _connect_to_cluster(address: str) -> None:
    """Connect to the cluster of this process (``auto``) or to the one at an address."""
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
    """Refuse an address that nobody listens on, which Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto, or an address in another notation of Ray
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        message = f"--on {address}: no Ray cluster answers ({error})"
        raise RequestError(message) from error


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
