"""A team: one worker, or several that share one mesh and live and die as a unit."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from heliostat.errors import Paused, RequestError, RunFailed
from heliostat.fleet.pickles import pickle_task
from heliostat.fleet.worker import Rank, Worker
from heliostat.loop.sharding import Indivisible
from heliostat.loop.work import Chunk, Job, Span, needs_init
from heliostat.system.device import assign_cores
from heliostat.system.process import Process

SCHEDULING_TIMEOUT = 60.0
"""Seconds that the cluster may take to schedule the workers of a team."""

STARTUP_TIMEOUT = 900.0
"""Seconds that scheduled workers may take to import, connect, load and compile."""

SHUTDOWN_TIMEOUT = 10.0
"""Seconds that a worker may take to end by itself."""


class WorkerLost(Exception):
    """A worker of the team died or hangs; the team must be replaced."""


class NotScheduled(WorkerLost):
    """The cluster has room for only ``scheduled`` workers of the team."""

    def __init__(self, scheduled: int, size: int) -> None:
        super().__init__(f"only {scheduled} of {size} workers could be placed")
        self.scheduled = scheduled


class Team:
    """Workers that advance one span at a time, in step with each other.

    The constructor only requests the workers.  :meth:`assign_ranks` and
    :meth:`wait_ready` wait for them, so that several teams start at once.

    Args:
        job: the job whose spans the team computes.
        size: number of workers; more than one are joined by ``jax.distributed``.
        gpus: GPUs of each worker, possibly a fraction; 0 for a CPU worker.
        core_offset: workers of other teams on the same node, whose cores come first.
    """

    def __init__(self, job: Job, size: int, gpus: float, core_offset: int) -> None:
        self.job, self.size, self.gpus, self.core_offset = job, size, gpus, core_offset
        self.resident_steps: dict[int, int] = {}  # span index -> step
        self.layout, self.nodes = "", []
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        actor: Any = ray.remote(Worker).options(**options)  # Ray has no types for it
        self.actors: list[Any] = [actor.remote(gpus) for _ in range(size)]
        self._pending = [a.describe_node.remote() for a in self.actors]

    def assign(self, job: Job) -> None:
        """Take another job, with the same workers."""
        self.job, self.resident_steps, self.layout = job, {}, ""

    def assign_ranks(self) -> None:
        """Send every worker its rank: its cores, and the address of the coordinator.

        Raises:
            NotScheduled: if the cluster has no room for all workers in time.
            WorkerLost: if a worker has died.
        """
        nodes = self.nodes = self.nodes or self._wait_scheduled()
        task, coordinator = pickle_task(self.job.task), _coordinator_address(nodes)
        ranks = [
            Rank(rank, self.size, () if self.gpus else cores, coordinator)
            for rank, cores in enumerate(self._assign_cores(nodes))
        ]
        job = self.job
        common = (task, job.seed, job.x64, needs_init(job), job.limits.memory)
        self._pending = [
            actor.join.remote(rank, *common)
            for actor, rank in zip(self.actors, ranks, strict=True)
        ]

    def _wait_scheduled(self) -> list[dict[str, Any]]:
        scheduled, _ = ray.wait(
            self._pending, num_returns=self.size, timeout=SCHEDULING_TIMEOUT
        )
        if len(scheduled) < self.size:
            raise NotScheduled(len(scheduled), self.size)
        return _get_all(self._pending, STARTUP_TIMEOUT)

    def wait_ready(self) -> None:
        """Wait until every worker has joined and compiled.

        Raises:
            WorkerLost: if a worker has died or does not answer.
            RunFailed: if the task cannot be prepared.
        """
        self.layout = _get_all(self._pending, STARTUP_TIMEOUT)[0]

    def advance(self, index: int, span: Span, until: int, strides: int) -> list[Any]:
        """Request the next chunk of a span, which ends with ``until`` at the latest.

        The state is sent only to workers that do not hold it.

        Returns:
            References of each worker's answer; the first will hold the chunk.
        """
        reload = self.resident_steps.pop(index, None) != span.start
        span = span._replace(state=span.load() if reload else None)
        argument = ray.put(span) if self.size > 1 else span
        return [
            a.advance.remote(index, argument, until, reload, strides)
            for a in self.actors
        ]

    def collect(self, index: int, refs: list[Any], timeout: float) -> Chunk:
        """Return the chunk that :meth:`advance` requested.

        Raises:
            WorkerLost: if a worker died or does not answer within ``timeout`` seconds.
            RunFailed: if the task itself raised; repeating it would not help.
            Paused: if the task cannot go on for now.
        """
        chunk = _get_all(refs, timeout)[0]
        self.resident_steps[index] = chunk.stop
        return chunk

    def _assign_cores(self, nodes: list[dict[str, Any]]) -> list[tuple[int, ...]]:
        """Return the cores of each worker on its own node, after the offset."""
        seen: Counter[str] = Counter()
        cores, each = [], self.job.limits.cores
        for node in nodes:
            local = each * (self.core_offset + seen[node["node"]])
            seen[node["node"]] += 1
            cores.append(tuple(assign_cores(local + each, node["cores"])[-each:]))
        return cores

    def kill(self) -> None:
        """End every worker.

        A worker of this machine is also ended by its process id, because one that hangs
        in a collective operation does not react to Ray.
        """
        for actor in self.actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        processes = [node["process"] for node in self.nodes]
        threading.Thread(target=_kill_survivors, args=(processes,), daemon=True).start()


def _kill_survivors(processes: list[Process]) -> None:
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT
    while (
        any(m.is_local and m.is_alive for m in processes)
        and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    for process in processes:
        process.kill()


def _coordinator_address(nodes: list[dict[str, Any]]) -> str:
    """Return the address of rank 0: on loopback if all workers are on one node."""
    if len(nodes) == 1:
        return ""
    one_node = len({node["node"] for node in nodes}) == 1
    host = "127.0.0.1" if one_node else nodes[0]["address"]
    return f"{host}:{nodes[0]['port']}"


def _get_all(refs: list[Any], timeout: float) -> list[Any]:
    """Return the results of all workers.

    Raises:
        WorkerLost: if a process died or hangs, or if a collective operation failed.
        RunFailed: if the task raised; Indivisible, Paused and RequestError pass as
            they are.
    """
    ready, pending = ray.wait(refs, num_returns=len(refs), timeout=timeout)
    errors = [error for ref in ready if (error := _error(ref))]
    for error in errors:
        if not isinstance(error, RayTaskError):  # a process, node or object is lost
            raise WorkerLost(_reason(error))
    for error in errors:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, Indivisible | Paused | RequestError):
            raise cause
        if len(refs) > 1 and _is_collective(error):
            raise WorkerLost(f"a collective operation failed: {_last_line(error)}")
        raise RunFailed(str(error).strip()) from error
    if pending:
        raise WorkerLost(f"no answer for {timeout:.0f} s")
    return ray.get(refs, timeout=60)


def _error(ref: Any) -> Exception | None:
    try:
        ray.get(ref, timeout=60)
    except RayError as error:
        return error
    return None


def _is_collective(error: Exception) -> bool:
    words = ("Gloo", "NCCL", "Connection closed", "oordination service")
    return any(word in str(error) for word in words)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200]


def _reason(error: Exception) -> str:
    """Shorten Ray's many lines to the fact that a worker died, and how."""
    text = " ".join(str(error).split())
    pid = text.partition(" pid: ")[2].partition(" ")[0]
    detail = text.partition("Worker exit detail: ")[2] or text
    detail = detail.partition(" Some common causes")[0]
    return f"worker {pid} died: {detail[:200]}" if pid else text[:300]
