"""Informed proposals: a site is proposed by what its change does to log p.

All samplers are one family with one step.  With gains Δ and a balancing function
g(t) = t g(1/t), a move is proposed in proportion to g(e^Δ) and accepted by
Metropolis-Hastings::

    balancing     log g(e^Δ)       differences   gains of the proposal
    sqrt          Δ / 2            taylor        one gradient
    ratio         −log(1 + e^−Δ)   exact         closed form, or D (K − 1) evaluations
    min           min(0, Δ)
    max           max(0, Δ)

    moves         proposal
    single        one site
    multi         R sites with replacement, all of them changed
    path          R sites without replacement, in an order that the way back reverses
    factorised    every site by itself, tempered by 1/(2α)

Single moves with the square root and Taylor's gains are Gibbs-with-gradients;
factorised ones are DMALA, or DULA if only what is impossible is rejected; paths are the
path-auxiliary sampler.  A multi-flip and a path of R = 1 are single moves, so one
function makes them.  A lost chain has no use for Taylor's gains: it changes about one
site, drawn uniformly, until a state is possible.

References: Zanella, J. Am. Stat. Assoc. 115, 852 (2020) [balancing]; Grathwohl et al.,
arXiv:2102.04509 [GWG, alg. 1]; Zhang, Liu and Liu, arXiv:2206.09914 [DMALA, eqs. 3-5];
Sun et al., ICLR 2022, "Path auxiliary proposal for MCMC in discrete space".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import log_sigmoid
from jaxtyping import Float, Int, Key

from heliostat.kernels.discrete.chain import (
    Chain,
    Info,
    MarkovKernel,
    Sizes,
    Tilt,
    is_lost,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.discrete.moves import MOVES, Moves, Sites, Size
from heliostat.kernels.discrete.target import (
    Gains,
    StateLike,
    Target,
    as_state,
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
"""log g(e^Δ) of the balancing functions g, by name."""

MAX_GAIN = 1e4
"""Replaces an infinite gain, from or to an impossible state."""

Balancing = Literal["sqrt", "ratio", "min", "max"]
Differences = Literal["taylor", "exact"]
MoveKind = Literal["single", "multi", "path", "factorised"]


class Proposal(NamedTuple):
    """A balancing function and the moves that it weighs.

    Example:
        >>> proposal = Proposal(BALANCING["sqrt"], MOVES["single"](1))
        >>> proposal.logits(jnp.array([[2.0]])).tolist()
        [[1.0]]
    """

    logits: Callable[[Array], Gains]  # gains -> log g(e^Δ)
    moves: Moves  # drawn in proportion to g


def informed(
    target: Target,
    balancing: Balancing = "sqrt",
    differences: Differences = "taylor",
    moves: MoveKind = "single",
    longest: int = 1,
    adjusted: bool = True,
) -> MarkovKernel:
    """Return a sampler that proposes moves in proportion to g(e^Δ).

        a = min(1, π(y) q(y → x) / π(x) q(x → y))

    Args:
        target: the density.
        balancing: the function g.
        differences: gains of the proposal; acceptance always uses log p itself.
        moves: the kind of moves.
        longest: most sites of a multi-flip or a path. Each step draws the number of
            sites as floor or ceil of ``size``, so that the mean can be adapted and odd
            and even numbers both occur.
        adjusted: False accepts every possible state: biased, as DULA is.

    Returns:
        The sampler, a :class:`~heliostat.kernels.discrete.chain.MarkovKernel`.

    Raises:
        ValueError: for a name that is none of the above, or ``longest`` outside 1 … D.

    Example:
        >>> from heliostat.kernels import informed, ising
        >>> kernel = informed(ising(4, coupling=0.2))
        >>> start = kernel.init(jnp.zeros(16, jnp.uint8))
        >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), start)
        >>> int(info.hops) == int(jnp.sum(chain.x != start.x))  # 0 if rejected
        True
        >>> round(float(info.acceptance), 2)
        0.73

    Reference: Zanella, J. Am. Stat. Assoc. 115, 852 (2020) [balancing]; Grathwohl et
    al., arXiv:2102.04509, alg. 1 [square root, Taylor].
    """
    _check(balancing, differences, moves, longest, target.sites)
    log_g = BALANCING[balancing]
    steps = {"single": 1, "factorised": 1}.get(moves, longest)
    proposal = Proposal(log_g, MOVES[moves](steps))
    one_site = size_of_one_site(moves, target.sites)

    def init(x: StateLike) -> Chain:
        x = as_state(target, x)
        if differences == "taylor":
            f, gains = value_and_gains(target, x)
        else:
            f, gains = value(target, x), exact_gains(target, x)
        # gains only shape the proposal: clip infinities, treat NaN as no preference
        gains = jnp.nan_to_num(gains, nan=0.0, posinf=MAX_GAIN, neginf=-MAX_GAIN)
        return Chain(x, f, gains)

    def step(
        key: Key[Array, ""], chain: Chain, size: Size = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        drawing, deciding = jax.random.split(key)
        logits, lost = log_g(tilted(chain, tilt)[1]), is_lost(chain)
        guide = jnp.where(lost, 0.0, logits) if differences == "taylor" else logits
        reach = jnp.where(lost, one_site, size)
        y, sites, count = proposal.moves.sample(drawing, chain.x, guide, reach)
        proposed = init(y)
        ratio = jnp.where(jnp.isfinite(proposed.logp), 0.0, -jnp.inf)
        if adjusted:
            _, ratio = transition_log_probs(
                proposal, chain, proposed, sites, count, size, tilt
            )
        return metropolis_hastings(deciding, chain, proposed, ratio)

    sizes = _sizes(moves, longest, adjusted)
    return MarkovKernel(init, step, sizes, proposal, reversible=adjusted)


def size_of_one_site(moves: MoveKind, sites: int) -> float:
    """Return the size of moves at which about one site changes, without gains.

        e^(−1/2α) = 1 / (D + 1)      of factorised moves

    Args:
        moves: the kind of moves.
        sites: D.

    Returns:
        The step α of factorised moves; the number 1 of all others.

    Example:
        >>> size_of_one_site("path", 9), round(size_of_one_site("factorised", 9), 3)
        (1.0, 0.217)
    """
    return 1 / (2 * math.log1p(sites)) if moves == "factorised" else 1.0


def _sizes(moves: str, longest: int, adjusted: bool) -> Sizes | None:
    """Return the range of the size of these moves, or None if they have none."""
    sequences = Sizes(min(2.0, longest), 1.0, longest)
    steps = Sizes(0.2, 1e-3, 1e3)
    sizes = {"multi": sequences, "path": sequences, "factorised": steps}.get(moves)
    if sizes and not adjusted:  # there is no acceptance to adapt it to
        return sizes._replace(low=sizes.start, high=sizes.start)
    return sizes


def transition_log_probs(
    proposal: Proposal,
    chain: Chain,
    proposed: Chain,
    sites: Sites,
    count: Int[Array, ""],
    size: Size = 1.0,
    tilt: Tilt | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return log q(x → y) by way of ``sites``, and the log Metropolis-Hastings ratio.

        log π(y) − log π(x) + log q(y → x) − log q(x → y)

    Args:
        proposal: balancing function and moves.
        chain: the state x, with f and gains.
        proposed: the state y, with f and gains.
        sites: ``(longest,)`` int32, auxiliary sites of the move.
        count: () int32, the number of sites in use.
        size: mean number of sites, or the step α.
        tilt: makes π the density of the path at β; None is the target.

    Returns:
        Both logs, () each.

    Example:
        >>> from heliostat.kernels import informed, ising
        >>> kernel = informed(ising(3, coupling=0.0))
        >>> x = kernel.init(jnp.zeros(9, jnp.uint8))
        >>> y = kernel.init(x.x.at[4].set(1))
        >>> site, count = jnp.array([4]), jnp.array(1)
        >>> log_q, ratio = transition_log_probs(kernel.proposal, x, y, site, count)
        >>> round(float(jnp.exp(-log_q)), 4), round(float(ratio), 4)
        (9.0, 0.0)
    """
    f, gains = tilted(chain, tilt)
    f_proposed, gains_proposed = tilted(proposed, tilt)
    forward = proposal.moves.score(
        chain.x, proposal.logits(gains), proposed.x, sites, count, size
    )
    way = proposal.moves.reverse(sites, count)
    logits = proposal.logits(gains_proposed)
    backward = proposal.moves.score(proposed.x, logits, chain.x, way, count, size)
    return forward, f_proposed - f + backward - forward


def _check(
    balancing: str, differences: str, moves: str, longest: int, sites: int
) -> None:
    allowed = {
        "balancing": (balancing, BALANCING),
        "differences": (differences, ("taylor", "exact")),
        "moves": (moves, MOVES),
    }
    for name, (choice, choices) in allowed.items():
        if choice not in choices:
            raise ValueError(f"{name}={choice!r}: expected one of {', '.join(choices)}")
    if not 1 <= longest <= sites:
        raise ValueError(f"longest={longest}: expected 1 to {sites}, the sites")


# -- members of the family by their names in the literature --------------------------

gibbs_with_gradients = partial(informed)
"""Single moves, square root, Taylor: Grathwohl et al., arXiv:2102.04509, alg. 1."""

locally_balanced = partial(informed, differences="exact")
"""Single moves by exact gains: Zanella, J. Am. Stat. Assoc. 115, 852 (2020)."""

multi_flip = partial(informed, moves="multi")
"""Several sites with replacement: Grathwohl et al., arXiv:2102.04509, "gwg-n"."""

path_auxiliary = partial(informed, moves="path")
"""Several sites without replacement: Sun et al., ICLR 2022."""

dmala = partial(informed, moves="factorised")
"""Every site at once, with acceptance: Zhang et al., arXiv:2206.09914."""

dula = partial(informed, moves="factorised", adjusted=False)
"""Every site at once, accepted wherever possible, hence biased: arXiv:2206.09914."""
