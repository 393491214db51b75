"""Rates and their intervals: items are drawn, so items are what is drawn again.

    rate = Σ_i hits_i / Σ_i chances_i                over items i, epochs added up

Epochs and conditions of an item are not independent; so whole items are resampled
(a cluster bootstrap), and differences between conditions use the same draw for each:
they are paired.  Percentiles are expanded as far as few items ask for: intervals
of 22 are about 9 % wider than binomial ones, of 60 about 3 %.

Where all draws agree, that is no certainty, and Wilson's interval says how far it goes,
for as many chances as there are items: of a rate that is 0 or 1 in every item, and of a
difference that is 0 in every item, which is as rarely anything else as 0 of them.

References: Field and Welsh, J. R. Stat. Soc. B 69 (2007) 369 [cluster bootstrap];
Hesterberg, Am. Stat. 69 (2015) 371 [expanded percentiles]; Wilson, J. Am. Stat. Assoc.
22 (1927) 209.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
DRAWS = 2000


class Counts(NamedTuple):
    """Of one rate: (items,) each."""

    hits: np.ndarray
    chances: np.ndarray

    @property
    def rate(self) -> float:
        total = self.chances.sum()
        return float(self.hits.sum() / total) if total else float("nan")


class Interval(NamedTuple):
    """A rate, or a difference of rates, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2


def count_hits(hits: np.ndarray, chances: np.ndarray) -> Counts:
    """Of (items, epochs): hits, or shares of one, and where there is a chance."""
    here = np.where(chances, hits, 0.0)
    return Counts(np.sum(here, axis=1), np.sum(chances, axis=1).astype(float))


def interval(terms: Sequence[tuple[float, Counts]], draws: int = DRAWS) -> Interval:
    """Of Σ_k weight_k · rate_k, all over the same items.

    Example:
        >>> half = Counts(np.array([1.0, 0.0] * 50), np.ones(100))
        >>> found = interval([(1.0, half)])
        >>> found.value, round(found.low, 1), round(found.high, 1)
        (0.5, 0.4, 0.6)
    """
    value = sum(weight * one.rate for weight, one in terms)
    items = len(terms[0][1].hits)
    if not np.isfinite(value):
        return Interval(float("nan"), float("nan"), float("nan"))
    drawn = _drawn(items, draws)
    total = np.zeros(draws)
    for weight, one in terms:
        with np.errstate(invalid="ignore"):
            total += weight * (drawn @ one.hits) / (drawn @ one.chances)
    tail = _tail(min(int(np.count_nonzero(one.chances)) for _, one in terms))
    low, high = np.nanquantile(total, [tail, 1 - tail])
    if high - low < 1e-12:  # one item, or the same in every one: no spread to see
        low, high = _certain(terms, value)
    return Interval(float(value), float(low), float(high))


def _tail(items: int) -> float:
    """What is cut off at each end: less than 2.5 % where items are few, by as much as
    the quantiles of Student's distribution and the factor n/(n - 1) ask for."""
    from scipy.stats import norm, t

    if items < 2:
        return (1 - LEVEL) / 2
    wide = np.sqrt(items / (items - 1)) * t.ppf((1 + LEVEL) / 2, items - 1)
    return float(norm.sf(wide))


def wilson(hits: float, chances: float) -> tuple[float, float]:
    """Wilson's interval of a binomial rate.

    Example:
        >>> tuple(round(edge, 3) for edge in wilson(0, 30))
        (0.0, 0.114)
    """
    z = 1.959963984540054
    rate, spread = hits / chances, z**2 / chances
    centre = (rate + spread / 2) / (1 + spread)
    half = z * np.sqrt(rate * (1 - rate) / chances + spread / (4 * chances))
    half /= 1 + spread
    low = 0.0 if hits == 0 else float(centre - half)
    return max(0.0, low), 1.0 if hits == chances else float(min(1.0, centre + half))


@lru_cache(maxsize=2)
def _drawn(items: int, draws: int) -> np.ndarray:
    """How often each item is in each draw, (draws, items); the same draws for all."""
    return np.random.default_rng(0).multinomial(
        items, np.full(items, 1 / items), size=draws
    )


def _certain(
    terms: Sequence[tuple[float, Counts]], value: float
) -> tuple[float, float]:
    """As far as each rate, or difference of equals, could be off, added up as errors
    are: data sets are independent."""
    below = above = 0.0
    for lost, gained, one in _apart(terms):
        items = float(np.count_nonzero(one.chances))
        if np.isclose(lost, gained):  # the rate cancels; who differs is 0 of the items
            down = up = gained * wilson(0, items)[1]
        else:
            edge = wilson(one.rate * items, items)
            sides = sorted((gained - lost) * (side - one.rate) for side in edge)
            down, up = -sides[0], sides[1]
        below, above = np.hypot(below, down), np.hypot(above, up)
    return float(value - below), float(value + above)


def _apart(
    terms: Sequence[tuple[float, Counts]],
) -> list[tuple[float, float, Counts]]:
    """Each rate once, with what is taken from it and what is added."""
    found: list[tuple[float, float, Counts]] = []
    for weight, one in terms:
        here = [i for i, known in enumerate(found) if _same(known[2], one)]
        lost, gained, _ = found.pop(here[0]) if here else (0.0, 0.0, one)
        found.append((lost + max(-weight, 0.0), gained + max(weight, 0.0), one))
    return found


def _same(one: Counts, other: Counts) -> bool:
    pairs = zip(one, other, strict=True)  # the best of N is a sum, and rounded
    return all(a.shape == b.shape and np.allclose(a, b, 0, 1e-12) for a, b in pairs)
