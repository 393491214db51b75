"""Pure tasks: vectorised over the block, compiled, split over the mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from heliostat.errors import RequestError
from heliostat.loop.batching import BatchArgs, batch_args, pad_members
from heliostat.loop.programs import Programs
from heliostat.loop.sharding import ShardLayout, leaf_name, put_global
from heliostat.loop.state import State
from heliostat.loop.work import Member, block_replicas, valid_replicas
from heliostat.task import Task


class BlockState(NamedTuple):
    """A block on its devices, with what its programs are told of its lanes."""

    state: Any
    apart: BatchArgs
    lanes: int


class Compiled:
    """Steps blocks by compiled programs."""

    def __init__(self, task: Task, data: Any, mesh: Mesh) -> None:
        self.task, self.data, self.mesh = task, data, mesh
        self._shards = ShardLayout(task, mesh)
        self._programs = Programs(task, data, self._shards)
        self._start: Any = None
        self._advance: Any = None
        self._observe: Any = None

    def compile(self, fresh: bool) -> None:
        """Compile everything before anything runs; ``init`` only if it is ``fresh``.

        Members of a team wait for each other inside collectives, and not for long: so
        none may run before all have compiled.
        """
        programs = self._programs
        state, given, count = programs.states, programs.apart, programs.count(1)
        replicas, zero, data = block_replicas(self.task, 0), np.int32(0), self.data
        with jax.set_mesh(self.mesh):
            if fresh:
                start = programs.starting.lower(given, *count, replicas, data)
                self._start = start.compile()
            advance = programs.advancing.lower(
                state, given, *count, replicas, zero, zero, data
            )
            self._advance = advance.compile()
            if self.task.observes:
                observe = programs.observing.lower((state, given), *count, data)
                self._observe = observe.compile()

    # -- what the loop asks for ---------------------------------------------------

    def init(self, block: int, lanes: Sequence[Member]) -> BlockState:
        given = (batch_args(self.task, lanes), *self._programs.count(len(lanes)))
        with jax.set_mesh(self.mesh):
            state = self._start(*given, block_replicas(self.task, block), self.data)
        return BlockState(state, given[0], len(lanes))

    def advance(
        self, block: int, held: BlockState, start: int, stop: int
    ) -> tuple[BlockState, State]:
        """From one step to another within a stride; the rows come to the host."""
        replicas, length = block_replicas(self.task, block), np.int32(stop - start)
        given = (held.state, held.apart, *self._programs.count(held.lanes))
        with jax.set_mesh(self.mesh):
            state, rows = self._advance(
                *given, replicas, np.int32(start), length, self.data
            )
        valid, found = valid_replicas(self.task, block), {}
        for name, buffer in rows.items():
            kept = self._on_host(buffer, held.lanes)[:, :length].swapaxes(1, 2)
            found[name] = np.ascontiguousarray(kept[:, :valid])
        return held._replace(state=state), found

    def observe(self, block: int, held: BlockState) -> State:
        """What the task tells of a state, ``(lanes, replicas, 1, ...)`` on the host."""
        given = ((held.state, held.apart), *self._programs.count(held.lanes))
        with jax.set_mesh(self.mesh):
            found = self._observe(*given, self.data).items()
        valid = valid_replicas(self.task, block)
        return {n: self._on_host(v, held.lanes)[:, :valid, None] for n, v in found}

    def pack(self, block: int, held: BlockState) -> State:
        with jax.set_mesh(self.mesh):
            leaves = jax.tree_util.tree_leaves_with_path(
                self._shards.gather(held.state)
            )
        valid = valid_replicas(self.task, block)
        return {
            leaf_name(path): self._on_host(leaf, held.lanes)[:, :valid]
            for path, leaf in leaves
        }

    def unpack(self, block: int, state: State, lanes: Sequence[Member]) -> BlockState:
        """Named arrays as the sharded pytree; padding is filled with replica 0's."""
        padding, tree = (
            self.task.width - valid_replicas(self.task, block),
            self._tree(state),
        )
        self._check_shapes(tree)
        whole = jax.tree.map(
            lambda x: self._to_device(np.concatenate([x, *[x[:, :1]] * padding], 1)),
            tree,
        )
        split = self._shards.split(self._programs.template)
        held = jax.tree.map(put_global, whole, split)
        return BlockState(held, batch_args(self.task, lanes), len(lanes))

    def pick(self, state: State, place: int) -> Any:
        """One replica of a block, as the task's pytree."""
        return jax.tree.map(lambda x: jnp.asarray(x[place]), self._tree(state))

    def stack(self, states: Sequence[State]) -> Any:
        """The replicas of all blocks along one leading axis, as the task's pytree."""
        trees = [self._tree(state) for state in states]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)

    # -- between host and devices -------------------------------------------------

    def _on_host(self, leaf: Any, lanes: int) -> np.ndarray:
        """An array with its axis of lanes, but for those that are padding."""
        found = np.asarray(leaf)
        return found[:lanes] if self.task.packable else found[None]

    def _to_device(self, leaf: np.ndarray) -> np.ndarray:
        return pad_members(leaf) if self.task.packable else leaf[0]

    def _tree(self, state: State) -> Any:
        """Named arrays as the task's pytree."""
        paths, tree = jax.tree_util.tree_flatten_with_path(self._programs.template)
        names = [leaf_name(path) for path, _ in paths]
        missing = [name for name in names if name not in state]
        if missing:
            raise RequestError(f"the stored state has no {', '.join(missing)}")
        return jax.tree.unflatten(tree, [state[name] for name in names])

    def _check_shapes(self, tree: Any) -> None:
        """Refuse a state that another task's fields have given its shape."""
        found = jax.tree_util.tree_leaves_with_path(tree)
        wanted = jax.tree.leaves(self._programs.template)
        for (path, leaf), like in zip(found, wanted, strict=True):
            if leaf.shape[2:] != like.shape[1:]:
                told = f"{leaf_name(path)} of shape {leaf.shape[2:]}"
                expected = f"the task expects {like.shape[1:]}"
                raise RequestError(f"the stored state has {told}, {expected}")
