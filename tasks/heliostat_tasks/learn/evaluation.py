"""One evaluation step: a piece of a pass of annealing at the averaged parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Integer

from heliostat.kernels.discrete.annealing import log_z0
from heliostat_tasks.learn.annealing import AnnealingPlan, advance, bounds, start_pass
from heliostat_tasks.learn.chains import ChainSampler
from heliostat_tasks.learn.data import Data
from heliostat_tasks.learn.measures import model_row
from heliostat_tasks.learn.models import DensityFamily
from heliostat_tasks.learn.state import State


def evaluation_step(
    model: DensityFamily,
    sampler: ChainSampler,
    plan: AnnealingPlan,
    train: int,
    key: Array,
    state: State,
    data: Data,
) -> tuple[State, dict[str, Array]]:
    """Anneal one piece further; the persistent chains keep moving.

    Args:
        model: family of densities.
        sampler: moves chains and particles.
        plan: schedule of a pass.
        train: steps of training before.
        key: randomness of the step.
        state: with this step's number.
        data: states and what is known of them.

    Returns:
        The next state, and its row.
    """
    move_key, anneal_key = jax.random.split(key)
    params = state.learner.averaged
    target = model.target(params)
    buffer, x, row = sampler.move(target, move_key, state.buffer, state.size)
    state = state._replace(buffer=buffer)
    pieces = max(plan.pieces, 1)
    piece = (state.step - train - 1) % pieces

    def begin(key: Array, state: State, data: Data) -> State:
        return _begin_pass(model, sampler, plan, key, state, data)

    def go_on(key: Array, state: State, data: Data) -> State:
        return state

    state = jax.lax.cond(piece == 0, begin, go_on, key, state, data)
    beta = jnp.zeros(())
    if plan.pieces:
        state = _anneal(model, sampler, plan, anneal_key, state, data, piece)
        beta = (piece + 1.0) / pieces
    gap = state.log_p[0] - model.mean(params, model.summary(x))
    row |= {
        "loss": -gap,
        "gradient": jnp.zeros(()),
        "skipped": jnp.zeros((), jnp.int32),
    }
    weights = (state.forward.weight, state.backward.weight)
    row |= bounds(*weights, log_z0(jnp.asarray(data.base, float)))
    return state, row | model_row(model, params, state.log_p, data, beta)


def _begin_pass(
    model: DensityFamily,
    sampler: ChainSampler,
    plan: AnnealingPlan,
    key: Array,
    state: State,
    data: Data,
) -> State:
    """Put particles at both ends of the path, and compute the model's mean log p."""
    params = state.learner.averaged
    sets: Any = data.moments if model.linear else (data.train, data.test)
    log_p = jnp.stack([model.mean(params, summary) for summary in sets])
    state = state._replace(log_p=log_p)
    if not plan.pieces:
        return state
    kernel = sampler.kernel(model.target(params))
    chains = state.buffer.reshape(-1, model.sites)
    base = jnp.asarray(data.base, float)
    forward, backward = start_pass(
        kernel, key, chains, base, plan.particles, state.size, plan.settle
    )
    return state._replace(forward=forward, backward=backward)


def _anneal(
    model: DensityFamily,
    sampler: ChainSampler,
    plan: AnnealingPlan,
    key: Array,
    state: State,
    data: Data,
    piece: Integer[Array, ""],
) -> State:
    """Advance both directions by one piece of the schedule."""
    kernel = sampler.kernel(model.target(state.learner.averaged))
    base = jnp.asarray(data.base, float)
    both = (state.forward, state.backward)
    betas = plan.betas(piece)
    forward, backward = advance(kernel, key, both, betas, base, state.size)
    return state._replace(forward=forward, backward=backward)
