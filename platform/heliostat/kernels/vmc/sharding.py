"""Where an array's parts live, in the global view: whole, or split over the devices.

Values never depend on a layout; traffic does.  Outside a mesh, or on one device, each
function is the identity, so that kernels using them run anywhere.

Example:
    >>> import jax.numpy as jnp
    >>> whole(jnp.arange(3)).tolist()
    [0, 1, 2]
"""

from __future__ import annotations

import jax
from jax import Array
from jax.sharding import PartitionSpec


def device_count() -> int:
    """How many devices the ambient mesh has; 1 where there is none."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else mesh.size


def replicate(x: Array) -> Array:
    """The array, complete on every device."""
    return _laid(x)


def shard_columns(x: Array) -> Array:
    """The array, its last axis split over the devices (which must divide it)."""
    return _laid(x, x.ndim - 1)


def _laid(x: Array, axis: int | None = None) -> Array:
    if device_count() == 1:
        return x
    names = jax.sharding.get_abstract_mesh().axis_names
    places = [names if i == axis else None for i in range(x.ndim)]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*places))
