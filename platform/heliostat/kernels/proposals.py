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

Single moves with the square root and Taylor's gains are Gibbs-with-gradients; factorised
ones are DMALA, or DULA if nothing is rejected; paths are the path-auxiliary sampler.
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
from jax.nn import log_sigmoid, logsumexp

from heliostat.kernels.chain import (
    Chain,
    Info,
    Kernel,
    Sizes,
    Tilt,
    metropolis_hastings,
    tilted,
)
from heliostat.kernels.selection import select
from heliostat.kernels.target import (
    Target,
    alternatives,
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

Balancing = Literal["sqrt", "ratio", "min", "max"]
Differences = Literal["taylor", "exact"]
Moves = Literal["single", "multi", "path", "factorised"]


class Proposal(NamedTuple):
    """How new states are drawn, and with which probability, given auxiliary ``sites``.

    ``draw(key, x, logits, size) -> (y, sites, count)`` and ``score(x, logits, y, sites,
    count, size) -> log q``; ``back(sites, count)`` are the auxiliaries of the way back.
    """

    logits: Callable[[Array], Array]  # gains -> log g
    draw: Callable[..., tuple[Array, Array, Array]]
    score: Callable[..., Array]
    back: Callable[[Array, Array], Array]


def informed(
    target: Target,
    balancing: Balancing = "sqrt",
    differences: Differences = "taylor",
    moves: Moves = "single",
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
        A :class:`~heliostat.kernels.chain.Kernel`.

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
    proposal = Proposal(log_g, *_MOVES[moves](steps))

    def look(x: Array) -> Chain:
        if differences == "taylor":
            f, gains = value_and_gains(target, x)
        else:
            f, gains = value(target, x), exact_gains(target, x)
        # where f is −inf nothing is known of its slope: any way out will do
        return Chain(x, f, jnp.where(jnp.isnan(gains), 0.0, gains))

    def step(
        key: Array, chain: Chain, size: Array | float = 1.0, tilt: Tilt | None = None
    ) -> tuple[Chain, Info]:
        drawing, deciding = jax.random.split(key)
        logits = log_g(tilted(chain, tilt)[1])
        y, sites, count = proposal.draw(drawing, chain.x, logits, size)
        there = look(y)
        if not adjusted:
            hops = jnp.sum(y != chain.x, dtype=jnp.int32)
            return there, Info(jnp.ones((), logits.dtype), hops)
        _, ratio = chances(proposal, chain, there, sites, count, size, tilt)
        return metropolis_hastings(deciding, chain, there, ratio)

    sizes = {
        "multi": Sizes(min(2.0, longest), 1.0, longest),
        "path": Sizes(min(2.0, longest), 1.0, longest),
        "factorised": Sizes(0.2, 1e-3, 1e3),
    }
    return Kernel(look, step, sizes.get(moves), proposal, reversible=adjusted)


def chances(
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
    ahead = proposal.score(chain.x, proposal.logits(gains), there.x, sites, count, size)
    way, logits = proposal.back(sites, count), proposal.logits(gains_there)
    back = proposal.score(there.x, logits, chain.x, way, count, size)
    return ahead, f_there - f + back - ahead


# -- sequences of sites: with replacement (multi), or without (path) -----------------


def _sequence(longest: int, again: bool) -> tuple[Callable, Callable, Callable]:
    """``draw``, ``score`` and ``back`` for up to ``longest`` sites."""

    def draw(key: Array, x: Array, logits: Array, size: Array) -> tuple:
        rounding, choosing, valuing = jax.random.split(key, 3)
        count = _count(rounding, size, longest)
        u = jax.random.uniform(choosing, (longest,), logits.dtype)
        v = jax.random.uniform(valuing, (longest,), logits.dtype)
        sites = _sites(u, _marginal(logits), again)
        return _moved(x, logits, sites, count, v), sites, count

    def score(
        x: Array, logits: Array, y: Array, sites: Array, count: Array, size: Array
    ) -> Array:
        marginal = _marginal(logits)
        chosen = _log_chances(marginal, sites, again)
        counted = jnp.arange(longest) < count
        total = jnp.sum(jnp.where(counted, chosen, 0.0))
        if logits.shape[1] == 1:
            return total
        return total + _log_values(x, logits - marginal[:, None], y)

    def back(sites: Array, count: Array) -> Array:
        if again or longest == 1:
            return sites
        index = jnp.arange(longest)
        return sites[jnp.where(index < count, count - 1 - index, index)]

    return draw, score, back


def _marginal(logits: Array) -> Array:
    """log of the weight of each site, over all its values, (D,)."""
    return logits[:, 0] if logits.shape[1] == 1 else logsumexp(logits, axis=1)


def _count(key: Array, size: Array | float, longest: int) -> Array:
    """A whole number of mean ``size``: one of its two neighbours."""
    if longest == 1:
        return jnp.ones((), jnp.int32)
    u = jax.random.uniform(key)
    return jnp.clip(jnp.floor(size + u), 1, longest).astype(jnp.int32)


def _sites(u: Array, logits: Array, again: bool) -> Array:
    """One site per uniform number, each selected in proportion to e^logits."""
    weights = jnp.exp(logits - jnp.max(logits))
    if again or len(u) == 1:
        return jax.vmap(select, (0, None))(u, weights)

    def pick(left: Array, u: Array) -> tuple[Array, Array]:
        weights = jnp.exp(left - jnp.max(left))
        site = select(u, weights)
        return left.at[site].set(-jnp.inf), site

    return jax.lax.scan(pick, logits, u)[1]


def _log_chances(logits: Array, sites: Array, again: bool) -> Array:
    """log of the probability of each site of a sequence, given the ones before it."""
    if again or len(sites) == 1:
        return logits[sites] - logsumexp(logits)

    def look(left: Array, site: Array) -> tuple[Array, Array]:
        return left.at[site].set(-jnp.inf), left[site] - logsumexp(left)

    return jax.lax.scan(look, logits, sites)[1]


def _moved(x: Array, logits: Array, sites: Array, count: Array, v: Array) -> Array:
    """``x`` with its first ``count`` sites changed; where one comes twice, the last
    value counts, which is drawn as the first was."""
    there = alternatives(x, logits.shape[1] + 1)

    def change(r: Array, y: Array) -> Array:
        site = sites[r]
        row = logits[site]
        shift = select(v[r], jnp.exp(row - jnp.max(row))) if len(row) > 1 else 0
        return y.at[site].set(jnp.where(r < count, there[site, shift], y[site]))

    if len(sites) == 1:
        return change(jnp.zeros((), jnp.int32), x)
    return jax.lax.fori_loop(0, len(sites), change, x)


def _log_values(x: Array, conditional: Array, y: Array) -> Array:
    """Σ over changed sites of log q(new value | the site changes)."""
    there = alternatives(x, conditional.shape[1] + 1) == y[:, None]
    return jnp.sum(jnp.where(there, conditional, 0.0))


# -- every site by itself ------------------------------------------------------------


def _factorised(longest: int) -> tuple[Callable, Callable, Callable]:
    """q_i(k) ∝ g(e^Δ[i, k]) e^(−1/2α), against 1 for staying."""

    def draw(key: Array, x: Array, logits: Array, size: Array) -> tuple:
        weights = jnp.exp(_against_staying(logits, size))
        u = jax.random.uniform(key, (len(x), 1), logits.dtype)
        passed = jnp.sum(jnp.cumsum(weights, 1) <= u, 1, dtype=jnp.int32)
        values = logits.shape[1] + 1
        passed = jnp.minimum(passed, values - 1)  # the last one means staying
        there = jnp.concatenate([alternatives(x, values), x[:, None]], 1)
        y = jnp.take_along_axis(there, passed[:, None], 1)[:, 0]
        none = jnp.zeros((1,), jnp.int32)
        return y, none, jnp.ones((), jnp.int32)

    def score(
        x: Array, logits: Array, y: Array, sites: Array, count: Array, size: Array
    ) -> Array:
        moves = _against_staying(logits, size)
        stays = -logsumexp(jnp.pad(logits - 1 / (2 * size), ((0, 0), (1, 0))), axis=1)
        there = alternatives(x, logits.shape[1] + 1) == y[:, None]
        moved = jnp.sum(jnp.where(there, moves, 0.0), 1)
        return jnp.sum(jnp.where(y == x, stays, moved))

    return draw, score, lambda sites, count: sites


def _against_staying(logits: Array, size: Array | float) -> Array:
    """log of the probability of each move of each site, (D, K − 1)."""
    moves = logits - 1 / (2 * size)
    return moves - logsumexp(jnp.pad(moves, ((0, 0), (1, 0))), axis=1)[:, None]


_MOVES: dict[str, Callable[[int], tuple[Callable, Callable, Callable]]] = {
    "single": partial(_sequence, again=True),
    "multi": partial(_sequence, again=True),
    "path": partial(_sequence, again=False),
    "factorised": _factorised,
}


def _check(
    balancing: str, differences: str, moves: str, longest: int, sites: int
) -> None:
    allowed = {
        "balancing": (balancing, BALANCING),
        "differences": (differences, ("taylor", "exact")),
        "moves": (moves, _MOVES),
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
