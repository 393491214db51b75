"""Informed proposals: moves that know where the probability is.

One family, one step.  With gains Δ and a balancing function g(t) = t g(1/t), a move is
proposed in proportion to g(e^Δ) and accepted by Metropolis-Hastings::

    balancing     log g(e^Δ)       differences   the gains that the proposal sees
    sqrt          Δ / 2            taylor        one gradient
    ratio         −log(1 + e^−Δ)   exact         closed form, or D (K − 1) evaluations
    min, max      min, max(0, Δ)

    moves         proposal
    single        one site
    multi         R sites with replacement, all of them changed
    path          R sites without replacement, in an order that the way back reverses
    factorised    every site by itself, tempered by 1/(2α)

Single moves with the square root and Taylor's gains are Gibbs-with-gradients;
factorised ones are DMALA, or DULA if nothing is rejected; paths are the path-auxiliary
sampler.
A multi-flip of R = 1 and a path of R = 1 are single moves, so one function makes them.

References: Zanella, J. Am. Stat. Assoc. 115, 852 (2020) [balancing]; Grathwohl et al.,
arXiv:2102.04509 [GWG, alg. 1]; Zhang, Liu and Liu, arXiv:2206.09914 [DMALA, eqs. 3-5];
Sun et al., ICLR 2022, "Path auxiliary proposal for MCMC in discrete space".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import log_sigmoid

from heliostat.kernels.discrete.chain import (
    Chain,
    Info,
    Kernel,
    Sizes,
    Tilt,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.discrete.moves import MOVES, Moves
from heliostat.kernels.discrete.target import (
    Target,
    exact_gains,
    value,
    value_and_gains,
)

BALANCING: dict[str, Callable[[Array], Array]] = {
    "sqrt": lambda gain: gain / 2,
    "ratio": log_sigmoid,
    "min": lambda gain: jnp.minimum(gain, 0.0),
    "max": lambda gain: jnp.maximum(gain, 0.0),
}
"""log g(e^Δ) of the balancing functions g."""

MAX_GAIN = 1e4
"""What stands for an infinite gain, from or to an impossible state."""

Balancing = Literal["sqrt", "ratio", "min", "max"]
Differences = Literal["taylor", "exact"]
MoveKind = Literal["single", "multi", "path", "factorised"]


class Proposal(NamedTuple):
    """A balancing function and the moves it weighs."""

    logits: Callable[[Array], Array]  # gains -> log g
    moves: Moves


def informed(
    target: Target,
    balancing: Balancing = "sqrt",
    differences: Differences = "taylor",
    moves: MoveKind = "single",
    longest: int = 1,
    adjusted: bool = True,
) -> Kernel:
    """A sampler of the family above.

    Args:
        target: what to sample.
        balancing: the function g.
        differences: what the proposal sees; acceptance always uses the true f.
        moves: what is proposed.
        longest: most sites of a multi-flip or a path; its ``size`` is the mean number,
            drawn anew each step as one of the two neighbouring integers, so that it
            may be adapted and leaves no parity behind.
        adjusted: False accepts everything: biased, as DULA is.

    Returns:
        A :class:`~heliostat.kernels.discrete.chain.Kernel`.

    Raises:
        ValueError: for a name that is none of the above, or ``longest`` outside 1 … D.

    Example:
        >>> from heliostat.kernels import informed, ising
        >>> kernel = informed(ising(4, coupling=0.2))
        >>> chain = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = kernel.step(jax.random.key(0), chain)
        >>> int(info.hops)
        1
    """
    _check(balancing, differences, moves, longest, target.sites)
    log_g = BALANCING[balancing]
    steps = {"single": 1, "factorised": 1}.get(moves, longest)
    proposal = Proposal(log_g, MOVES[moves](steps))

    def look(x: Array) -> Chain:
        if differences == "taylor":
            f, gains = value_and_gains(target, x)
        else:
            f, gains = value(target, x), exact_gains(target, x)
        # gains only propose: what is impossible is unlikely, what is unknown is even
        return Chain(
            x, f, jnp.nan_to_num(gains, nan=0.0, posinf=MAX_GAIN, neginf=-MAX_GAIN)
        )

    def step(
        key: Array, chain: Chain, size: Array | float = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        drawing, deciding = jax.random.split(key)
        logits = log_g(tilted(chain, tilt)[1])
        y, sites, count = proposal.moves.sample(drawing, chain.x, logits, size)
        there = look(y)
        if not adjusted:
            hops = jnp.sum(y != chain.x, dtype=jnp.int32)
            return there, Info(jnp.ones((), logits.dtype), hops)
        _, ratio = transition_log_probs(
            proposal, chain, there, sites, count, size, tilt
        )
        return metropolis_hastings(deciding, chain, there, ratio)

    sizes = {
        "multi": Sizes(min(2.0, longest), 1.0, longest),
        "path": Sizes(min(2.0, longest), 1.0, longest),
        "factorised": Sizes(0.2, 1e-3, 1e3),
    }
    found = sizes.get(moves)
    if found and not adjusted:  # there is no acceptance to adapt it to
        found = found._replace(low=found.start, high=found.start)
    return Kernel(look, step, found, proposal, reversible=adjusted)


def transition_log_probs(
    proposal: Proposal,
    chain: Chain,
    there: Chain,
    sites: Array,
    count: Array,
    size: Array | float = 1.0,
    tilt: Tilt | None = None,
) -> tuple[Array, Array]:
    """log q of proposing ``there`` by way of ``sites``, and the log of the
    Metropolis-Hastings ratio, π(y) q(y → x) / π(x) q(x → y)."""
    f, gains = tilted(chain, tilt)
    f_there, gains_there = tilted(there, tilt)
    ahead = proposal.moves.score(
        chain.x, proposal.logits(gains), there.x, sites, count, size
    )
    way, logits = proposal.moves.reverse(sites, count), proposal.logits(gains_there)
    back = proposal.moves.score(there.x, logits, chain.x, way, count, size)
    return ahead, f_there - f + back - ahead


def _check(
    balancing: str, differences: str, moves: str, longest: int, sites: int
) -> None:
    allowed = {
        "balancing": (balancing, BALANCING),
        "differences": (differences, ("taylor", "exact")),
        "moves": (moves, MOVES),
    }
    for name, (given, known) in allowed.items():
        if given not in known:
            raise ValueError(f"{name}={given!r}: expected one of {', '.join(known)}")
    if not 1 <= longest <= sites:
        raise ValueError(f"longest={longest}: expected 1 to {sites}, the sites")


# -- the family's members by the names they are known by ------------------------------

gibbs_with_gradients = partial(informed)
"""Grathwohl et al. 2021: single moves, square root, Taylor."""

locally_balanced = partial(informed, differences="exact")
"""Zanella 2020: single moves that know every difference exactly."""

multi_flip = partial(informed, moves="multi")
"""Grathwohl et al. 2021, "gwg-n": several sites with replacement."""

path_auxiliary = partial(informed, moves="path")
"""Sun et al. 2022: several sites without replacement."""

dmala = partial(informed, moves="factorised")
"""Zhang et al. 2022: every site at once, corrected."""

dula = partial(informed, moves="factorised", adjusted=False)
"""Zhang et al. 2022: every site at once, uncorrected, hence biased."""
