"""Replay spans of steps from given states, without a record."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from heliostat.driver.placement import Placement, chunks
from heliostat.errors import RequestError
from heliostat.loop.work import Chunk, Job, Limits, Span
from heliostat.system import device
from heliostat.task import Task

UNLIMITED = Limits()


def replay(
    task: Task,
    spans: Iterable[Span],
    *,
    seed: int = 0,
    x64: bool = False,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    limits: Limits = UNLIMITED,
    in_order: bool = False,
    on_event: Callable[..., None] = lambda event, **details: None,
) -> Generator[Chunk, None, None]:
    """Compute spans of a run's steps again and yield their chunks; store nothing.

    A chunk has the bits of the run: its keys depend on the seed, the replica and the
    step alone.  The chunks of one span arrive in the order of their steps; those of
    different spans as the workers finish them.

    Args:
        task: the task of the run.
        spans: what to compute.  Each span names a block, the step that it starts after
            (0 for the start of the run), its last step, and the state after ``start``:
            arrays by name ``(1, width, ...)``, a function without arguments that loads
            them when a worker needs them, or None to start from ``task.init``.
        seed: the seed of the run.
        x64: compute in float64.
        on: ``"local"`` for an embedded Ray, ``"here"`` for this process, ``"auto"`` for
            the cluster of this process, or a cluster's address.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all workers together; default all there are.
        limits: cores, memory and seconds of each worker; ``"here"`` ignores them.
        in_order: start the spans one after another, as they are listed, instead of the
            span with the lowest step first.
        on_event: called as ``on_event(name, **details)`` when workers are ``placed``,
            ``resized`` or ``retried``, or ``crowded`` on too few cores.

    Yields:
        The chunks: ``block``, ``start``, ``stop``, ``rows`` (by name, ``(1, replicas,
        stop - start, ...)``), the ``state`` after ``stop``, the digests of its
        ``strides``, and the ``layout`` and ``environment`` that computed it.

    Raises:
        RequestError: if ``on``, ``workers``, ``gpus`` or ``limits`` make no sense here.
        RunFailed: if the task raises, or if workers are lost again and again.
        Paused: if the task cannot go on for now.

    Example:
        >>> import heliostat as hs
        >>> class Count(hs.Task):
        ...     traced, stride = False, 5
        ...     emits = {"n": hs.Var(dtype="int64")}
        ...     def init(self, key, replica, data):
        ...         return 0
        ...     def step(self, key, state, data):
        ...         return state + 1, {"n": state + 1}
        >>> first, second = hs.replay(Count(), [hs.Span(0, 0, 10)], on="here")
        >>> first.start, first.stop, second.rows["n"].ravel().tolist()
        (0, 5, [6, 7, 8, 9, 10])
        >>> span = hs.Span(0, 5, 10, first.state)
        >>> (again,) = hs.replay(Count(), [span], on="here")
        >>> again.strides == second.strides
        True
    """
    if on == "local":
        workers = workers or _default_workers(limits.cores)
    placement = Placement(on, workers, gpus).validate()
    job = Job(task, seed, x64, tuple(spans), limits, in_order)
    return chunks(job, placement, on_event)


def _default_workers(cores: int) -> int | None:
    """Return the workers of several cores each that fit this machine.

    Raises:
        RequestError: if this machine does not have the cores of one worker.
    """
    available = len(device.cores())
    if not 1 <= cores <= available:
        raise RequestError(
            f"cores {cores}: expected 1 to {available}, as this machine has"
        )
    return available // cores if cores > 1 else None
