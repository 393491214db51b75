"""Which segments to replay if not all of them, and how probably that catches a bad one.

k of m segments without replacement catch at least one of s bad ones with probability

    P = 1 − C(m − s, k) / C(m, k)

One bad segment, the natural attack, is only caught by replaying nearly all: so all is
the default, and a sample says what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb

import numpy as np

from heliostat_tasks.provenance.prg import order

SUSPICIOUS = 0.01
"""p-value from which on a segment shows no trace of its data: not adjusted, since many
segments are expected to be below it, and not few by chance."""

JUMP = 5.0
"""Movement of a segment, in medians of all, from which on it is looked at."""


def caught(segments: int, replayed: int, bad: int) -> float:
    """The probability that a uniform sample holds one of the bad segments.

    Example:
        >>> round(caught(40, 21, 4), 4)
        0.9576
    """
    if bad > segments or not 0 <= replayed <= segments:
        raise ValueError(f"{bad} bad and {replayed} replayed of {segments} segments")
    return 1 - comb(segments - bad, replayed) / comb(segments, replayed)


def chosen(
    segments: Sequence[int], count: int, challenge: bytes, forced: Iterable[int] = ()
) -> list[int]:
    """``count`` segments: those that are forced, and a uniform sample of the rest.

    Args:
        challenge: 32 bytes that nobody knew when the transcript was signed.
        forced: suspicious ones, the first and the last.
    """
    sure = [s for s in segments if s in set(forced)]
    rest = [s for s in segments if s not in sure]
    free = max(0, min(count - len(sure), len(rest)))
    drawn = [rest[i] for i in order(challenge, len(rest))[:free]] if rest else []
    return sorted([*sure, *drawn])


def odd(lengths: Sequence[float], p_values: Sequence[float]) -> dict[int, list[str]]:
    """What looks odd about which segments.

    Args:
        lengths: how far the weights moved in each.
        p_values: of "not trained on" in each; none if nobody looked.
    """
    flags: dict[int, list[str]] = {}
    typical = float(np.median(lengths))
    strong = np.asarray(p_values) < SUSPICIOUS
    for i, length in enumerate(lengths):
        if length > JUMP * typical:
            flags.setdefault(i, []).append("the weights jump")
        if length == 0:
            flags.setdefault(i, []).append("the weights stand still")
        if len(strong) and not strong[i] and strong[:i].sum() > i / 2:
            flags.setdefault(i, []).append("no trace of its data")
    return flags
