"""log Z by annealing: importance weights of paths from a product measure to a target.

Annealed importance sampling moves a particle through p_β for β = β₀ … β_T and sums

    w = Σ_t (β_{t+1} − β_t) φ(x_t),      φ(x) = f(x) − Σ_i b[i, x_i].

Forwards (0 → 1, from exact draws of the product measure), E e^w = Z / Z₀, so that the
mean of w is a lower bound of log Z/Z₀.  Backwards (1 → 0, from draws of the target),
E e^w = Z₀ / Z: minus the mean of w is an upper bound, as good as the draws of the
target.  Bennett's estimate uses both.

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
from jaxtyping import Float, Int, Key
from numpy.typing import ArrayLike

from heliostat.kernels.discrete.chain import Chain, MarkovKernel, Tilt, product
from heliostat.kernels.discrete.target import State


def draw_product(key: Key[Array, ""], base: Float[Array, "sites values"]) -> State:
    """Draw a state of a product measure exactly: P(x_i = k) ∝ e^b[i, k].

    Args:
        key: key of the draw.
        base: b, ``(D, K)`` log-weights.

    Returns:
        x, ``(D,)`` uint8.

    Example:
        >>> certain = jnp.array([[0.0, 100.0], [100.0, 0.0]])
        >>> draw_product(jax.random.key(0), certain).tolist()
        [1, 0]
    """
    probs = jax.nn.softmax(base, axis=1)
    u = jax.random.uniform(key, (len(base), 1), probs.dtype)
    passed = jnp.sum(jnp.cumsum(probs, 1)[:, :-1] <= u, 1)
    return passed.astype(jnp.uint8)


def log_z0(base: Float[Array, "sites values"]) -> Float[Array, ""]:
    """Return log Z₀ of a product measure, Σ_i log Σ_k e^b[i, k].

    Args:
        base: b, ``(D, K)`` log-weights.

    Returns:
        log Z₀, ().

    Example:
        >>> round(float(log_z0(jnp.zeros((3, 2)))), 4)  # 3 log 2
        2.0794
    """
    return jnp.sum(logsumexp(base, axis=1))


def anneal(
    kernel: MarkovKernel,
    key: Key[Array, ""],
    chain: Chain,
    betas: Float[Array | np.ndarray, " betas"],
    base: Float[Array, "sites values"],
    size: Float[Array, ""] | float = 1.0,
) -> tuple[Chain, Float[Array, ""]]:
    """Move one particle along a schedule, and return its log-weight.

        w = Σ_t (β_{t+1} − β_t) φ(x_t),      φ(x) = f(x) − Σ_i b[i, x_i]

    Args:
        kernel: moves the particle; it must be reversible for the backward direction to
            be the forward one reversed.
        key: key of the whole schedule.
        chain: a draw of p at ``betas[0]``.
        betas: ``(T + 1,)``, rising forwards, falling backwards; may be a piece of a
            longer schedule: weights of pieces add up.
        base: b, ``(D, K)`` log-weights of the product measure.
        size: step size of the kernel.

    Returns:
        The particle at ``betas[-1]``, and w, ().

    Raises:
        ValueError: for a sampler that is not reversible.

    Example:
        >>> from heliostat.kernels import independent, informed
        >>> kernel = informed(independent(jnp.zeros(4)))  # which is the measure itself
        >>> chain = kernel.init(jnp.zeros(4, jnp.uint8))
        >>> betas, base = jnp.linspace(0.0, 1.0, 5), jnp.zeros((4, 2))
        >>> chain, weight = anneal(kernel, jax.random.key(0), chain, betas, base)
        >>> float(weight)
        0.0

    Reference: Neal, Stat. Comput. 11, 125 (2001).
    """
    if not kernel.reversible:
        raise ValueError("annealing both ways needs a reversible sampler")
    betas = jnp.asarray(betas, chain.logp.dtype)

    def step(carry: Any, t: Int[Array, ""]) -> Any:
        chain, weight = carry
        phi = chain.logp - product(base, chain.x)
        weight = weight + (betas[t + 1] - betas[t]) * phi
        tilt = Tilt(betas[t + 1], base)
        chain, _ = kernel.step(jax.random.fold_in(key, t), chain, size, tilt)
        return (chain, weight), None

    start = (chain, jnp.zeros_like(chain.logp))
    return jax.lax.scan(step, start, jnp.arange(len(betas) - 1))[0]


class LogZ(NamedTuple):
    """Estimate of log Z between two bounds, from both directions of annealing.

    Example:
        >>> two_sided([1.0, 1.0], [-1.0, -1.0]).lower
        1.0
    """

    lower: float  # mean of forward weights: its expectation is below log Z
    upper: float  # minus the mean of backward ones: its expectation is above
    value: float  # Bennett's estimate
    error: float  # one sigma of the value, to first order


def two_sided(forward: ArrayLike, backward: ArrayLike, log_z0: float = 0.0) -> LogZ:
    """Return log Z from the log-weights of both directions.

        ⟨w⟩_F ≤ log Z/Z₀ ≤ −⟨w⟩_B      in expectation

    Args:
        forward: ``(particles,)`` log-weights from the product measure to the target.
        backward: ``(particles,)`` log-weights from the target to the product measure.
        log_z0: log Z of the product measure.

    Returns:
        Bounds, Bennett's estimate and its error.

    Raises:
        ValueError: if a weight is not finite.

    Example:
        >>> bounds = two_sided([1.0, 1.0], [-1.0, -1.0])
        >>> bounds.lower, bounds.upper, round(bounds.value, 6)
        (1.0, 1.0, 1.0)

    Reference: Grosse, Ghahramani and Adams, arXiv:1511.02543 [both directions].
    """
    f, b = np.asarray(forward, float), np.asarray(backward, float)
    if not (np.isfinite(f).all() and np.isfinite(b).all()):
        raise ValueError("annealing gave weights that are not finite")
    with jax.enable_x64(True):
        value, error = map(float, bennett(jnp.asarray(f), jnp.asarray(b)))
    low, high = float(f.mean()) + log_z0, log_z0 - float(b.mean())
    return LogZ(low, high, value + log_z0, error)


def bennett(
    forward: Float[Array, " ahead"], backward: Float[Array, " behind"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return Bennett's estimate of log Z/Z₀, and its standard error to first order.

    It is the c at which, with σ the logistic function and m the log of the number of
    forward weights per backward one,

        Σ_F σ(w − c − m) = Σ_B σ(w + c + m)

    Args:
        forward: ``(n,)`` log-weights.
        backward: ``(m,)`` log-weights.

    Returns:
        Estimate and error, () each.

    Example:
        >>> value, error = bennett(jnp.array([2.0, 2.0]), jnp.array([-2.0]))
        >>> round(float(value), 4), round(float(error), 4)
        (2.0, 0.0)

    Reference: Bennett, J. Comput. Phys. 22, 245 (1976), eq. 12.
    """

    def shares(
        c: Float[Array, ""],
    ) -> tuple[Float[Array, " ahead"], Float[Array, " behind"]]:
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
