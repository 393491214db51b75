"""Warnings of iterations that end without a solution.

They come at the call, or from a compiled program when it runs.
"""

from __future__ import annotations

import warnings
from typing import Any

import jax
from jax import Array
from jax.core import Tracer
from jaxtyping import Bool, Shaped


class ConvergenceWarning(UserWarning):
    """An iteration ended before its tolerance, or its result is not what it seems."""


def warn_unless(
    holds: Bool[Array, ""], message: str, *numbers: Shaped[Array, ""] | float
) -> None:
    """Warn where a condition does not hold, also inside of ``jit``, ``vmap`` and grad.

    Args:
        holds: (); NaN compares as false.
        message: with a ``{}`` for each number.
        numbers: () each.

    Warns:
        ConvergenceWarning: with the message.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_unless(jax.numpy.array(1) < 0, "residual {:.0e}", 0.5)
        >>> str(caught[0].message)
        'residual 5e-01'
    """

    def check(holds: Any, *numbers: Any) -> None:
        if not holds:
            text = message.format(*map(float, numbers))
            warnings.warn(text, ConvergenceWarning, stacklevel=4)

    values = jax.lax.stop_gradient((holds, *numbers))
    if any(isinstance(value, Tracer) for value in values):
        jax.debug.callback(check, *values)
    else:
        check(*values)
