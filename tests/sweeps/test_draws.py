"""What a search draws: within its ranges, evenly, and the same ones first."""

from __future__ import annotations

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.cells import random_shares, sobol_shares

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
    found = draw(tmp_path, 2, over={**OVER, "seed": [5, 6]})
    assert found.dataset.x.dims == ("trial", "seed", "chain", "draw")
    assert found.dataset.sigma.dims == ("trial",)
    assert found.computed == 4 and list(found.dataset.seed) == [5, 6]


@pytest.mark.parametrize("shares", [random_shares, sobol_shares])
def test_draws_fill_their_ranges(shares):
    """Chi-square of 8 x 8 cells: each expects 16 of 1,024; 1e-6 false alarms."""
    found = shares(1024, 2, 0)
    counts, *_ = np.histogram2d(*found.T, bins=8, range=[[0, 1], [0, 1]])
    assert counts.sum() == 1024 and ((counts - 16) ** 2 / 16).sum() < 127.0
    assert np.array_equal(shares(100, 2, 0), found[:100])


def test_sobol_is_a_net():
    """Owen scrambling keeps it: each of 1,024 elementary boxes holds one point."""
    found = sobol_shares(1024, 2, 7)
    for power in range(11):
        boxes = np.floor(found * [2**power, 2 ** (10 - power)]).astype(int)
        assert len(np.unique(boxes, axis=0)) == 1024


def test_a_range_is_even_in_its_scale():
    """Whole numbers: each of 4 has a quarter; decades: each of 3 has a third."""
    shares = (np.arange(1200) + 0.5) / 1200
    whole = [hs.Range(2, 5).at(u, whole=True) for u in shares]
    assert np.bincount(whole).tolist() == [0, 0, 300, 300, 300, 300]
    decades = [hs.Range(0.01, 10, log=True).at(u, whole=False) for u in shares]
    counts, _ = np.histogram(decades, [0.01, 0.1, 1, 10])
    assert counts.tolist() == [400, 400, 400]
