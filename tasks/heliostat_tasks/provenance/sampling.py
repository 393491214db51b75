"""Which segments to replay if not all of them, and how probably that catches a bad one.

k of m segments without replacement catch at least one of s bad ones with probability

    P = 1 − C(m − s, k) / C(m, k)

One bad segment, the natural attack, is only caught by replaying nearly all: so all is
the default, and a sample says what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb

from heliostat_tasks.provenance.stream import order


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
