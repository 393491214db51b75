"""Units of work: blocks of replicas, spans of steps, chunks computed from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from heliostat.loop.state import State, StrideDigests
from heliostat.task import Task

MAX_MEMBERS = 64
"""Cells that one compiled program can step, one after another: a slab of a pack.

Each commit of a slab costs the same: with so many it is little beside short cells."""


class Member(NamedTuple):
    """In what a cell differs from the others of its pack, and which one it is."""

    seed: int
    traced_fields: Mapping[str, float]
    cell: int = 0


class Chunk(NamedTuple):
    """Some strides of one block: the unit of a commit."""

    block: int
    start: int
    stop: int
    rows: Mapping[str, np.ndarray]  # each (replicas of the block, stop - start, ...)
    strides: tuple[StrideDigests, ...]
    state: State  # after ``stop``
    seconds: float
    layout: str = "1 device"
    environment: str = ""  # fingerprint of what decides about bits
    observed: Mapping[str, np.ndarray] = {}  # each (replicas, full strides, ...)


class Slab(NamedTuple):
    """Some strides of one block of several cells: the unit of a commit of a pack.

    Arrays are those of chunks, with an axis of lanes before them.
    """

    block: int
    start: int
    stop: int
    rows: Mapping[str, np.ndarray]
    strides: tuple[tuple[StrideDigests, ...], ...]  # one after another, of every lane
    state: State
    seconds: float
    layout: str
    environment: str
    observed: Mapping[str, np.ndarray]
    members: tuple[Member, ...] = ()

    def chunk(self, lane: int = 0) -> Chunk:
        """What one of the cells would have computed alone."""
        rows, state, observed = (
            {name: array[lane] for name, array in table.items()}
            for table in (self.rows, self.state, self.observed)
        )
        strides = tuple(stride[lane] for stride in self.strides)
        told = (self.seconds, self.layout, self.environment, observed)
        return Chunk(self.block, self.start, self.stop, rows, strides, state, *told)


class Span(NamedTuple):
    """A stretch of one block: all that a worker needs to compute it."""

    block: int
    start: int
    stop: int
    state: State | Callable[[], State] | None = None  # after ``start``; None: ``init``
    members: tuple[
        Member, ...
    ] = ()  # cells of a pack; none: the run that the job is of

    def load(self) -> State | None:
        """The state in memory: of many spans that wait it need not be there."""
        return self.state() if callable(self.state) else self.state


class Limits(NamedTuple):
    """What a worker may take: replays of strangers' runs are kept inside it."""

    cores: int = 1
    memory: float | None = None  # bytes of address space beyond those of the start
    seconds: float | None = None  # for one chunk


class Job(NamedTuple):
    """What is to be computed of one run: to continue it, or to replay parts of it."""

    task: Task
    seed: int
    x64: bool
    spans: tuple[Span, ...]
    limits: Limits = Limits()
    in_order: bool = False  # spans one after another, not the one furthest behind


def unbounded() -> int:
    """The goal of a job that ends nowhere but where its spans do."""
    return sys.maxsize


def needs_init(job: Job) -> bool:
    """Whether some span of a job starts from ``init``."""
    return any(span.state is None for span in job.spans)


def block_count(task: Task) -> int:
    """How many blocks a run has: replicas over width, rounded up."""
    return -(-task.replicas // task.width)


def block_replicas(task: Task, block: int) -> np.ndarray:
    """The replica indices of a block, ``(width,)``; the last block is padded."""
    return np.arange(block * task.width, (block + 1) * task.width, dtype=np.int32)


def has_replica_dim(task: Task) -> bool:
    """Whether rows have an axis of replicas: if there are several, or it has a name."""
    return task.replicas > 1 or task.replica_dim != Task.replica_dim


def valid_replicas(task: Task, block: int) -> int:
    """How many replicas of a block are no padding."""
    return min(task.width, task.replicas - block * task.width)
