"""Persistent chains and the sampler that moves them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, UInt8

from heliostat.kernels.discrete.adaptation import OPTIMAL_ACCEPTANCE
from heliostat.kernels.discrete.chain import MarkovKernel, Sizes
from heliostat.kernels.discrete.proposals import informed
from heliostat.kernels.discrete.target import Target
from heliostat.kernels.vmc.sharding import replicate

SamplerName = Literal["gwg", "path", "dmala"]
"""Names of the samplers."""

MOVES = {"gwg": "single", "path": "path", "dmala": "factorised"}

GAIN = 0.1
"""Change of log step size per step and unit of acceptance off its goal."""


class ChainSampler(NamedTuple):
    """Settings of the sampler that moves persistent chains.

    Example:
        >>> ChainSampler("gwg", longest=8, moves=40).sizes(sites=4, values=2) is None
        True
    """

    name: SamplerName
    longest: int  # most sites of a path
    moves: int  # moves of a chain in a step

    def kernel(self, target: Target) -> MarkovKernel:
        """Return the sampler of a density."""
        longest = min(self.longest, target.sites) if self.name == "path" else 1
        differences = "taylor" if target.exact is None else "exact"
        moves: Any = MOVES[self.name]
        return informed(target, "sqrt", differences, moves, longest)

    def sizes(self, sites: int, values: int) -> Sizes | None:
        """Return the range of the step size, None if the sampler has none.

        The range depends on the shape of the density only.
        """
        return self.kernel(Target(jnp.sum, sites, values)).sizes

    def move(
        self,
        target: Target,
        key: Array,
        buffer: UInt8[Array, "batch slots sites"],
        size: Float[Array, ""],
    ) -> tuple[
        UInt8[Array, "batch slots sites"], UInt8[Array, "batch sites"], dict[str, Array]
    ]:
        """Move one chain of each row of the buffer, and put it back.

        So a batch is drawn without replacement, and rows, which may lie on different
        devices, never meet. A few bytes per chain are gathered, so that sums over
        chains have the same order on every layout.

        Args:
            target: density of the chains.
            key: randomness of the moves.
            buffer: persistent chains.
            size: step size or radius.

        Returns:
            The buffer, the chains that moved, and their part of the row.
        """
        slot_key, move_key = jax.random.split(key)
        batch, slots = buffer.shape[:2]
        slot = jax.random.randint(slot_key, (batch,), 0, slots)
        x = jax.vmap(lambda row, k: row[k])(buffer, slot)
        x, accepted, log_p = walk(self.kernel(target), move_key, x, size, self.moves)
        put = jax.vmap(lambda row, k, new: row.at[k].set(new))
        accepted, log_p = replicate(jnp.stack([accepted, log_p]))
        row = {
            "acceptance": jnp.mean(accepted),
            "proposal": size,
            "nonfinite": jnp.sum(~jnp.isfinite(log_p), dtype=jnp.int32),
        }
        return put(buffer, slot, x), replicate(x), row


def walk(
    kernel: MarkovKernel,
    key: Array,
    x: UInt8[Array, "n sites"],
    size: Float[Array, ""],
    moves: int,
) -> tuple[UInt8[Array, "n sites"], Float[Array, " n"], Float[Array, " n"]]:
    """Move chains; return their states, mean acceptance and last log p.

    Args:
        kernel: what moves them.
        key: randomness of the moves.
        x: states.
        size: step size or radius.
        moves: number of moves of each chain.
    """

    def walk_one(key: Array, x: Array) -> tuple[Array, Array, Array]:
        def move(t: Array, carry: Any) -> Any:
            chain, total = carry
            chain, info = kernel.step(jax.random.fold_in(key, t), chain, size)
            return chain, total + info.acceptance

        chain = kernel.init(x)
        start = (chain, jnp.zeros_like(chain.logp))
        chain, total = jax.lax.fori_loop(0, moves, move, start)
        return chain.x, total / max(moves, 1), chain.logp

    return jax.vmap(walk_one)(jax.random.split(key, len(x)), x)


def adapt_step_size(
    size: Float[Array, ""], acceptance: Float[Array, ""], sizes: Sizes | None
) -> Float[Array, ""]:
    """Follow the acceptance with the step size, inside its range."""
    if sizes is None:
        return size
    new = size * jnp.exp(GAIN * (acceptance - OPTIMAL_ACCEPTANCE))
    new = jnp.where(jnp.isnan(acceptance), size, new)  # of lost chains: none
    return jnp.clip(new, sizes.low, sizes.high)
