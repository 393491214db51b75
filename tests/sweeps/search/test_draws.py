"""Random and Sobol draws fill their ranges evenly; the first ones always stay."""

from __future__ import annotations

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.search.draws import random_shares, sobol_shares

OVER = {"sigma": hs.Range(0.01, 10, log=True), "chains": hs.Range(2, 5)}


def draw(store, trials, search="sobol", over=OVER, **options):
    return hs.sweep(
        toy_tasks.Stroll(),
        over=over,
        search=search,
        trials=trials,
        steps=10,
        store=store,
        on="here",
        **options,
    )


@pytest.mark.parametrize("search", ["sobol", "random"])
def test_more_trials_extend_a_search(tmp_path, search):
    three = draw(tmp_path, 3, search)
    five = draw(tmp_path, 5, search)
    assert three.id == five.id and (five.computed, five.reused) == (2, 3)
    assert np.array_equal(five.dataset.sigma[:3], three.dataset.sigma)
    other = draw(tmp_path, 3, search, search_seed=1)
    assert other.id != three.id and other.reused == 0


def test_seeds_cross_trials(tmp_path):
    result = draw(tmp_path, 2, over={**OVER, "seed": [5, 6]})
    assert result.dataset.x.dims == ("trial", "seed", "chain", "draw")
    assert result.dataset.sigma.dims == ("trial",)
    assert result.computed == 4 and list(result.dataset.seed) == [5, 6]


@pytest.mark.parametrize("shares", [random_shares, sobol_shares])
def test_draws_fill_their_ranges(shares):
    """Chi-square of 8 × 8 boxes with 16 of 1,024 points expected: 1e-6 false alarms."""
    points = shares(1024, 2, 0)
    counts, *_ = np.histogram2d(*points.T, bins=8, range=[[0, 1], [0, 1]])
    assert counts.sum() == 1024 and ((counts - 16) ** 2 / 16).sum() < 127.0
    assert np.array_equal(shares(100, 2, 0), points[:100])


def test_sobol_is_a_net():
    """Each of 1,024 elementary boxes holds one point; Owen scrambling keeps that."""
    points = sobol_shares(1024, 2, 7)
    for power in range(11):
        boxes = np.floor(points * [2**power, 2 ** (10 - power)]).astype(int)
        assert len(np.unique(boxes, axis=0)) == 1024
