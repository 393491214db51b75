"""Trial evaluation of a target, which says in one line what is wrong with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from heliostat.kernels.discrete.target import Target, relaxed, value
from heliostat.system.tracers import remedy_of


def check_target(
    target: Target,
    states: UInt8[np.ndarray, "n sites"],
    remedy: str = "expected a start that is possible",
) -> Float[np.ndarray, " n"]:
    """Evaluate a target at some states, and say what is wrong with it.

    −inf marks an impossible state; it is allowed as long as one state is possible.

    Args:
        target: the density.
        states: ``(n, D)`` uint8.
        remedy: end of the message if no state is possible.

    Returns:
        log p of each state, ``(n,)``.

    Raises:
        ValueError: if the target has no sites or not 2 to 256 values, if log p fails or
            is no scalar, or if it is NaN or +inf at one state or −inf at all.

    Example:
        >>> states = np.zeros((1, 2), np.uint8)
        >>> _ = check_target(Target(lambda x: jnp.sum(x), sites=2), states)
        >>> check_target(Target(lambda x: x, sites=2), states)
        Traceback (most recent call last):
        ValueError: log p of one state is float32(2,): expected a scalar float, ()
    """
    if target.sites < 1 or not 2 <= target.values <= 256:
        raise ValueError(
            f"a target of {target.sites} sites with {target.values} values: expected "
            "at least 1 site, with 2 to 256 values"
        )
    _check_scalar(target, states[0])
    logs = np.asarray(jax.vmap(lambda x: value(target, x))(jnp.asarray(states)))
    for name, bad in (("NaN", np.isnan(logs)), ("+inf", logs == np.inf)):
        if bad.any():
            raise ValueError(
                f"log p is {name} at {bad.sum()} of {len(states)} states tried: "
                "expected a finite number, or -inf for what is impossible"
            )
    if not np.isfinite(logs).any():
        tried = f"all {len(logs)} states tried" if len(logs) > 1 else "the start state"
        raise ValueError(f"log p is -inf at {tried}: {remedy}")
    return logs


def _check_scalar(target: Target, state: UInt8[np.ndarray, " sites"]) -> None:
    """Raise unless log p of one state is a scalar float, without evaluating it."""
    argument = jax.eval_shape(lambda x: relaxed(target, x), state)
    try:
        shape = jax.eval_shape(target.logp, argument)
    except Exception as error:  # whatever a user's function raises
        reason = remedy_of(error)
        reason = reason or f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(
            f"log p fails at a state of shape {argument.shape}: {reason[:200]}"
        ) from error
    if getattr(shape, "shape", None) != () or shape.dtype.kind != "f":
        name = getattr(shape, "shape", type(shape).__name__)
        name = f"{getattr(shape, 'dtype', '')}{name}"
        raise ValueError(f"log p of one state is {name}: expected a scalar float, ()")
