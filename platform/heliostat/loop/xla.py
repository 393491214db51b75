"""Engine of traced tasks: compiled by XLA, vectorised over a block, split by a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from heliostat.errors import RequestError
from heliostat.loop.batching import BatchArgs, batch_args, pad_members
from heliostat.loop.mistakes import check_first_state
from heliostat.loop.programs import Programs
from heliostat.loop.sharding import ShardLayout, leaf_name, put_global
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import Member, block_replicas, valid_replicas
from heliostat.task import Task


class BlockState(NamedTuple):
    """A block on its devices, with the per-member arguments of its programs."""

    arrays: Any  # the task's pytree, leaves (MAX_MEMBERS?, width, ...)
    args: BatchArgs
    members: int


class XLAEngine:
    """Engine that steps blocks by programs that XLA compiles."""

    def __init__(self, task: Task, data: Any, mesh: Mesh) -> None:
        self.task, self.data, self.mesh = task, data, mesh
        self._shards = ShardLayout(task, mesh)
        self._programs = Programs(task, data, self._shards)
        self._init: Any = None
        self._advance: Any = None
        self._observe: Any = None

    def compile(self, with_init: bool) -> None:
        """Compile everything before anything runs; ``init`` only if ``with_init``.

        The workers of a team wait for each other inside collectives, and soon time
        out, so none may run before all have compiled.
        """
        programs, data = self._programs, self.data
        args, count = programs.args, programs.count(1)
        replicas, zero = block_replicas(self.task, 0), np.int32(0)
        with jax.set_mesh(self.mesh):
            if with_init:
                init = programs.init.lower(args, *count, replicas, data)
                self._init = init.compile()
            state = programs.states
            advance = programs.advance.lower(
                state, args, *count, replicas, zero, zero, data
            )
            self._advance = advance.compile()
            if self.task.observes:
                observe = programs.observe.lower((state, args), *count, data)
                self._observe = observe.compile()

    # -- the interface of engines -------------------------------------------------

    def init(self, block: int, members: Sequence[Member]) -> BlockState:
        args, count = batch_args(self.task, members), self._count(len(members))
        replicas = block_replicas(self.task, block)
        with jax.set_mesh(self.mesh):
            arrays = self._init(args, *count, replicas, self.data)
        return BlockState(arrays, args, len(members))

    def advance(
        self, block: int, state: BlockState, start: int, stop: int
    ) -> tuple[BlockState, NamedArrays]:
        arrays, args, members = state
        replicas, length = block_replicas(self.task, block), np.int32(stop - start)
        fixed = (*self._count(members), replicas, np.int32(start), length, self.data)
        with jax.set_mesh(self.mesh):
            arrays, buffers = self._advance(arrays, args, *fixed)
        valid, rows = valid_replicas(self.task, block), {}
        for name, buffer in buffers.items():  # (members, stride, width, ...)
            steps = self._on_host(buffer, members)[:, :length].swapaxes(1, 2)
            rows[name] = np.ascontiguousarray(steps[:, :valid])
        return BlockState(arrays, args, members), rows

    def observe(self, block: int, state: BlockState) -> NamedArrays:
        arrays, args, members = state
        with jax.set_mesh(self.mesh):
            rows = self._observe((arrays, args), *self._count(members), self.data)
        valid = valid_replicas(self.task, block)
        return {n: self._on_host(v, members)[:, :valid, None] for n, v in rows.items()}

    def to_host(self, block: int, state: BlockState) -> NamedArrays:
        with jax.set_mesh(self.mesh):
            whole = self._shards.gather(state.arrays)
        valid = valid_replicas(self.task, block)
        return {
            leaf_name(path): self._on_host(leaf, state.members)[:, :valid]
            for path, leaf in jax.tree_util.tree_leaves_with_path(whole)
        }

    def from_host(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> BlockState:
        """Return named arrays as the sharded pytree, padded with the first replica."""
        tree = self._tree(stored)
        check_first_state(self._programs.template, _first_member(tree))
        shardings = self._shards.split(self._programs.template)
        arrays = jax.tree.map(put_global, self._padded(block, tree), shardings)
        return BlockState(arrays, batch_args(self.task, members), len(members))

    def refresh(self, block: int, state: BlockState) -> BlockState:
        arrays, args, members = state
        counted = (*self._count(members), self.data)
        with jax.set_mesh(self.mesh):
            arrays = self._programs.refresh((arrays, args), *counted)
        return BlockState(arrays, args, members)

    def adopt(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> BlockState:
        tree = self._tree(stored)
        if type(self.task).adopt is Task.adopt:  # other shapes cannot be refreshed
            check_first_state(self._programs.template, _first_member(tree))
        padded = self._padded(block, tree)
        one = jax.tree.map(lambda x: x[0], padded) if self.task.packable else padded
        args = batch_args(self.task, members)
        counted = (*self._count(len(members)), self.data)
        with jax.set_mesh(self.mesh):
            arrays = self._programs.adopt(one)((padded, args), *counted)
        return BlockState(arrays, args, len(members))

    def replica_state(self, stored: NamedArrays, index: int) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x[index]), self._tree(stored))

    def all_replicas(self, stored: Sequence[NamedArrays]) -> Any:
        trees = [self._tree(state) for state in stored]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)

    # -- between host and devices -------------------------------------------------

    def _count(self, members: int) -> tuple[Any, ...]:
        return self._programs.count(members)

    def _on_host(self, leaf: Any, members: int) -> np.ndarray:
        """Return an array with its axis of members, without padding."""
        array = np.asarray(leaf)
        return array[:members] if self.task.packable else array[None]

    def _to_device(self, leaf: np.ndarray) -> np.ndarray:
        return pad_members(leaf) if self.task.packable else leaf[0]

    def _tree(self, stored: NamedArrays) -> Any:
        """Return named arrays as the task's pytree.

        Raises:
            RequestError: if one is missing.
        """
        paths, tree = jax.tree_util.tree_flatten_with_path(self._programs.template)
        names = [leaf_name(path) for path, _ in paths]
        missing = [name for name in names if name not in stored]
        if missing:
            raise RequestError(
                f"the stored state has no {', '.join(missing)}: it is of other fields "
                "or another version of the task; start a new run"
            )
        return jax.tree.unflatten(tree, [stored[name] for name in names])

    def _padded(self, block: int, tree: Any) -> Any:
        """Return a pytree padded to the width by its first replica, for a program."""
        padding = self.task.width - valid_replicas(self.task, block)
        return jax.tree.map(
            lambda x: self._to_device(np.concatenate([x, *[x[:, :1]] * padding], 1)),
            tree,
        )


def _first_member(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
