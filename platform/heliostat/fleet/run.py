"""Run jobs on Ray: one job on workers of its own, or many on a shared fleet."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from heliostat.errors import RequestError
from heliostat.fleet.cluster import Resources, connect
from heliostat.fleet.pool import DedicatedPool, SharedPool
from heliostat.fleet.scheduler import OnEvent, Scheduler, TeamAllocation
from heliostat.loop.run import ChunkSizer
from heliostat.loop.work import Chunk, Job, unbounded
from heliostat.system.device import cores
from heliostat.task import Task


def run(
    job: Job,
    seconds: float = 2.0,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    on_event: OnEvent = lambda event, **details: None,
    barrier: Callable[[], int] = unbounded,
) -> Generator[Chunk, None, None]:
    """Yield every chunk of a job, as :func:`heliostat.loop.run.run` does.

    Args:
        job: the spans to compute.
        seconds: aimed duration of one chunk.
        on: ``"local"`` for an embedded Ray, ``"auto"`` or an address for a cluster.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all workers together; default all there are.
        on_event: called as ``on_event(name, **details)`` when workers are ``placed``,
            ``resized`` or ``retried``, or ``crowded`` on too few cores.
        barrier: returns a step that no block may pass yet.  The consumer of the chunks
            may move it before it takes the next one.

    Raises:
        RequestError: if the workers or GPUs cannot be had.
        RunFailed: when a task raises, or after more than ``MAX_LOST_TEAMS`` lost teams
            in a row.
    """
    with connect(on, workers, gpus) as resources:
        _report_oversubscription(on, resources, on_event)
        allocation = _allocate_teams(job.task, len(job.spans), *resources)
        sizer, pool = ChunkSizer(seconds), DedicatedPool()
        scheduler = Scheduler(job, allocation, pool, sizer, on_event, barrier)
        try:
            yield from scheduler.chunks()
        finally:
            scheduler.close()


class Fleet:
    """Workers that pass from run to run; runs at the same time have different workers.

    Args:
        resources: all workers and GPUs.
        task: the task of one of the runs; all of them are split alike.
        runs: upper bound of their number.
    """

    def __init__(self, resources: Resources, task: Task, runs: int) -> None:
        workers, gpus = resources
        shares = 1 if task.sharded else max(1, min(workers, runs))
        self.max_concurrent = shares
        self._share = Resources(workers // shares, gpus / shares)
        self._pool, self._strides = SharedPool(), 1

    @property
    def workers_per_run(self) -> int:
        """Number of workers of one run."""
        return self._share.workers

    def run(
        self, job: Job, seconds: float, on_event: OnEvent, barrier: Callable[[], int]
    ) -> Generator[Chunk, None, None]:
        """Yield every chunk of one job.  Several threads may call this at once.

        Raises:
            KeyboardInterrupt: once the fleet has been interrupted.
        """
        allocation = _allocate_teams(job.task, len(job.spans), *self._share)
        sizer = ChunkSizer(seconds, self._strides)
        scheduler = Scheduler(job, allocation, self._pool, sizer, on_event, barrier)
        try:
            yield from scheduler.chunks()
            self._strides = sizer.strides
        finally:
            scheduler.close()

    def interrupt(self) -> None:
        """End all workers: every run ends as interrupted at its last commit."""
        self._pool.close()


@contextmanager
def open_fleet(
    on: str,
    workers: int | None,
    gpus: float | None,
    task: Task,
    runs: int,
    on_event: OnEvent,
) -> Generator[Fleet]:
    """Connect to Ray and yield a fleet, whose workers end with the block."""
    with connect(on, workers, gpus) as resources:
        _report_oversubscription(on, resources, on_event)
        fleet = Fleet(resources, task, runs)
        try:
            yield fleet
        finally:
            fleet.interrupt()


def _report_oversubscription(on: str, resources: Resources, on_event: OnEvent) -> None:
    available = len(cores())
    if on == "local" and not resources.gpus and resources.workers > available:
        reason = f"{resources.workers} workers share {available} cores"
        on_event("crowded", reason=reason)


def _allocate_teams(
    task: Task, spans: int, workers: int, gpus: float
) -> TeamAllocation:
    """Return one team for a sharded replica, else teams of one worker.

    Raises:
        RequestError: if the GPUs cannot be divided among the workers.
    """
    if gpus > workers and gpus % workers:
        raise RequestError(
            f"gpus={gpus:g}: expected a multiple of the {workers} workers"
        )
    if task.sharded and 0 < gpus < workers:
        raise RequestError(
            f"workers {workers}: a sharded replica wants a GPU for each worker, there "
            f"are {gpus:g}"
        )
    if task.sharded:
        return TeamAllocation(1, workers, gpus / workers)
    teams = min(workers, spans)
    return TeamAllocation(teams, 1, min(1.0, gpus / teams))
