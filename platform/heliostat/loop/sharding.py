"""Sharding of a block's state over the devices of a mesh: ``sharded`` fields are split.

A sharded field of shape ``(width, n, ...)`` is split along its second axis, n.
"""

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
    """A sharded axis whose length is no multiple of the number of devices."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a sharded axis of {length} does not divide over the devices")
        self.length = length

    def __reduce__(self) -> Any:
        return Indivisible, (self.length,)


class ShardLayout:
    """Shardings of a block's state on one mesh."""

    def __init__(self, task: Task, mesh: Mesh) -> None:
        self.task, self.mesh = task, mesh

    def split(self, state: Any) -> Any:
        """Return the sharding of each leaf: split if ``sharded``, else replicated.

        Args:
            state: arrays, or their shapes, ``(width, ...)``.

        Raises:
            Indivisible: if the devices do not divide a sharded axis.
        """

        def sharding(path: Any, leaf: Any) -> NamedSharding:
            split = leaf_name(path[:1]) in self.task.sharded
            if split and leaf.shape[1] % self.mesh.size:
                raise Indivisible(leaf.shape[1])
            return NamedSharding(self.mesh, P(None, AXIS) if split else P())

        return jax.tree_util.tree_map_with_path(sharding, state)

    @property
    def replicated(self) -> NamedSharding:
        """The sharding of an array that every device holds whole."""
        return NamedSharding(self.mesh, P())

    def gather(self, state: Any) -> Any:
        """Return the state with every leaf whole on every device."""
        return state if self.mesh.size == 1 else self._gather(state)

    @cached_property
    def _gather(self) -> Any:
        return jit(lambda state: state, out_shardings=self.replicated)


def put_global(leaf: np.ndarray, sharding: NamedSharding) -> jax.Array:
    """Return a host array, whole in every process, as one global array."""
    return jax.make_array_from_callback(leaf.shape, sharding, lambda i: leaf[i])


def leaf_name(path: Any) -> str:
    """Return the name of a leaf from its path in the state: ``opt.mu``."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
