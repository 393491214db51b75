"""Tempered sequential Monte Carlo: many particles, a schedule that finds itself.

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

from heliostat.kernels.discrete.annealing import draw_product, log_z0
from heliostat.kernels.discrete.chain import Chain, Kernel, Tilt, product


class SMCResult(NamedTuple):
    """What tempered sequential Monte Carlo found."""

    chains: Chain  # each leaf (particles, ...), of equal weight
    log_z: Array  # () of the target
    betas: Array  # (rounds,) visited, padded with 1
    rounds: Array  # () int32, how many were


def smc(
    kernel: Kernel,
    key: Array,
    particles: int,
    base: Array,
    moves: int = 5,
    threshold: float = 0.5,
    max_rounds: int = 200,
    size: Any = 1.0,
) -> SMCResult:
    """Draws of a target and its log Z, by one compiled loop.

    Args:
        kernel: what moves a particle; must allow tilts.
        particles: how many.
        base: (D, K) log-weights of the product measure that they start from.
        moves: steps of each particle in each round.
        threshold: share of the particles that stays effective from round to round.
        most: rounds after which it stops wherever it is; ``betas`` tell.
        size: of the kernel's steps.

    Example:
        >>> from heliostat.kernels import informed, ising, smc
        >>> kernel = informed(ising(4, coupling=0.2))
        >>> found = smc(kernel, jax.random.key(0), 100, jnp.zeros((16, 2)))
        >>> found.chains.x.shape
        (100, 16)
    """
    drawing, going = jax.random.split(key)
    x = jax.vmap(draw_product, (0, None))(jax.random.split(drawing, particles), base)
    chains = jax.vmap(kernel.init)(x)

    def phi(chains: Chain) -> Array:
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

    def unfinished(carry: Any) -> Array:
        return (carry[2][carry[3] - 1] < 1) & (carry[3] < max_rounds)

    betas = jnp.ones(max_rounds).at[0].set(0.0)
    begun = (chains, log_z0(base), betas, jnp.ones((), jnp.int32))
    return SMCResult(*jax.lax.while_loop(unfinished, body, begun))


def _walk(
    kernel: Kernel, key: Array, chains: Chain, tilt: Tilt, moves: int, size: Any
) -> Chain:
    step = jax.vmap(lambda k, c: kernel.step(k, c, size, tilt)[0])

    def move(t: Array, chains: Chain) -> Chain:
        keys = jax.random.split(jax.random.fold_in(key, t), len(chains.logp))
        return step(keys, chains)

    return jax.lax.fori_loop(0, moves, move, chains)


def next_beta(gaps: Array, before: Array, threshold: float) -> Array:
    """The β at which the effective share of particles falls to ``threshold``, or 1."""

    def share(beta: Array) -> Array:
        logs = (beta - before) * gaps
        return jnp.exp(2 * logsumexp(logs) - logsumexp(2 * logs)) / len(gaps)

    def halve(_: Array, ends: Any) -> Any:
        low, high = ends
        middle = (low + high) / 2
        enough = share(middle) > threshold
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    # the end just beyond: where too many particles are impossible, no β leaves enough,
    # and the first step away from 0 resamples them
    _, high = jax.lax.fori_loop(0, 30, halve, (before, jnp.ones_like(before)))
    return jnp.where(share(jnp.ones_like(before)) > threshold, 1.0, high)


def resample(u: Array, logs: Array) -> Array:
    """Systematic resampling: indices (particles,), one uniform number for all."""
    n = len(logs)
    ticks = (jnp.arange(n) + u) / n
    marks = jnp.cumsum(jax.nn.softmax(logs))
    return jnp.minimum(jnp.searchsorted(marks, ticks), n - 1)
