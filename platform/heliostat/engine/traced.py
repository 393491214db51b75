"""Pure tasks: vectorised over the block, compiled, split over the mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from heliostat.checkpoint import State
from heliostat.config import knobs
from heliostat.engine.lanes import (
    Apart,
    apart,
    each,
    each_in_place,
    padded,
    with_knobs,
)
from heliostat.engine.told import OBSERVE, STEP, check
from heliostat.errors import RequestError
from heliostat.grid import LANES, Lane, key_of, replicas_of, valid_of
from heliostat.kernels.compiler import jit
from heliostat.task import Task

AXIS = "shard"
"""Name of the mesh axis over which the fields of ``sharded`` are split."""


class Indivisible(ValueError):
    """The sharded axis does not divide over the devices."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a sharded axis of {length} does not divide over the devices")
        self.length = length

    def __reduce__(self) -> Any:
        return Indivisible, (self.length,)


class Held(NamedTuple):
    """A block on its devices, with what its programs are told of its lanes."""

    state: Any
    apart: Apart
    lanes: int


class Traced:
    """Steps blocks by compiled programs.

    They are written for one lane.  Where a task has fields that are arguments, they go
    from lane to lane, and arrays on devices have room for all, ``(LANES, ...)``.
    """

    def __init__(self, task: Task, data: Any, mesh: Mesh) -> None:
        self.task, self.data, self.mesh = task, data, mesh
        self._start: Any = None
        self._advance: Any = None
        self._observe: Any = None
        self._whole: Any = None

    def compile(self, fresh: bool) -> None:
        """Compile everything before anything runs; ``init`` only if it is ``fresh``.

        Members of a team wait for each other inside collectives, and not for long: so
        none may run before all have compiled.
        """
        state, given, count = self._states, self._apart, self._count(1)
        replicas, zero, data = replicas_of(self.task, 0), np.int32(0), self.data
        with jax.set_mesh(self.mesh):
            if fresh:
                start = self._starting.lower(given, *count, replicas, data)
                self._start = start.compile()
            advance = self._advancing.lower(
                state, given, *count, replicas, zero, zero, data
            )
            self._advance = advance.compile()
            if self.task.observes:
                observe = self._observing.lower((state, given), *count, data)
                self._observe = observe.compile()

    # -- what the loop asks for ---------------------------------------------------

    def init(self, block: int, lanes: Sequence[Lane]) -> Held:
        given = apart(self.task, lanes)
        replicas, count = replicas_of(self.task, block), self._count(len(lanes))
        with jax.set_mesh(self.mesh):
            state = self._start(given, *count, replicas, self.data)
        return Held(state, given, len(lanes))

    def advance(
        self, block: int, held: Held, start: int, stop: int
    ) -> tuple[Held, State]:
        """From one step to another within a stride; the rows come to the host."""
        replicas, length = replicas_of(self.task, block), np.int32(stop - start)
        given = (held.state, held.apart, *self._count(held.lanes))
        with jax.set_mesh(self.mesh):
            state, rows = self._advance(
                *given, replicas, np.int32(start), length, self.data
            )
        valid, found = valid_of(self.task, block), {}
        for name, buffer in rows.items():
            kept = self._on_host(buffer, held.lanes)[:, :length].swapaxes(1, 2)
            found[name] = np.ascontiguousarray(kept[:, :valid])
        return held._replace(state=state), found

    def observe(self, block: int, held: Held) -> State:
        """What the task tells of a state, ``(lanes, replicas, 1, ...)`` on the host."""
        given = ((held.state, held.apart), *self._count(held.lanes))
        with jax.set_mesh(self.mesh):
            found = self._observe(*given, self.data).items()
        valid = valid_of(self.task, block)
        return {n: self._on_host(v, held.lanes)[:, :valid, None] for n, v in found}

    def pack(self, block: int, held: Held) -> State:
        with jax.set_mesh(self.mesh):
            leaves = jax.tree_util.tree_leaves_with_path(self._gather(held.state))
        valid = valid_of(self.task, block)
        return {
            _name(path): self._on_host(leaf, held.lanes)[:, :valid]
            for path, leaf in leaves
        }

    def unpack(self, block: int, state: State, lanes: Sequence[Lane]) -> Held:
        """Named arrays as the sharded pytree; padding is filled with replica 0's."""
        padding, tree = self.task.width - valid_of(self.task, block), self._tree(state)
        self._check_shapes(tree)
        whole = jax.tree.map(
            lambda x: self._to_device(np.concatenate([x, *[x[:, :1]] * padding], 1)),
            tree,
        )
        put = jax.tree.map(_put, whole, self._split(self._template))
        return Held(put, apart(self.task, lanes), len(lanes))

    def pick(self, state: State, place: int) -> Any:
        """One replica of a block, as the task's pytree."""
        return jax.tree.map(lambda x: jnp.asarray(x[place]), self._tree(state))

    def stack(self, states: Sequence[State]) -> Any:
        """The replicas of all blocks along one leading axis, as the task's pytree."""
        trees = [self._tree(state) for state in states]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)

    # -- the programs -------------------------------------------------------------

    @property
    def _starting(self) -> Any:
        init = self._each(self._init, self._template)
        return jit(init, out_shardings=self._split(self._template))

    @property
    def _advancing(self) -> Any:
        advance, rows = self._strides()
        if self.task.packable:
            advance = each_in_place(advance, rows)
        shardings = (self._split(self._template), self._everywhere)
        return jit(advance, out_shardings=shardings, donate_argnums=0)

    @property
    def _observing(self) -> Any:
        """A program of its own: a step does not wait for what is told seldom."""
        found = jax.eval_shape(self._seen, (self._template, self._lane), self.data)
        check(self.task, OBSERVE, found)
        return jit(self._each(self._seen, found), out_shardings=self._everywhere)

    def _each(self, one: Callable[..., Any], shapes: Any) -> Callable[..., Any]:
        return each(one, shapes) if self.task.packable else one

    def _strides(self) -> tuple[Callable[..., Any], Any]:
        """One program for every start and length within a stride; traces step once.

        Returns:
            The program of a lane, and the shapes of the rows that it gives.
        """
        args = (self._template, self._lane, replicas_of(self.task, 0))
        trace = jax.make_jaxpr(self._step, return_shape=True)
        traced, shapes = trace(*args, np.int32(1), self.data)
        check(self.task, STEP, shapes[1])
        step, tree = jaxpr_as_fun(traced), jax.tree.structure(shapes)
        rows = {
            k: jax.ShapeDtypeStruct((self.task.stride, *v.shape), v.dtype)
            for k, v in shapes[1].items()
        }

        def advance(
            state: Any, lane: Apart, replicas: Any, start: Any, length: Any, data: Any
        ) -> Any:
            def body(i: Any, carry: Any) -> Any:
                state, buffer = carry
                args = (state, lane, replicas, start + i + 1, data)
                state, row = jax.tree.unflatten(tree, step(*jax.tree.leaves(args)))
                return state, {k: v.at[i].set(row[k]) for k, v in buffer.items()}

            buffer = {k: jnp.zeros(v.shape, v.dtype) for k, v in rows.items()}
            return jax.lax.fori_loop(0, length, body, (state, buffer))

        return advance, rows

    def _init(self, lane: Apart, replicas: Any, data: Any) -> Any:
        task = with_knobs(self.task, lane.knobs)

        def one(replica: Any) -> Any:
            return task.init(key_of(lane.root, replica, 0), replica, data)

        return self._over_block(one)(replicas)

    def _step(self, state: Any, lane: Apart, replicas: Any, t: Any, data: Any) -> Any:
        task = with_knobs(self.task, lane.knobs)

        def one(state: Any, replica: Any) -> Any:
            return task.step(key_of(lane.root, replica, t), state, data)

        return self._over_block(one)(state, replicas)

    def _seen(self, lane: tuple[Any, Apart], data: Any) -> Any:
        state, (_, numbers) = lane
        task = with_knobs(self.task, numbers)
        return self._over_block(lambda one: task.observe(one, data))(state)

    def _over_block(self, one: Any) -> Any:
        """``vmap``, but width 1 is called as it is: ``lax.cond`` stays a branch."""
        if self.task.width > 1:
            return jax.vmap(one)

        def single(*args: Any) -> Any:
            args = jax.tree.map(lambda x: x[0], args)
            return jax.tree.map(lambda x: jnp.asarray(x)[None], one(*args))

        return single

    # -- lanes and shards ---------------------------------------------------------

    def _count(self, lanes: int) -> tuple[Any, ...]:
        """What a program is told of how many lanes there are, if it asks."""
        return (np.int32(lanes),) if self.task.packable else ()

    def _on_host(self, leaf: Any, lanes: int) -> np.ndarray:
        """An array with its axis of lanes, but for those that are padding."""
        found = np.asarray(leaf)
        return found[:lanes] if self.task.packable else found[None]

    def _to_device(self, leaf: np.ndarray) -> np.ndarray:
        return padded(leaf) if self.task.packable else leaf[0]

    @cached_property
    def _apart(self) -> Apart:
        """What programs are told of lanes, for its shapes."""
        return apart(self.task, [Lane(0, knobs(self.task))])

    @cached_property
    def _lane(self) -> Apart:
        """The same of one lane."""
        if not self.task.packable:
            return self._apart
        return jax.tree.map(lambda x: x[0], self._apart)

    @cached_property
    def _template(self) -> Any:
        """Shapes and types of a block's state, in one lane."""
        replicas = replicas_of(self.task, 0)
        return jax.eval_shape(self._init, self._lane, replicas, self.data)

    @property
    def _states(self) -> Any:
        """The same of all lanes, and how it lies on the devices."""
        lanes = (LANES,) if self.task.packable else ()
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct((*lanes, *x.shape), x.dtype, sharding=s),
            self._template,
            self._split(self._template),
        )

    def _tree(self, state: State) -> Any:
        """Named arrays as the task's pytree."""
        paths, tree = jax.tree_util.tree_flatten_with_path(self._template)
        names = [_name(path) for path, _ in paths]
        missing = [name for name in names if name not in state]
        if missing:
            raise RequestError(f"the stored state has no {', '.join(missing)}")
        return jax.tree.unflatten(tree, [state[name] for name in names])

    def _check_shapes(self, tree: Any) -> None:
        """Refuse a state that another task's fields have given its shape."""
        found = jax.tree_util.tree_leaves_with_path(tree)
        wanted = jax.tree.leaves(self._template)
        for (path, leaf), like in zip(found, wanted, strict=True):
            if leaf.shape[2:] != like.shape[1:]:
                told = f"{_name(path)} of shape {leaf.shape[2:]}"
                expected = f"the task expects {like.shape[1:]}"
                raise RequestError(f"the stored state has {told}, {expected}")

    def _split(self, state: Any) -> Any:
        """``sharded`` fields over the mesh, along the axis behind replica."""

        def sharding(path: Any, leaf: Any) -> NamedSharding:
            split = _name(path[:1]) in self.task.sharded
            if split and leaf.shape[1] % self.mesh.size:
                raise Indivisible(leaf.shape[1])
            return NamedSharding(self.mesh, P(None, AXIS) if split else P())

        return jax.tree_util.tree_map_with_path(sharding, state)

    @property
    def _everywhere(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    def _gather(self, state: Any) -> Any:
        if self.mesh.size == 1:
            return state
        if self._whole is None:
            self._whole = jit(lambda s: s, out_shardings=self._everywhere)
        return self._whole(state)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _put(leaf: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A host array that every process holds whole, as one global array."""
    return jax.make_array_from_callback(leaf.shape, sharding, lambda i: leaf[i])
