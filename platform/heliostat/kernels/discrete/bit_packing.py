"""Discrete states packed into bits: ⌈log₂ K⌉ per site, eight to a byte."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import UInt8

from heliostat.kernels.discrete.target import State


def bits_of(values: int) -> int:
    """Return the number of bits of a site, b = ⌈log₂ K⌉.

    Args:
        values: K, at least 1.

    Returns:
        b, at least 1.

    Example:
        >>> bits_of(2), bits_of(3), bits_of(256)
        (1, 2, 8)
    """
    return max(1, (values - 1).bit_length())


def pack(x: State, values: int = 2) -> UInt8[Array, " bytes"]:
    """Pack a state into bytes, the highest bit first.

    Args:
        x: ``(D,)`` uint8, from 0 to K − 1.
        values: K.

    Returns:
        ``(⌈D b / 8⌉,)`` uint8.

    Example:
        >>> pack(jnp.array([1, 0, 0, 0, 0, 0, 0, 1, 1], jnp.uint8))
        Array([129, 128], dtype=uint8)
    """
    places = jnp.arange(bits_of(values) - 1, -1, -1, dtype=jnp.uint8)
    return jnp.packbits((x[:, None] >> places[None]) & 1)


def unpack(
    packed: UInt8[np.ndarray, "*batch bytes"], sites: int, values: int = 2
) -> UInt8[np.ndarray, "*batch sites"]:
    """Unpack states from their bytes.

    Args:
        packed: ``(..., ⌈D b / 8⌉)`` uint8.
        sites: D.
        values: K.

    Returns:
        ``(..., D)`` uint8.

    Example:
        >>> unpack(np.array([129, 128], np.uint8), 9).tolist()
        [1, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    b = bits_of(values)
    bits = np.unpackbits(packed, axis=-1, count=sites * b)
    bits = bits.reshape(*packed.shape[:-1], sites, b)
    places = 1 << np.arange(b - 1, -1, -1)
    return (bits * places).sum(-1).astype(np.uint8)
