"""Layouts of arrays in the global view: replicated, or split over the devices.

Values never depend on a layout; traffic does.  Outside a mesh, or on one device, each
function is the identity, so that kernels using them run anywhere.
"""

from __future__ import annotations

import jax
from jax import Array
from jax.sharding import PartitionSpec
from jaxtyping import Shaped


def device_count() -> int:
    """Return the number of devices of the ambient mesh; 1 where there is none.

    Example:
        >>> device_count()
        1
    """
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else mesh.size


def replicate(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """Return the array, complete on every device.

    Args:
        x: any array.

    Returns:
        The same values.

    Example:
        >>> import jax.numpy as jnp
        >>> replicate(jnp.arange(3)).tolist()
        [0, 1, 2]
    """
    return _laid_out(x)


def shard_columns(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """Return the array, its last axis split over the devices.

    Args:
        x: any array; the number of devices divides its last axis.

    Returns:
        The same values.

    Example:
        >>> import jax.numpy as jnp
        >>> shard_columns(jnp.ones((2, 4))).shape
        (2, 4)
    """
    return _laid_out(x, x.ndim - 1)


def _laid_out(
    x: Shaped[Array, "*shape"], axis: int | None = None
) -> Shaped[Array, "*shape"]:
    if device_count() == 1:
        return x
    names = jax.sharding.get_abstract_mesh().axis_names
    axes = [names if i == axis else None for i in range(x.ndim)]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*axes))
