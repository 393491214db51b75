"""Placement of a run: this process, or a fleet of workers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

from heliostat.errors import RequestError
from heliostat.loop.run import run as run_here
from heliostat.loop.work import Chunk, Job, unbounded
from heliostat.system import device
from heliostat.system.compilation import enable_compilation_cache


class Placement(NamedTuple):
    """Place where steps are computed.

    The placement changes no row, except the rounding of a sharded replica.
    """

    on: str = "local"
    workers: int | None = None
    gpus: float | None = None
    seconds: float = 2.0  # aimed time between commits

    def validate(self) -> Placement:
        """Return the placement itself, after a check.

        Raises:
            RequestError: if ``on``, ``workers`` or ``gpus`` make no sense.
        """
        on, workers, gpus, _ = self
        if not on:
            raise RequestError("on '': expected local, here, auto or an address")
        if workers is not None and workers < 1:
            raise RequestError(f"workers {workers}: expected at least 1")
        if workers not in (None, 1) and on == "here":
            reason = "there is one process with on='here'"
            raise RequestError(f"workers {workers}: {reason}")
        if gpus is not None and gpus < 0:
            raise RequestError(f"gpus {gpus:g}: expected 0 or more")
        if gpus and on == "here" and gpus > (available := device.count_gpus()):
            raise RequestError(f"gpus {gpus:g}: this machine has {available}")
        return self


ChunkSource = Callable[..., Generator[Chunk, None, None]]
"""Function that yields the chunks of a job, as :func:`chunks` does."""


def chunks(
    job: Job,
    placement: Placement,
    on_event: Callable[..., None],
    barrier: Callable[[], int] = unbounded,
) -> Generator[Chunk, None, None]:
    """Yield the chunks of a job, computed at a placement.

    Args:
        job: the spans to compute.
        placement: where they are computed.
        on_event: called as ``on_event(name, **details)`` for what happens to workers.
        barrier: returns a step that no block may pass yet.
    """
    if placement.on == "here":
        _configure_here(placement.gpus)
        yield from run_here(job, placement.seconds, barrier)
        return
    device.authenticate_ray(placement.on)
    from heliostat.fleet.run import run as run_on_fleet

    on, workers, gpus, seconds = placement
    yield from run_on_fleet(job, seconds, on, workers, gpus, on_event, barrier)


@contextmanager
def connect(
    on: str = "local", workers: int | None = None, gpus: float | None = None
) -> Generator[None]:
    """Keep one Ray session open for several runs and replays.

    Starting an embedded Ray takes seconds, so many short runs should share one.  With
    ``on="here"``, configure this process as a worker is, so that what it computes
    itself has the bits of a worker.

    Args:
        on: ``"local"`` for an embedded Ray, ``"here"`` for this process, ``"auto"`` for
            the cluster of this process, or a cluster's address.
        workers: processes of each run; default the whole machine or cluster.
        gpus: GPUs of each run; default all there are.

    Returns:
        A context manager; it yields nothing.

    Raises:
        RequestError: if the address does not answer, or if GPUs are missing.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> with hs.connect("here"):    # "local": one Ray for all of them
        ...     runs = [hs.run(task, seed=n, steps=20, on="here") for n in range(2)]
        >>> [run.status for run in runs]
        ['complete', 'complete']
    """
    if on == "here":
        _configure_here(gpus)
        yield
        return
    device.authenticate_ray(on)
    from heliostat.fleet import cluster

    with cluster.connect(on, workers, gpus):
        yield


def _configure_here(gpus: float | None) -> None:
    enable_compilation_cache()
    device.single_thread_xla(gpus)
