"""Tempered sequential Monte Carlo: many particles on an adaptive schedule.

Particles start as exact draws of a product measure.  Each round chooses the next β such
that a given share of them stays effective, resamples them (systematically), and lets
each take some steps at β.  The product of the mean weights estimates Z.

Reference: Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 68, 411 (2006).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp
from jaxtyping import Bool, Float, Int, Key

from heliostat.kernels.convergence import warn_unless
from heliostat.kernels.discrete.annealing import draw_product, log_z0
from heliostat.kernels.discrete.chain import Chain, MarkovKernel, Tilt, product


class SMCResult(NamedTuple):
    """Particles of tempered sequential Monte Carlo, and its estimate of log Z.

    Example:
        >>> SMCResult._fields
        ('chains', 'log_z', 'betas', 'rounds')
    """

    chains: Chain  # each leaf (particles, ...), of equal weight
    log_z: Float[Array, ""]  # log Z of the target
    betas: Float[Array, " max_rounds"]  # visited, padded with 1
    rounds: Int[Array, ""]  # int32, entries of betas in use


def smc(
    kernel: MarkovKernel,
    key: Key[Array, ""],
    particles: int,
    base: Float[Array, "sites values"],
    moves: int = 5,
    threshold: float = 0.5,
    max_rounds: int = 200,
    size: Float[Array, ""] | float = 1.0,
) -> SMCResult:
    """Return draws of a target and its log Z, by one compiled loop.

        log Ẑ = log Z₀ + Σ_t log (1/N) Σ_n e^{(β_t − β_{t−1}) φ(x_n)}

    Args:
        kernel: moves a particle; must allow tilts.
        key: key of the whole run.
        particles: N.
        base: ``(D, K)`` log-weights of the product measure that they start from.
        moves: steps of each particle in each round.
        threshold: share of the particles that stays effective from round to round.
        max_rounds: rounds after which it stops at any β; ``betas`` shows where.
        size: step size of the kernel.

    Returns:
        Particles of equal weight, and log Ẑ.

    Example:
        >>> from heliostat.kernels import informed, ising, smc
        >>> kernel = informed(ising(4, coupling=0.2))
        >>> result = smc(kernel, jax.random.key(0), 100, jnp.zeros((16, 2)))
        >>> result.chains.x.shape, bool(abs(result.log_z - 11.8) < 0.3)
        ((100, 16), True)

    Reference: Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 68, 411 (2006).
    """
    drawing, going = jax.random.split(key)
    x = jax.vmap(draw_product, (0, None))(jax.random.split(drawing, particles), base)
    chains = jax.vmap(kernel.init)(x)

    def phi(chains: Chain) -> Float[Array, " particles"]:
        return chains.logp - jax.vmap(product, (None, 0))(base, chains.x)

    def body(carry: Any) -> Any:
        chains, log_z, betas, round_ = carry
        resampling, moving = jax.random.split(jax.random.fold_in(going, round_))
        before, gaps = betas[round_ - 1], phi(chains)
        beta = next_beta(gaps, before, threshold)
        logs = (beta - before) * gaps
        log_z = log_z + logsumexp(logs) - jnp.log(float(particles))
        chosen = resample(jax.random.uniform(resampling), logs)
        chains = jax.tree.map(lambda v: v[chosen], chains)
        chains = _walk(kernel, moving, chains, Tilt(beta, base), moves, size)
        return chains, log_z, betas.at[round_].set(beta), round_ + 1

    def unfinished(carry: Any) -> Bool[Array, ""]:
        return (carry[2][carry[3] - 1] < 1) & (carry[3] < max_rounds)

    betas = jnp.ones(max_rounds).at[0].set(0.0)
    begun = (chains, log_z0(base), betas, jnp.ones((), jnp.int32))
    result = SMCResult(*jax.lax.while_loop(unfinished, body, begun))
    last = result.betas[result.rounds - 1]
    message = "smc ended at β = {:.2g} after {:.0f} rounds; raise max_rounds"
    warn_unless(last >= 1, message, last, result.rounds)
    return result


def _walk(
    kernel: MarkovKernel,
    key: Key[Array, ""],
    chains: Chain,
    tilt: Tilt,
    moves: int,
    size: Float[Array, ""] | float,
) -> Chain:
    step = jax.vmap(lambda k, c: kernel.step(k, c, size, tilt)[0])

    def move(t: Int[Array, ""], chains: Chain) -> Chain:
        keys = jax.random.split(jax.random.fold_in(key, t), len(chains.logp))
        return step(keys, chains)

    return jax.lax.fori_loop(0, moves, move, chains)


def next_beta(
    gaps: Float[Array, " particles"], before: Float[Array, ""], threshold: float
) -> Float[Array, ""]:
    """Return the β at which the effective share of particles falls to ``threshold``.

        (Σ_n w_n)² / (N Σ_n w_n²) = threshold,      w_n = e^{(β − β₀) φ(x_n)}

    Args:
        gaps: φ of each particle, ``(N,)``.
        before: β₀, ().
        threshold: in (0, 1).

    Returns:
        β in (β₀, 1], (); 1 where enough particles stay effective up to there.

    Example:
        >>> float(next_beta(jnp.ones(9), jnp.array(0.2), 0.5))  # all alike
        1.0
        >>> bool(next_beta(100 * jnp.arange(9.0), jnp.array(0.2), 0.5) < 0.3)
        True
    """

    def share(beta: Float[Array, ""]) -> Float[Array, ""]:
        logs = (beta - before) * gaps
        return jnp.exp(2 * logsumexp(logs) - logsumexp(2 * logs)) / len(gaps)

    def halve(_: Int[Array, ""], ends: Any) -> Any:
        low, high = ends
        middle = (low + high) / 2
        enough = share(middle) > threshold
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    # the end just beyond: where too many particles are impossible, no β leaves enough,
    # and the first step away from 0 resamples them
    _, high = jax.lax.fori_loop(0, 30, halve, (before, jnp.ones_like(before)))
    return jnp.where(share(jnp.ones_like(before)) > threshold, 1.0, high)


def resample(
    u: Float[Array, ""], logs: Float[Array, " particles"]
) -> Int[Array, " particles"]:
    """Draw indices by systematic resampling: one uniform number for all particles.

    Args:
        u: () in [0, 1).
        logs: ``(N,)`` log-weights.

    Returns:
        ``(N,)`` indices; particle n comes N w_n / Σ w times, rounded up or down.

    Example:
        >>> resample(jnp.array(0.5), jnp.log(jnp.array([3.0, 1.0, 0.0, 0.0]))).tolist()
        [0, 0, 0, 1]
    """
    n = len(logs)
    ticks = (jnp.arange(n) + u) / n
    marks = jnp.cumsum(jax.nn.softmax(logs))
    return jnp.minimum(jnp.searchsorted(marks, ticks), n - 1)
