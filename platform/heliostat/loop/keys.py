"""Random keys: one for each (replica, step) of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax


def root_words(seed: int) -> np.ndarray:
    """Return the words of the root key, ``(2,)`` uint32: the same in any precision."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], dtype=np.uint32)


def step_key(root: Any, replica: Any, step: Any) -> jax.Array:
    """Return the random key of one replica at one step.

        key(r, t) = fold_in(fold_in(root, r), t)

    Args:
        root: from :func:`root_words`, ``(2,)`` uint32.
        replica: index of the replica, int32; may be traced.
        step: 0 for ``init``, then 1…T; may be traced.

    Example:
        >>> step_key(root_words(0), 2, 7).shape
        ()
    """
    import jax
    import jax.numpy as jnp

    key = jax.random.wrap_key_data(jnp.asarray(root), impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(key, replica), step)
