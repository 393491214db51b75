"""Selection of segments to replay, and its probability to catch a bad one.

k of m segments without replacement catch at least one of s bad ones with probability

    P = 1 − C(m − s, k) / C(m, k)

One bad segment, the natural attack, is only caught by replaying nearly all. So all is
the default, and the report of a sample states its probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb

import numpy as np

from heliostat_tasks.provenance.prg import permutation

SUSPICIOUS = 0.01
"""p-value above which a segment counts as showing no trace of its data. It is not
adjusted for many tests, because honest segments are expected below it."""

JUMP = 5.0
"""Movement of a segment, in medians of all, above which it is flagged."""


def detection_probability(segments: int, replayed: int, bad: int) -> float:
    """Compute the probability that a uniform sample holds a bad segment.

    Args:
        segments: number of segments.
        replayed: size of the sample.
        bad: number of bad segments.

    Raises:
        ValueError: for more bad or replayed segments than there are.

    Example:
        >>> round(detection_probability(40, 21, 4), 4)
        0.9576
    """
    if bad > segments or not 0 <= replayed <= segments:
        raise ValueError(f"{bad} bad and {replayed} replayed of {segments} segments")
    return 1 - comb(segments - bad, replayed) / comb(segments, replayed)


def sample_segments(
    segments: Sequence[int], count: int, challenge: bytes, forced: Iterable[int] = ()
) -> list[int]:
    """Select at least ``count`` segments: the forced ones and a uniform sample.

    Args:
        segments: to select from.
        count: number of segments.
        challenge: 32 bytes that were unknown when the transcript was signed.
        forced: suspicious segments, the first and the last.
    """
    always = [s for s in segments if s in set(forced)]
    rest = [s for s in segments if s not in always]
    free = max(0, min(count - len(always), len(rest)))
    order = permutation(challenge, len(rest))[:free] if rest else []
    return sorted([*always, *(rest[i] for i in order)])


def flag_segments(
    lengths: Sequence[float], p_values: Sequence[float]
) -> dict[int, list[str]]:
    """Flag segments that look suspicious, with the reasons.

    Args:
        lengths: movement of the weights over each segment.
        p_values: p-values of "not trained on" for each segment; may be empty.
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
