"""Estimates of log Z by annealing in both directions, in pieces of a few β per step.

A pass moves particles through the same inverse temperatures in two directions: forwards
from the product measure of the data to the model, and backwards. Log-weights of pieces
add up, so one step of a run is one piece of a pass, and a pass can be stopped and
resumed anywhere.

The forward estimate is always a lower bound of log Z. The backward one is an upper
bound if its particles start as draws of the model; they are taken from the persistent
chains and moved at β = 1 first. If the chains have missed a part of the model, the
upper bound is too low, in the end below the lower one. A narrow bracket in the right
order is therefore also a check of the chains.

References: Neal, Stat. Comput. 11, 125 (2001); Grosse, Ghahramani and Adams,
arXiv:1511.02543; Bennett, J. Comput. Phys. 22, 245 (1976), eqs. 10 and 12.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, UInt8

from heliostat.kernels.discrete.annealing import anneal, bennett, draw_product
from heliostat.kernels.discrete.chain import MarkovKernel
from heliostat.kernels.vmc.sharding import replicate
from heliostat_tasks.learn.chains import walk


class Particles(NamedTuple):
    """Particles of one direction of a pass."""

    x: UInt8[Array, "n sites"]
    weight: Float[Array, " n"]  # log-weights so far


def no_particles(n: int, sites: int) -> Particles:
    """Return the zeros that stand before the first pass."""
    return Particles(jnp.zeros((n, sites), jnp.uint8), jnp.zeros(n))


class AnnealingPlan(NamedTuple):
    """Schedule of a pass: β = 0 … 1 in equal parts, cut into pieces.

    Example:
        >>> AnnealingPlan(temperatures=4, pieces=2).betas(jnp.array(1)).tolist()
        [0.5, 0.75, 1.0]
    """

    temperatures: int
    pieces: int  # steps of a pass; 0 is no pass
    particles: int = 0  # in each direction
    settle: int = 0  # moves of persistent chains before they are annealed

    def betas(self, piece: Integer[Array, ""]) -> Float[Array, " betas"]:
        """Return the inverse temperatures of a piece, both ends included."""
        length = self.temperatures // self.pieces
        return (piece * length + jnp.arange(length + 1)) / self.temperatures


def start_pass(
    kernel: MarkovKernel,
    key: Array,
    chains: UInt8[Array, "chains sites"],
    base: Float[Array, "sites values"],
    n: int,
    size: Float[Array, ""],
    settle: int,
) -> tuple[Particles, Particles]:
    """Put the particles of both directions at their first temperature.

    Args:
        kernel: sampler of the model.
        key: randomness of the start.
        chains: persistent chains of the model, n or more.
        base: log-weights of the product measure.
        n: number of particles in each direction.
        size: step size or radius.
        settle: moves of the chains at β = 1.
    """
    draw_key, first_key, settle_key = jax.random.split(key, 3)
    x = jax.vmap(draw_product, (0, None))(jax.random.split(draw_key, n), base)
    first = jax.random.randint(first_key, (), 0, len(chains))
    index = (first + jnp.arange(n) * (len(chains) // n)) % len(chains)
    settled, _, _ = walk(kernel, settle_key, chains[index], size, settle)
    none = jnp.zeros(n)
    return Particles(x, none), Particles(settled, none)


def advance(
    kernel: MarkovKernel,
    key: Array,
    both: tuple[Particles, Particles],
    betas: Float[Array, " betas"],
    base: Float[Array, "sites values"],
    size: Float[Array, ""],
) -> tuple[Particles, Particles]:
    """Anneal the particles of both directions through a piece, as one program.

    Args:
        kernel: sampler of the model.
        key: randomness of the moves.
        both: forward and backward particles.
        betas: betas of the forward direction; the backward one has 1 − β.
        base: log-weights of the product measure.
        size: step size or radius.
    """

    def anneal_one(key: Array, x: Array, betas: Array) -> tuple[Array, Array]:
        chain, weight = anneal(kernel, key, kernel.init(x), betas, base, size)
        return chain.x, weight

    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *both)
    keys = jax.random.split(key, stacked.weight.shape)
    ways = jnp.stack([betas, 1 - betas])
    x, weight = jax.vmap(jax.vmap(anneal_one, (0, 0, None)))(keys, stacked.x, ways)
    new = Particles(x, stacked.weight + weight)
    forward, backward = (Particles(new.x[way], new.weight[way]) for way in (0, 1))
    return forward, backward


def bounds(
    forward: Float[Array, " n"], backward: Float[Array, " n"], log_z0: Float[Array, ""]
) -> dict[str, Array]:
    """Estimate log Z and its bounds with standard errors from log-weights.

    Before the end of a pass these are the same expressions of the weights so far.

    Args:
        forward: log-weights of forward particles.
        backward: log-weights of backward particles.
        log_z0: log Z of the product measure.
    """
    f, b = replicate(forward), replicate(backward)
    spread = lambda w: jnp.std(w) / jnp.sqrt(len(w) - 1.0)  # noqa: E731
    value, error = bennett(f, b)
    return {
        "log_z": log_z0 + value,
        "log_z_error": error,
        "log_z_lower": log_z0 + jnp.mean(f),
        "log_z_lower_error": spread(f),
        "log_z_upper": log_z0 - jnp.mean(b),
        "log_z_upper_error": spread(b),
    }
