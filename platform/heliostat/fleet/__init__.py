"""``unfold`` on Ray: the same chunks as in one process, from many workers.

``cluster`` connects to Ray, ``worker`` is the actor, ``team`` is a worker or a group of
them sharing one mesh; ``hands`` says whose they are, and in ``field`` they work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from heliostat.errors import RequestError
from heliostat.fleet.cluster import Offer, connected
from heliostat.fleet.pool import Own, Shared
from heliostat.fleet.scheduler import Crew, Field, Tell
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
    tell: Tell = lambda event, **details: None,
    goal: Callable[[], int] = unbounded,
) -> Generator[Chunk, None, None]:
    """Every chunk of a job from workers on Ray; see :func:`heliostat.loop.run.unfold`.

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
    with connected(on, workers, gpus) as offered:
        if reason := _crowded(on, offered):
            tell("crowded", reason=reason)
        crew = _crew(job.task, len(job.spans), *offered)
        field = Field(job, crew, Own(), ChunkSizer(seconds), tell, goal)
        try:
            yield from field.chunks()
        finally:
            field.leave()


class Fleet:
    """Workers for many runs: some at once, each on workers of its own, one after
    another.

    Args:
        offered: all workers and GPUs.
        task: one of the runs' tasks, which are all alike in how they are split.
        runs: how many runs there will be at most.
    """

    def __init__(self, offered: Offer, task: Task, runs: int) -> None:
        self.at_once = 1 if task.sharded else max(1, min(offered.workers, runs))
        self._share = Offer(
            offered.workers // self.at_once, offered.gpus / self.at_once
        )
        self._hands, self._strides = Shared(), 1

    @property
    def workers_each(self) -> int:
        """How many workers a run has for itself."""
        return self._share.workers

    def run(
        self, job: Job, seconds: float, tell: Tell, goal: Callable[[], int]
    ) -> Generator[Chunk, None, None]:
        """Every chunk of one of the jobs; several threads may ask at once.

        Raises:
            KeyboardInterrupt: once the fleet has been interrupted.
        """
        crew = _crew(job.task, len(job.spans), *self._share)
        pace = ChunkSizer(seconds, self._strides)
        field = Field(job, crew, self._hands, pace, tell, goal)
        try:
            yield from field.chunks()
            self._strides = pace.strides
        finally:
            field.leave()

    def interrupt(self) -> None:
        """End all workers: every run ends as interrupted at its last commit."""
        self._hands.close()


@contextmanager
def shared(
    on: str, workers: int | None, gpus: float | None, task: Task, runs: int, tell: Tell
) -> Iterator[Fleet]:
    """Workers for many runs, for as long as they take."""
    with connected(on, workers, gpus) as offered:
        if reason := _crowded(on, offered):
            tell("crowded", reason=reason)
        made = Fleet(offered, task, runs)
        try:
            yield made
        finally:
            made.interrupt()


def _crowded(on: str, offered: Offer) -> str:
    if on != "local" or offered.gpus or offered.workers <= len(cores()):
        return ""
    return f"{offered.workers} workers share {len(cores())} cores"


def _crew(task: Task, spans: int, workers: int, gpus: float) -> Crew:
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
        return Crew(1, workers, gpus / workers)
    teams = min(workers, spans)
    return Crew(teams, 1, min(1.0, gpus / teams))
