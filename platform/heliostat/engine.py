"""How a block of replicas is stepped: as one compiled program, or as plain Python.

Both engines offer ``init``, ``advance``, ``pack``, ``unpack`` and ``pick``; the loop in
``unfold`` does not know which one it has.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

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
        return jit(advance, out_shardings=shardings, donate_argnums=0)


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
        emits = self.task.emits.items()
        return states, {
            name: self._column(name, var, table[name]) for name, var in emits
        }

    def _column(self, name: str, var: Var, values: list[list[Any]]) -> np.ndarray:
        """The rows of one variable as an array; nothing is cut to fit."""
        wanted = _dtype(var, _is_x64())
        text = np.dtypes.StringDType() if var.dtype == "str" else None
        found = np.array(values, dtype=text)
        fits = text is not None or np.can_cast(found.dtype, wanted, "same_kind")
        if not fits or found.ndim != 2 + len(var.dims):
            there = f"{found.dtype}{list(found.shape[2:])}"
            raise RequestError(
                f"{type(self.task).__name__}: row '{name}' is {there}, emits says "
                f"{wanted} with dims {list(var.dims)}"
            )
        return found.astype(wanted)

    async def _walk(self, block: int, states: list[Any], start: int, stop: int) -> Any:
        """All replicas of the block at once; each takes its steps in order."""

        async def replica(index: int, state: Any) -> Any:
            rows = []
            for t in range(start + 1, stop + 1):
                key = key_of(self.root, index, t)
                result = self.task.step(key, state, self.data)
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


def _check_rows(task: Task, row: Mapping[str, Any]) -> None:
    """The law "rows match emits", said in one line where it is broken."""
    _check_names(task, row)
    for name, var in task.emits.items():
        dtype, shape = row[name].dtype, row[name].shape[1:]
        wanted = _dtype(var, _is_x64())
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
