"""Errors of values that JAX traces, each with its remedy."""

from __future__ import annotations

import jax

_BRANCH = (
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)


def remedy_of(error: Exception) -> str:
    """Return the reason and the remedy if JAX cannot trace a function, else "".

    Example:
        >>> import jax
        >>> try: jax.jit(lambda x: 1.0 if x > 0 else 0.0)(1.0)
        ... except Exception as error: print(remedy_of(error)[:30])
        a Python branch or index depen
    """
    if isinstance(error, _BRANCH):
        return (
            "a Python branch or index depends on a value that JAX traces; write "
            "jnp.where(condition, a, b) for if, and jnp.take or x @ table for an index"
        )
    if isinstance(error, jax.errors.NonConcreteBooleanIndexError):
        return (
            "x[mask] has a length that depends on values, which JAX cannot trace; "
            "write jnp.where(mask, x, 0) of one length"
        )
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return (
            "NumPy cannot compute with a value that JAX traces; write "
            "`import jax.numpy as jnp`, and jnp in place of np"
        )
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return (
            "float(), int() or .item() needs a value that JAX traces; leave it out, "
            "and compute with jax.numpy alone"
        )
    return ""
