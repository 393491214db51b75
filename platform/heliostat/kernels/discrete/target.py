"""Densities over discrete states, and what one changed site does to them.

A target is an unnormalised log p(x) over x ∈ {0 … K−1}^D, given as a function of a
*relaxed* state, so that it has a gradient: bits as floats (D,) if K = 2, one-hot rows
(D, K) otherwise.  All samplers look at it through its **gains**::

    Δ[i, k] = f(x with x_i ← (x_i + 1 + k) mod K) − f(x),      k = 0 … K − 2

so that binary is the case of one column, no move stays put, and the way back from move
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

Density = Callable[[Array], Array]


class Target(NamedTuple):
    """An unnormalised log p over ``values`` values at each of ``sites`` sites.

    Example:
        >>> target = Target(lambda x: 0.5 * jnp.sum(x), sites=3)
        >>> value_and_gains(target, jnp.array([0, 1, 0], jnp.uint8))[1].ravel()
        Array([ 0.5, -0.5,  0.5], dtype=float32)
    """

    logp: Density  # relaxed state -> ()
    sites: int
    values: int = 2
    exact: Callable[[Array], Array] | None = None  # x (D,) -> gains, in closed form
    multilinear: bool = False  # Taylor's gains are exact
    colours: tuple[int, ...] | None = None  # per site; one colour never interacts
    energy: Density | None = None  # relaxed state -> (); per site; default −f/D
    order: Density | None = None  # relaxed state -> (); default the mean value
    log_z: float | None = None  # where it is known exactly
    weights: Any = None  # of an RBM: W, b and c, for block Gibbs


def relaxed(target: Target, x: Array) -> Array:
    """``x`` (D,) integers as the target's own argument: floats (D,) or (D, K)."""
    if target.values == 2:
        return x.astype(float)
    return jax.nn.one_hot(x, target.values, dtype=jnp.zeros(()).dtype)


def value(target: Target, x: Array) -> Array:
    """f(x) of an integer state, ()."""
    return target.logp(relaxed(target, x))


def value_and_gains(target: Target, x: Array) -> tuple[Array, Array]:
    """f(x) and Taylor's gains (D, K − 1), from one value-and-gradient."""
    f, slope = jax.value_and_grad(target.logp)(relaxed(target, x))
    if target.values == 2:
        return f, ((1 - 2 * x.astype(slope.dtype)) * slope)[:, None]
    return f, differences(slope, x)


def exact_gains(target: Target, x: Array) -> Array:
    """f(y) − f(x) of every y one site away, (D, K − 1): in closed form where the target
    has one, from one gradient where Taylor is exact, else by D (K − 1) evaluations."""
    if target.exact is not None:
        return target.exact(x)
    if target.multilinear:
        return value_and_gains(target, x)[1]
    there = alternatives(x, target.values)
    f = value(target, x)

    def gain(site: Array, other: Array) -> Array:
        return value(target, x.at[site].set(other)) - f

    return jax.vmap(jax.vmap(gain, (None, 0)))(jnp.arange(target.sites), there)


def alternatives(x: Array, values: int) -> Array:
    """The values that the moves of each site lead to, (D, K − 1)."""
    shift = jnp.arange(1, values, dtype=jnp.int32)
    return ((x[:, None].astype(jnp.int32) + shift[None]) % values).astype(x.dtype)


def differences(table: Array, x: Array) -> Array:
    """``table[i, new] − table[i, x_i]`` of every move, (D, K − 1), from (D, K)."""
    there = alternatives(x, table.shape[1]).astype(jnp.int32)
    here = jnp.take_along_axis(table, x[:, None].astype(jnp.int32), 1)
    return jnp.take_along_axis(table, there, 1) - here


def checked_state(target: Target, x: Any) -> np.ndarray:
    """A state as the samplers keep it, (D,) uint8.

    Raises:
        ValueError: if it has another shape, or a value outside 0 … K − 1.
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


def check_target(target: Target, states: np.ndarray) -> None:
    """Evaluate a target at some states, to say now what is wrong with it.

    Args:
        states: ``(n, D)`` integers.

    Raises:
        ValueError: if it is no scalar, or NaN or +inf at one of the states; −inf marks
            what is impossible, and is allowed as long as one state is possible.
    """
    if target.sites < 1 or not 2 <= target.values <= 256:
        raise ValueError(
            f"a target of {target.sites} sites with {target.values} values: expected "
            "at least 1 site, with 2 to 256 values"
        )
    argument = jax.eval_shape(lambda x: relaxed(target, x), states[0])
    try:
        shape = jax.eval_shape(target.logp, argument)
    except Exception as error:  # whatever a user's function raises
        text = " ".join(str(error).split())[:200]
        raise ValueError(
            f"log p fails at a state of shape {argument.shape}: "
            f"{type(error).__name__}: {text}"
        ) from error
    if getattr(shape, "shape", None) != () or shape.dtype.kind != "f":
        found = getattr(shape, "shape", type(shape).__name__)
        kind = getattr(shape, "dtype", "")
        raise ValueError(
            f"log p of one state is {kind}{found}: expected a scalar float, ()"
        )
    found = np.asarray(jax.vmap(lambda x: value(target, x))(jnp.asarray(states)))
    for what, bad in (("NaN", np.isnan(found)), ("+inf", found == np.inf)):
        if bad.any():
            raise ValueError(
                f"log p is {what} at {bad.sum()} of {len(states)} states tried: "
                "expected a finite number, or -inf for what is impossible"
            )
    if not np.isfinite(found).any():
        what = (
            "the start state" if len(states) == 1 else f"all {len(states)} states tried"
        )
        raise ValueError(f"log p is -inf at {what}: expected a start that is possible")
