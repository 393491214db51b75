"""The loop, pure, the only loop: unfolds a task into strides, here in this process.

Traced tasks run as one compiled program, a ``fori_loop`` with a traced bound and a row
buffer of one stride: the same executable and hence the same bits for every split of the
steps.  Untraced tasks run as plain or async Python in the same place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from heliostat.config import traced_fields
from heliostat.loop.compiled import Compiled
from heliostat.loop.engine import Engine
from heliostat.loop.python import Python
from heliostat.loop.sharding import AXIS
from heliostat.loop.state import State, StrideDigests, batch_digests, with_observed
from heliostat.loop.work import Chunk, Job, Member, Slab, Span, needs_init, unbounded
from heliostat.system import device
from heliostat.task import Task


def run(
    job: Job, seconds: float = 2.0, goal: Callable[[], int] = unbounded
) -> Iterator[Chunk]:
    """Every chunk of a job, computed in this process, the span furthest behind first.

    Spans of several lanes give slabs.

    Args:
        seconds: decides how many strides go into one chunk, and nothing else.
        goal: a step that no block may pass yet; whoever takes the chunks may move it
            before taking the next one.
    """
    pace = ChunkSizer(seconds)
    with precision(job.x64):
        loop = Loop(job.task, job.seed)
        loop.compile(needs_init(job))
    reached, held = [span.start for span in job.spans], {}
    while behind := [
        (0 if job.in_order else step, index)
        for index, (step, span) in enumerate(zip(reached, job.spans, strict=True))
        if step < min(span.stop, goal())
    ]:
        index = min(behind)[1]
        span = job.spans[index]
        with precision(job.x64):  # not around the yield: the caller has its own
            at = held.pop(index, None) or loop.seek(span)
            chunk, at = loop.next_chunk(at, pace.strides, min(span.stop, goal()))
        reached[index] = at.step
        if at.step < span.stop:
            held[index] = at
        pace.update(chunk)
        yield chunk


class ChunkSizer:
    """How many strides fill the wanted seconds, learnt from the chunks seen so far.

    It starts with one stride, so that the first commit comes early, and at most
    doubles, so that one fast chunk does not make the next one endless.
    """

    def __init__(self, seconds: float, strides: int = 1) -> None:
        self.seconds, self.strides = seconds, strides

    def update(self, chunk: Chunk) -> None:
        per_stride = chunk.seconds / len(chunk.strides)
        wanted = int(self.seconds / max(per_stride, 1e-9))
        self.strides = max(1, min(wanted, 2 * self.strides))


class Cursor(NamedTuple):
    """Where one block stands, as the engine holds it."""

    block: int
    step: int
    held: Any
    lanes: tuple[Member, ...] = ()


class Loop:
    """One task, prepared and compiled once, for any of its blocks.

    Args:
        task: what to unfold.
        seed: the run's; the root of all keys.
        mesh: devices over which ``task.sharded`` fields are split; default one device.
    """

    def __init__(self, task: Task, seed: int, mesh: Mesh | None = None) -> None:
        self.task, self.data = task, task.prepare()
        self.mesh = mesh or mesh_of(jax.devices()[:1])
        self.reseed(seed)
        engine = Compiled if task.traced else Python
        self._engine: Engine = engine(task, self.data, self.mesh)

    @property
    def layout(self) -> str:
        """What the loop runs on, as it is written beside each chunk."""
        return f"{self.mesh.size} {self.mesh.devices.flat[0].platform}"

    def reseed(self, seed: int) -> None:
        """Go on as the loop of another seed: the programs are the same."""
        self._own = (Member(seed, traced_fields(self.task)),)

    def compile(self, fresh: bool = True) -> None:
        """Make ready to run; ``fresh`` if some block will start from ``init``."""
        self._engine.compile(fresh)

    def seek(self, span: Span) -> Cursor:
        """A block at the start of a span, from its state, or from ``init``."""
        block, start, state, lanes = span.block, span.start, span.load(), span.members
        if state is None:
            held = self._engine.init(block, lanes or self._own)
            return Cursor(block, 0, held, lanes)
        if not lanes:
            state = {name: array[None] for name, array in state.items()}
        held = self._engine.unpack(block, state, lanes or self._own)
        return Cursor(block, start, held, lanes)

    def next_chunk(
        self, position: Cursor, strides: int, until: int
    ) -> tuple[Chunk, Cursor]:
        """The next strides of a block, never past ``until``; a slab of several lanes.

        A chunk that would end between two multiples of the stride ends at the last
        multiple instead, unless it is shorter than a stride: extending a run starts
        from there.  Where every state is kept, a chunk is one stride: it has one state.
        """
        strides = strides if self.task.kept is not None else 1
        began, stride = time.perf_counter(), self.task.stride
        block, start, held, lanes = position
        done, rows, observed, packed = [], [], [], {}
        for stop in _stops(start, strides, stride, until):
            held, row = self._engine.advance(block, held, start, stop)
            packed, seen = self._engine.pack(block, held), {}
            if self.task.observes and stop % stride == 0:
                seen = self._engine.observe(block, held)
                observed.append(seen)
            done.append(_digests(stop, packed, row, seen, len(lanes) or 1))
            rows.append(row)
            start = stop
        slab = Slab(
            block,
            position.step,
            start,
            _concatenate(rows),
            tuple(done),
            packed,
            time.perf_counter() - began,
            self.layout,
            device.fingerprint(),
            _concatenate(observed),
            lanes,
        )
        at = Cursor(block, start, held, lanes)
        return cast(Chunk, slab) if lanes else slab.chunk(), at

    def replica_state(self, index: int, state: State) -> Any:
        """One replica out of its block's state, as the task's own pytree."""
        return self._engine.pick(state, index % self.task.width)

    def all_replicas(self, states: Sequence[State]) -> Any:
        """All replicas out of the states of all blocks, along one leading axis."""
        return self._engine.stack(states)


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """The one-dimensional mesh over which sharded state is split."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


@contextmanager
def precision(x64: bool) -> Iterator[None]:
    """Within it, JAX's default floats are 64 bits wide, or 32."""
    with jax.enable_x64(x64):
        yield


def _digests(
    stop: int, state: State, rows: State, observed: State, lanes: int
) -> tuple[StrideDigests, ...]:
    """Of one stride, for each lane: what it is digested to alone."""
    states = batch_digests(state, lanes)
    told = batch_digests(with_observed(rows, observed), lanes)
    return tuple(StrideDigests(stop, *pair) for pair in zip(states, told, strict=True))


def _concatenate(tables: Sequence[State]) -> State:
    """Tables of arrays ``(lanes, replicas, steps, ...)``, one behind another."""
    names = tables[0] if tables else ()
    return {n: np.concatenate([t[n] for t in tables], axis=2) for n in names}


def _stops(start: int, strides: int, stride: int, until: int) -> list[int]:
    """Where the strides of a chunk end; see :meth:`Loop.chunk`."""
    first = (start // stride + 1) * stride
    stops = [first + i * stride for i in range(strides)]
    full = [s for s in stops if s <= until]
    return full or [until]
