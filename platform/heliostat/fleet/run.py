"""Run a job on Ray: the same chunks as in one process, from many workers.

``cluster`` connects to Ray, ``worker`` is the actor, ``team`` is a worker or a group of
them sharing one mesh; ``hands`` says whose they are, and in ``field`` they work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from heliostat.errors import RequestError
from heliostat.fleet.cluster import Resources, connect
from heliostat.fleet.pool import DedicatedPool, SharedPool
from heliostat.fleet.scheduler import OnEvent, Scheduler, TeamLayout
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
    goal: Callable[[], int] = unbounded,
) -> Generator[Chunk, None, None]:
    """Every chunk of a job from workers on Ray; see :func:`heliostat.loop.run.run`.

    Args:
        on: ``"local"`` for an embedded Ray, ``"auto"`` or an address for a cluster.
        workers: how many processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        tell: receives what happens to workers: ``placed``, ``resized``, ``retried``.
        goal: a step that no block may pass yet; whoever takes the chunks may move it
            before taking the next one, and the same teams go on.

    Raises:
        RunFailed: when a task raises, or after ``FAILURES`` losses in a row.
    """
    with connect(on, workers, gpus) as resources:
        if reason := _oversubscribed(on, resources):
            on_event("crowded", reason=reason)
        layout = _team_layout(job.task, len(job.spans), *resources)
        scheduler = Scheduler(
            job, layout, DedicatedPool(), ChunkSizer(seconds), on_event, goal
        )
        try:
            yield from scheduler.chunks()
        finally:
            scheduler.close()


class Fleet:
    """Workers for many runs: some at once, each on workers of its own, one after
    another.

    Args:
        offered: all workers and GPUs.
        task: one of the runs' tasks, which are all alike in how they are split.
        runs: how many runs there will be at most.
    """

    def __init__(self, resources: Resources, task: Task, runs: int) -> None:
        self.max_concurrent = (
            1 if task.sharded else max(1, min(resources.workers, runs))
        )
        self._share = Resources(
            resources.workers // self.max_concurrent,
            resources.gpus / self.max_concurrent,
        )
        self._pool, self._strides = SharedPool(), 1

    @property
    def workers_per_run(self) -> int:
        """How many workers a run has for itself."""
        return self._share.workers

    def run(
        self, job: Job, seconds: float, on_event: OnEvent, goal: Callable[[], int]
    ) -> Generator[Chunk, None, None]:
        """Every chunk of one of the jobs; several threads may ask at once.

        Raises:
            KeyboardInterrupt: once the fleet has been interrupted.
        """
        layout = _team_layout(job.task, len(job.spans), *self._share)
        pace = ChunkSizer(seconds, self._strides)
        scheduler = Scheduler(job, layout, self._pool, pace, on_event, goal)
        try:
            yield from scheduler.chunks()
            self._strides = pace.strides
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
) -> Iterator[Fleet]:
    """Workers for many runs, for as long as they take."""
    with connect(on, workers, gpus) as resources:
        if reason := _oversubscribed(on, resources):
            on_event("crowded", reason=reason)
        fleet = Fleet(resources, task, runs)
        try:
            yield fleet
        finally:
            fleet.interrupt()


def _oversubscribed(on: str, resources: Resources) -> str:
    if on != "local" or resources.gpus or resources.workers <= len(cores()):
        return ""
    return f"{resources.workers} workers share {len(cores())} cores"


def _team_layout(task: Task, spans: int, workers: int, gpus: float) -> TeamLayout:
    """Blocks are independent, so teams of one; a sharded replica takes one team."""
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
        return TeamLayout(1, workers, gpus / workers)
    teams = min(workers, spans)
    return TeamLayout(teams, 1, min(1.0, gpus / teams))
