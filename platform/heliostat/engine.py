"""How a block of replicas is stepped: as one compiled program, or as plain Python.

Both engines offer ``init``, ``advance``, ``observe``, ``pack``, ``unpack``, ``pick``
and ``stack``; the loop in ``unfold`` does not know which one it has.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from heliostat.checkpoint import State
from heliostat.errors import RequestError
from heliostat.grid import key_of, replicas_of, valid_of
from heliostat.kernels.compiler import jit
from heliostat.task import Task, Var

AXIS = "shard"
"""Name of the mesh axis over which the fields of ``sharded`` are split."""


class Indivisible(ValueError):
    """The sharded axis does not divide over the devices."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a sharded axis of {length} does not divide over the devices")
        self.length = length

    def __reduce__(self) -> Any:
        return Indivisible, (self.length,)


class Traced:
    """Pure tasks: vectorised over the block, compiled, split over the mesh."""

    def __init__(self, task: Task, root: np.ndarray, data: Any, mesh: Mesh) -> None:
        self.task, self.root, self.data, self.mesh = task, root, data, mesh
        self._start: Any = None
        self._advance: Any = None
        self._observe: Any = None
        self._whole: Any = None

    def compile(self, fresh: bool) -> None:
        """Compile everything before anything runs; ``init`` only if it is ``fresh``.

        Members of a team wait for each other inside collectives, and not for long: so
        none may run before all have compiled.
        """
        replicas, zero = replicas_of(self.task, 0), np.int32(0)
        split = self._split(self._template)
        with jax.set_mesh(self.mesh):
            if fresh:
                start = jit(self._init, out_shardings=split)
                self._start = start.lower(self.root, replicas, self.data).compile()
            state = jax.tree.map(
                lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
                self._template,
                split,
            )
            program = self._program(state)
            arguments = (state, self.root, replicas, zero, zero, self.data)
            self._advance = program.lower(*arguments).compile()
            if self.task.observes:
                self._observe = self._observer().lower(state, self.data).compile()

    def init(self, replicas: np.ndarray) -> Any:
        with jax.set_mesh(self.mesh):
            return self._start(self.root, replicas, self.data)

    def advance(
        self, block: int, state: Any, start: int, stop: int
    ) -> tuple[Any, State]:
        """From one step to another within a stride; the rows come to the host."""
        replicas = replicas_of(self.task, block)
        length, valid = np.int32(stop - start), valid_of(self.task, block)
        with jax.set_mesh(self.mesh):
            state, rows = self._advance(
                state, self.root, replicas, np.int32(start), length, self.data
            )
        rows = {k: np.asarray(v)[:length].swapaxes(0, 1) for k, v in rows.items()}
        return state, {k: np.ascontiguousarray(v[:valid]) for k, v in rows.items()}

    def observe(self, block: int, state: Any) -> State:
        """What the task tells of a state, ``(replicas, 1, ...)`` on the host."""
        with jax.set_mesh(self.mesh):
            found = self._observe(state, self.data)
        valid = valid_of(self.task, block)
        return {name: np.asarray(v)[:valid, None] for name, v in found.items()}

    def pack(self, block: int, state: Any) -> State:
        with jax.set_mesh(self.mesh):
            leaves = jax.tree_util.tree_leaves_with_path(self._gather(state))
        valid = valid_of(self.task, block)
        return {_name(path): np.asarray(leaf)[:valid] for path, leaf in leaves}

    def unpack(self, block: int, state: State) -> Any:
        """Named arrays as the sharded pytree; padding is filled with replica 0's."""
        padding = self.task.width - valid_of(self.task, block)
        whole = jax.tree.map(
            lambda x: np.concatenate([x, *[x[:1]] * padding]), self._tree(state)
        )
        return jax.tree.map(_put, whole, self._split(self._template))

    def pick(self, state: Any, place: int) -> Any:
        return jax.tree.map(lambda x: x[place], state)

    def stack(self, states: Sequence[State]) -> Any:
        """The replicas of all blocks along one leading axis, as the task's pytree."""
        trees = [self._tree(state) for state in states]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)

    def _tree(self, state: State) -> Any:
        """Named arrays as the task's pytree."""
        paths, tree = jax.tree_util.tree_flatten_with_path(self._template)
        names = [_name(path) for path, _ in paths]
        missing = [name for name in names if name not in state]
        if missing:
            raise RequestError(f"the stored state has no {', '.join(missing)}")
        return jax.tree.unflatten(tree, [state[name] for name in names])

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
        args = (self.root, replicas_of(self.task, 0), self.data)
        return jax.eval_shape(self._init, *args)

    def _split(self, state: Any) -> Any:
        """``sharded`` fields over the mesh, along the axis behind replica."""

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
            self._whole = jit(lambda s: s, out_shardings=NamedSharding(self.mesh, P()))
        return self._whole(state)

    def _program(self, state: Any) -> Any:
        """One program for every start and length within a stride; traces step once."""
        task = self.task
        args = (
            state,
            self.root,
            replicas_of(task, 0),
            np.int32(1),
            self.data,
        )
        traced, shapes = jax.make_jaxpr(self._step, return_shape=True)(*args)
        _check(task, STEP, shapes[1])
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
        return jit(advance, out_shardings=shardings, donate_argnums=0)

    def _observer(self) -> Any:
        """A program of its own: a step does not wait for what is told seldom."""

        def observe(state: Any, data: Any) -> Any:
            found = self._over_block(lambda one: self.task.observe(one, data))(state)
            _check(self.task, OBSERVE, found)
            return found

        return jit(observe, out_shardings=NamedSharding(self.mesh, P()))


class Plain:
    """Untraced tasks: each replica's step is Python; the state is JSON-able."""

    def __init__(self, task: Task, root: np.ndarray, data: Any, mesh: Mesh) -> None:
        self.task, self.root, self.data = task, root, data

    def compile(self, fresh: bool) -> None:
        """Nothing to do for Python."""

    def init(self, replicas: np.ndarray) -> list[Any]:
        keys = [key_of(self.root, r, 0) for r in replicas]
        pairs = zip(keys, replicas, strict=True)
        return [self.task.init(key, int(r), self.data) for key, r in pairs]

    def advance(
        self, block: int, state: Any, start: int, stop: int
    ) -> tuple[Any, State]:
        x64 = _is_x64()

        def walk() -> Any:
            with jax.enable_x64(x64):  # JAX keeps it per thread
                return asyncio.run(self._walk(block, state, start, stop))

        with ThreadPoolExecutor(1) as apart:  # a notebook's thread has a loop already
            states, rows = apart.submit(walk).result()
        table = {
            name: [[row[name] for row in replica] for replica in rows]
            for name in self.task.emits
        }
        return states, self._columns(STEP, table)

    def observe(self, block: int, state: Any) -> State:
        """What the task tells of each replica, as arrays ``(replicas, 1, ...)``."""
        found = [
            self.task.observe(one, self.data)
            for one in state[: valid_of(self.task, block)]
        ]
        for one in found:
            _check_names(self.task, OBSERVE, one)
        names = self.task.observes
        return self._columns(OBSERVE, {n: [[one[n]] for one in found] for n in names})

    def _columns(self, told: Told, values: Mapping[str, list[list[Any]]]) -> State:
        table = told.table(self.task).items()
        return {n: self._column(told, n, var, values[n]) for n, var in table}

    def _column(
        self, told: Told, name: str, var: Var, values: list[list[Any]]
    ) -> np.ndarray:
        """The values of one variable as an array; nothing is cut to fit."""
        wanted = _dtype(var, _is_x64())
        text = np.dtypes.StringDType() if var.dtype == "str" else None
        found = np.array(values, dtype=text)
        fits = text is not None or np.can_cast(found.dtype, wanted, "same_kind")
        if not fits or found.ndim != 2 + len(var.dims):
            raise _misfit(self.task, told, name, found.dtype, found.shape[2:])
        _check_coords(self.task, told, name, found.shape[2:])
        return found.astype(wanted)

    async def _walk(self, block: int, states: list[Any], start: int, stop: int) -> Any:
        """All replicas of the block at once; each takes its steps in order."""

        async def replica(index: int, state: Any) -> Any:
            rows = []
            for t in range(start + 1, stop + 1):
                key = key_of(self.root, index, t)
                result = self.task.step(key, state, self.data)
                state, row = await result if inspect.isawaitable(result) else result
                _check_names(self.task, STEP, row)
                rows.append(row)
            return state, rows

        valid = replicas_of(self.task, block)[: valid_of(self.task, block)]
        pairs = zip(valid, states, strict=False)
        walks = (replica(int(r), s) for r, s in pairs)
        done: list[Any] = await asyncio.gather(*walks, return_exceptions=True)
        for one in done:  # only now: what others are waiting for shall not be lost
            if isinstance(one, BaseException):
                raise one
        return [s for s, _ in done], [rows for _, rows in done]

    def pack(self, block: int, state: Any) -> State:
        text = json.dumps(state[: valid_of(self.task, block)], sort_keys=True)
        return {"json": np.frombuffer(text.encode(), dtype=np.uint8)}

    def unpack(self, block: int, state: State) -> Any:
        return json.loads(state["json"].tobytes().decode())

    def pick(self, state: Any, place: int) -> Any:
        return state[place]

    def stack(self, states: Sequence[State]) -> list[Any]:
        return [one for state in states for one in self.unpack(0, state)]


class Told(NamedTuple):
    """What a method of a task tells, and where the task says what that is."""

    method: str
    declared: str
    thing: str

    def table(self, task: Task) -> Mapping[str, Var]:
        return getattr(task, self.declared)


STEP = Told("step", "emits", "row")
OBSERVE = Told("observe", "observes", "observed")


def _check(task: Task, told: Told, found: Mapping[str, Any]) -> None:
    """The law "rows match emits", said in one line where it is broken."""
    _check_names(task, told, found)
    for name, var in told.table(task).items():
        dtype, shape = found[name].dtype, found[name].shape[1:]
        if dtype != _dtype(var, _is_x64()) or len(shape) != len(var.dims):
            raise _misfit(task, told, name, dtype, shape)
        _check_coords(task, told, name, shape)


def _check_coords(task: Task, told: Told, name: str, shape: Sequence[int]) -> None:
    """As many names as there are entries, along dims whose entries a task names."""
    for dim, size in zip(told.table(task)[name].dims, shape, strict=True):
        names = task.coords.get(dim)
        if names is not None and len(names) != size:
            raise RequestError(
                f"{type(task).__name__}: {told.thing} '{name}' has {size} entries "
                f"along '{dim}', coords names {len(names)}"
            )


def _check_names(task: Task, told: Told, found: Mapping[str, Any]) -> None:
    wanted = told.table(task)
    if set(found) != set(wanted):
        raise RequestError(
            f"{type(task).__name__}: {told.method} returns {sorted(found)}, "
            f"{told.declared} has {sorted(wanted)}"
        )


def _misfit(
    task: Task, told: Told, name: str, dtype: Any, shape: Sequence[int]
) -> RequestError:
    var = told.table(task)[name]
    return RequestError(
        f"{type(task).__name__}: {told.thing} '{name}' is {dtype}{list(shape)}, "
        f"{told.declared} says {_dtype(var, _is_x64())} with dims {list(var.dims)}"
    )


def _is_x64() -> bool:
    return jnp.zeros(()).dtype == jnp.float64


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
