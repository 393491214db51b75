"""One step of an optimiser: Adam uphill, couplings shrunk, an average that follows.

    θ ← θ + η m̂ / (√v̂ + ε),      ∇ = ⟨∂f⟩_data − ⟨∂f⟩_model
    J ← J max(0, 1 − η λ / ((√v̂ + ε) |J|))
    θ̄ ← a θ̄ + (1 − a) θ

Shrinkage is measured as Adam measures steps: so what stands still is the maximum of the
log-likelihood minus λ Σ_{i<j} |J_ij|, and not of one with a penalty that depends on the
noise of the gradient.  A Potts block shrinks as a whole, by its Frobenius norm.

References: Kingma and Ba, arXiv:1412.6980; Tieleman, ICML 2008 [persistent chains];
Yuan and Lin, J. R. Stat. Soc. B 68, 49 (2006) [grouped shrinkage].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from heliostat_tasks.learn.models import Couplings

DECAYS, TINY = (0.9, 0.999), 1e-8
"""Of Adam's two averages, and what is added to its denominator."""

ADAM = optax.scale_by_adam(*DECAYS, TINY)


class Learner(NamedTuple):
    """Parameters, their average, and what the optimiser remembers."""

    params: Any
    averaged: Any
    adam: Any  # count (), and first and second moments like params


class UpdateInfo(NamedTuple):
    """What a person wants to know of an update."""

    gradient: Array  # () its length
    skipped: Array  # () int32, 1 if it was not finite


def init_learner(params: Any) -> Learner:
    """The optimiser before its first step."""
    return Learner(params, params, ADAM.init(params))


def update(
    learner: Learner, gradient: Any, rate: Array, l1: float, average: float
) -> tuple[Learner, UpdateInfo]:
    """One step uphill; one that is not finite is left out, and leaves no trace.

    Args:
        gradient: of the log-likelihood, like the parameters.
        rate: η, ().
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
    kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, learner)
    return kept, UpdateInfo(jnp.where(good, length, 0.0), 1 - good.astype(jnp.int32))


def _memory(average: float, adam: Any) -> Array:
    """Short at first: what the parameters began as is no part of their average."""
    return jnp.minimum(average, adam.count / (adam.count + 10.0))


def _scale(adam: Any) -> Any:
    """Adam's denominator √v̂ + ε."""
    seen = 1 - DECAYS[1] ** adam.count.astype(float)
    return jax.tree.map(lambda v: jnp.sqrt(v / seen) + TINY, adam.nu)


def shrink(pairs: Array, by: Array) -> Array:
    """Couplings (P, ...) with their norms made smaller, and no smaller than nothing.

    Args:
        by: how much, like ``pairs``; of a block its mean counts.

    Example:
        >>> shrunk(jnp.array([0.5, -0.1]), jnp.array([0.2, 0.2])).tolist()
        [0.30000001192092896, -0.0]
    """
    inside = tuple(range(1, pairs.ndim))
    norm = jnp.sqrt(jnp.sum(pairs**2, inside, keepdims=True))
    by = jnp.mean(by, inside, keepdims=True)
    return pairs * jnp.maximum(0.0, 1 - by / jnp.maximum(norm, 1e-30))


def learning_rate(
    step: Array, train: int, rate: float, warmup: int, decay: float
) -> Array:
    """The learning rate: a rise, a plateau, and a fall to nearly nothing at the end.

    While it falls, the noise of the last few gradients averages out, and the persistent
    chains catch up with a model that hardly moves.

    Args:
        step: from 1.
        train: last training step.
        warmup: steps of the rise.
        decay: share of training in which it falls.
    """
    rise = jnp.minimum(1.0, step / max(warmup, 1))
    fall = jnp.clip((1 - (step - 1) / max(train, 1)) / max(decay, 1e-9), 0.0, 1.0)
    return rate * rise * fall
