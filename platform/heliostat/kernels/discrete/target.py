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
from jax.core import Tracer
from jaxtyping import Float, Int, Shaped, UInt8
from numpy.typing import ArrayLike

State = UInt8[Array, " sites"]
"""One value per site, 0 … K − 1."""

StateLike = Shaped[Array | np.ndarray, " sites"]
"""A state of any type of numbers; also spins −1 and 1 if K = 2."""

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


def relaxed(target: Target, x: StateLike) -> Relaxed:
    """Return a state as the argument of its target's log p.

    Args:
        target: the density.
        x: ``(D,)``, see :func:`as_state`.

    Returns:
        ``(D,)`` floats if K = 2, one-hot rows ``(D, K)`` otherwise.

    Example:
        >>> three = Target(lambda x: x[0, 2], sites=2, values=3)
        >>> relaxed(three, jnp.array([2, 0], jnp.uint8)).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    x = as_state(target, x)
    if target.values == 2:
        return x.astype(float)
    return jax.nn.one_hot(x, target.values, dtype=jnp.zeros(()).dtype)


def value(target: Target, x: StateLike) -> Float[Array, ""]:
    """Return f(x) of an integer state.

    Args:
        target: the density.
        x: ``(D,)``, see :func:`as_state`.

    Returns:
        f(x) = log p(x) up to a constant, ().

    Example:
        >>> float(value(Target(jnp.sum, sites=3), jnp.array([0, 1, 1], jnp.uint8)))
        2.0
    """
    return target.logp(relaxed(target, x))


def value_and_gains(target: Target, x: StateLike) -> tuple[Float[Array, ""], Gains]:
    """Return f(x) and Taylor's gains, from one value-and-gradient.

        Δ[i, k] ≈ ∂f/∂x_i,(x_i + 1 + k) − ∂f/∂x_i,x_i

    Args:
        target: the density.
        x: ``(D,)``, see :func:`as_state`.

    Returns:
        f(x), (), and the gains, ``(D, K − 1)``.

    Example:
        >>> square = Target(lambda x: jnp.sum(x) ** 2, sites=2)
        >>> f, gains = value_and_gains(square, jnp.array([1, 0], jnp.uint8))
        >>> float(f), gains.ravel().tolist()  # of which the exact ones are −1 and 3
        (1.0, [-2.0, 2.0])

    Reference: arXiv:2102.04509, eqs. 3-5.
    """
    x = as_state(target, x)
    f, slope = jax.value_and_grad(target.logp)(relaxed(target, x))
    if target.values == 2:
        return f, ((1 - 2 * x.astype(slope.dtype)) * slope)[:, None]
    return f, differences(slope, x)


def exact_gains(target: Target, x: StateLike) -> Gains:
    """Return f(y) − f(x) for every y that differs from x at one site.

    They come in closed form where the target has one, from one gradient where Taylor is
    exact, and from D (K − 1) evaluations otherwise. Between two impossible states the
    gain is 0.

    Args:
        target: the density.
        x: ``(D,)``, see :func:`as_state`.

    Returns:
        Gains, ``(D, K − 1)``.

    Example:
        >>> square = Target(lambda x: jnp.sum(x) ** 2, sites=2)
        >>> exact_gains(square, jnp.array([1, 0], jnp.uint8)).ravel().tolist()
        [-1.0, 3.0]
    """
    x = as_state(target, x)
    if target.exact is not None:
        return target.exact(x)
    if target.multilinear:
        return value_and_gains(target, x)[1]
    others = alternatives(x, target.values)
    f = value(target, x)

    def gain(site: Int[Array, ""], other: UInt8[Array, ""]) -> Float[Array, ""]:
        changed = value(target, x.at[site].set(other))
        return jnp.where(changed == f, 0.0, changed - f)  # also for −inf

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


def as_state(target: Target, x: StateLike) -> State:
    """Return a state as the samplers keep it, wherever it comes from.

    Under ``jit`` and ``vmap`` its type is converted and its values are not checked.

    Args:
        target: the density.
        x: ``(D,)`` numbers from 0 to K − 1; also spins −1 and 1 if K = 2.

    Returns:
        ``(D,)`` uint8.

    Raises:
        ValueError: if it has another shape, or a value that no site has.

    Example:
        >>> as_state(Target(jnp.sum, sites=3), jnp.array([-1, 1, 1])).tolist()
        [0, 1, 1]
    """
    if not isinstance(x, Tracer):
        return jnp.asarray(checked_state(target, x))
    signed = x.dtype != jnp.uint8 and target.values == 2
    return jnp.asarray(x > 0 if signed else x, jnp.uint8)


def checked_state(target: Target, x: ArrayLike) -> UInt8[np.ndarray, " sites"]:
    """Return a state as the samplers keep it, or say what is wrong with it.

    Args:
        target: the density.
        x: ``(D,)`` whole numbers from 0 to K − 1; also spins −1 and 1 if K = 2.

    Returns:
        ``(D,)`` uint8.

    Raises:
        ValueError: if it has another shape, or a value that no site has.

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
    binary = target.values == 2
    if binary and np.isin(x, (-1, 1)).all():
        return (x > 0).astype(np.uint8)
    bad = np.flatnonzero((x < 0) | (x >= target.values) | (x != np.floor(x)))
    if len(bad):
        raise ValueError(
            f"a state with {x[bad[0]]} at site {bad[0]}: expected whole numbers from 0 "
            f"to {target.values - 1}{', or spins -1 and 1' if binary else ''}"
        )
    return x.astype(np.uint8)
