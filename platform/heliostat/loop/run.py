"""The only loop of the platform: it runs the spans of a job and yields their chunks.

One iteration takes the span that is furthest behind, runs some of its strides, and
yields them as a chunk:

1. ``Loop.seek`` places a cursor at the start of the span: from a stored state, or from
   ``init``;
2. ``Loop.next_chunk`` has the engine step the block, one stride after another, and
   digests the state and the rows of each;
3. ``ChunkSizer`` decides how many strides the next chunk has, so that commits are
   ``seconds`` apart.

A traced task runs as one compiled program, a ``fori_loop`` with a traced bound and a
row buffer of one stride: the same executable, and hence the same bits, for any split of
the steps. Other tasks run as plain or async Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from heliostat.config import declared_reads, traced_fields
from heliostat.errors import RequestError
from heliostat.loop.engine import Engine
from heliostat.loop.mistakes import exit_refused
from heliostat.loop.python import PythonEngine
from heliostat.loop.sharding import AXIS
from heliostat.loop.state import (
    NamedArrays,
    StrideDigests,
    batch_digests,
    contradiction,
    with_observed,
)
from heliostat.loop.work import (
    Chunk,
    Job,
    Member,
    Span,
    furthest_behind,
    needs_init,
    unbounded,
)
from heliostat.loop.xla import XLAEngine
from heliostat.system import environment
from heliostat.task import Task


def run(
    job: Job, seconds: float = 2.0, barrier: Callable[[], int] = unbounded
) -> Iterator[Chunk]:
    """Yield every chunk of a job, computed in this process.

    Args:
        job: spans of one run, or of a batch of runs.
        seconds: time between chunks; affects their length and nothing else.
        barrier: returns a step that no block may pass yet. Whoever takes the chunks may
            move it before taking the next one.

    Yields:
        Chunks of any span, the one furthest behind first; in one span, in order.
    """
    sizer = ChunkSizer(seconds)
    with jax.enable_x64(job.x64):
        loop = Loop(job.task, job.seed)
        loop.compile(needs_init(job))
    steps = [span.start for span in job.spans]
    cursors: dict[int, Cursor] = {}
    while (index := furthest_behind(job, steps, barrier())) is not None:
        span = job.spans[index]
        with jax.enable_x64(job.x64):  # not around the yield: the caller has its own
            cursor = cursors.pop(index, None) or loop.seek(span)
            until = min(span.stop, barrier())
            chunk, cursor = loop.next_chunk(cursor, sizer.strides, until)
        steps[index] = cursor.step
        if cursor.step < span.stop:
            cursors[index] = cursor
        sizer.update(chunk)
        yield chunk


class ChunkSizer:
    """Number of strides that take about ``seconds``, estimated from the last chunk.

    It starts with one stride, so that the first commit comes early, and at most
    doubles, so that one fast chunk does not make the next one endless.
    """

    def __init__(self, seconds: float, strides: int = 1) -> None:
        self.seconds, self.strides = seconds, strides

    def update(self, chunk: Chunk) -> None:
        """Adapt the number of strides to the time that a chunk took."""
        per_stride = chunk.seconds / len(chunk.strides[0])
        fitting = int(self.seconds / max(per_stride, 1e-9))
        self.strides = max(1, min(fitting, 2 * self.strides))


class Cursor(NamedTuple):
    """A block in progress: its step, and its state as the engine holds it."""

    block: int
    step: int
    state: Any
    members: tuple[Member, ...]


class Loop:
    """One task, prepared and compiled once, for any of its blocks.

    Args:
        task: the task to run.
        seed: seed of the run; the root of all keys.
        mesh: devices over which ``task.sharded`` fields are split; default one device.
    """

    @exit_refused()
    def __init__(self, task: Task, seed: int, mesh: Mesh | None = None) -> None:
        self.task = task
        with declared_reads(task):
            self.data = task.prepare()
        self.mesh = mesh or mesh_of(jax.devices()[:1])
        self.reseed(seed)
        self._caches = type(task).refresh is not Task.refresh
        self._adopts = self._caches or type(task).adopt is not Task.adopt
        engine = XLAEngine if task.traced else PythonEngine
        self._engine: Engine = engine(task, self.data, self.mesh)

    @property
    def layout(self) -> str:
        """Number and platform of the devices, recorded with each chunk: ``1 cpu``."""
        return f"{self.mesh.size} {self.mesh.devices.flat[0].platform}"

    def reseed(self, seed: int) -> None:
        """Continue with another seed; the compiled programs stay the same."""
        self._alone = (Member(seed, traced_fields(self.task)),)

    @exit_refused()
    def compile(self, with_init: bool = True) -> None:
        """Compile all programs; that of ``init`` only if ``with_init``."""
        with declared_reads(self.task):  # it traces ``init`` and ``step``
            self._engine.compile(with_init)

    @exit_refused()
    def seek(self, span: Span) -> Cursor:
        """Return a cursor at the start of a span: at its state, or after ``init``."""
        block, start = span.block, span.start
        stored, members = span.load(), span.members or self._alone
        if stored is None:
            return Cursor(block, 0, self._engine.init(block, members), members)
        if not start and self._adopts:
            return Cursor(block, 0, self._adopted(block, stored, members), members)
        held = self._engine.from_host(block, stored, members)
        if start and span.resumed and self._caches:
            self._check_caches(span, stored, held)
        return Cursor(block, start, held, members)

    def _adopted(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> Any:
        """Return the first state of a run from a parent's state, whose bits stay if
        the task changes nothing beyond rounding."""
        first = self._engine.adopt(block, stored, members)
        if contradiction(stored, self._engine.to_host(block, first)):
            return first
        return self._engine.from_host(block, stored, members)

    def _check_caches(self, span: Span, stored: NamedArrays, held: Any) -> None:
        """Check that the state of a run caches what this task gives for it.

        Rounding keeps the stored bits, so that a resumed run equals an uninterrupted
        one.

        Raises:
            RequestError: if it caches something else.
        """
        fresh = self._engine.refresh(span.block, held)
        if name := contradiction(stored, self._engine.to_host(span.block, fresh)):
            raise RequestError(
                f"the state of step {span.start} holds another {name} than the task "
                "now gives for it: its code or its data have changed since; start a "
                "new run"
            )

    @exit_refused()
    def next_chunk(
        self, cursor: Cursor, strides: int, until: int
    ) -> tuple[Chunk, Cursor]:
        """Run the next strides of a block, up to step ``until`` at most.

        A chunk that would end between two multiples of the stride ends at the last
        multiple instead, because extending starts from a multiple; a chunk shorter than
        a stride ends where it is. If a task keeps every state (``kept = None``), a
        chunk is one stride, because it carries one state.

        Returns:
            The chunk, and the cursor behind it.
        """
        began, stride = time.perf_counter(), self.task.stride
        strides = strides if self.task.kept is not None else 1
        block, start, state, members = cursor
        rows, observed, digests, stored = [], [], [], {}
        for stop in _stops(start, strides, stride, until):
            state, stride_rows = self._engine.advance(block, state, start, stop)
            stored, seen = self._engine.to_host(block, state), {}
            if self.task.observes and stop % stride == 0:
                seen = self._engine.observe(block, state)
                observed.append(seen)
            digests.append(_digests(stop, stored, stride_rows, seen, len(members)))
            rows.append(stride_rows)
            start = stop
        chunk = Chunk(
            block=block,
            start=cursor.step,
            stop=start,
            rows=_concatenate(rows),
            strides=tuple(zip(*digests, strict=True)),
            state=stored,
            seconds=time.perf_counter() - began,
            layout=self.layout,
            environment=environment.fingerprint(),
            observed=_concatenate(observed),
            members=members,
        )
        return chunk, Cursor(block, start, state, members)

    def replica_state(self, index: int, state: NamedArrays) -> Any:
        """Return one replica of a stored block's state as the task's own pytree."""
        return self._engine.replica_state(state, index % self.task.width)

    def all_replicas(self, states: Sequence[NamedArrays]) -> Any:
        """Return the replicas of all blocks along one leading axis."""
        return self._engine.all_replicas(states)


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Return the one-dimensional mesh over which sharded state is split."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def _digests(
    stop: int,
    state: NamedArrays,
    rows: NamedArrays,
    observed: NamedArrays,
    members: int,
) -> list[StrideDigests]:
    """Return the digests of one stride, for each member: those that it has alone."""
    states = batch_digests(state, members)
    tables = batch_digests(with_observed(rows, observed), members)
    return [StrideDigests(stop, *pair) for pair in zip(states, tables, strict=True)]


def _concatenate(tables: Sequence[NamedArrays]) -> NamedArrays:
    """Join tables of arrays ``(members, replicas, steps, ...)`` along their steps."""
    names = tables[0] if tables else ()
    return {n: np.concatenate([t[n] for t in tables], axis=2) for n in names}


def _stops(start: int, strides: int, stride: int, until: int) -> list[int]:
    """Return the step at which each stride of a chunk ends; see ``next_chunk``."""
    first = (start // stride + 1) * stride
    stops = [first + i * stride for i in range(strides)]
    return [stop for stop in stops if stop <= until] or [until]
