"""State and transition of one chain, with a warm-up that adapts its step size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Integer, UInt8

from heliostat.kernels.discrete.adaptation import (
    SizeAdaptation,
    adapt_size,
    freeze_size,
    init_adaptation,
)
from heliostat.kernels.discrete.chain import Chain, MarkovKernel, Sizes
from heliostat.kernels.discrete.target import Target
from heliostat.kernels.discrete.tempering import Ladder, target_chain
from heliostat_tasks.discrete import measures


class State(NamedTuple):
    """One chain, the adaptation of its step size, and its running means."""

    step: Int[Array, ""]  # steps taken
    chain: Chain | Ladder
    search: SizeAdaptation
    occupied: Float[Array, "sites others"]  # share of draws with value 1, 2, ...


def init_state(
    target: Target,
    kernel: MarkovKernel,
    x: UInt8[Array, " sites"],
    step_size: float | None,
) -> State:
    """Start a chain.

    Args:
        target: density to sample.
        kernel: its sampler.
        x: start of the chain.
        step_size: fixed step size; None is the sampler's own start.
    """
    return State(
        jnp.zeros((), jnp.int32),
        kernel.init(x),
        _init_step_size(kernel.sizes, step_size),
        jnp.zeros((target.sites, target.values - 1)),
    )


def refresh_state(kernel: MarkovKernel, state: State) -> State:
    """Evaluate the target anew at a stored state.

    Args:
        kernel: sampler of the chain.
        state: after any step.
    """
    if not isinstance(state.chain, Ladder):
        return state._replace(chain=kernel.init(state.chain.x))
    evaluate = jax.vmap(lambda x: target_chain(kernel.init(x)))
    return state._replace(
        chain=state.chain._replace(chains=evaluate(state.chain.chains.x))
    )


def transition(
    target: Target,
    kernel: MarkovKernel,
    key: Array,
    state: State,
    warmup: int,
    adapts: bool,
) -> tuple[State, dict[str, Array]]:
    """Make one transition.

    Args:
        target: density to sample.
        kernel: its sampler.
        key: randomness of the transition.
        state: state of the previous step.
        warmup: steps that do not count.
        adapts: adapt the step size in these steps, if the sampler has one.

    Returns:
        The next state, and the row of the chain.
    """
    step, size = state.step + 1, state.search.size
    chain, info = kernel.step(key, state.chain, size)
    x, logp = target_chain(chain).x, target_chain(chain).logp
    row = measures.state_row(target, x, logp)
    row |= {"acceptance_rate": info.acceptance, "hops": info.hops, "step_size": size}
    if isinstance(chain, Ladder):
        row["swap_rate"] = chain.swaps
    search, sizes = state.search, kernel.sizes
    if sizes is not None and adapts and warmup:  # a lost chain has no acceptance
        search = _adapt_step_size(search, info.acceptance, step, sizes, warmup)
    occupied = measures.update_occupation(state.occupied, x, step - warmup)
    return State(step, chain, search, occupied), row


def _init_step_size(sizes: Sizes | None, fixed: float | None) -> SizeAdaptation:
    """Start the adaptation; without ``sizes`` the sampler has no step size."""
    if sizes is None:
        return SizeAdaptation(jnp.ones(()), jnp.zeros(()), jnp.zeros((), jnp.int32))
    return init_adaptation(sizes if fixed is None else sizes._replace(start=fixed))


def _adapt_step_size(
    search: SizeAdaptation,
    acceptance: Float[Array, ""],
    step: Integer[Array, ""],
    sizes: Sizes,
    warmup: int,
) -> SizeAdaptation:
    """Adapt the step size in warm-up, fix its average at the end, then keep it."""
    new = adapt_size(search, acceptance, sizes)
    new = jax.tree.map(
        lambda a, b: jnp.where(step == warmup, a, b), freeze_size(new), new
    )
    return jax.tree.map(lambda a, b: jnp.where(step <= warmup, a, b), new, search)
