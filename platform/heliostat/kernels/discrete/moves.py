"""Moves of informed samplers, and the probability of each.

    multi        R sites with replacement, all of them changed
    path         R sites without replacement, in an order that the way back reverses
    factorised   every site by itself, tempered by 1/(2α)

All see logits log g(e^Δ), (D, K − 1).  A sequence of sites is part of the proposal, as
an auxiliary variable: the way back has the same sites, of a path in reverse order.  The
new value of each changed site is drawn from its own row of the logits.

References: Grathwohl et al., arXiv:2102.04509 [multi]; Sun et al., ICLR 2022, "Path
auxiliary proposal for MCMC in discrete space" [path]; Zhang, Liu and Liu,
arXiv:2206.09914, eqs. 3-5 [factorised].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp
from jaxtyping import Bool, Float, Int, Key

from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import Gains, State, alternatives

MIN_LOGIT = -80.0
"""Lowest log-weight of a site below the highest; e^−80 is a float32 still."""

Sites = Int[Array, " longest"]
"""Indices of sites in the order of their change."""

Size = Float[Array, ""] | float
"""Mean number of sites, or the step α."""


class Moves(NamedTuple):
    """A distribution of new states y, given x, its logits, and auxiliary ``sites``.

    Example:
        >>> moves = sequence(longest=1, replace=True)
        >>> x, logits = jnp.zeros(4, jnp.uint8), jnp.zeros((4, 1))
        >>> y, sites, count = moves.sample(jax.random.key(0), x, logits, 1.0)
        >>> int(y.sum()), sites.shape, int(count)
        (1, (1,), 1)
        >>> float(jnp.exp(moves.score(x, logits, y, sites, count, 1.0)))
        0.25
    """

    # (key, x, logits, size) -> (y, sites, count)
    sample: Callable[..., tuple[State, Sites, Int[Array, ""]]]  # draws y
    # (x, logits, y, sites, count, size) -> log q
    score: Callable[..., Float[Array, ""]]  # log probability of y by way of sites
    reverse: Callable[[Array, Array], Sites]  # (sites, count) -> sites of the way back


# -- sequences of sites: with replacement (multi), or without (path) -----------------


def sequence(longest: int, replace: bool) -> Moves:
    """Return moves of up to ``longest`` sites, drawn in proportion to their weights.

        q(i₁ … i_R) = Π_r w_{i_r} / Σ_i w_i,      w_i = Σ_k g(e^Δ[i, k])

    Without replacement the sum leaves out the sites that were drawn before.

    Args:
        longest: most sites of a move; its ``size`` is the mean number R.
        replace: True draws sites with replacement.

    Returns:
        The moves.

    Example:
        >>> path = sequence(longest=3, replace=False)
        >>> path.reverse(jnp.array([4, 7, 2]), jnp.array(3)).tolist()
        [2, 7, 4]

    Reference: Sun et al., ICLR 2022 [without replacement].
    """

    def sample(
        key: Key[Array, ""], x: State, logits: Gains, size: Size
    ) -> tuple[State, Sites, Int[Array, ""]]:
        rounding, choosing, valuing = jax.random.split(key, 3)
        count = _count(rounding, size, longest)
        u = jax.random.uniform(choosing, (longest,), logits.dtype)
        v = jax.random.uniform(valuing, (longest,), logits.dtype)
        sites = _sites(u, _marginal(logits), replace)
        return _moved(x, logits, sites, count, v), sites, count

    def score(
        x: State,
        logits: Gains,
        y: State,
        sites: Sites,
        count: Int[Array, ""],
        size: Size,
    ) -> Float[Array, ""]:
        marginal = _marginal(logits)
        counted = jnp.arange(longest) < count
        chosen = _log_probs(marginal, sites, counted, replace)
        total = jnp.sum(jnp.where(counted, chosen, 0.0))
        if logits.shape[1] == 1:
            return total
        return total + _log_values(x, logits - marginal[:, None], y)

    def reverse(sites: Sites, count: Int[Array, ""]) -> Sites:
        if replace or longest == 1:
            return sites
        index = jnp.arange(longest)
        return sites[jnp.where(index < count, count - 1 - index, index)]

    return Moves(sample, score, reverse)


def _marginal(logits: Gains) -> Float[Array, " sites"]:
    """Return the log of the weight of each site, over all its values."""
    return logits[:, 0] if logits.shape[1] == 1 else logsumexp(logits, axis=1)


def _count(key: Key[Array, ""], size: Size, longest: int) -> Int[Array, ""]:
    """Draw a whole number of mean ``size``: one of its two neighbours."""
    if longest == 1:
        return jnp.ones((), jnp.int32)
    u = jax.random.uniform(key)
    return jnp.clip(jnp.floor(size + u), 1, longest).astype(jnp.int32)


def _sites(
    u: Float[Array, " longest"], logits: Float[Array, " sites"], replace: bool
) -> Sites:
    """Select one site per uniform number, each in proportion to e^logits."""
    weights = jnp.exp(_bounded(logits))
    if replace or len(u) == 1:
        return jax.vmap(select, (0, None))(u, weights)

    def pick(
        left: Float[Array, " sites"], u: Float[Array, ""]
    ) -> tuple[Float[Array, " sites"], Int[Array, ""]]:
        site = select(u, left)
        return left.at[site].set(0.0), site

    return jax.lax.scan(pick, weights, u)[1]


def _log_probs(
    logits: Float[Array, " sites"],
    sites: Sites,
    counted: Bool[Array, " longest"],
    replace: bool,
) -> Float[Array, " longest"]:
    """Return the log probability of each site of a sequence, given the ones before."""
    logits = _bounded(logits)
    weights = jnp.exp(logits)
    if replace or len(sites) == 1:
        return logits[sites] - jnp.log(jnp.sum(weights))
    # what is left before site r: all never chosen, and those from r on; only sums
    taken = jnp.where(counted, weights[sites], 0.0)
    never = jnp.sum(weights.at[sites].multiply(jnp.where(counted, 0.0, 1.0)))
    left = never + jnp.cumsum(taken[::-1])[::-1]
    return logits[sites] - jnp.log(left)


def _bounded(logits: Float[Array, " sites"]) -> Float[Array, " sites"]:
    """Return logits from 0 down to ``MIN_LOGIT``.

    No weight vanishes, so a path never runs out of sites.  A hopeless proposal once in
    e^80 draws is no less exact.
    """
    return jnp.maximum(logits - jnp.max(logits), MIN_LOGIT)


def _moved(
    x: State,
    logits: Gains,
    sites: Sites,
    count: Int[Array, ""],
    v: Float[Array, " longest"],
) -> State:
    """Return ``x`` with its first ``count`` sites changed.

    Where one site comes twice, the last value counts; it is drawn as the first was.
    """
    others = alternatives(x, logits.shape[1] + 1)

    def change(r: Int[Array, ""], y: State) -> State:
        site = sites[r]
        row = logits[site]
        shift = select(v[r], jnp.exp(row - jnp.max(row))) if len(row) > 1 else 0
        return y.at[site].set(jnp.where(r < count, others[site, shift], y[site]))

    if len(sites) == 1:
        return change(jnp.zeros((), jnp.int32), x)
    return jax.lax.fori_loop(0, len(sites), change, x)


def _log_values(x: State, conditional: Gains, y: State) -> Float[Array, ""]:
    """Return Σ over changed sites of log q(new value | the site changes)."""
    chosen = alternatives(x, conditional.shape[1] + 1) == y[:, None]
    return jnp.sum(jnp.where(chosen, conditional, 0.0))


# -- every site by itself ------------------------------------------------------------


def factorised(longest: int) -> Moves:
    """Return moves that change every site by itself.

        q_i(k) ∝ g(e^Δ[i, k]) e^(−1/2α),      against 1 for staying

    Args:
        longest: not used; the signature is that of all kinds of moves.

    Returns:
        The moves; their ``size`` is the step α.

    Example:
        >>> moves = factorised(1)
        >>> x, logits = jnp.zeros(2, jnp.uint8), jnp.zeros((2, 1))
        >>> y, sites, count = moves.sample(jax.random.key(0), x, logits, jnp.inf)
        >>> float(jnp.exp(moves.score(x, logits, y, sites, count, jnp.inf)))
        0.25

    Reference: Zhang, Liu and Liu, arXiv:2206.09914, eqs. 3-5.
    """

    def sample(
        key: Key[Array, ""], x: State, logits: Gains, size: Size
    ) -> tuple[State, Int[Array, "1"], Int[Array, ""]]:
        u = jax.random.uniform(key, (len(x), 1), logits.dtype)
        none, one = jnp.zeros((1,), jnp.int32), jnp.ones((), jnp.int32)
        if logits.shape[1] == 1:
            flips = (u < jax.nn.sigmoid(logits - 1 / (2 * size)))[:, 0]
            return jnp.where(flips, 1 - x, x), none, one
        weights = jnp.exp(_against_staying(logits, size))
        passed = jnp.sum(jnp.cumsum(weights, 1) <= u, 1, dtype=jnp.int32)
        values = logits.shape[1] + 1
        passed = jnp.minimum(passed, values - 1)  # the last one means staying
        choices = jnp.concatenate([alternatives(x, values), x[:, None]], 1)
        return jnp.take_along_axis(choices, passed[:, None], 1)[:, 0], none, one

    def score(
        x: State,
        logits: Gains,
        y: State,
        sites: Int[Array, "1"],
        count: Int[Array, ""],
        size: Size,
    ) -> Float[Array, ""]:
        if logits.shape[1] == 1:
            odds = logits[:, 0] - 1 / (2 * size)
            return jnp.sum(jax.nn.log_sigmoid(jnp.where(y == x, -odds, odds)))
        moves = _against_staying(logits, size)
        stays = -logsumexp(jnp.pad(logits - 1 / (2 * size), ((0, 0), (1, 0))), axis=1)
        chosen = alternatives(x, logits.shape[1] + 1) == y[:, None]
        moved = jnp.sum(jnp.where(chosen, moves, 0.0), 1)
        return jnp.sum(jnp.where(y == x, stays, moved))

    return Moves(sample, score, lambda sites, count: sites)


def _against_staying(logits: Gains, size: Size) -> Gains:
    """Return the log probability of each move of each site."""
    moves = logits - 1 / (2 * size)
    return moves - logsumexp(jnp.pad(moves, ((0, 0), (1, 0))), axis=1)[:, None]


MOVES: dict[str, Callable[[int], Moves]] = {
    "single": partial(sequence, replace=True),
    "multi": partial(sequence, replace=True),
    "path": partial(sequence, replace=False),
    "factorised": factorised,
}
"""Kinds of moves by name."""
