"""log Z of a frozen model in pieces: both directions of annealing, some β per step.

A pass moves ``n`` particles forwards, from the product measure of the data to the
model, and ``n`` backwards, through the same inverse temperatures.  Log-weights of
pieces add up, so that a step of a run is a piece of a pass and a pass may be stopped
and resumed anywhere.

Forwards is a lower bound of log Z whatever happens; backwards is an upper one if its
particles begin as draws of the model: they are taken from the persistent chains and
moved on at β = 1 first.  If chains have missed a part of the model, the upper bound
comes out too low, in the end below the lower one: a bracket that is narrow and in order
is therefore also a check of the chains.

References: Neal, Stat. Comput. 11, 125 (2001); Grosse, Ghahramani and Adams,
arXiv:1511.02543; Bennett, J. Comput. Phys. 22, 245 (1976), eqs. 10 and 12.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.discrete.annealing import anneal, bennett, draw_product
from heliostat.kernels.discrete.chain import Kernel
from heliostat.kernels.vmc.sharding import replicate


class Particles(NamedTuple):
    """One direction of a pass, as far as it has come."""

    x: Array  # (n, D) uint8
    weight: Array  # (n,) log-weights so far


class Schedule(NamedTuple):
    """β = 0 … 1 in ``temperatures`` equal parts, cut into ``pieces``."""

    temperatures: int
    pieces: int

    def betas(self, piece: Array) -> Array:
        """The inverse temperatures of a piece, its ends included."""
        length = self.temperatures // self.pieces
        return (piece * length + jnp.arange(length + 1)) / self.temperatures


def walk(
    kernel: Kernel, key: Array, x: Array, size: Array, moves: int
) -> tuple[Array, Array, Array]:
    """Chains (n, D) moved on; their mean acceptance and last log p, each (n,)."""

    def one(key: Array, x: Array) -> tuple[Array, Array, Array]:
        def move(t: Array, carry: Any) -> Any:
            chain, total = carry
            chain, info = kernel.step(jax.random.fold_in(key, t), chain, size)
            return chain, total + info.acceptance

        chain = kernel.init(x)
        start = (chain, jnp.zeros_like(chain.logp))
        chain, total = jax.lax.fori_loop(0, moves, move, start)
        return chain.x, total / max(moves, 1), chain.logp

    return jax.vmap(one)(jax.random.split(key, len(x)), x)


def start_pass(
    kernel: Kernel,
    key: Array,
    chains: Array,
    base: Array,
    n: int,
    size: Array,
    settle: int,
) -> tuple[Particles, Particles]:
    """Particles of both directions before their first temperature.

    Args:
        chains: persistent chains of the model, (N, D) with N ≥ n.
        base: log-weights of the product measure, (D, K).
        settle: steps that the chains are moved on at β = 1.
    """
    drawing, choosing, settling = jax.random.split(key, 3)
    x = jax.vmap(draw_product, (0, None))(jax.random.split(drawing, n), base)
    first = jax.random.randint(choosing, (), 0, len(chains))
    chosen = (first + jnp.arange(n) * (len(chains) // n)) % len(chains)
    settled, _, _ = walk(kernel, settling, chains[chosen], size, settle)
    none = jnp.zeros(n)
    return Particles(x, none), Particles(settled, none)


def advance(
    kernel: Kernel,
    key: Array,
    both: tuple[Particles, Particles],
    betas: Array,
    base: Array,
    size: Array,
) -> tuple[Particles, Particles]:
    """Particles of both directions, a piece of the schedule further: as one program.

    Args:
        betas: of the forward direction; the backward one has 1 − β.
    """

    def one(key: Array, x: Array, betas: Array) -> tuple[Array, Array]:
        chain, weight = anneal(kernel, key, kernel.init(x), betas, base, size)
        return chain.x, weight

    together = jax.tree.map(lambda *parts: jnp.stack(parts), *both)
    keys = jax.random.split(key, together.weight.shape)
    ways = jnp.stack([betas, 1 - betas])
    x, weight = jax.vmap(jax.vmap(one, (0, 0, None)))(keys, together.x, ways)
    moved = Particles(x, together.weight + weight)
    forward, backward = (Particles(moved.x[way], moved.weight[way]) for way in (0, 1))
    return forward, backward


def bounds(forward: Array, backward: Array, log_z0: Array) -> dict[str, Array]:
    """log Z between its bounds, each with its standard error, from log-weights (n,).

    Before the end of a pass these are the same expressions of the weights so far.
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
