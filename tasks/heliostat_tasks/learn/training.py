"""One training step: move chains, follow the likelihood gradient, average."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.discrete.annealing import log_z0
from heliostat_tasks.learn.annealing import bounds
from heliostat_tasks.learn.chains import ChainSampler, adapt_step_size
from heliostat_tasks.learn.data import Data
from heliostat_tasks.learn.measures import model_row
from heliostat_tasks.learn.models import DensityFamily, Params
from heliostat_tasks.learn.state import State
from heliostat_tasks.learn.updates import learning_rate, update

TRAIN, TEST = 0, 1
"""Indices of the two sets."""


class TrainingPlan(NamedTuple):
    """Settings of training, named as the fields of the task."""

    batch: int
    train: int
    lr: float
    warmup: int
    decay: float
    penalty: float  # λ of the couplings' norms, nats per unit
    ema: float


def training_step(
    model: DensityFamily,
    sampler: ChainSampler,
    plan: TrainingPlan,
    key: Array,
    state: State,
    data: Data,
) -> tuple[State, dict[str, Array]]:
    """Update θ from a batch of data and the chains that moved.

    Args:
        model: family of densities.
        sampler: moves the chains.
        plan: settings of training.
        key: randomness of the step.
        state: with this step's number.
        data: states and what is known of them.

    Returns:
        The next state, and its row.
    """
    move_key, train_key, test_key = jax.random.split(key, 3)
    params = state.learner.params
    target = model.target(params)
    buffer, x, row = sampler.move(target, move_key, state.buffer, state.size)
    summary = _summary(model, train_key, data, TRAIN, plan.batch)
    gap, train, gradient = likelihood_gradient(model, params, summary, model.summary(x))
    rate = learning_rate(state.step, plan.train, plan.lr, plan.warmup, plan.decay)
    learner, info = update(state.learner, gradient, rate, plan.penalty, plan.ema)
    test = model.mean(params, _summary(model, test_key, data, TEST, plan.batch))
    sizes = sampler.sizes(model.sites, model.values)
    state = state._replace(
        buffer=buffer,
        learner=learner,
        size=adapt_step_size(state.size, row["acceptance"], sizes),
        log_p=jnp.stack([train, test]),
    )
    row |= {"loss": -gap, "gradient": info.gradient, "skipped": info.skipped}
    none = jnp.zeros(len(state.forward.weight))
    row |= bounds(none, none, log_z0(jnp.asarray(data.base, float)))
    beta = jnp.zeros(())
    return state, row | model_row(model, learner.averaged, state.log_p, data, beta)


def likelihood_gradient(
    model: DensityFamily, params: Params, data: Any, chains: Any
) -> tuple[Float[Array, ""], Float[Array, ""], Params]:
    """Compute ⟨f⟩_data − ⟨f⟩_chains, ⟨f⟩_data, and the gradient of the difference.

    Args:
        model: family of densities.
        params: θ.
        data: summary of states of the data.
        chains: summary of states of the chains.
    """

    def likelihood(params: Params) -> tuple[Array, Array]:
        mean = model.mean(params, data)
        return mean - model.mean(params, chains), mean

    (gap, mean), gradient = jax.value_and_grad(likelihood, has_aux=True)(params)
    return gap, mean, gradient


def _summary(
    model: DensityFamily, key: Array, data: Data, index: int, batch: int
) -> Any:
    """Return the moments of a set, or a batch of it where moments are not enough."""
    if model.linear:
        return data.moments[index]
    x = (data.train, data.test)[index]
    return x[jax.random.randint(key, (min(batch, len(x)),), 0, len(x))]
