"""Shards: how ``sharded`` fields lie on the devices of a mesh, split along one axis."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from heliostat.system.jit import jit
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


class ShardLayout:
    """Where the parts of a block's state are, on the devices of one mesh."""

    def __init__(self, task: Task, mesh: Mesh) -> None:
        self.task, self.mesh = task, mesh

    def split(self, state: Any) -> Any:
        """``sharded`` fields over the mesh, along the axis behind replica; the others
        whole on every device.

        Raises:
            Indivisible: if there are too many devices for an axis.
        """

        def sharding(path: Any, leaf: Any) -> NamedSharding:
            split = leaf_name(path[:1]) in self.task.sharded
            if split and leaf.shape[1] % self.mesh.size:
                raise Indivisible(leaf.shape[1])
            return NamedSharding(self.mesh, P(None, AXIS) if split else P())

        return jax.tree_util.tree_map_with_path(sharding, state)

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    def gather(self, state: Any) -> Any:
        """All of it on every device."""
        return state if self.mesh.size == 1 else self._gathering(state)

    @cached_property
    def _gathering(self) -> Any:
        return jit(lambda state: state, out_shardings=self.replicated)


def put_global(leaf: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """A host array that every process holds whole, as one global array."""
    return jax.make_array_from_callback(leaf.shape, sharding, lambda i: leaf[i])


def leaf_name(path: Any) -> str:
    """A leaf of a state, by its place in the tree: ``opt.mu``."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
