"""NumPyro's No-U-Turn sampler as two pure functions, with randomness from outside.

NumPyro's state carries a key from draw to draw.  Here each transition gets the key of
its own cell (chain, draw), and the state none: so any draw can be replayed.

Reference: Hoffman and Gelman, J. Mach. Learn. Res. 15, 1593 (2014); Phan et al.,
arXiv:1912.11554 [NumPyro].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import jax
from jax import Array

if TYPE_CHECKING:
    from numpyro.infer.hmc import HMCState

Potential = Callable[[Array], Array]


def start(potential: Potential, z: Array, warmup: int) -> HMCState:
    """The state of a chain before its first transition.

    Args:
        potential: −log density of a point (F,), () nat.
        z: (F,) where the chain starts.
        warmup: transitions that adapt step size and diagonal mass matrix.

    Example:
        >>> start(lambda z: z @ z / 2, jax.numpy.ones(3), 100).z_grad.tolist()
        [1.0, 1.0, 1.0]
    """
    from numpyro.infer.hmc import hmc

    begin, _ = hmc(potential, algo="NUTS")
    return _keyless(begin(z, num_warmup=warmup))


def transition(
    potential: Potential, key: Array, state: HMCState, warmup: int
) -> HMCState:
    """One transition of the No-U-Turn sampler; the first ``warmup`` adapt.

    Args:
        key: the randomness of this transition, all of it.
        state: of :func:`start`, or of the transition before.

    Example:
        >>> bowl = lambda z: z @ z / 2
        >>> before = start(bowl, jax.numpy.ones(3), 100)
        >>> after = transition(bowl, jax.random.key(0), before, 100)
        >>> int(after.i), after.rng_key is None
        (1, True)
    """
    from numpyro.infer.hmc import hmc

    begin, sample = hmc(potential, algo="NUTS")
    # NumPyro's pair shares settings that only begin writes; nothing is computed here
    jax.eval_shape(partial(begin, num_warmup=warmup), state.z)
    return _keyless(sample(state._replace(rng_key=key)))


def _keyless(state: HMCState) -> HMCState:
    adapted = state.adapt_state._replace(rng_key=None)
    return state._replace(rng_key=None, adapt_state=adapted)
