"""Discrete states packed into bits: ⌈log₂ K⌉ per site, eight to a byte."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array


def bits_of(values: int) -> int:
    """Bits that a site of ``values`` values takes."""
    return max(1, (values - 1).bit_length())


def pack(x: Array, values: int = 2) -> Array:
    """A state (D,) uint8 as ⌈D b / 8⌉ bytes, the highest bit first.

    Example:
        >>> pack(jnp.array([1, 0, 0, 0, 0, 0, 0, 1, 1], jnp.uint8))
        Array([129, 128], dtype=uint8)
    """
    places = jnp.arange(bits_of(values) - 1, -1, -1, dtype=jnp.uint8)
    return jnp.packbits((x[:, None] >> places[None]) & 1)


def unpack(packed: np.ndarray, sites: int, values: int = 2) -> np.ndarray:
    """States (..., D) uint8 from their bytes (..., ⌈D b / 8⌉).

    Example:
        >>> unpack(np.array([129, 128], np.uint8), 9).tolist()
        [1, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    b = bits_of(values)
    bits = np.unpackbits(packed, axis=-1, count=sites * b)
    bits = bits.reshape(*packed.shape[:-1], sites, b)
    places = 1 << np.arange(b - 1, -1, -1)
    return (bits * places).sum(-1).astype(np.uint8)
