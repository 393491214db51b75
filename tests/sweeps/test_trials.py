"""Trials are compared by the mean over their seeds, with a valid error."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.failing_tasks import Midway, sweep_here

import heliostat as hs
from heliostat.sweeps.trials import mean_estimate

SEEDS = [0, 1, 2]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Seeds differ by more than values do."""
    over = {"a": hs.Range(0.5, 0.6), "seed": SEEDS}
    how = {"search": "tpe", "trials": 4, "metric": "loss"}
    return sweep_here(tmp_path_factory.mktemp("noisy"), over, Midway(spread=1.0), **how)


def test_the_best_trial_is_that_with_the_least_recorded_mean(noisy):
    lines = (noisy.path / "events.jsonl").read_text().splitlines()
    events = [e for e in map(json.loads, lines) if e["event"] == "told"]
    means = {e["trial"]: e["values"]["loss"] for e in events}
    order = [trial.cells[0].place[0] for trial in noisy.ranked()]
    assert order == sorted(means, key=means.__getitem__)
    best = noisy.best()
    assert best.values == {"a": noisy.dataset.a.values[order[0]]}
    assert [cell.seed for cell in best.cells] == SEEDS
    assert best.headline["loss"].value == pytest.approx(means[order[0]], rel=1e-14)
    assert best.headline["loss"].source == "mean of 3 seeds"
    assert noisy.best(mode="max").cells[0].place[0] == order[-1]


def test_seeds_may_be_any_axis_of_a_grid(tmp_path):
    over = {"seed": SEEDS, "a": [1.0, 1.1]}
    result = sweep_here(tmp_path, over, Midway(spread=1.0), metric="loss")
    expected = result.summary.loss.mean("seed").values
    got = [trial.headline["loss"].value for trial in result.trials]
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert str(result.best()) == "a=1.1" and len(result.best().runs) == 3


def test_seeds_alone_are_one_trial(tmp_path):
    result = sweep_here(tmp_path, {"seed": SEEDS}, Midway(spread=1.0), metric="loss")
    assert len(result.trials) == 1 and str(result.best()) == "all seeds"


def test_a_trial_without_all_of_its_seeds_has_no_mean(noisy):
    lost = noisy.best().runs[1]
    log = noisy.path / "events.jsonl"
    text = log.read_text()
    lines = [t for t in text.splitlines() if not (lost in t and '"done"' in t)]
    log.write_text("".join(f"{line}\n" for line in lines))
    result = hs.open_sweep(noisy.id, store=noisy.store, task=Midway)
    log.write_text(text)
    assert result.states["waiting"] == 1 and len(result.ranked()) == 3
    assert result.best().values == noisy.ranked()[1].values


@pytest.mark.parametrize("n", [2, 3, 4, 10])
def test_the_error_of_a_mean_holds_for_any_number(n):
    """68.27 % of 20,000 means are within one sigma of the truth: within 4.5 errors,
    1e-5. Without Student's factor it would be 50 % for two."""
    drawn = np.random.default_rng(n).normal(3.0, 2.0, (20_000, n))
    means = [mean_estimate([hs.Estimate(x) for x in row], "seeds") for row in drawn]
    share = np.mean([abs(mean.value - 3.0) < mean.error for mean in means])
    assert abs(share - 0.68269) < 4.5 * (0.68269 * 0.31731 / 20_000) ** 0.5


def test_a_number_from_elsewhere_stays_as_it_is():
    known = hs.Estimate(1.0, 0.1, source="a book")
    assert mean_estimate([known, known], "seeds") == known
    one = hs.Estimate(1.0, 0.1, "m")
    assert mean_estimate([one], "cells") == one._replace(source="mean of 1 cell")


@pytest.mark.parametrize("low", [0.0, 0.123456789012345])
def test_proposed_values_have_twelve_digits_inside_their_range(tmp_path, low):
    high = low + 1e-13 if low else 1.0  # narrower than twelve digits
    over, how = {"a": hs.Range(low, high)}, {"metric": "loss", "steps": 1}
    result = sweep_here(tmp_path, over, search="tpe", trials=12, **how)
    a = [cell.values["a"] for cell in result.cells]
    assert all(low <= x <= high for x in a)
    assert all(x == float(f"{x:.12g}") or x in (low, high) for x in a)
