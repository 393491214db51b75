"""What an informed sampler may propose, and how probable each proposal was.

    multi        R sites with replacement, all of them changed
    path         R sites without replacement, in an order that the way back reverses
    factorised   every site by itself, tempered by 1/(2α)

All see logits log g(e^Δ), (D, K − 1).  A sequence of sites is part of the proposal, as
an auxiliary variable: the way back has the same sites, of a path in reverse order.  The
new value of each changed site is drawn from its own row of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp

from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import alternatives

DEEPEST = -80.0
"""Lowest log-weight of a site below the highest; e^−80 is a float32 still."""


class Moves(NamedTuple):
    """How new states are drawn, and with which probability, given auxiliary ``sites``.

    ``draw(key, x, logits, size) -> (y, sites, count)``, ``score(x, logits, y, sites,
    count, size) -> log q``; ``back(sites, count)`` are the auxiliaries of the way back.
    """

    sample: Callable[..., tuple[Array, Array, Array]]
    score: Callable[..., Array]
    reverse: Callable[[Array, Array], Array]


# -- sequences of sites: with replacement (multi), or without (path) -----------------


def sequence(longest: int, replace: bool) -> Moves:
    """Up to ``longest`` sites, with replacement or without (``again``)."""

    def draw(key: Array, x: Array, logits: Array, size: Array) -> tuple:
        rounding, choosing, valuing = jax.random.split(key, 3)
        count = _count(rounding, size, longest)
        u = jax.random.uniform(choosing, (longest,), logits.dtype)
        v = jax.random.uniform(valuing, (longest,), logits.dtype)
        sites = _sites(u, _marginal(logits), replace)
        return _moved(x, logits, sites, count, v), sites, count

    def score(
        x: Array, logits: Array, y: Array, sites: Array, count: Array, size: Array
    ) -> Array:
        marginal = _marginal(logits)
        counted = jnp.arange(longest) < count
        chosen = _log_chances(marginal, sites, counted, replace)
        total = jnp.sum(jnp.where(counted, chosen, 0.0))
        if logits.shape[1] == 1:
            return total
        return total + _log_values(x, logits - marginal[:, None], y)

    def back(sites: Array, count: Array) -> Array:
        if replace or longest == 1:
            return sites
        index = jnp.arange(longest)
        return sites[jnp.where(index < count, count - 1 - index, index)]

    return Moves(draw, score, back)


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
    weights = jnp.exp(_above_ground(logits))
    if again or len(u) == 1:
        return jax.vmap(select, (0, None))(u, weights)

    def pick(left: Array, u: Array) -> tuple[Array, Array]:
        site = select(u, left)
        return left.at[site].set(0.0), site

    return jax.lax.scan(pick, weights, u)[1]


def _log_chances(logits: Array, sites: Array, counted: Array, again: bool) -> Array:
    """log of the probability of each site of a sequence, given the ones before it."""
    logits = _above_ground(logits)
    weights = jnp.exp(logits)
    if again or len(sites) == 1:
        return logits[sites] - jnp.log(jnp.sum(weights))
    # what is left before site r: all never chosen, and those from r on; only sums
    taken = jnp.where(counted, weights[sites], 0.0)
    never = jnp.sum(weights.at[sites].multiply(jnp.where(counted, 0.0, 1.0)))
    left = never + jnp.cumsum(taken[::-1])[::-1]
    return logits[sites] - jnp.log(left)


def _above_ground(logits: Array) -> Array:
    """Logits from 0 down to ``DEEPEST``: no weight vanishes, so that a path never runs
    out of sites.  Proposing what is hopeless once in e^80 draws is no less exact."""
    return jnp.maximum(logits - jnp.max(logits), DEEPEST)


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


def factorised(longest: int) -> Moves:
    """q_i(k) ∝ g(e^Δ[i, k]) e^(−1/2α), against 1 for staying."""

    def draw(key: Array, x: Array, logits: Array, size: Array) -> tuple:
        u = jax.random.uniform(key, (len(x), 1), logits.dtype)
        none, one = jnp.zeros((1,), jnp.int32), jnp.ones((), jnp.int32)
        if logits.shape[1] == 1:
            flips = (u < jax.nn.sigmoid(logits - 1 / (2 * size)))[:, 0]
            return jnp.where(flips, 1 - x, x), none, one
        weights = jnp.exp(_against_staying(logits, size))
        passed = jnp.sum(jnp.cumsum(weights, 1) <= u, 1, dtype=jnp.int32)
        values = logits.shape[1] + 1
        passed = jnp.minimum(passed, values - 1)  # the last one means staying
        there = jnp.concatenate([alternatives(x, values), x[:, None]], 1)
        return jnp.take_along_axis(there, passed[:, None], 1)[:, 0], none, one

    def score(
        x: Array, logits: Array, y: Array, sites: Array, count: Array, size: Array
    ) -> Array:
        if logits.shape[1] == 1:
            odds = logits[:, 0] - 1 / (2 * size)
            return jnp.sum(jax.nn.log_sigmoid(jnp.where(y == x, -odds, odds)))
        moves = _against_staying(logits, size)
        stays = -logsumexp(jnp.pad(logits - 1 / (2 * size), ((0, 0), (1, 0))), axis=1)
        there = alternatives(x, logits.shape[1] + 1) == y[:, None]
        moved = jnp.sum(jnp.where(there, moves, 0.0), 1)
        return jnp.sum(jnp.where(y == x, stays, moved))

    return Moves(draw, score, lambda sites, count: sites)


def _against_staying(logits: Array, size: Array | float) -> Array:
    """log of the probability of each move of each site, (D, K − 1)."""
    moves = logits - 1 / (2 * size)
    return moves - logsumexp(jnp.pad(moves, ((0, 0), (1, 0))), axis=1)[:, None]


MOVES: dict[str, Callable[[int], Moves]] = {
    "single": partial(sequence, replace=True),
    "multi": partial(sequence, replace=True),
    "path": partial(sequence, replace=False),
    "factorised": factorised,
}
