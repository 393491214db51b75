"""Optimiser: ascent by Adam, shrinkage of couplings, and a running average.

    θ ← θ + η m̂ / (√v̂ + ε),      ∇ = ⟨∂f⟩_data − ⟨∂f⟩_model
    J ← J max(0, 1 − η λ / ((√v̂ + ε) |J|))
    θ̄ ← a θ̄ + (1 − a) θ

Shrinkage is scaled as Adam scales steps. The fixed point is therefore the maximum of
the log-likelihood minus λ Σ_{i<j} |J_ij|, with a penalty that does not depend on the
noise of the gradient. A Potts block shrinks as a whole, by its Frobenius norm.

References: Kingma and Ba, arXiv:1412.6980; Tieleman, ICML 2008 [persistent chains];
Yuan and Lin, J. R. Stat. Soc. B 68, 49 (2006) [grouped shrinkage].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, Integer

from heliostat_tasks.learn.models import Couplings

DECAYS, TINY = (0.9, 0.999), 1e-8
"""Decays of Adam's two averages, and the number added to its denominator."""

ADAM = optax.scale_by_adam(*DECAYS, TINY)


class Learner(NamedTuple):
    """Parameters, their average, and the optimiser's state."""

    params: Any
    averaged: Any
    adam: Any  # count (), and two moments like params


class UpdateInfo(NamedTuple):
    """Length of the gradient, and whether the update was skipped."""

    gradient: Float[Array, ""]  # its length
    skipped: Int[Array, ""]  # 1 if it was not finite


def init_learner(params: Any) -> Learner:
    """Return the optimiser before its first step."""
    return Learner(params, params, ADAM.init(params))


def update(
    learner: Learner, gradient: Any, rate: Float[Array, ""], l1: float, average: float
) -> tuple[Learner, UpdateInfo]:
    """Take one step uphill; a step that is not finite changes nothing.

    Args:
        learner: before the step.
        gradient: gradient of the log-likelihood, like the parameters.
        rate: η.
        l1: λ, of pairwise couplings.
        average: a, in [0, 1).
    """
    direction, adam = ADAM.update(gradient, learner.adam)
    params = jax.tree.map(lambda p, d: p + rate * d, learner.params, direction)
    if l1 and isinstance(params, Couplings):
        scale = _scale(adam).pairs
        params = params._replace(pairs=shrink(params.pairs, rate * l1 / scale))
    old = _memory(average, adam)
    mean = jax.tree.map(lambda a, p: old * a + (1 - old) * p, learner.averaged, params)
    length = optax.tree.norm(gradient)
    good = jnp.isfinite(length) & jnp.isfinite(optax.tree.norm(params))
    new = Learner(params, mean, adam)
    result = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, learner)
    return result, UpdateInfo(jnp.where(good, length, 0.0), 1 - good.astype(jnp.int32))


def _memory(average: float, adam: Any) -> Array:
    """Return a, smaller at first, so that the average forgets the first parameters."""
    return jnp.minimum(average, adam.count / (adam.count + 10.0))


def _scale(adam: Any) -> Any:
    """Return Adam's denominator √v̂ + ε."""
    weight = 1 - DECAYS[1] ** adam.count.astype(float)
    return jax.tree.map(lambda v: jnp.sqrt(v / weight) + TINY, adam.nu)


def shrink(
    pairs: Float[Array, "pairs ..."], amount: Float[Array, "pairs ..."]
) -> Float[Array, "pairs ..."]:
    """Reduce the norms of couplings, at most to zero.

    Args:
        pairs: couplings, or blocks of couplings.
        amount: reduction, like ``pairs``; of a block the mean counts.

    Example:
        >>> shrink(jnp.array([0.5, 0.25]), jnp.array([0.25, 0.5])).tolist()
        [0.25, 0.0]
    """
    inside = tuple(range(1, pairs.ndim))
    norm = jnp.sqrt(jnp.sum(pairs**2, inside, keepdims=True))
    amount = jnp.mean(amount, inside, keepdims=True)
    return pairs * jnp.maximum(0.0, 1 - amount / jnp.maximum(norm, 1e-30))


def learning_rate(
    step: Integer[Array, ""], train: int, rate: float, warmup: int, decay: float
) -> Float[Array, ""]:
    """Compute the learning rate: a rise, a plateau, and a fall almost to zero.

    While it falls, the noise of the last gradients averages out, and the persistent
    chains catch up with a model that hardly changes.

    Args:
        step: counted from 1.
        train: last training step.
        rate: on the plateau.
        warmup: steps of the rise.
        decay: share of training in which it falls.
    """
    rise = jnp.minimum(1.0, step / max(warmup, 1))
    fall = jnp.clip((1 - (step - 1) / max(train, 1)) / max(decay, 1e-9), 0.0, 1.0)
    return rate * rise * fall
