"""NumPyro's No-U-Turn sampler as two pure functions of an explicit key.

NumPyro's state carries a key from draw to draw. Here the state has no key: each
transition gets the key of its own cell (chain, draw), so any draw can be replayed.

Reference: Hoffman and Gelman, J. Mach. Learn. Res. 15, 1593 (2014); Phan et al.,
arXiv:1912.11554 [NumPyro].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import jax
from jax import Array
from jaxtyping import Float, Key

if TYPE_CHECKING:
    from numpyro.infer.hmc import HMCState

Point = Float[Array, " F"]

Potential = Callable[[Point], Float[Array, ""]]
"""−log density of a point, nat."""


def initial_state(potential: Potential, z: Point, warmup: int) -> HMCState:
    """Compute the state of a chain before its first transition.

    Args:
        potential: −log density of a point (F,), () nat.
        z: (F,) start of the chain.
        warmup: number of transitions that adapt step size and diagonal mass matrix.

    Returns:
        NumPyro's state, without a key.

    Example:
        >>> initial_state(lambda z: z @ z / 2, jax.numpy.ones(3), 100).z_grad.tolist()
        [1.0, 1.0, 1.0]
    """
    from numpyro.infer.hmc import hmc

    begin, _ = hmc(potential, algo="NUTS")
    return _keyless(begin(z, num_warmup=warmup))


def transition(
    potential: Potential, key: Key[Array, ""], state: HMCState, warmup: int
) -> HMCState:
    """Make one transition of the No-U-Turn sampler; the first ``warmup`` adapt it.

    Args:
        potential: −log density of a point (F,), () nat.
        key: all randomness of this transition.
        state: from :func:`initial_state`, or of the transition before.
        warmup: number of transitions that adapt the sampler.

    Returns:
        The next state.

    Example:
        >>> bowl = lambda z: z @ z / 2
        >>> before = initial_state(bowl, jax.numpy.ones(3), 100)
        >>> after = transition(bowl, jax.random.key(0), before, 100)
        >>> int(after.i), after.rng_key is None
        (1, True)
    """
    from numpyro.infer.hmc import hmc

    begin, sample = hmc(potential, algo="NUTS")
    # sample reads settings that begin writes; eval_shape computes nothing
    jax.eval_shape(partial(begin, num_warmup=warmup), state.z)
    return _keyless(sample(state._replace(rng_key=key)))


def _keyless(state: HMCState) -> HMCState:
    adapted = state.adapt_state._replace(rng_key=None)
    return state._replace(rng_key=None, adapt_state=adapted)
