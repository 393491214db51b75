"""Training of the parameters: scores, and one SPRING update."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from heliostat.kernels.vmc.spring import constrain_norm, spring
from heliostat_tasks.vmc.wavefunction.first_guess import Params


class Update(NamedTuple):
    """Parameters after an update, and its size."""

    params: Float[Array, " params"]
    direction: Float[Array, " params"]  # SPRING's φ; zero if the change was skipped
    length: Float[Array, ""]  # length of the change
    skipped: Int[Array, ""]  # 1 if the change was not finite


def scores(
    logpsi: Callable[[Params, Array], Array],
    params: Params,
    walkers: Float[Array, "walkers n 3"],
) -> Float[Array, "walkers params"]:
    """Compute the scores ∂ log|Ψ|/∂θ of every walker.

    Args:
        logpsi: parameters and one walker ``(n, 3)`` to log|Ψ|.
        params: where it is differentiated.
        walkers: bohr.

    Returns:
        One row per walker.
    """
    score = jax.vmap(jax.grad(logpsi), (None, 0))
    leaves = jax.tree.leaves(score(params, walkers))
    return jnp.concatenate([leaf.reshape(len(walkers), -1) for leaf in leaves], axis=1)


def spring_update(
    params: Float[Array, " params"],
    direction: Float[Array, " params"],
    score: Float[Array, "walkers params"],
    energies: Float[Array, " walkers"],
    *,
    rate: Float[Array, ""],
    damping: float,
    momentum: float,
    max_squared_norm: float,
) -> Update:
    """Move the parameters by SPRING (stochastic reconfiguration with momentum).

    Args:
        params: θ, flat.
        direction: the previous φ.
        score: from :func:`scores`.
        energies: energies of the walkers, hartree.
        rate: learning rate.
        damping: added to the Gram matrix of the scores.
        momentum: decay of the previous direction, in [0, 1).
        max_squared_norm: largest squared length of the change.

    Returns:
        The new parameters and direction.

    Reference: Goldshlager et al., arXiv:2401.10190.
    """
    next_direction = spring(
        score, energies, direction=direction, damping=damping, decay=momentum
    )
    return apply_direction(params, next_direction, rate, max_squared_norm)


def apply_direction(
    params: Float[Array, " params"],
    direction: Float[Array, " params"],
    rate: Float[Array, ""],
    max_squared_norm: Float[Array, ""] | float,
) -> Update:
    """Move the parameters against a direction; a change that is not finite is skipped:
    θ stays, and φ restarts at zero."""
    change = constrain_norm(direction, rate, max_squared_norm)
    finite = jnp.all(jnp.isfinite(change))
    change = jnp.where(finite, change, 0.0)
    direction = jnp.where(finite, direction, 0.0)
    length = jnp.linalg.norm(change)
    return Update(params + change, direction, length, 1 - finite.astype(jnp.int32))
