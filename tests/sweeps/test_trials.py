"""Trials: what is compared is the mean over seeds, with an error that holds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.failing_tasks import Midway, here

import heliostat as hs
from heliostat.sweeps.trials import mean_estimate

SEEDS = [0, 1, 2]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Seeds differ by more than values do."""
    over = {"a": hs.Range(0.5, 0.6), "seed": SEEDS}
    how = {"search": "tpe", "trials": 4, "metric": "loss"}
    return here(tmp_path_factory.mktemp("noisy"), over, Midway(spread=1.0), **how)


def test_the_best_is_that_of_which_the_searcher_was_told_the_least(noisy):
    lines = (noisy.path / "events.jsonl").read_text().splitlines()
    told = [e for e in map(json.loads, lines) if e["event"] == "told"]
    told = {e["trial"]: e["values"]["loss"] for e in told}
    order = [trial.cells[0].place[0] for trial in noisy.ranked()]
    assert order == sorted(told, key=told.__getitem__)
    best = noisy.best()
    assert best.values == {"a": noisy.dataset.a.values[order[0]]}
    assert [cell.seed for cell in best.cells] == SEEDS
    assert best.headline["loss"].value == pytest.approx(told[order[0]], rel=1e-14)
    assert best.headline["loss"].source == "mean of 3 seeds"
    assert noisy.best(mode="max").cells[0].place[0] == order[-1]


def test_seeds_may_be_any_axis_of_a_grid(tmp_path):
    over = {"seed": SEEDS, "a": [1.0, 1.1]}
    found = here(tmp_path, over, Midway(spread=1.0), metric="loss")
    expected = found.summary.loss.mean("seed").values
    got = [trial.headline["loss"].value for trial in found.trials]
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert str(found.best()) == "a=1.1" and len(found.best().runs) == 3


def test_seeds_alone_are_one_trial(tmp_path):
    found = here(tmp_path, {"seed": SEEDS}, Midway(spread=1.0), metric="loss")
    assert len(found.trials) == 1 and str(found.best()) == "all seeds"


def test_a_trial_under_way_has_no_mean(noisy):
    """Where some of its seeds are not known yet."""
    lost = noisy.best().runs[1]
    log = noisy.path / "events.jsonl"
    text = log.read_text()
    kept = [t for t in text.splitlines() if not (lost in t and '"done"' in t)]
    log.write_text("".join(f"{line}\n" for line in kept))
    found = hs.open_sweep(noisy.id, store=noisy.store, task=Midway)
    log.write_text(text)
    assert found.states["waiting"] == 1 and len(found.ranked()) == 3
    assert found.best().values == noisy.ranked()[1].values


@pytest.mark.parametrize("n", [2, 3, 4, 10])
def test_the_error_holds_however_few_there_are(n):
    """Of 20,000 means 68.27 % within one sigma of the truth: within 4.5 errors, 1e-5.
    Without Student's factor they would be 50 % of two."""
    drawn = np.random.default_rng(n).normal(3.0, 2.0, (20_000, n))
    told = [mean_estimate([hs.Estimate(x) for x in row], "seeds") for row in drawn]
    held = np.mean([abs(one.value - 3.0) < one.error for one in told])
    assert abs(held - 0.68269) < 4.5 * (0.68269 * 0.31731 / 20_000) ** 0.5


def test_what_is_known_from_elsewhere_stays_as_it_is():
    known = hs.Estimate(1.0, 0.1, source="a book")
    assert mean_estimate([known, known], "seeds") == known
    one = hs.Estimate(1.0, 0.1, "m")
    assert mean_estimate([one], "cells") == one._replace(source="mean of 1 cell")


@pytest.mark.parametrize("low", [0.0, 0.123456789012345])
def test_proposed_values_have_twelve_digits_inside_their_range(tmp_path, low):
    high = low + 1e-13 if low else 1.0  # narrower than twelve digits
    over, how = {"a": hs.Range(low, high)}, {"metric": "loss", "steps": 1}
    found = here(tmp_path, over, search="tpe", trials=12, **how)
    a = [cell.values["a"] for cell in found.cells]
    assert all(low <= x <= high for x in a)
    assert all(x == float(f"{x:.12g}") or x in (low, high) for x in a)
