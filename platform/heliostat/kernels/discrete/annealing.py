"""log Z by annealing: importance weights of paths from a product measure to a target.

Annealed importance sampling moves a particle through p_β for β = β₀ … β_T and sums

    w = Σ_t (β_{t+1} − β_t) φ(x_t),      φ(x) = f(x) − Σ_i b[i, x_i].

Forwards (0 → 1, from exact draws of the product measure), E e^w = Z / Z₀, so that the
mean of w is a lower bound of log Z/Z₀.  Backwards (1 → 0, from draws of the target),
E e^w = Z₀ / Z: minus the mean of w is an upper bound.  Nothing but draws is needed for
the first; the second is as good as its draws of the target are.  Bennett's estimate
uses both.

References: Neal, Stat. Comput. 11, 125 (2001); Grosse, Ghahramani and Adams,
arXiv:1511.02543 [both directions]; Bennett, J. Comput. Phys. 22, 245 (1976), eq. 12.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import logsumexp, sigmoid
from numpy.typing import ArrayLike

from heliostat.kernels.discrete.chain import Chain, Kernel, Tilt, product


def draw_product(key: Array, base: Array) -> Array:
    """An exact draw of the product measure of log-weights ``base`` (D, K), (D,) uint8.

    Example:
        >>> draw(jax.random.key(0), jnp.zeros((4, 2))).shape
        (4,)
    """
    chances = jax.nn.softmax(base, axis=1)
    u = jax.random.uniform(key, (len(base), 1), chances.dtype)
    passed = jnp.sum(jnp.cumsum(chances, 1)[:, :-1] <= u, 1)
    return passed.astype(jnp.uint8)


def log_z0(base: Array) -> Array:
    """log Z of the product measure, ()."""
    return jnp.sum(logsumexp(base, axis=1))


def anneal(
    kernel: Kernel,
    key: Array,
    chain: Chain,
    betas: Array,
    base: Array,
    size: Any = 1.0,
) -> tuple[Chain, Array]:
    """One particle along a schedule, and its log-weight.

    Args:
        kernel: what moves it; must be reversible for the backward direction to be the
            forward one reversed.
        chain: a draw of p at ``betas[0]``.
        betas: (T + 1,), rising forwards, falling backwards; may be a piece of a longer
            schedule: weights of pieces add up.
        base: (D, K) log-weights of the product measure.

    Returns:
        The particle at ``betas[-1]``, and w.

    Raises:
        ValueError: for a sampler that is not reversible.
    """

    if not kernel.reversible:
        raise ValueError("annealing both ways needs a reversible sampler")
    betas = jnp.asarray(betas, chain.logp.dtype)

    def step(carry: Any, t: Array) -> Any:
        chain, weight = carry
        phi = chain.logp - product(base, chain.x)
        weight = weight + (betas[t + 1] - betas[t]) * phi
        tilt = Tilt(betas[t + 1], base)
        chain, _ = kernel.step(jax.random.fold_in(key, t), chain, size, tilt)
        return (chain, weight), None

    start = (chain, jnp.zeros_like(chain.logp))
    return jax.lax.scan(step, start, jnp.arange(len(betas) - 1))[0]


class LogZ(NamedTuple):
    """log Z between two bounds, from both directions of annealing."""

    lower: float  # mean of forward weights: E of it is below log Z
    upper: float  # minus the mean of backward ones: E of it is above
    value: float  # Bennett's estimate
    error: float  # one sigma of it, to first order


def two_sided(forward: ArrayLike, backward: ArrayLike, log_z0: float = 0.0) -> LogZ:
    """log Z from the log-weights of both directions.

    Args:
        forward, backward: (particles,) each.
        log_z0: of the product measure.

    Raises:
        ValueError: if a weight is not finite.

    Example:
        >>> bounds = two_sided([1.0, 1.0], [-1.0, -1.0])
        >>> bounds.lower, bounds.upper, round(bounds.value, 6)
        (1.0, 1.0, 1.0)
    """
    f, b = np.asarray(forward, float), np.asarray(backward, float)
    if not (np.isfinite(f).all() and np.isfinite(b).all()):
        raise ValueError("annealing gave weights that are not finite")
    with jax.enable_x64(True):
        value, error = map(float, bennett(jnp.asarray(f), jnp.asarray(b)))
    low, high = float(f.mean()) + log_z0, log_z0 - float(b.mean())
    return LogZ(low, high, value + log_z0, error)


def bennett(forward: Array, backward: Array) -> tuple[Array, Array]:
    """log Z/Z₀ from both directions, and its standard error to first order.

    The c at which Σ_F σ(w − c − m) = Σ_B σ(w + c + m), with σ the logistic function and
    m the log of how many forward weights there are per backward one; found by halving.
    """

    def shares(c: Array) -> tuple[Array, Array]:
        return sigmoid(forward - c - odds), sigmoid(backward + c + odds)

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        ahead, behind = shares((low + high) / 2)
        rises = jnp.sum(ahead) > jnp.sum(behind)
        middle = (low + high) / 2
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    odds = math.log(len(forward) / len(backward))
    every = jnp.concatenate([forward, -backward])
    room = 1 + abs(odds)  # unequal numbers move c by no more than that
    ends = (jnp.min(every) - room, jnp.max(every) + room)
    low, high = jax.lax.fori_loop(0, 48, halve, ends)
    c = (low + high) / 2
    relative = lambda p: jnp.var(p) / jnp.mean(p) ** 2 / len(p)  # noqa: E731
    return c, jnp.sqrt(sum(map(relative, shares(c))))
