"""Densities over discrete states, and their change when one site changes.

A target is an unnormalised log p(x) over x ∈ {0 … K−1}^D, given as a function of a
*relaxed* state, so that it has a gradient: bits as floats (D,) if K = 2, one-hot rows
(D, K) otherwise.  All samplers see it through its **gains**::

    Δ[i, k] = f(x with x_i ← (x_i + 1 + k) mod K) − f(x),      k = 0 … K − 2

Binary states are the case of one column, no move stays put, and the way back from move
k is move K − 2 − k.  Gains are exact, one evaluation each or in closed form, or those
of the first-order Taylor expansion, which cost one gradient::

    Δ[i, k] ≈ ∂f/∂x_i,(x_i + 1 + k) − ∂f/∂x_i,x_i

Taylor is exact where f is linear in every site by itself (*multilinear*): Ising, Potts.

Reference: Grathwohl et al., arXiv:2102.04509, eqs. 3-5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8
from numpy.typing import ArrayLike

State = UInt8[Array, " sites"]
"""One value per site, 0 … K − 1."""

Gains = Float[Array, "sites moves"]
"""The change of f by each of the K − 1 moves of each site."""

Relaxed = Float[Array, " sites"] | Float[Array, "sites values"]
"""A state as the argument of a density: bits as floats, or one-hot rows."""

Density = Callable[[Array], Array]
"""Relaxed state -> ()."""


class Target(NamedTuple):
    """An unnormalised log p over ``values`` values at each of ``sites`` sites.

    Example:
        >>> target = Target(lambda x: 0.5 * jnp.sum(x), sites=3)
        >>> value_and_gains(target, jnp.array([0, 1, 0], jnp.uint8))[1].ravel()
        Array([ 0.5, -0.5,  0.5], dtype=float32)
    """

    logp: Density  # relaxed state -> ()
    sites: int  # D
    values: int = 2  # K, from 2 to 256
    exact: Callable[[Array], Array] | None = None  # x (D,) -> gains, in closed form
    multilinear: bool = False  # Taylor's gains are exact
    colours: tuple[int, ...] | None = None  # per site; one colour never interacts
    energy: Density | None = None  # relaxed state -> (); per site; default −f/D
    order: Density | None = None  # relaxed state -> (); default the mean value
    log_z: float | None = None  # where it is known exactly
    weights: Any = None  # weights of an RBM: W, b and c, for block Gibbs


def relaxed(target: Target, x: State) -> Relaxed:
    """Return a state as the argument of its target's log p.

    Args:
        target: the density.
        x: ``(D,)`` uint8.

    Returns:
        ``(D,)`` floats if K = 2, one-hot rows ``(D, K)`` otherwise.

    Example:
        >>> three = Target(lambda x: x[0, 2], sites=2, values=3)
        >>> relaxed(three, jnp.array([2, 0], jnp.uint8)).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if target.values == 2:
        return x.astype(float)
    return jax.nn.one_hot(x, target.values, dtype=jnp.zeros(()).dtype)


def value(target: Target, x: State) -> Float[Array, ""]:
    """Return f(x) of an integer state.

    Args:
        target: the density.
        x: ``(D,)`` uint8.

    Returns:
        f(x) = log p(x) up to a constant, ().

    Example:
        >>> float(value(Target(jnp.sum, sites=3), jnp.array([0, 1, 1], jnp.uint8)))
        2.0
    """
    return target.logp(relaxed(target, x))


def value_and_gains(target: Target, x: State) -> tuple[Float[Array, ""], Gains]:
    """Return f(x) and Taylor's gains, from one value-and-gradient.

        Δ[i, k] ≈ ∂f/∂x_i,(x_i + 1 + k) − ∂f/∂x_i,x_i

    Args:
        target: the density.
        x: ``(D,)`` uint8.

    Returns:
        f(x), (), and the gains, ``(D, K − 1)``.

    Example:
        >>> square = Target(lambda x: jnp.sum(x) ** 2, sites=2)
        >>> f, gains = value_and_gains(square, jnp.array([1, 0], jnp.uint8))
        >>> float(f), gains.ravel().tolist()  # of which the exact ones are −1 and 3
        (1.0, [-2.0, 2.0])

    Reference: arXiv:2102.04509, eqs. 3-5.
    """
    f, slope = jax.value_and_grad(target.logp)(relaxed(target, x))
    if target.values == 2:
        return f, ((1 - 2 * x.astype(slope.dtype)) * slope)[:, None]
    return f, differences(slope, x)


def exact_gains(target: Target, x: State) -> Gains:
    """Return f(y) − f(x) for every y that differs from x at one site.

    They come in closed form where the target has one, from one gradient where Taylor is
    exact, and from D (K − 1) evaluations otherwise.

    Args:
        target: the density.
        x: ``(D,)`` uint8.

    Returns:
        Gains, ``(D, K − 1)``.

    Example:
        >>> square = Target(lambda x: jnp.sum(x) ** 2, sites=2)
        >>> exact_gains(square, jnp.array([1, 0], jnp.uint8)).ravel().tolist()
        [-1.0, 3.0]
    """
    if target.exact is not None:
        return target.exact(x)
    if target.multilinear:
        return value_and_gains(target, x)[1]
    others = alternatives(x, target.values)
    f = value(target, x)

    def gain(site: Int[Array, ""], other: UInt8[Array, ""]) -> Float[Array, ""]:
        return value(target, x.at[site].set(other)) - f

    return jax.vmap(jax.vmap(gain, (None, 0)))(jnp.arange(target.sites), others)


def alternatives(x: State, values: int) -> UInt8[Array, "sites moves"]:
    """Return the values that the moves of each site lead to.

        (x_i + 1 + k) mod K,      k = 0 … K − 2

    Args:
        x: ``(D,)`` uint8.
        values: K.

    Returns:
        ``(D, K − 1)``, of the type of ``x``.

    Example:
        >>> alternatives(jnp.array([0, 2], jnp.uint8), 3).tolist()
        [[1, 2], [0, 1]]
    """
    shift = jnp.arange(1, values, dtype=jnp.int32)
    return ((x[:, None].astype(jnp.int32) + shift[None]) % values).astype(x.dtype)


def differences(table: Float[Array, "sites values"], x: State) -> Gains:
    """Return ``table[i, new] − table[i, x_i]`` for every move.

    Args:
        table: ``(D, K)``, a number per site and value.
        x: ``(D,)`` uint8.

    Returns:
        ``(D, K − 1)``.

    Example:
        >>> table = jnp.array([[0.0, 1.0, 5.0]])
        >>> differences(table, jnp.array([1], jnp.uint8)).tolist()
        [[4.0, -1.0]]
    """
    others = alternatives(x, table.shape[1]).astype(jnp.int32)
    current = jnp.take_along_axis(table, x[:, None].astype(jnp.int32), 1)
    return jnp.take_along_axis(table, others, 1) - current


def checked_state(target: Target, x: ArrayLike) -> UInt8[np.ndarray, " sites"]:
    """Return a state as the samplers keep it, or say what is wrong with it.

    Args:
        target: the density.
        x: ``(D,)`` whole numbers from 0 to K − 1.

    Returns:
        ``(D,)`` uint8.

    Raises:
        ValueError: if it has another shape, or a value outside 0 … K − 1.

    Example:
        >>> checked_state(Target(jnp.sum, sites=3), [0, 1, 1])
        array([0, 1, 1], dtype=uint8)
    """
    x = np.asarray(x)
    if x.shape != (target.sites,):
        raise ValueError(
            f"a state of shape {x.shape}: this target has {target.sites} sites, so "
            f"expected ({target.sites},)"
        )
    bad = np.flatnonzero((x < 0) | (x >= target.values) | (x != np.floor(x)))
    if len(bad):
        raise ValueError(
            f"a state with {x[bad[0]]} at site {bad[0]}: expected whole numbers from 0 "
            f"to {target.values - 1}"
        )
    return x.astype(np.uint8)


def check_target(target: Target, states: UInt8[np.ndarray, "n sites"]) -> None:
    """Evaluate a target at some states, and say what is wrong with it.

    −inf marks an impossible state; it is allowed as long as one state is possible.

    Args:
        target: the density.
        states: ``(n, D)`` uint8.

    Raises:
        ValueError: if the target has no sites or not 2 to 256 values, if log p fails or
            is no scalar, or if it is NaN or +inf at one state or −inf at all.

    Example:
        >>> states = np.zeros((1, 2), np.uint8)
        >>> check_target(Target(lambda x: jnp.sum(x), sites=2), states)
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
        tried = (
            "the start state" if len(states) == 1 else f"all {len(states)} states tried"
        )
        raise ValueError(f"log p is -inf at {tried}: expected a start that is possible")


def _check_scalar(target: Target, state: UInt8[np.ndarray, " sites"]) -> None:
    """Raise unless log p of one state is a scalar float, without evaluating it."""
    argument = jax.eval_shape(lambda x: relaxed(target, x), state)
    try:
        shape = jax.eval_shape(target.logp, argument)
    except Exception as error:  # whatever a user's function raises
        raise ValueError(
            f"log p fails at a state of shape {argument.shape}: {_reason(error)}"
        ) from error
    if getattr(shape, "shape", None) != () or shape.dtype.kind != "f":
        result = getattr(shape, "shape", type(shape).__name__)
        kind = getattr(shape, "dtype", "")
        raise ValueError(
            f"log p of one state is {kind}{result}: expected a scalar float, ()"
        )


def _reason(error: Exception) -> str:
    """Return the reason of a failure, or the remedy if JAX cannot trace a density."""
    branch = (
        jax.errors.TracerBoolConversionError,
        jax.errors.TracerIntegerConversionError,
    )
    if isinstance(error, branch):
        return (
            "a Python branch or index depends on the state, which JAX traces; write "
            "jnp.where(condition, a, b) for if, and jnp.take or x @ table for an index"
        )
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return (
            "NumPy cannot compute with a state that JAX traces; write "
            "`import jax.numpy as jnp`, and jnp in place of np"
        )
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return (
            "float(), int() or .item() needs the value of a state that JAX traces; "
            "leave it out, and compute with jax.numpy alone"
        )
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
