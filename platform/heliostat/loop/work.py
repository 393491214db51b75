"""Units of work: a job is made of spans, a span is computed as chunks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heliostat.loop.state import NamedArrays, StrideDigests
from heliostat.task import Task

MAX_MEMBERS = 64
"""Runs that one compiled program can step, one after another.

A commit costs the same for any number of runs; shared by 64, it costs little beside
their steps."""


class Member(NamedTuple):
    """One run of a batch: its seed and the values of its traced fields."""

    seed: int
    traced_fields: Mapping[str, float]
    cell: int | None = None  # index in a pack; None for a run that is alone


class Chunk(NamedTuple):
    """Some strides of one block of a batch of runs: the unit of a commit.

    Every array has a leading axis of members. A run that is alone is its only member.

    Example:
        >>> rows = {"x": np.zeros((3, 1, 2))}  # of three members
        >>> chunk = Chunk(0, 0, 2, rows, strides=((),) * 3, state={}, seconds=0.1)
        >>> chunk.member(1).rows["x"].shape
        (1, 1, 2)
    """

    block: int  # index of the block
    start: int  # step before the first row
    stop: int  # step of the last row
    rows: Mapping[str, np.ndarray]  # each (members, replicas, stop - start, ...)
    strides: tuple[tuple[StrideDigests, ...], ...]  # (members, strides)
    state: NamedArrays  # after ``stop``, each (members, ...)
    seconds: float  # that the computation took
    layout: str = "1 device"  # devices that computed it together
    environment: str = ""  # fingerprint of everything that affects bits
    observed: Mapping[str, np.ndarray] = {}  # each (members, replicas, full strides, .)
    members: tuple[Member, ...] = ()  # cells of a pack; empty for the job's own run

    @property
    def cells(self) -> slice | None:
        """The cells of a pack that the members are; None for a run that is alone."""
        if not self.members or self.members[0].cell is None:
            return None
        return slice(self.members[0].cell, self.members[0].cell + len(self.members))

    def member(self, index: int) -> Chunk:
        """Return the chunk that one member would give if it ran alone.

        Args:
            index: index of the member in the batch.

        Returns:
            The chunk of that member only: its axes of members have length one.
        """
        one = slice(index, index + 1)
        return self._replace(
            rows={name: array[one] for name, array in self.rows.items()},
            strides=self.strides[one],
            state={name: array[one] for name, array in self.state.items()},
            observed={name: array[one] for name, array in self.observed.items()},
            members=self.members[one],
        )


class Span(NamedTuple):
    """A range of steps of one block: all that a worker needs to compute it.

    Example:
        >>> Span(block=0, start=0, stop=100).load() is None  # it starts from ``init``
        True
    """

    block: int  # index of the block
    start: int  # step before the first one
    stop: int  # last step
    state: NamedArrays | Callable[[], NamedArrays] | None = None
    """After ``start``, each ``(members, ...)``; or its loader. None: from ``init``."""
    members: tuple[Member, ...] = ()  # cells of a pack; empty for the job's own run
    resumed: bool = False  # continues a stored run: what its state caches is checked

    def load(self) -> NamedArrays | None:
        """Return the state, read only now if the span has a loader for it."""
        return self.state() if callable(self.state) else self.state


class Limits(NamedTuple):
    """Resources that a worker may use while it replays a stranger's run.

    Example:
        >>> Limits(memory=2e9, seconds=60)
        Limits(cores=1, memory=2000000000.0, seconds=60)
    """

    cores: int = 1  # cores of each worker
    memory: float | None = None  # bytes of address space beyond those at the start
    seconds: float | None = None  # for one chunk


class Job(NamedTuple):
    """Spans of one run, or of one pack, that are to be computed."""

    task: Task
    seed: int
    x64: bool
    spans: tuple[Span, ...]
    limits: Limits = Limits()
    in_order: bool = False  # finish one span before the next; else the one behind first


def unbounded() -> int:
    """Return the barrier of a job that ends where its spans end."""
    return sys.maxsize


def furthest_behind(
    job: Job, steps: Sequence[int], barrier: int, busy: Collection[int] = ()
) -> int | None:
    """Return the index of the span to run next; None if none is left.

    Args:
        steps: that each span has reached.
        barrier: step that no block may pass yet.
        busy: indices of spans that are being computed.
    """
    behind = [
        (0 if job.in_order else step, index)
        for index, (step, span) in enumerate(zip(steps, job.spans, strict=True))
        if step < min(span.stop, barrier) and index not in busy
    ]
    return min(behind)[1] if behind else None


def needs_init(job: Job) -> bool:
    """Return True if some span of a job starts from ``init``."""
    return any(span.state is None for span in job.spans)


def block_count(task: Task) -> int:
    """Return the number of blocks of a run: replicas over width, rounded up."""
    return -(-task.replicas // task.width)


def block_replicas(task: Task, block: int) -> np.ndarray:
    """Return the replica indices of a block, ``(width,)``, padded in the last one."""
    return np.arange(block * task.width, (block + 1) * task.width, dtype=np.int32)


def valid_replicas(task: Task, block: int) -> int:
    """Return the number of replicas of a block that are not padding."""
    return min(task.width, task.replicas - block * task.width)


def has_replica_dim(task: Task) -> bool:
    """Return True if rows have a replica dim: for several, or if the task names it."""
    return task.replicas > 1 or task.replica_dim != Task.replica_dim
