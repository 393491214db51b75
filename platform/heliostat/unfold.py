"""The loop, pure, the only loop: unfolds a task into strides, here in this process.

Traced tasks run as one compiled program, a ``fori_loop`` with a traced bound and a row
buffer of one stride: the same executable and hence the same bits for every split of the
steps.  Untraced tasks run as plain or async Python in the same place.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from heliostat.checkpoint import State, Stride, digest
from heliostat.errors import RequestError
from heliostat.task import Task, Var

AXIS = "shard"
"""Name of the mesh axis over which the fields of ``sharded`` are split."""


class Chunk(NamedTuple):
    """Some strides of one block: the unit of a commit."""

    block: int
    start: int
    stop: int
    rows: Mapping[str, np.ndarray]  # each (replicas of the block, stop - start, ...)
    strides: tuple[Stride, ...]
    state: State  # after ``stop``
    seconds: float
    layout: str = "1 device"


class Span(NamedTuple):
    """A stretch of one block: all that a worker needs to compute it."""

    block: int
    start: int
    stop: int
    state: State | None = None  # after ``start``; None: from ``init``


class Job(NamedTuple):
    """What is to be computed of one run: to continue it, or to replay parts of it."""

    task: Task
    seed: int
    x64: bool
    spans: tuple[Span, ...]


def unfold(job: Job, seconds: float = 2.0) -> Iterator[Chunk]:
    """Every chunk of a job, computed in this process, the span furthest behind first.

    ``seconds`` decides how many strides go into one chunk, and nothing else.
    """
    pace = Pace(seconds)
    with precision(job.x64):
        loop = Loop(job.task, job.seed)
        reached = [loop.place(s.block, s.start, s.state) for s in job.spans]
    while behind := [
        (at.step, index)
        for index, (at, span) in enumerate(zip(reached, job.spans, strict=True))
        if at.step < span.stop
    ]:
        index = min(behind)[1]
        with precision(job.x64):  # not around the yield: the caller has its own
            chunk, reached[index] = loop.chunk(
                reached[index], pace.strides, job.spans[index].stop
            )
        pace.saw(chunk)
        yield chunk


class Pace:
    """How many strides fill the wanted seconds, learnt from the chunks seen so far.

    It starts with one stride, so that the first commit comes early, and at most
    doubles, so that one fast chunk does not make the next one endless.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.strides = seconds, 1

    def saw(self, chunk: Chunk) -> None:
        per_stride = chunk.seconds / len(chunk.strides)
        wanted = int(self.seconds / max(per_stride, 1e-9))
        self.strides = max(1, min(wanted, 2 * self.strides))


class Indivisible(ValueError):
    """The sharded axis does not divide over the devices."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a sharded axis of {length} does not divide over the devices")
        self.length = length

    def __reduce__(self) -> Any:
        return Indivisible, (self.length,)


class Position(NamedTuple):
    """Where one block stands, its state as the loop holds it."""

    block: int
    step: int
    state: Any


class Loop:
    """One task, prepared and compiled once, for any of its blocks.

    Args:
        task: what to unfold.
        seed: the run's; the root of all keys.
        mesh: devices over which ``task.sharded`` fields are split; default one device.
    """

    def __init__(self, task: Task, seed: int, mesh: Mesh | None = None) -> None:
        self.task, self.root = task, root_of(seed)
        self.data = task.prepare()
        self.mesh = mesh or mesh_of(jax.devices()[:1])
        self._engine = (_Traced if task.traced else _Plain)(self)

    @property
    def layout(self) -> str:
        """What the loop runs on, as it is written beside each chunk."""
        return f"{self.mesh.size} {self.mesh.devices.flat[0].platform}"

    def place(self, block: int, step: int, state: State | None) -> Position:
        """A block at a step: from a kept state, or from ``init`` where there is none."""
        if state is None:
            return Position(block, 0, self._engine.init(replicas_of(self.task, block)))
        return Position(block, step, self._engine.unpack(block, state))

    def state(self, position: Position) -> State:
        """The state as named host arrays; replicas that only pad the block are cut."""
        return self._engine.pack(position.block, position.state)

    def chunk(
        self, position: Position, strides: int, until: int
    ) -> tuple[Chunk, Position]:
        """The next strides of a block, never past ``until``.

        A chunk that would end between two multiples of the stride ends at the last
        multiple instead, unless it is shorter than a stride: extending a run starts
        from there.
        """
        began, stride = time.perf_counter(), self.task.stride
        block, start, state = position
        digests, rows, packed = [], [], {}
        for stop in _stops(start, strides, stride, until):
            state, row = self._engine.advance(block, state, start, stop)
            packed = self._engine.pack(block, state)
            digests.append(Stride(stop, digest(packed), digest(row)))
            rows.append(row)
            start = stop
        chunk = Chunk(
            block,
            position.step,
            start,
            {n: np.concatenate([r[n] for r in rows], axis=1) for n in rows[0]},
            tuple(digests),
            packed,
            time.perf_counter() - began,
            self.layout,
        )
        return chunk, Position(block, start, state)

    def replica(self, index: int, state: State) -> Any:
        """One replica out of its block's state, as the task's own pytree."""
        block, place = divmod(index, self.task.width)
        return self._engine.pick(self._engine.unpack(block, state), place)


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """The one-dimensional mesh over which sharded state is split."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def blocks_of(task: Task) -> int:
    """How many blocks a run has: replicas over width, rounded up."""
    return -(-task.replicas // task.width)


def replicas_of(task: Task, block: int) -> np.ndarray:
    """The replica indices of a block, ``(width,)``; the last block is padded."""
    return np.arange(block * task.width, (block + 1) * task.width, dtype=np.int32)


def valid_of(task: Task, block: int) -> int:
    """How many replicas of a block are no padding."""
    return min(task.width, task.replicas - block * task.width)


@contextmanager
def precision(x64: bool) -> Iterator[None]:
    """Within it, JAX's default floats are 64 bits wide, or 32."""
    with jax.enable_x64(x64):
        yield


def root_of(seed: int) -> np.ndarray:
    """The words of the root key, ``(2,)`` uint32: the same in either precision."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], dtype=np.uint32)


def key_of(root: Any, replica: Any, step: Any) -> jax.Array:
    """The key of cell (replica, step): ``fold_in(fold_in(root, replica), step)``.

    Example:
        >>> key_of(root_of(0), 2, 7).shape
        ()
    """
    key = jax.random.wrap_key_data(jnp.asarray(root), impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(key, replica), step)


class _Traced:
    """Pure tasks: vectorised over the block, compiled, split over the mesh."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.task, self.mesh = loop, loop.task, loop.mesh
        self._start: Any = None
        self._advance: Any = None
        self._whole: Any = None

    def init(self, replicas: np.ndarray) -> Any:
        with jax.set_mesh(self.mesh):
            split = self._split(self._template)
            self._start = self._start or jax.jit(self._init, out_shardings=split)
            return self._start(self.loop.root, replicas, self.loop.data)

    def advance(
        self, block: int, state: Any, start: int, stop: int
    ) -> tuple[Any, State]:
        """From one step to another within a stride; the rows come to the host."""
        replicas = replicas_of(self.task, block)
        length, valid = np.int32(stop - start), valid_of(self.task, block)
        with jax.set_mesh(self.mesh):
            self._advance = self._advance or self._compile(state)
            state, rows = self._advance(
                state, self.loop.root, replicas, np.int32(start), length, self.loop.data
            )
        rows = {k: np.asarray(v)[:length].swapaxes(0, 1) for k, v in rows.items()}
        return state, {k: np.ascontiguousarray(v[:valid]) for k, v in rows.items()}

    def pack(self, block: int, state: Any) -> State:
        with jax.set_mesh(self.mesh):
            leaves = jax.tree_util.tree_leaves_with_path(self._gather(state))
        valid = valid_of(self.task, block)
        return {_name(path): np.asarray(leaf)[:valid] for path, leaf in leaves}

    def unpack(self, block: int, state: State) -> Any:
        """Named arrays as the sharded pytree; padding is filled with replica 0's."""
        paths, tree = jax.tree_util.tree_flatten_with_path(self._template)
        missing = [_name(p) for p, _ in paths if _name(p) not in state]
        if missing:
            raise RequestError(f"the stored state has no {', '.join(missing)}")
        padding = self.task.width - valid_of(self.task, block)
        leaves = [state[_name(p)] for p, _ in paths]
        leaves = [np.concatenate([x, *[x[:1]] * padding]) for x in leaves]
        whole = jax.tree.unflatten(tree, leaves)
        return jax.tree.map(_put, whole, self._split(self._template))

    def pick(self, state: Any, place: int) -> Any:
        return jax.tree.map(lambda x: x[place], state)

    def _init(self, root: Any, replicas: Any, data: Any) -> Any:
        def one(replica: Any) -> Any:
            return self.task.init(key_of(root, replica, 0), replica, data)

        return self._over_block(one)(replicas)

    def _step(self, state: Any, root: Any, replicas: Any, t: Any, data: Any) -> Any:
        def one(state: Any, replica: Any) -> Any:
            return self.task.step(key_of(root, replica, t), state, data)

        return self._over_block(one)(state, replicas)

    def _over_block(self, one: Any) -> Any:
        """``vmap``, but width 1 is called as it is: ``lax.cond`` stays a branch."""
        if self.task.width > 1:
            return jax.vmap(one)

        def single(*args: Any) -> Any:
            args = jax.tree.map(lambda x: x[0], args)
            return jax.tree.map(lambda x: jnp.asarray(x)[None], one(*args))

        return single

    @cached_property
    def _template(self) -> Any:
        """Shapes and types of a block's state."""
        args = (self.loop.root, replicas_of(self.task, 0), self.loop.data)
        return jax.eval_shape(self._init, *args)

    def _split(self, state: Any) -> Any:
        """Shardings: ``sharded`` fields over the mesh, along the axis behind replica."""

        def sharding(path: Any, leaf: Any) -> NamedSharding:
            split = _name(path[:1]) in self.task.sharded
            if split and leaf.shape[1] % self.mesh.size:
                raise Indivisible(leaf.shape[1])
            return NamedSharding(self.mesh, P(None, AXIS) if split else P())

        return jax.tree_util.tree_map_with_path(sharding, state)

    def _gather(self, state: Any) -> Any:
        if self.mesh.size == 1:
            return state
        if self._whole is None:
            self._whole = jax.jit(
                lambda s: s, out_shardings=NamedSharding(self.mesh, P())
            )
        return self._whole(state)

    def _compile(self, state: Any) -> Any:
        """One program for every start and length within a stride; traces step once."""
        task = self.task
        args = (
            state,
            self.loop.root,
            replicas_of(task, 0),
            np.int32(1),
            self.loop.data,
        )
        traced, shapes = jax.make_jaxpr(self._step, return_shape=True)(*args)
        _check_rows(task, shapes[1])
        step = jaxpr_as_fun(traced)
        tree = jax.tree.structure(shapes)

        def advance(
            state: Any, root: Any, replicas: Any, start: Any, length: Any, data: Any
        ) -> Any:
            def body(i: Any, carry: Any) -> Any:
                state, buffer = carry
                args = (state, root, replicas, start + i + 1, data)
                state, row = jax.tree.unflatten(tree, step(*jax.tree.leaves(args)))
                return state, {k: v.at[i].set(row[k]) for k, v in buffer.items()}

            buffer = {
                k: jnp.zeros((task.stride, *v.shape), v.dtype)
                for k, v in shapes[1].items()
            }
            return jax.lax.fori_loop(0, length, body, (state, buffer))

        shardings = (self._split(state), NamedSharding(self.mesh, P()))
        return jax.jit(advance, out_shardings=shardings, donate_argnums=0)


class _Plain:
    """Untraced tasks: each replica's step is Python; the state is JSON-able."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.task = loop, loop.task

    def init(self, replicas: np.ndarray) -> list[Any]:
        keys = [key_of(self.loop.root, r, 0) for r in replicas]
        pairs = zip(keys, replicas, strict=True)
        return [self.task.init(key, int(r), self.loop.data) for key, r in pairs]

    def advance(
        self, block: int, state: Any, start: int, stop: int
    ) -> tuple[Any, State]:
        states, rows = asyncio.run(self._walk(block, state, start, stop))
        columns = {
            name: np.array(
                [[row[name] for row in replica] for replica in rows],
                dtype=_dtype(var, bool(jax.config.jax_enable_x64)),
            )
            for name, var in self.task.emits.items()
        }
        return states, columns

    async def _walk(self, block: int, states: list[Any], start: int, stop: int) -> Any:
        """All replicas of the block at once; each takes its steps in order."""

        async def replica(index: int, state: Any) -> Any:
            rows = []
            for t in range(start + 1, stop + 1):
                key = key_of(self.loop.root, index, t)
                result = self.task.step(key, state, self.loop.data)
                state, row = await result if inspect.isawaitable(result) else result
                _check_names(self.task, row)
                rows.append(row)
            return state, rows

        valid = replicas_of(self.task, block)[: valid_of(self.task, block)]
        pairs = zip(valid, states, strict=False)
        done = await asyncio.gather(*(replica(int(r), s) for r, s in pairs))
        return [s for s, _ in done], [rows for _, rows in done]

    def pack(self, block: int, state: Any) -> State:
        text = json.dumps(state[: valid_of(self.task, block)], sort_keys=True)
        return {"json": np.frombuffer(text.encode(), dtype=np.uint8)}

    def unpack(self, block: int, state: State) -> Any:
        return json.loads(state["json"].tobytes().decode())

    def pick(self, state: Any, place: int) -> Any:
        return state[place]


def _stops(start: int, strides: int, stride: int, until: int) -> list[int]:
    """Where the strides of a chunk end; see :meth:`Loop.chunk`."""
    first = (start // stride + 1) * stride
    stops = [first + i * stride for i in range(strides)]
    full = [s for s in stops if s <= until]
    return full or [until]


def _check_rows(task: Task, row: Mapping[str, Any]) -> None:
    """The law "rows match emits", said in one line where it is broken."""
    _check_names(task, row)
    for name, var in task.emits.items():
        dtype, shape = row[name].dtype, row[name].shape[1:]
        wanted = _dtype(var, bool(jax.config.jax_enable_x64))
        if dtype != wanted or len(shape) != len(var.dims):
            raise RequestError(
                f"{type(task).__name__}: row '{name}' is {dtype}{list(shape)}, emits "
                f"says {wanted} with dims {list(var.dims)}"
            )


def _check_names(task: Task, row: Mapping[str, Any]) -> None:
    if set(row) != set(task.emits):
        raise RequestError(
            f"{type(task).__name__}: step returns the rows {sorted(row)}, emits has "
            f"{sorted(task.emits)}"
        )


def _dtype(var: Var, x64: bool) -> Any:
    if var.dtype == "str":
        return np.dtypes.StringDType()
    return np.dtype(
        {"float": "float64" if x64 else "float32"}.get(var.dtype, var.dtype)
    )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _put(leaf: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A host array that every process holds whole, as one global array."""
    return jax.make_array_from_callback(leaf.shape, sharding, lambda i: leaf[i])
