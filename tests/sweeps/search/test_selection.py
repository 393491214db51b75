"""Truncation selection: the worst continue from the best, with values near theirs."""

from __future__ import annotations

import numpy as np
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.axes import check_axes
from heliostat.sweeps.search.selection import explore, select_sources


def test_explored_values_are_near_or_resampled_and_on_their_axes():
    """A quarter of 4,000 values is resampled: within 4.5 errors, false alarms 1e-5."""
    axes = check_axes(
        toy_tasks.Walk, {"sigma": hs.Range(0.5, 2), "chains": [3, 5, 8]}, True
    )
    rng, counts = np.random.default_rng(0), {0.8: 0, 1.2: 0, "resampled": 0}
    for _ in range(4000):
        values = explore(toy_tasks.Walk, axes, {"sigma": 1.0, "chains": 5}, rng)
        near = values["sigma"] in counts
        counts[values["sigma"] if near else "resampled"] += 1
        assert 0.5 <= values["sigma"] <= 2 and values["chains"] in (3, 5, 8)
    assert abs(counts["resampled"] - 1000) < 4.5 * 27.4
    assert abs(counts[0.8] - 1500) < 4.5 * 30.7
    edge = [
        explore(toy_tasks.Walk, axes, {"sigma": 2.0, "chains": 8}, rng) for _ in "ab"
    ]
    assert all(v["sigma"] <= 2 and v["chains"] in (3, 5, 8) for v in edge)


def test_a_member_without_a_finite_number_continues_from_the_best():
    losses = [np.nan, 2.0, np.inf, 1.0, np.nan]
    assert select_sources(losses, [0, 1]) == [3, 1, 3, 3, 3]
